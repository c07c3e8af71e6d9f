// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
)

// defaultDriftCheck is how often clients are compared where the
// AuthorizationServer does not say.
const defaultDriftCheck = time.Hour

// defaultCopySeconds is how long a metadata document may be cached where the
// AuthorizationServer does not say.
const defaultCopySeconds = 60

// defaultMaxInFlight bounds the requests under way where the
// AuthorizationServer does not say.
const defaultMaxInFlight = 16

// AuthorizationServerFacts are what the decision about an AuthorizationServer
// rests on.
type AuthorizationServerFacts struct {
	Server *v1alpha1.AuthorizationServer
	// Traits are those of the server.
	Traits authserver.Traits
	// CredentialIs says whether the Secret that the spec names was found;
	// Present also where none is named.
	CredentialIs Knowledge
	// Asked says that discovery was tried, with Metadata or Err as answer.
	Asked    bool
	Metadata authserver.Metadata
	Err      error
	// Access is what is known of the operator's own access.
	Access AccessFact
	// AskAccess is how long that counts; 0 where it is not asked for.
	AskAccess time.Duration
	// Manageable says what registrations showed of the management of clients.
	Manageable Knowledge
	// Clock is what is known of the operator's clock.
	Clock ClockFact
	// Counted says that the clients were counted.
	Counted bool
	Clients v1alpha1.ClientCounts
	// Inventory is what was found in a list just taken; nil where none was.
	Inventory *v1alpha1.Inventory
}

// AuthorizationServerDecision is the decision about an AuthorizationServer.
type AuthorizationServerDecision struct {
	// Accepted and Discovered are the verdicts behind those conditions.
	Accepted   Verdict
	Discovered Verdict
	// AdminAccess is the verdict behind that condition; nil where there is nothing
	// to be had, or nothing known.
	AdminAccess *Verdict
	// Manageable is the verdict behind that condition; nil until something was
	// learnt.
	Manageable *Verdict
	// Metadata and Capabilities are what was found; nil and empty when the
	// metadata may not be used.
	Metadata     *v1alpha1.ServerMetadata
	Capabilities []v1alpha1.Capability
	Clients      *v1alpha1.ClientCounts
	// Inventory is the last one; nil where the server cannot list.
	Inventory *v1alpha1.Inventory
	// ClockSynchronized is the verdict behind that condition; nil where nothing is known.
	ClockSynchronized *Verdict
	// ClockSkewSeconds is by how much the server's clock is ahead.
	ClockSkewSeconds *int32
	// OperatorClockSkewSeconds is by how much the operator's clock is ahead; nil where
	// it is right.
	OperatorClockSkewSeconds *int32
}

// AuthorizationServer decides whether an AuthorizationServer is usable, and
// for what.
func AuthorizationServer(f AuthorizationServerFacts) AuthorizationServerDecision {
	described := Described(f).Status
	decision := AuthorizationServerDecision{
		Accepted:     acceptAuthorizationServer(f),
		Discovered:   judgeDiscovery(f),
		AdminAccess:  judgeAccess(f),
		Manageable:   judgeManageable(f),
		Metadata:     described.Metadata,
		Capabilities: described.Capabilities,
		Clients:      f.Server.Status.Clients,
		Inventory:    f.Inventory,

		ClockSkewSeconds:         f.Server.Status.ClockSkewSeconds,
		OperatorClockSkewSeconds: operatorSkew(f.Server.Status.OperatorClockSkewSeconds, f.Clock),
	}
	if f.Inventory == nil && f.Traits.Lists {
		decision.Inventory = f.Server.Status.Inventory
	}
	if f.Counted {
		decision.Clients = &f.Clients
	}
	if decision.Discovered.Standing == Allowed {
		decision.ClockSkewSeconds = clockSkew(f.Server.Status.ClockSkewSeconds, f.Metadata.ClockSkew)
	}
	decision.ClockSynchronized = judgeClocks(f, decision.OperatorClockSkewSeconds, decision.ClockSkewSeconds)
	return decision
}

func acceptAuthorizationServer(f AuthorizationServerFacts) Verdict {
	if pattern := firstBadPattern(registrationPolicy(AuthorizationServerFact{Object: f.Server})); pattern != "" {
		return Verdict{
			Reason:  v1alpha1.ReasonInvalidPolicy,
			Message: fmt.Sprintf("spec.policy: %q is not a regular expression (RE2): correct it, for example ^[a-z-]+@example\\.com$", pattern),
		}
	}
	if Paused(f.Server) {
		return Verdict{
			Standing: Frozen, Reason: v1alpha1.ReasonPaused, Waiting: true,
			Message: "annotation mcp-registrar.dev/paused is set: nothing is given to clients, what is to be taken away is taken away; remove the annotation to go on",
		}
	}
	return Verdict{Standing: Allowed, Reason: v1alpha1.ReasonAccepted, Message: "the spec is accepted"}
}

func firstBadPattern(p v1alpha1.RegistrationPolicy) string {
	patterns := slices.Concat([]string{p.OwnerPattern}, p.RedirectURIPatterns, p.JWKSURIPatterns)
	for _, pattern := range patterns {
		if _, err := compileWhole(pattern); err != nil {
			return pattern
		}
	}
	return ""
}

// judgeDiscovery turns the answer to discovery into a verdict. The port's code
// words name what is wrong with the metadata.
func judgeDiscovery(f AuthorizationServerFacts) Verdict {
	if !f.Asked {
		return Verdict{
			Standing: Undecided, Waiting: true, Reason: v1alpha1.ReasonUnavailable,
			Message: "the authorization server was not asked yet",
		}
	}
	if f.Err != nil {
		return judgeDiscoveryError(f.Err)
	}
	if f.Metadata.RegistrationEndpoint == "" && !f.Traits.OwnClientID {
		return Verdict{
			Reason:  v1alpha1.ReasonRegistrationUnsupported,
			Message: "the metadata has no registration_endpoint: enable dynamic client registration at the authorization server",
		}
	}
	return Verdict{Standing: Allowed, Reason: v1alpha1.ReasonDiscovered, Message: "the metadata is usable"}
}

func judgeDiscoveryError(err error) Verdict {
	var answer *authserver.Error
	if !errors.As(err, &answer) || answer.Kind != authserver.Rejected {
		return Verdict{
			Standing: Undecided, Waiting: true, Reason: v1alpha1.ReasonUnavailable,
			Message: "the authorization server gives no usable metadata now: tried again",
		}
	}
	switch answer.Code {
	case "issuer_mismatch":
		return Verdict{
			Reason:  v1alpha1.ReasonIssuerMismatch,
			Message: "the metadata names another issuer than spec.issuer (RFC 8414 section 3.3): write the issuer exactly as the metadata states it",
		}
	case "metadata_differs":
		return Verdict{
			Reason:  v1alpha1.ReasonRejected,
			Message: fmt.Sprintf("the metadata documents of RFC 8414 and of OpenID Connect Discovery at spec.issuer differ in %v: correct the authorization server, or what answers in its place", answer.Err),
		}
	case "cimd_unsupported":
		return Verdict{
			Reason:  v1alpha1.ReasonRegistrationUnsupported,
			Message: "the metadata does not say client_id_metadata_document_supported: enable Client ID Metadata Documents at the authorization server",
		}
	case "documents_not_served":
		return Verdict{
			Reason:  v1alpha1.ReasonRegistrationUnsupported,
			Message: "spec.metadataDocument: the operator serves no documents: start it with --documents-bind-address (chart: documents.enabled=true)",
		}
	case "foreign_endpoint":
		return Verdict{
			Reason:  v1alpha1.ReasonForeignEndpoint,
			Message: "the metadata names a registration or token endpoint on another origin than the issuer: credentials would leave the issuer; correct the server's public URL",
		}
	}
	return Verdict{
		Reason:  v1alpha1.ReasonRejected,
		Message: "the authorization server has no usable metadata (RFC 8414, OpenID Connect Discovery) at spec.issuer: check the issuer",
	}
}

// describe translates metadata into the API's words.
func describe(m authserver.Metadata) (*v1alpha1.ServerMetadata, []v1alpha1.Capability) {
	found := []struct {
		capability v1alpha1.Capability
		has        bool
	}{
		{v1alpha1.CapabilityRegistration, m.RegistrationEndpoint != ""},
		{v1alpha1.CapabilityClientIDMetadataDocument, m.ClientIDMetadataDocument},
		{v1alpha1.CapabilityRevocation, m.RevocationEndpoint != ""},
		{v1alpha1.CapabilityIntrospection, m.IntrospectionEndpoint != ""},
		{v1alpha1.CapabilityPKCES256, slices.Contains(m.CodeChallengeMethods, "S256")},
		{v1alpha1.CapabilityIssuerInResponse, m.IssuerInResponse},
		{v1alpha1.CapabilityOpenID, slices.Contains(m.Scopes, string(v1alpha1.OIDCScopeOpenID)) && !m.OpenIDImplied},
		{v1alpha1.CapabilityOfflineAccess, slices.Contains(m.Scopes, string(v1alpha1.OIDCScopeOfflineAccess))},
	}
	var capabilities []v1alpha1.Capability
	for _, entry := range found {
		if entry.has {
			capabilities = append(capabilities, entry.capability)
		}
	}
	return &v1alpha1.ServerMetadata{
		AuthorizationEndpoint: m.AuthorizationEndpoint,
		TokenEndpoint:         m.TokenEndpoint,
		RegistrationEndpoint:  m.RegistrationEndpoint,

		TokenEndpointAuthMethods: describedMethods(m.TokenEndpointAuthMethods),
	}, capabilities
}

// Connection returns how to reach an authorization server, without secrets.
func Connection(as *v1alpha1.AuthorizationServer) authserver.Config {
	config := authserver.Config{
		Name: as.Name, Issuer: as.Spec.Issuer, CABundle: as.Spec.CABundle, MaxInFlight: defaultMaxInFlight,
	}
	describeMethod(&config, as.Spec)
	if as.Spec.RequestsPerSecond != nil {
		config.RequestsPerSecond = int(*as.Spec.RequestsPerSecond)
	}
	if as.Spec.MaxInFlight != nil {
		config.MaxInFlight = int(*as.Spec.MaxInFlight)
	}
	return config
}

// SameServer says that two connections lead to one server, and manage its
// clients in one way: what is not found over one is not there for the other.
func SameServer(a, b authserver.Config) bool {
	return a.Issuer == b.Issuer && a.Method == b.Method && a.BaseURL == b.BaseURL && a.Realm == b.Realm
}

// describeMethod says how clients are managed.
func describeMethod(config *authserver.Config, spec v1alpha1.AuthorizationServerSpec) {
	switch {
	case spec.Keycloak != nil:
		config.Method, config.Realm = authserver.Keycloak, spec.Keycloak.Realm
		config.BaseURL, config.AdminSecret = spec.Keycloak.BaseURL, spec.Keycloak.CredentialsSecretRef.Name
		config.AssertionIssuer = spec.Keycloak.KubernetesIdentityProvider
		if root, _, found := strings.Cut(spec.Issuer, "/realms/"); config.BaseURL == "" && found {
			config.BaseURL = root
		}
	case spec.Hydra != nil:
		config.Method, config.BaseURL = authserver.Hydra, spec.Hydra.AdminURL
	case spec.MetadataDocument != nil:
		config.Method, config.BaseURL, config.CopySeconds = authserver.MetadataDocument, spec.MetadataDocument.BaseURL, defaultCopySeconds
		if seconds := spec.MetadataDocument.CacheSeconds; seconds != nil {
			config.CopySeconds = int(*seconds)
		}
	}
}

// DriftCheckInterval is how often a client is compared with what the
// authorization server holds.
func DriftCheckInterval(as *v1alpha1.AuthorizationServer) time.Duration {
	if as != nil && as.Spec.DriftCheckSeconds != nil {
		return time.Duration(*as.Spec.DriftCheckSeconds) * time.Second
	}
	return defaultDriftCheck
}

// compileWhole compiles a pattern that must match a text as a whole. The
// pattern must compile by itself first: "a)|(b" would escape the anchors.
func compileWhole(pattern string) (*regexp.Regexp, error) {
	if _, err := regexp.Compile(pattern); err != nil {
		return nil, err
	}
	return regexp.Compile(`\A(?:` + pattern + `)\z`)
}

// matchesAny says whether one of some patterns matches a text as a whole. With
// a pattern that does not compile this cannot be denied.
func matchesAny(patterns []string, text string) Knowledge {
	answer := Absent
	for _, pattern := range patterns {
		switch compiled, err := compileWhole(pattern); {
		case err != nil:
			answer = Unknown
		case compiled.MatchString(text):
			return Present
		}
	}
	return answer
}

// badPatternVerdict keeps what exists: a slip of the pen in a policy must not
// revoke every client.
func badPatternVerdict() *Verdict {
	return &Verdict{
		Standing: Undecided, Reason: v1alpha1.ReasonAuthorizationServerNotReady, Waiting: true,
		Message: "a pattern of the AuthorizationServer's policy is not a regular expression: nothing is changed; ask the platform team to correct it",
	}
}

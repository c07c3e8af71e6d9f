// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
)

var testMetadata = authserver.Metadata{
	Issuer: testIssuer, AuthorizationEndpoint: testIssuer + "/authorize", TokenEndpoint: testIssuer + "/token",
	RegistrationEndpoint: testIssuer + "/register", CodeChallengeMethods: []string{"plain", "S256"},
}

func serverFacts(opts ...func(*AuthorizationServerFacts)) AuthorizationServerFacts {
	f := AuthorizationServerFacts{Server: authorizationServer(), CredentialIs: Present, Asked: true, Metadata: testMetadata}
	for _, opt := range opts {
		opt(&f)
	}
	return f
}

func TestAuthorizationServerUsable(t *testing.T) {
	got := AuthorizationServer(serverFacts(func(f *AuthorizationServerFacts) {
		f.Counted, f.Clients = true, v1alpha1.ClientCounts{Managed: 3, PossibleOrphans: 1}
	}))
	equal(t, "decision", AuthorizationServerDecision{
		Accepted:   Verdict{Standing: Allowed, Reason: v1alpha1.ReasonAccepted, Message: "the spec is accepted"},
		Discovered: Verdict{Standing: Allowed, Reason: v1alpha1.ReasonDiscovered, Message: "the metadata is usable"},
		Metadata: &v1alpha1.ServerMetadata{
			AuthorizationEndpoint: testIssuer + "/authorize", TokenEndpoint: testIssuer + "/token", RegistrationEndpoint: testIssuer + "/register",
		},
		Capabilities: []v1alpha1.Capability{v1alpha1.CapabilityRegistration, v1alpha1.CapabilityPKCES256},
		Clients:      &v1alpha1.ClientCounts{Managed: 3, PossibleOrphans: 1},
	}, got)
}

func TestAuthorizationServerAccepted(t *testing.T) {
	spec := func(change func(*v1alpha1.AuthorizationServerSpec)) func(*AuthorizationServerFacts) {
		return func(f *AuthorizationServerFacts) { change(&f.Server.Spec) }
	}
	cases := []struct {
		name   string
		change func(*AuthorizationServerFacts)
		want   verdict
		says   []string
	}{
		{"no policy", spec(func(s *v1alpha1.AuthorizationServerSpec) { s.Policy = nil }), verdict{Standing: Allowed, Reason: v1alpha1.ReasonAccepted}, nil},
		{"patterns that compile", spec(func(s *v1alpha1.AuthorizationServerSpec) {
			s.Policy = &v1alpha1.RegistrationPolicy{OwnerPattern: "a|b", RedirectURIPatterns: []string{".*"}, JWKSURIPatterns: []string{"(x)"}}
		}), verdict{Standing: Allowed, Reason: v1alpha1.ReasonAccepted}, nil},
		{"managed in another way", spec(func(s *v1alpha1.AuthorizationServerSpec) {
			s.DynamicRegistration, s.Keycloak = nil, &v1alpha1.KeycloakManagement{Realm: "mcp"}
		}), verdict{Standing: Allowed, Reason: v1alpha1.ReasonAccepted}, nil},
		{"a pattern of owners that does not compile", spec(func(s *v1alpha1.AuthorizationServerSpec) { s.Policy.OwnerPattern = "a)|(b" }),
			refusedFor(v1alpha1.ReasonInvalidPolicy, ""), []string{"spec.policy", `"a)|(b"`, "for example"}},
		{"a redirect pattern that does not compile", spec(func(s *v1alpha1.AuthorizationServerSpec) { s.Policy.RedirectURIPatterns = []string{"ok", "["} }),
			refusedFor(v1alpha1.ReasonInvalidPolicy, ""), []string{"spec.policy", `"["`, "for example"}},
		{"a key set pattern that does not compile", spec(func(s *v1alpha1.AuthorizationServerSpec) { s.Policy.JWKSURIPatterns = []string{"(?<"} }),
			refusedFor(v1alpha1.ReasonInvalidPolicy, ""), []string{"spec.policy", `"(?<"`, "for example"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got := AuthorizationServer(serverFacts(c.change))
			equal(t, "accepted", c.want, brief(got.Accepted))
			mentions(t, got.Accepted.Message, c.says...)
			equal(t, "discovered", Allowed, got.Discovered.Standing)
		})
	}
}

// What was known is kept while nothing better is, and dropped when the
// metadata is proven to be unusable.
func TestAuthorizationServerDiscovered(t *testing.T) {
	answer := func(err error) func(*AuthorizationServerFacts) {
		return func(f *AuthorizationServerFacts) { f.Err, f.Metadata = err, authserver.Metadata{} }
	}
	rejected := func(code string) error { return &authserver.Error{Kind: authserver.Rejected, Code: code} }
	unavailable := waitingFor(Undecided, v1alpha1.ReasonUnavailable, "")
	cases := []struct {
		name   string
		change func(*AuthorizationServerFacts)
		want   verdict
		says   string
	}{
		{"not asked", func(f *AuthorizationServerFacts) { f.Asked = false }, unavailable, "not asked"},
		{"no answer", answer(&authserver.Error{Kind: authserver.Unavailable}), unavailable, "tried again"},
		{"unauthorized", answer(&authserver.Error{Kind: authserver.Unauthorized}), unavailable, "tried again"},
		{"an error of another kind", answer(errors.New("broken")), unavailable, "tried again"},
		{"another issuer", answer(fmt.Errorf("wrapped: %w", rejected("issuer_mismatch"))), refusedFor(v1alpha1.ReasonIssuerMismatch, ""), "spec.issuer"},
		{"two documents that differ", answer(&authserver.Error{Kind: authserver.Rejected, Code: "metadata_differs", Err: errors.New("token_endpoint, jwks_uri")}),
			refusedFor(v1alpha1.ReasonRejected, ""), "differ in token_endpoint, jwks_uri:"},
		{"an endpoint elsewhere", answer(rejected("foreign_endpoint")), refusedFor(v1alpha1.ReasonForeignEndpoint, ""), "another origin"},
		{"metadata that is none", answer(rejected("")), refusedFor(v1alpha1.ReasonRejected, ""), "spec.issuer"},
		{"no registration endpoint", func(f *AuthorizationServerFacts) { f.Metadata.RegistrationEndpoint = "" },
			refusedFor(v1alpha1.ReasonRegistrationUnsupported, ""), "registration_endpoint"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			f := serverFacts(c.change)
			f.Server.Status.Clients = &v1alpha1.ClientCounts{Managed: 7}
			got := AuthorizationServer(f)
			equal(t, "discovered", c.want, brief(got.Discovered))
			mentions(t, got.Discovered.Message, c.says)
			want := AuthorizationServerDecision{Accepted: got.Accepted, Discovered: got.Discovered, Clients: f.Server.Status.Clients}
			if c.want.Standing == Undecided {
				want.Metadata, want.Capabilities = f.Server.Status.Metadata, f.Server.Status.Capabilities
			}
			equal(t, "decision", want, got)
		})
	}
}

func TestCapabilities(t *testing.T) {
	_, all := describe(authserver.Metadata{
		RegistrationEndpoint: "r", RevocationEndpoint: "v", IntrospectionEndpoint: "i", CodeChallengeMethods: []string{"S256"},
		ClientIDMetadataDocument: true, IssuerInResponse: true,
	})
	equal(t, "all, in a stable order", []v1alpha1.Capability{
		v1alpha1.CapabilityRegistration, v1alpha1.CapabilityClientIDMetadataDocument, v1alpha1.CapabilityRevocation,
		v1alpha1.CapabilityIntrospection, v1alpha1.CapabilityPKCES256, v1alpha1.CapabilityIssuerInResponse,
	}, all)
	_, none := describe(authserver.Metadata{CodeChallengeMethods: []string{"plain", "s256"}})
	equal(t, "none", 0, len(none))
	own := authserver.Metadata{Scopes: []string{"openid", "offline_access"}}
	_, both := describe(own)
	equal(t, "the server's own scopes", []v1alpha1.Capability{v1alpha1.CapabilityOpenID, v1alpha1.CapabilityOfflineAccess}, both)
	own.OpenIDImplied = true
	_, one := describe(own)
	equal(t, "openid where nobody is registered with it", []v1alpha1.Capability{v1alpha1.CapabilityOfflineAccess}, one)
}

func TestConnection(t *testing.T) {
	as := authorizationServer(func(as *v1alpha1.AuthorizationServer) {
		as.Spec.CABundle, as.Spec.RequestsPerSecond, as.Spec.MaxInFlight = []byte("pem"), new(int32(5)), new(int32(3))
	})
	equal(t, "as stated", authserver.Config{Name: "main", Issuer: testIssuer, CABundle: []byte("pem"), RequestsPerSecond: 5, MaxInFlight: 3}, Connection(as))
	equal(t, "by default", authserver.Config{Name: "main", Issuer: testIssuer, MaxInFlight: 16}, Connection(authorizationServer()))
}

func TestDriftCheckInterval(t *testing.T) {
	as := authorizationServer()
	equal(t, "by default", time.Hour, DriftCheckInterval(as))
	equal(t, "without an object", time.Hour, DriftCheckInterval(nil))
	as.Spec.DriftCheckSeconds = new(int32(60))
	equal(t, "as stated", time.Minute, DriftCheckInterval(as))
}

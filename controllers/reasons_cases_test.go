// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/fake"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

// reasonCase leads to one state of one object. Its name is that of the
// registration and of the grant.
type reasonCase struct {
	name string
	// ready is the Ready condition that it leads to.
	ready string
	// arrange changes the objects before they are created, and goes on from
	// there if it begins itself.
	arrange func(s *stage)
}

// The errors of an authorization server.
var (
	unavailable  = &authserver.Error{Kind: authserver.Unavailable, Op: "asking"}
	unauthorized = &authserver.Error{Kind: authserver.Unauthorized, Op: "asking"}
)

func rejected(code string) error { return &authserver.Error{Kind: authserver.Rejected, Code: code} }

// untouched arranges nothing.
func untouched(*stage) {}

// unowned takes the owner away, in the way that suits the object.
func unowned(object client.Object) { delete(object.GetAnnotations(), v1alpha1.AnnotationOwner) }

func owning(object client.Object, owner string) {
	object.GetAnnotations()[v1alpha1.AnnotationOwner] = owner
}

func endAt(object client.Object, text string) {
	object.GetAnnotations()[v1alpha1.AnnotationExpiresAt] = text
}

func (s *stage) ownersMatch(pattern string) { s.issuer.Spec.Policy.OwnerPattern = pattern }

// vanish deletes an object that nothing holds, and settles.
func (s *stage) vanish(object client.Object) {
	s.t.Helper()
	s.remove(object)
	s.settle()
}

func (s *stage) remove(object client.Object) {
	s.t.Helper()
	if err := s.Delete(s.t.Context(), object); err != nil {
		s.t.Fatal(err)
	}
}

// foreignSecret is one of the team's own where the credentials are to be.
func (s *stage) foreignSecret() {
	s.create(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: clientsPlace, Name: s.reg.Name + "-mcp-client"}})
}

// record changes the registration record.
func (s *stage) record(change func(*corev1.Secret)) {
	s.t.Helper()
	var record corev1.Secret
	if err := s.Get(s.t.Context(), client.ObjectKey{Namespace: stageOperator, Name: recordName(s.reg.UID)}, &record); err != nil {
		s.t.Fatal(err)
	}
	change(&record)
	if err := s.Update(s.t.Context(), &record); err != nil {
		s.t.Fatal(err)
	}
}

// unlabelled takes the labels off every record.
func unlabelled(object client.Object) {
	if secret, ok := object.(*corev1.Secret); ok && secret.Type == v1alpha1.SecretTypeRecord {
		secret.Labels = nil
	}
}

// suspend takes the client away by a change that stays.
func suspend(reg *v1alpha1.MCPClientRegistration) { reg.Spec.State = v1alpha1.StateSuspended }

// paused pauses the authorization server before anything is registered.
func (s *stage) paused() { s.issuer.Annotations[v1alpha1.AnnotationPaused] = "true" }

var authorizationServerCases = []reasonCase{
	{"ready", "True/Ready", untouched},
	{"listed", "True/Ready", func(s *stage) { s.manageOtherwise() }},
	{"bad-pattern", "False/InvalidPolicy", func(s *stage) { s.ownersMatch("(") }},
	{"paused", "False/Paused", func(s *stage) { s.paused() }},
	{"no-initial-access-token", "False/CredentialsMissing", func(s *stage) { s.wantToken() }},
	{"initial-access-token-taken", "True/Ready", func(s *stage) { s.haveToken() }},
	{"initial-access-token-refused", "False/Unauthorized", func(s *stage) {
		s.haveToken()
		s.as.registration = unauthorized
	}},
	{"no-access", "False/Unauthorized", func(s *stage) { s.lackAccess(authserver.Unauthorized, "admin_credentials_refused") }},
	{"no-role", "False/RoleMissing", func(s *stage) { s.lackAccess(authserver.Unauthorized, "missing_role_manage_clients") }},
	{"no-realm", "False/RealmNotFound", func(s *stage) { s.lackAccess(authserver.Rejected, "realm_not_found") }},
	{"no-admin-api", "False/AdminAPINotFound", func(s *stage) { s.lackAccess(authserver.Rejected, "admin_api_not_found") }},
	{"strange-admin-api", "False/Rejected", func(s *stage) { s.lackAccess(authserver.Rejected, "") }},
	{"access-not-known", "Unknown/Unavailable", func(s *stage) { s.lackAccess(authserver.Unavailable, "") }},
	{"token-not-readable", "Unknown/FactUnknown", func(s *stage) {
		s.wantToken()
		s.broken["*v1.Secret"] = true
	}},
	{"no-answer", "Unknown/Unavailable", func(s *stage) { s.as.discovery = unavailable }},
	{"another-issuer", "False/IssuerMismatch", func(s *stage) { s.as.discovery = rejected("issuer_mismatch") }},
	{"endpoint-elsewhere", "False/ForeignEndpoint", func(s *stage) { s.as.discovery = rejected("foreign_endpoint") }},
	{"no-registration-endpoint", "False/RegistrationUnsupported", func(s *stage) { s.noRegistrationEndpoint() }},
	{"clocks-agree", "True/Ready", func(s *stage) { s.clocksAre(0, 0) }},
	{"operator-clock-wrong", "True/Ready", func(s *stage) { s.clocksAre(time.Hour, 0) }},
	{"server-clock-wrong", "True/Ready", func(s *stage) { s.clocksAre(0, -5*time.Minute) }},
	{"no-metadata", "False/Rejected", func(s *stage) { s.as.discovery = rejected("") }},
}

func (s *stage) noRegistrationEndpoint() {
	s.as.Describe(func(m *authserver.Metadata) { m.RegistrationEndpoint = "" })
}

// clocksAre says how much the clock of the operator's machine is ahead, and that of the
// authorization server.
func (s *stage) clocksAre(operator, server time.Duration) {
	s.authServers.Ahead = func() (time.Duration, bool) { return operator, true }
	s.as.Describe(func(m *authserver.Metadata) { m.ClockSkew = &server })
}

// manageOtherwise makes the authorization server one with an admin API.
func (s *stage) manageOtherwise() {
	s.issuer.Spec.DynamicRegistration = nil
	s.issuer.Spec.Hydra = &v1alpha1.HydraManagement{AdminURL: "https://hydra.example.com"}
	s.as.Server = fake.NewWith("https://auth.example.com", authserver.Traits{
		OwnClientID: true, OwnSecret: true, TwoKeys: true, Audiences: true, Disables: true, Lists: true, ChecksAccess: true,
	})
}

// secretless has clients managed by id, and the registration authenticate by the
// tokens of a ServiceAccount.
func (s *stage) secretless(issuer string) {
	s.manageOtherwise()
	s.trust(issuer)
	s.reg.Spec.TokenEndpointAuthMethod, s.reg.Spec.ServiceAccountName = v1alpha1.AuthMethodPrivateKeyJWT, "reporter"
}

// trust says what the authorization server calls the issuer of the cluster's
// ServiceAccount tokens; it takes none of them where that is empty.
func (s *stage) trust(issuer string) {
	s.issuer.Spec.Hydra, s.issuer.Spec.Keycloak = nil, &v1alpha1.KeycloakManagement{
		BaseURL: "https://keycloak.example.com", Realm: "mcp", KubernetesIdentityProvider: issuer,
		CredentialsSecretRef: v1alpha1.LocalSecretReference{Name: "keycloak"},
	}
	s.as.Server = fake.NewWith("https://auth.example.com", authserver.Traits{
		OwnClientID: true, OwnSecret: true, TwoKeys: true, Audiences: true, Disables: true, Lists: true, AssertionIssuer: issuer,
	})
	s.create(&corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: stageOperator, Name: "keycloak"},
		Data: map[string][]byte{
			v1alpha1.SecretKeyAdminID: []byte("registrar"), v1alpha1.SecretKeyAdminSecret: []byte("made for the test"),
		},
	})
}

// accountTaken has another registration about to use the ServiceAccount.
func (s *stage) accountTaken() {
	other := s.reg.DeepCopy()
	other.Name, other.UID = "first", "first"
	if taken, err := s.registrations.Places.Take(s.t.Context(), other, accountPlace(clientsPlace, "reporter", "https://auth.example.com"), nil); err != nil || !taken {
		s.t.Fatalf("taking the place of the ServiceAccount: %t, %v", taken, err)
	}
}

// challenged has the authorization server examined with an answer.
func (s *stage) challenged(answer authserver.Answer) {
	s.browser()
	s.as.Switch(func(w *fake.Switches) { w.PKCE = &answer })
}

// canary has a token examined that is as granted but for a change.
func (s *stage) canary(change func(*authserver.TokenFacts)) {
	s.issuer.Spec.CanaryTokens = new(true)
	s.as.Switch(func(w *fake.Switches) {
		w.Token = func(f authserver.TokenFacts) authserver.TokenFacts {
			f.Audience, f.Lifetime = []string{"https://mcp.example.com/invoices"}, 5*time.Minute
			change(&f)
			return f
		}
	})
}

// haveToken names an initial access token that is there.
func (s *stage) haveToken() {
	s.wantToken()
	s.create(&corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: stageOperator, Name: "token"}, Data: map[string][]byte{"token": []byte("initial")},
	})
}

// lackAccess has the admin API refuse the operator.
func (s *stage) lackAccess(kind authserver.Kind, code string) {
	s.manageOtherwise()
	s.as.access = &authserver.Error{Kind: kind, Status: 403, Code: code}
}

func (s *stage) wantToken() {
	s.issuer.Spec.DynamicRegistration.InitialAccessTokenSecretRef = &v1alpha1.SecretKeyReference{Name: "token", Key: "token"}
}

var serverCases = []reasonCase{
	{"ready", "True/Ready", untouched},
	{"owner-missing", "False/OwnerMissing", func(s *stage) { unowned(s.server) }},
	{"owner-invalid", "False/OwnerInvalid", func(s *stage) { owning(s.server, "team-invoices@example.com\n") }},
	{"owner-not-allowed", "False/OwnerNotAllowed", func(s *stage) { s.ownersMatch("team-payments@.*") }},
	{"catch-all-scope", "False/ScopeNotAllowed", func(s *stage) { s.server.Spec.Scopes[0].Name = "admin" }},
	{"no-authorization-server", "False/AuthorizationServerNotFound", func(s *stage) { s.issuer = nil }},
	{"namespace", "False/NamespaceNotAllowed", func(s *stage) {
		s.issuer.Spec.AllowedServers = &v1alpha1.AllowedNamespaces{From: v1alpha1.NamespacesSelector,
			Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"mcp-servers": "allowed"}}}
		s.create(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: serversPlace}})
	}},
	{"no-room", "False/QuotaExceeded", func(s *stage) { s.issuer.Spec.Policy.MaxServersPerNamespace = new(int32(0)) }},
	{"resource-taken", "False/ResourceTaken", func(s *stage) { s.create(s.squatted()) }},
	{"bad-pattern", "Unknown/AuthorizationServerNotReady", func(s *stage) { s.ownersMatch("(") }},
	{"fact-unknown", "Unknown/FactUnknown", func(s *stage) { s.broken["*v1alpha1.AuthorizationServer"] = true }},
	{"protected", "True/Ready", func(s *stage) { s.showing(func(*policy.ProbeFacts) {}) }},
	{"naked", "True/Ready", func(s *stage) { s.showing(func(f *policy.ProbeFacts) { f.Anonymous[0] = policy.AnswerAccepted }) }},
	{"no-challenge", "True/Ready", func(s *stage) { s.showing(func(f *policy.ProbeFacts) { f.Anonymous[0] = policy.AnswerRefused }) }},
	{"no-resource-metadata", "True/Ready", func(s *stage) { s.showing(func(f *policy.ProbeFacts) { f.MetadataIs = policy.MetadataAbsent }) }},
	{"another-resource", "True/Ready", func(s *stage) { s.showing(func(f *policy.ProbeFacts) { f.Metadata.Resource += "/v2" }) }},
	{"another-issuer", "True/Ready", func(s *stage) { s.showing(func(f *policy.ProbeFacts) { f.Metadata.AuthorizationServers = nil }) }},
	{"wide-scopes", "True/Ready", func(s *stage) {
		s.showing(func(f *policy.ProbeFacts) { f.Metadata.Scopes = []string{"offline_access"} })
	}},
	{"no-pkce", "True/Ready", func(s *stage) {
		s.as.Describe(func(m *authserver.Metadata) { m.CodeChallengeMethods = nil })
		s.showing(func(*policy.ProbeFacts) {})
	}},
	{"any-audience", "True/Ready", func(s *stage) { s.showing(func(f *policy.ProbeFacts) { f.Audience = policy.AudienceIgnored }) }},
	{"not-answering", "True/Ready", func(s *stage) { s.showing(func(f *policy.ProbeFacts) { *f = policy.ProbeFacts{} }) }},
	{"forbidden-address", "True/Ready", func(s *stage) {
		s.showing(func(f *policy.ProbeFacts) { *f = policy.ProbeFacts{Contact: policy.ContactRefused} })
	}},
	{"no-such-client", "True/Ready", func(s *stage) {
		s.server.Spec.Probe = &v1alpha1.Probe{ClientRef: &v1alpha1.LocalReference{Name: "missing"}}
		s.showing(func(*policy.ProbeFacts) {})
	}},
}

var grantCases = []reasonCase{
	{"in-force", "True/Ready", untouched},
	{"pre-approved", "True/Ready", func(s *stage) {
		s.elevate()
		s.beforehand(begun.AddDate(0, 1, 0))
	}},
	{"approved", "True/Ready", func(s *stage) { s.decided(v1alpha1.DecisionApproved) }},
	{"approval-required", "False/ApprovalRequired", func(s *stage) {
		s.elevate()
		s.installPolicies()
	}},
	{"approval-denied", "False/ApprovalDenied", func(s *stage) { s.decided(v1alpha1.DecisionDenied) }},
	{"approval-unverified", "False/ApprovalUnverified", func(s *stage) {
		s.elevate()
		s.begin()
		s.decide(v1alpha1.DecisionApproved)
	}},
	{"not-applied", "False/NotApplied", func(s *stage) { s.reg.Spec.State = v1alpha1.StateSuspended }},
	{"registration-pending", "Unknown/RegistrationPending", func(s *stage) { s.as.registration = unavailable }},
	{"owner-missing", "False/OwnerMissing", func(s *stage) { unowned(s.grant) }},
	{"owner-invalid", "False/OwnerInvalid", func(s *stage) { owning(s.grant, "team-payments@example.com\u2028") }},
	{"no-room", "False/QuotaExceeded", func(s *stage) { s.issuer.Spec.Policy.MaxGrantsPerNamespace = new(int32(0)) }},
	{"too-many-grants", "False/TooManyGrants", func(s *stage) { s.crowd(policy.MaxGrants, "invoices:read") }},
	{"too-many-scopes", "False/TooManyScopes", func(s *stage) { s.crowd(1, s.longScopes(64)...) }},
	{"owner-not-allowed", "False/OwnerNotAllowed", func(s *stage) {
		s.ownersMatch("team-(payments|invoices)@.*")
		s.grant.Annotations[v1alpha1.AnnotationOwner] = "nobody"
	}},
	{"expiry-missing", "False/ExpiryMissing", func(s *stage) { endAt(s.grant, "") }},
	{"expiry-invalid", "False/ExpiryInvalid", func(s *stage) { endAt(s.grant, "next tuesday") }},
	{"expired", "False/Expired", func(s *stage) {
		endAt(s.grant, begun.Add(time.Hour).Format(time.RFC3339))
		s.begin()
		s.later(time.Hour)
	}},
	{"lapsed", "False/Expired", func(s *stage) { endAt(s.grant, "2026-01-31T00:00:00Z") }},
	{"deleted", "False/Deleting", func(s *stage) {
		s.grant.Finalizers = []string{"example.com/another"}
		s.begin()
		s.vanish(s.grant)
	}},
	{"catch-all-scope", "False/ScopeNotAllowed", func(s *stage) { s.grant.Spec.Scopes = []v1alpha1.ScopeName{"admin"} }},
	{"unknown-scope", "False/ScopeUnknown", func(s *stage) { s.grant.Spec.Scopes = []v1alpha1.ScopeName{"invoices:burn"} }},
	{"reason-missing", "False/ReasonMissing", func(s *stage) { s.grant.Spec.Scopes = []v1alpha1.ScopeName{"invoices:write"} }},
	{"lifetime-too-long", "False/LifetimeTooLong", func(s *stage) { s.boundGrants() }},
	{"renewal-too-long", "False/LifetimeTooLong", func(s *stage) {
		s.boundGrants()
		endAt(s.grant, begun.Format("2006-01-02")+"T18:00:00Z")
		s.begin()
		edit(s, s.grant, func(g *v1alpha1.ScopeGrant) { endAt(g, "2027-03-31T00:00:00Z") })
	}},
	{"server-not-watched", "False/ServerNotWatched", func(s *stage) { s.grants.Namespaces = []string{clientsPlace} }},
	{"server-no-longer-watched", "Unknown/ServerNotWatched", func(s *stage) { s.watchLess() }},
	{"no-registration", "False/RegistrationNotFound", func(s *stage) { s.reg = nil }},
	{"no-server", "False/ServerNotAvailable", func(s *stage) { s.server = nil }},
	{"server-not-accepted", "False/ServerNotAccepted", func(s *stage) { unowned(s.server) }},
	{"other-authorization-server", "False/AuthorizationServerMismatch", func(s *stage) { s.server.Spec.AuthorizationServerRef.Name = "other" }},
	{"tools-changed", "True/Ready", func(s *stage) {
		s.server.Spec.Scopes[0].Tools = []string{"read_invoice"}
		s.server.Status.Tools = []v1alpha1.ToolDigest{{Name: "read_invoice", Digest: "new"}}
		s.grant.Status.ToolSnapshot = &v1alpha1.ToolSnapshot{
			TakenAt: metav1.NewTime(begun.Add(-time.Hour)), Tools: []v1alpha1.ToolDigest{{Name: "read_invoice", Digest: "old"}},
		}
	}},
	{"fact-unknown", "Unknown/FactUnknown", func(s *stage) { s.broken["*v1alpha1.MCPServer"] = true }},
}

var approvalCases = []reasonCase{
	{"approval", "True/Ready", func(s *stage) { s.decided(v1alpha1.DecisionApproved) }},
	{"approval-beforehand", "True/Ready", func(s *stage) { s.beforehand(begun.AddDate(0, 1, 0)) }},
	{"approval-beforehand-of-another-server", "False/ApprovalVoid", func(s *stage) { s.server.UID = "made-again"; s.beforehandOf("made-before", begun.AddDate(0, 1, 0)) }},
	{"approval-ended", "False/Expired", func(s *stage) { s.beforehand(begun.AddDate(0, 0, -1)) }},
	{"approval-unchecked", "False/ApprovalUnverified", func(s *stage) {
		s.elevate()
		s.begin()
		s.decide(v1alpha1.DecisionApproved)
	}},
	{"approval-void", "False/ApprovalVoid", func(s *stage) {
		s.decided(v1alpha1.DecisionApproved)
		edit(s, s.reg, func(reg *v1alpha1.MCPClientRegistration) { reg.Spec.ClientName = "Bank" })
	}},
	{"approval-of-nothing", "False/GrantNotFound", func(s *stage) {
		s.decided(v1alpha1.DecisionApproved)
		s.remove(s.grant)
		s.settle()
	}},
	{"approval-unknown", "Unknown/FactUnknown", func(s *stage) {
		s.decided(v1alpha1.DecisionApproved)
		s.broken["*v1alpha1.ScopeGrant"] = true
		s.settle()
	}},
}

// elevate asks for a scope that needs an approval.
func (s *stage) elevate() {
	s.grant.Spec.Scopes, s.grant.Spec.Reason = []v1alpha1.ScopeName{"invoices:write"}, "Cancels invoices whose payment was returned."
}

func (s *stage) decided(decision v1alpha1.ApprovalDecision) {
	s.elevate()
	s.installPolicies()
	s.begin()
	s.decide(decision)
}

// boundGrants lets grants be 12 hours long.
func (s *stage) boundGrants() {
	s.server.Spec.Grants = &v1alpha1.GrantPolicy{MaxLifetimes: []v1alpha1.TierLifetime{{Tier: v1alpha1.TierRead, Seconds: 12 * 3600}}}
}

var registrationCases = []reasonCase{
	{"ready", "True/Ready", untouched},
	{"narrowed", "True/Ready", func(s *stage) {
		s.grant.Spec.Scopes = []v1alpha1.ScopeName{"invoices:read", "invoices:export"}
		s.as.Switch(func(w *fake.Switches) { w.Alter = fake.Narrow("invoices:export") })
	}},
	{"owner-missing", "False/OwnerMissing", func(s *stage) { unowned(s.reg) }},
	{"owner-invalid", "False/OwnerInvalid", func(s *stage) {
		s.begin()
		edit(s, s.reg, func(reg *v1alpha1.MCPClientRegistration) { owning(reg, "team-payments@example.com\n") })
	}},
	{"client-name-not-allowed", "False/ClientNameNotAllowed", func(s *stage) { s.reg.Spec.ClientName = "Payment\nreconciler" }},
	{"owner-lost", "False/OwnerMissing", func(s *stage) {
		s.begin()
		edit(s, s.reg, func(reg *v1alpha1.MCPClientRegistration) { unowned(reg) })
	}},
	{"owner-not-allowed", "False/OwnerNotAllowed", func(s *stage) { s.ownersMatch("team-invoices@.*") }},
	{"expiry-missing", "False/ExpiryMissing", func(s *stage) { endAt(s.reg, "") }},
	{"expiry-invalid", "False/ExpiryInvalid", func(s *stage) { endAt(s.reg, "next tuesday") }},
	{"lifetime-too-long", "False/LifetimeTooLong", func(s *stage) { s.boundRegistrations() }},
	{"renewal-too-long", "False/LifetimeTooLong", func(s *stage) {
		s.boundRegistrations()
		endAt(s.reg, begun.Format("2006-01-02")+"T18:00:00Z")
		s.begin()
		edit(s, s.reg, func(reg *v1alpha1.MCPClientRegistration) { endAt(reg, "2027-03-31T00:00:00Z") })
	}},
	{"expired", "False/Expired", func(s *stage) { s.expires() }},
	{"lapsed", "False/Expired", func(s *stage) { endAt(s.reg, "2026-01-31T00:00:00Z") }},
	{"renewed", "True/Ready", func(s *stage) {
		s.expires()
		edit(s, s.reg, func(reg *v1alpha1.MCPClientRegistration) { endAt(reg, "2027-03-31T00:00:00Z") })
	}},
	{"suspended", "False/Suspended", func(s *stage) {
		s.begin()
		edit(s, s.reg, suspend)
	}},
	{"never-active", "False/Suspended", func(s *stage) { suspend(s.reg) }},
	{"deleted", "False/Deleting", func(s *stage) {
		s.as.deaf = true
		s.begin()
		s.vanish(s.reg)
	}},
	{"namespace-deleted", "False/Deleting", func(s *stage) {
		s.namespace.Finalizers = []string{"example.com/another"}
		s.create(s.namespace)
		s.remove(s.namespace)
		s.namespace = &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "elsewhere"}}
	}},
	{"grant-type", "False/GrantTypeNotAllowed", func(s *stage) {
		s.issuer.Spec.Policy.AllowedGrantTypes = []v1alpha1.GrantType{v1alpha1.GrantAuthorizationCode}
	}},
	{"auth-method", "False/AuthMethodNotAllowed", func(s *stage) {
		s.issuer.Spec.Policy.AllowedTokenEndpointAuthMethods = []v1alpha1.TokenEndpointAuthMethod{v1alpha1.AuthMethodPrivateKeyJWT}
	}},
	{"redirect-uri", "False/RedirectURINotAllowed", func(s *stage) {
		s.browser()
		s.issuer.Spec.Policy.RedirectURIPatterns = []string{"https://apps[.]example[.]com/.*"}
	}},
	{"jwks-uri", "False/JWKSNotAllowed", func(s *stage) {
		s.reg.Spec.TokenEndpointAuthMethod, s.reg.Spec.JWKSURI = v1alpha1.AuthMethodPrivateKeyJWT, "https://client.example.com/jwks.json"
	}},
	{"secret-taken", "False/SecretConflict", func(s *stage) { s.foreignSecret() }},
	{"secret-taken-meanwhile", "Unknown/SecretConflict", func(s *stage) {
		s.grant.Spec.Scopes = []v1alpha1.ScopeName{"invoices:read", "invoices:export"}
		s.begin()
		s.create(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: clientsPlace, Name: "taken"}})
		editOnce(s, s.grant, func(g *v1alpha1.ScopeGrant) { g.Spec.Scopes = g.Spec.Scopes[:1] })
		editOnce(s, s.reg, func(reg *v1alpha1.MCPClientRegistration) {
			reg.Spec.Credentials = &v1alpha1.Credentials{SecretName: "taken"}
		})
		s.pass()
	}},
	{"no-grant", "False/NoGrantInForce", func(s *stage) { s.grant = nil }},
	{"grant-gone", "False/NoGrantInForce", func(s *stage) {
		s.begin()
		s.vanish(s.grant)
	}},
	{"no-authorization-server", "False/AuthorizationServerNotFound", func(s *stage) { s.issuer = nil }},
	{"not-discovered", "False/AuthorizationServerNotReady", func(s *stage) { s.as.discovery = unavailable }},
	{"bad-pattern", "Unknown/AuthorizationServerNotReady", func(s *stage) {
		s.browser()
		s.issuer.Spec.Policy.RedirectURIPatterns = []string{"("}
	}},
	{"paused", "False/Paused", func(s *stage) { s.paused() }},
	{"paused-with-a-change", "False/Paused", func(s *stage) {
		s.begin()
		edit(s, s.issuer, func(as *v1alpha1.AuthorizationServer) {
			as.Annotations = map[string]string{v1alpha1.AnnotationPaused: "true"}
		})
		edit(s, s.grant, func(g *v1alpha1.ScopeGrant) { g.Spec.Scopes = append(g.Spec.Scopes, "invoices:export") })
	}},
	{"quota", "False/QuotaExceeded", func(s *stage) { s.issuer.Spec.Policy.MaxRegistrationsPerNamespace = new(int32(0)) }},
	{"service-account", "True/Ready", func(s *stage) { s.secretless("cluster") }},
	{"service-account-not-trusted", "False/AuthMethodNotAllowed", func(s *stage) {
		s.secretless("")
	}},
	{"service-account-in-use", "False/ServiceAccountInUse", func(s *stage) {
		s.secretless("cluster")
		s.accountTaken()
	}},
	{"server-no-longer-watched", "Unknown/ServerNotWatched", func(s *stage) { s.watchLess() }},
	{"namespace", "False/NamespaceNotAllowed", func(s *stage) { s.issuer.Spec.AllowedNamespaces = nil }},
	{"managed-otherwise", "True/Ready", func(s *stage) { s.manageOtherwise() }},
	{"disabled", "False/Suspended", func(s *stage) {
		s.manageOtherwise()
		s.begin()
		edit(s, s.reg, suspend)
	}},
	{"adoption-without-leave", "False/AdoptionNotAllowed", func(s *stage) {
		s.manageOtherwise()
		s.reg.Annotations[v1alpha1.AnnotationAdopt] = "old-client"
	}},
	{"pkce", "True/Ready", func(s *stage) { s.browser() }},
	{"pkce-not-enforced", "True/Ready", func(s *stage) { s.challenged(authserver.No) }},
	{"pkce-unclear", "True/Ready", func(s *stage) { s.challenged(authserver.Unclear) }},
	{"pkce-demanded", "False/NotRefused", func(s *stage) {
		s.issuer.Spec.Policy.RequirePKCEEnforced = new(true)
		s.challenged(authserver.No)
	}},
	{"pkce-not-known", "Unknown/Unavailable", func(s *stage) {
		s.issuer.Spec.Policy.RequirePKCEEnforced = new(true)
		s.browser()
		s.as.Fail(fake.Fault{Operation: fake.Challenge, Err: unavailable})
	}},
	{"token", "True/Ready", func(s *stage) { s.canary(func(*authserver.TokenFacts) {}) }},
	{"token-opaque", "True/Ready", func(s *stage) { s.canary(func(f *authserver.TokenFacts) { f.Readable = false }) }},
	{"token-not-given", "True/Ready", func(s *stage) {
		s.issuer.Spec.CanaryTokens = new(true)
		s.as.Fail(fake.Fault{Operation: fake.Canary, Err: unavailable})
	}},
	{"token-for-another", "True/Ready", func(s *stage) {
		s.canary(func(f *authserver.TokenFacts) { f.Audience = []string{"https://other.example.com"} })
	}},
	{"token-for-the-audience", "True/Ready", func(s *stage) {
		s.server.Spec.Audience = "api://invoices"
		s.canary(func(f *authserver.TokenFacts) { f.Audience = []string{"api://invoices"} })
	}},
	{"token-for-the-resource-instead", "True/Ready", func(s *stage) {
		s.server.Spec.Audience = "api://invoices"
		s.canary(func(*authserver.TokenFacts) {})
	}},
	{"token-of-more-scopes", "True/Ready", func(s *stage) {
		s.canary(func(f *authserver.TokenFacts) { f.Scopes = append(f.Scopes, "admin") })
	}},
	{"token-too-long-lived", "True/Ready", func(s *stage) {
		s.canary(func(f *authserver.TokenFacts) { f.Lifetime = time.Hour })
	}},
	{"no-management", "False/ManagementUnsupported", func(s *stage) { s.as.Switch(func(w *fake.Switches) { w.NoManagement = true }) }},
	{"management-refused", "Unknown/ManagementUnsupported", func(s *stage) { s.blocked(rejected("")) }},
	{"no-pkce", "False/PKCEUnsupported", func(s *stage) {
		s.browser()
		s.as.Describe(func(m *authserver.Metadata) { m.CodeChallengeMethods = nil })
	}},
	{"rejected", "False/Rejected", func(s *stage) { s.as.registration = rejected("invalid_client_metadata") }},
	{"widened", "False/Widened", func(s *stage) { s.as.Switch(func(w *fake.Switches) { w.Alter = fake.Widen("admin") }) }},
	{"secret-expired", "False/SecretExpired", func(s *stage) { s.as.Switch(func(w *fake.Switches) { w.SecretExpiresAt = begun }) }},
	{"orphans", "False/PossibleOrphans", func(s *stage) {
		s.as.registration = &authserver.Error{Kind: authserver.Unavailable, MaybeApplied: true}
		s.begin()
		for range 3 {
			s.settle()
		}
		s.as.registration = nil
	}},
	{"record-lost", "Unknown/ManagementLost", func(s *stage) {
		s.begin()
		s.vanish(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: stageOperator, Name: recordName(s.reg.UID)}})
	}},
	{"record-damaged", "False/RecordDamaged", func(s *stage) {
		s.begin()
		s.strips = unlabelled
		s.record(func(*corev1.Secret) {})
		s.settle()
	}},
	{"record-changed-on-its-way", "Unknown/RecordDamaged", func(s *stage) { s.strips = unlabelled }},
	{"finalizer-removed", "Unknown/FinalizerRefused", func(s *stage) {
		s.strips = func(object client.Object) { object.SetFinalizers(nil) }
	}},
	{"quota-of-secrets", "Unknown/WriteRefused", func(s *stage) {
		s.refuses = answered(403, `secrets "a" is forbidden: exceeded quota: few-secrets, requested: count/secrets=1, used: count/secrets=5, limited: count/secrets=5`)
	}},
	{"token-lost", "Unknown/ManagementLost", func(s *stage) { s.blocked(unauthorized) }},
	{"no-answer", "Unknown/Unavailable", func(s *stage) { s.as.registration = unavailable }},
	{"no-answer-to-revocation", "Unknown/Unavailable", func(s *stage) { s.blocked(unavailable) }},
	{"renewed-too-late", "Unknown/Unavailable", func(s *stage) {
		s.as.revocation = unavailable
		s.expires()
		edit(s, s.reg, func(reg *v1alpha1.MCPClientRegistration) { endAt(reg, "2027-03-31T00:00:00Z") })
	}},
	{"unauthorized", "Unknown/Unauthorized", func(s *stage) { s.as.registration = unauthorized }},
	{"deaf", "False/Expired", func(s *stage) {
		s.as.deaf = true
		s.expires()
	}},
	{"renewed-before-proof", "Unknown/Revoking", func(s *stage) {
		s.as.deaf = true
		s.expires()
		edit(s, s.reg, func(reg *v1alpha1.MCPClientRegistration) { endAt(reg, "2027-03-31T00:00:00Z") })
	}},
	{"released", "False/Expired", func(s *stage) { s.release() }},
	{"released-without-grant", "False/NoGrantInForce", func(s *stage) {
		s.release()
		endAt(s.reg, "2027-03-31T00:00:00Z")
		s.remove(s.grant)
		edit(s, s.reg, func(reg *v1alpha1.MCPClientRegistration) { endAt(reg, "2027-03-31T00:00:00Z") })
	}},
	{"fact-unknown", "Unknown/FactUnknown", func(s *stage) { s.broken["*v1alpha1.MCPServer"] = true }},
	{"live-fact-unknown", "Unknown/FactUnknown", func(s *stage) {
		s.begin()
		s.broken["*v1alpha1.MCPServer"] = true
		s.settle()
	}},
}

// watchLess is the operator started again, told to watch one namespace only.
func (s *stage) watchLess() {
	s.begin()
	s.grants.Namespaces = []string{clientsPlace}
	s.settle()
}

// boundRegistrations lets registrations be 12 hours long.
func (s *stage) boundRegistrations() {
	s.issuer.Spec.Policy.MaxRegistrationLifetimeSeconds = new(int64(12 * 3600))
}

// browser makes the client one that sends people to the authorization server.
func (s *stage) browser() {
	s.reg.Spec.GrantTypes = []v1alpha1.GrantType{v1alpha1.GrantAuthorizationCode}
	s.reg.Spec.RedirectURIs = []v1alpha1.RedirectURI{"https://app.example.com/callback"}
}

// expires registers a client whose end then comes.
func (s *stage) expires() {
	endAt(s.reg, begun.Add(time.Hour).Format(time.RFC3339))
	s.begin()
	s.later(time.Hour)
}

// blocked registers a client whose revocation then fails.
func (s *stage) blocked(err error) {
	s.as.revocation = err
	s.expires()
}

// release is what a person does about a revocation that cannot be proven.
func (s *stage) release() {
	s.blocked(unauthorized)
	s.record(func(record *corev1.Secret) {
		record.Annotations[v1alpha1.AnnotationRelease] = "jane: the client was deleted in the console"
	})
	s.settle()
}

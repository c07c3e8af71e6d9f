// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
)

const day = 24 * time.Hour

// now is the present of every test.
var now = time.Date(2026, 9, 1, 12, 0, 0, 0, time.UTC)

const (
	testOwner  = "team-payments@example.com"
	testIssuer = "https://auth.example.com"
)

func meta(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Name: name, Namespace: "payments", UID: types.UID("uid-of-" + name), Generation: 1, CreationTimestamp: metav1.NewTime(now.Add(-day)),
		Annotations: map[string]string{v1alpha1.AnnotationOwner: testOwner},
	}
}

func timePtr(at time.Time) *metav1.Time { return new(metav1.NewTime(at)) }

func setEnd(object metav1.Object, at time.Time) {
	annotate(object, v1alpha1.AnnotationExpiresAt, at.Format(time.RFC3339Nano))
}

func annotate(object metav1.Object, key, value string) {
	annotations := object.GetAnnotations()
	annotations[key] = value
	object.SetAnnotations(annotations)
}

func remove(object metav1.Object, key string) { delete(object.GetAnnotations(), key) }

func deleting(object metav1.Object) {
	object.SetDeletionTimestamp(new(metav1.NewTime(now.Add(-time.Minute))))
}

// registration is a confidential client that ends in 30 days.
func registration(opts ...func(*v1alpha1.MCPClientRegistration)) *v1alpha1.MCPClientRegistration {
	reg := &v1alpha1.MCPClientRegistration{
		ObjectMeta: meta("agent"),
		Spec: v1alpha1.MCPClientRegistrationSpec{
			AuthorizationServerRef:  v1alpha1.AuthorizationServerReference{Name: "main"},
			ClientName:              "Payments agent",
			ApplicationType:         v1alpha1.ApplicationWeb,
			GrantTypes:              []v1alpha1.GrantType{v1alpha1.GrantClientCredentials},
			TokenEndpointAuthMethod: v1alpha1.AuthMethodClientSecretBasic,
		},
		Status: v1alpha1.MCPClientRegistrationStatus{ObservedGeneration: -1},
	}
	setEnd(reg, now.Add(30*day))
	for _, opt := range opts {
		opt(reg)
	}
	return reg
}

// interactive makes a registration one of the authorization-code grant.
func interactive(reg *v1alpha1.MCPClientRegistration) {
	reg.Spec.GrantTypes = []v1alpha1.GrantType{v1alpha1.GrantRefreshToken, v1alpha1.GrantAuthorizationCode}
	reg.Spec.RedirectURIs = []v1alpha1.RedirectURI{"https://app.example.com/callback"}
	reg.Spec.TokenEndpointAuthMethod = v1alpha1.AuthMethodNone
}

func privateKeyJWT(reg *v1alpha1.MCPClientRegistration) {
	reg.Spec.TokenEndpointAuthMethod = v1alpha1.AuthMethodPrivateKeyJWT
}

// grant asks for invoices:read for 10 days.
func grant(opts ...func(*v1alpha1.ScopeGrant)) *v1alpha1.ScopeGrant {
	g := &v1alpha1.ScopeGrant{
		ObjectMeta: meta("reader"),
		Spec: v1alpha1.ScopeGrantSpec{
			ClientRef: v1alpha1.LocalReference{Name: "agent"},
			ServerRef: v1alpha1.ServerReference{Name: "invoices"},
			Scopes:    []v1alpha1.ScopeName{"invoices:read"},
		},
		Status: v1alpha1.ScopeGrantStatus{ObservedGeneration: -1},
	}
	setEnd(g, now.Add(10*day))
	for _, opt := range opts {
		opt(g)
	}
	return g
}

// giving names a grant and what it asks for.
func giving(name string, scopes ...v1alpha1.ScopeName) func(*v1alpha1.ScopeGrant) {
	return func(g *v1alpha1.ScopeGrant) { g.Name, g.Spec.Scopes = name, scopes }
}

func endingAt(at time.Time) func(*v1alpha1.ScopeGrant) {
	return func(g *v1alpha1.ScopeGrant) { setEnd(g, at) }
}

// server is an MCPServer with two scopes of tier Read and one of each other.
func server(opts ...func(*v1alpha1.MCPServer)) *v1alpha1.MCPServer {
	s := &v1alpha1.MCPServer{
		ObjectMeta: meta("invoices"),
		Spec: v1alpha1.MCPServerSpec{
			Resource:               "https://mcp.example.com/invoices",
			AuthorizationServerRef: v1alpha1.AuthorizationServerReference{Name: "main"},
			Scopes: []v1alpha1.Scope{
				{Name: "invoices:read", Tier: v1alpha1.TierRead},
				{Name: "invoices:export", Tier: v1alpha1.TierRead},
				{Name: "invoices:pay", Tier: v1alpha1.TierWrite},
				{Name: "invoices:void", Tier: v1alpha1.TierElevated},
			},
		},
	}
	for _, opt := range opts {
		opt(s)
	}
	return s
}

// abroad puts a server into another namespace and says whom it admits.
func abroad(allowed *v1alpha1.AllowedClients) func(*v1alpha1.MCPServer) {
	return func(s *v1alpha1.MCPServer) { s.Namespace, s.Spec.AllowedClients = "billing", allowed }
}

// authorizationServer is one that admits every namespace and was discovered.
func authorizationServer(opts ...func(*v1alpha1.AuthorizationServer)) *v1alpha1.AuthorizationServer {
	as := &v1alpha1.AuthorizationServer{
		ObjectMeta: metav1.ObjectMeta{Name: "main", Generation: 2},
		Spec: v1alpha1.AuthorizationServerSpec{
			Issuer:              testIssuer,
			DynamicRegistration: &v1alpha1.DynamicRegistration{},
			AllowedNamespaces:   &v1alpha1.AllowedNamespaces{From: v1alpha1.NamespacesAll},
			AllowedServers:      &v1alpha1.AllowedNamespaces{From: v1alpha1.NamespacesAll},
			Policy:              &v1alpha1.RegistrationPolicy{},
		},
		Status: v1alpha1.AuthorizationServerStatus{
			ObservedGeneration: 2,
			Metadata: &v1alpha1.ServerMetadata{
				RegistrationEndpoint: testIssuer + "/register", TokenEndpoint: testIssuer + "/token",
			},
			Capabilities: []v1alpha1.Capability{v1alpha1.CapabilityRegistration, v1alpha1.CapabilityPKCES256},
		},
	}
	for _, opt := range opts {
		opt(as)
	}
	return as
}

func maximum(d time.Duration) func(*v1alpha1.AuthorizationServer) {
	return func(as *v1alpha1.AuthorizationServer) {
		as.Spec.Policy.MaxRegistrationLifetimeSeconds = new(int64(d / time.Second))
	}
}

func found(as *v1alpha1.AuthorizationServer) AuthorizationServerFact {
	return AuthorizationServerFact{Is: Present, Object: as}
}

// use makes as the AuthorizationServer of a registration and of its grants.
func (f *RegistrationFacts) use(as AuthorizationServerFact) {
	f.AuthorizationServer = as
	for i := range f.Grants {
		f.Grants[i].AuthorizationServer = as
	}
}

// change edits the AuthorizationServer of the facts.
func (f *RegistrationFacts) change(opt func(*v1alpha1.AuthorizationServer)) {
	opt(f.AuthorizationServer.Object)
}

// alone is what there is beside a server with a resource of its own.
var alone = ClaimsFact{Is: Present}

func grantFacts(g *v1alpha1.ScopeGrant, opts ...func(*GrantFacts)) GrantFacts {
	f := GrantFacts{
		Grant:          g,
		RegistrationIs: Present,
		Registration:   registration(),
		ApprovalsAre:   Present,
		Server:         ServerFact{Is: Present, Object: server()},
		ServerClaims:   alone,
		ServerRoom:     NewRoom(nil), Room: NewRoom(nil),
		AuthorizationServer: found(authorizationServer()),
		Namespace:           NamespaceFact{Is: Present, Name: "payments"},
	}
	for _, opt := range opts {
		opt(&f)
	}
	return f
}

// facts are those of a registration that is allowed and not registered yet.
func facts(opts ...func(*RegistrationFacts)) RegistrationFacts {
	f := RegistrationFacts{
		Registration: registration(),
		Namespace:    NamespaceFact{Is: Present, Name: "payments"},
		GrantsAre:    Present,
		Grants:       []GrantFacts{grantFacts(grant())},
		RecordIs:     Absent,
		Credentials:  CredentialsFact{Is: Absent},
	}
	f.use(found(authorizationServer()))
	for _, opt := range opts {
		opt(&f)
	}
	return f
}

// live adds the record of a client that is registered as wished at present.
func live(f *RegistrationFacts) {
	wish := Registration(*f, now).Wish
	f.RecordIs = Present
	f.Record = Record{
		State:         RecordRegistered,
		Mark:          "mark-1",
		Connection:    authserver.Config{Name: "main", Issuer: testIssuer, MaxInFlight: 16},
		Client:        authserver.Client{ID: "client-1", Registered: wish},
		TokenEndpoint: testIssuer + "/token",
		WishDigest:    Digest(wish),
	}
	f.Registration.Status.ClientID = "client-1"
}

// liveFacts are the facts about a registered client.
func liveFacts(opts ...func(*RegistrationFacts)) RegistrationFacts {
	f := facts(live)
	for _, opt := range opts {
		opt(&f)
	}
	return f
}

// withGrants replaces the grants, all of the server invoices.
func withGrants(grants ...*v1alpha1.ScopeGrant) func(*RegistrationFacts) {
	return func(f *RegistrationFacts) {
		f.Grants = nil
		for _, g := range grants {
			one := grantFacts(g)
			one.AuthorizationServer = f.AuthorizationServer
			f.Grants = append(f.Grants, one)
		}
	}
}

// Worlds that lead to each standing.
func freeze(f *RegistrationFacts) {
	f.change(func(as *v1alpha1.AuthorizationServer) { as.Status.Metadata = nil })
}
func blind(f *RegistrationFacts)  { f.use(AuthorizationServerFact{Is: Unknown}) }
func refuse(f *RegistrationFacts) { remove(f.Registration, v1alpha1.AnnotationOwner) }
func allow(*RegistrationFacts)    {}

func equal(t *testing.T, what string, want, got any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// mentions checks that a message holds each part.
func mentions(t *testing.T, message string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(message, part) {
			t.Errorf("message %q does not mention %q", message, part)
		}
	}
}

// verdict is the part of a Verdict that tables compare.
type verdict struct {
	Standing Standing
	Reason   string
	Waiting  bool
	Cause    v1alpha1.RevocationCause
}

func brief(v Verdict) verdict {
	return verdict{Standing: v.Standing, Reason: v.Reason, Waiting: v.Waiting, Cause: v.Cause}
}

func scopeNames(scopes ...v1alpha1.EffectiveScope) []string {
	var names []string
	for _, scope := range scopes {
		names = append(names, string(scope.Name))
	}
	return names
}

func subset(small, big []string) bool {
	return !slices.ContainsFunc(small, func(s string) bool { return !slices.Contains(big, s) })
}

// jwksRefusal says why a key set is refused.
func jwksRefusal(text string) string {
	_, refusal := publicJWKS(text)
	return refusal
}

// matchesWhole says whether a pattern matches a text as a whole.
func matchesWhole(pattern, text string) bool { return matchesAny([]string{pattern}, text) == Present }

// nextTakesAway says that Next is a deadline that may take something away.
func nextTakesAway(d RegistrationDecision) bool {
	return !d.Next.IsZero() && d.Next.Equal(d.TakesAwayAt)
}

// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package threats

import (
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/fake"
	"github.com/mcp-registrar/mcp-registrar/test/sandbox"
)

// noon is when every sandbox begins.
var noon = time.Date(2026, 9, 1, 12, 0, 0, 0, time.UTC)

// FuzzT5Reconcile gives the reconcilers any registration and any grant that the
// schema admits, with any annotations. Nothing panics, no client comes about
// without an owner, an end and a grant, and a good registration beside them is
// served.
func FuzzT5Reconcile(f *testing.F) {
	sample := samples(f)
	reg, grant := sample["mcpclientregistrations"], sample["scopegrants"]
	f.Add(reg, grant, "team-a@example.com", "2026-12-31T00:00:00Z")
	f.Add(reg, grant, "", "2026-12-31T00:00:00Z")
	f.Add(reg, grant, "team-a@example.com", "2026-09-01T12:00:05Z")
	f.Add(reg, []byte(`{"spec":{"clientRef":{"name":"fuzzed"},"serverRef":{"name":"files"},"scopes":["files:read"]}}`), "team-a@example.com", "2026-12-31T00:00:00Z")
	f.Add([]byte(`{"spec":{"authorizationServerRef":{"name":"auth"},"clientName":"x","applicationType":"Web","grantTypes":["ClientCredentials"],"tokenEndpointAuthMethod":"PrivateKeyJWT","jwks":"{\"keys\":[]}"}}`),
		[]byte(`{"spec":{"clientRef":{"name":"fuzzed"},"serverRef":{"name":"files"},"scopes":["files:read","files:write"],"reason":" "}}`), "x", "2026-12-31T00:00:00Z")
	f.Add([]byte(`{"spec":{"authorizationServerRef":{"name":"auth"},"clientName":"x","applicationType":"Native","grantTypes":["AuthorizationCode"],"redirectURIs":["http://127.0.0.1/c"],"tokenEndpointAuthMethod":"None"},"status":{"clientID":"x","term":{"startedAt":"2999-01-01T00:00:00Z","expiresAt":"2999-01-01T00:00:00Z"}}}`),
		grant, "x", "9998-12-31T23:59:59Z")
	f.Fuzz(func(t *testing.T, rawReg, rawGrant []byte, owner, end string) {
		all, err := schemas()
		if err != nil {
			t.Fatal(err)
		}
		registration, grant := &v1alpha1.MCPClientRegistration{}, &v1alpha1.ScopeGrant{}
		for raw, object := range map[string]client.Object{string(rawReg): registration, string(rawGrant): grant} {
			plural := "scopegrants"
			if object == client.Object(registration) {
				plural = "mcpclientregistrations"
			}
			admitted, ok := all[plural].admit(t, []byte(raw))
			if !ok || decode(t, admitted, object) != nil {
				return
			}
		}
		named(registration, owner, end)
		named(grant, owner, end)
		registration.Spec.AuthorizationServerRef.Name, grant.Spec.ClientRef.Name = "auth", "fuzzed"
		requireGoverned(t, registration, grant)
	})
}

func named(object client.Object, owner, end string) {
	object.SetNamespace("team")
	object.SetName("fuzzed")
	annotations := map[string]string{v1alpha1.AnnotationRequestedBy: owner}
	if owner != "" {
		annotations[v1alpha1.AnnotationOwner] = owner
	}
	if end != "" {
		annotations[v1alpha1.AnnotationExpiresAt] = end
	}
	object.SetAnnotations(annotations)
}

// requireGoverned runs the reconcilers over the objects for ten seconds, and holds
// what became of them.
func requireGoverned(t *testing.T, reg *v1alpha1.MCPClientRegistration, grant *v1alpha1.ScopeGrant) {
	t.Helper()
	as := fake.New("https://auth.example.com")
	connector := fake.NewConnector()
	connector.Put("auth", as)
	s, err := sandbox.New(t.Context(), sandbox.Options{Connector: connector, Start: noon})
	if err != nil {
		t.Fatal(err)
	}
	good, its := furniture()
	if err := s.Put(t.Context(), append(its, good, reg, grant)...); err != nil {
		t.Fatal(err)
	}
	if err := s.RunFor(t.Context(), 10*time.Second); err != nil {
		t.Fatal(err)
	}
	if err := s.Get(t.Context(), client.ObjectKeyFromObject(good), good); err != nil {
		t.Fatal(err)
	}
	if !meta.IsStatusConditionTrue(good.Status.Conditions, v1alpha1.ConditionReady) {
		t.Errorf("the good registration is not Ready: %+v", good.Status.Conditions)
	}
	for _, live := range as.Clients() {
		if live.ID == good.Status.ClientID {
			continue
		}
		end, err := time.Parse(time.RFC3339, reg.Annotations[v1alpha1.AnnotationExpiresAt])
		switch {
		case strings.TrimSpace(reg.Annotations[v1alpha1.AnnotationOwner]) == "":
			t.Errorf("client %s has no owner", live.ID)
		case err != nil || !s.Clock.Now().Before(end):
			t.Errorf("client %s has the end %q", live.ID, reg.Annotations[v1alpha1.AnnotationExpiresAt])
		case grant.Spec.ServerRef.Name != "files" || !slices.Equal(live.Registered.Scopes, []string{"files:read"}):
			t.Errorf("client %s has %q by the grant of %q of %q", live.ID, live.Registered.Scopes, grant.Spec.Scopes, grant.Spec.ServerRef.Name)
		}
	}
}

// furniture is an authorization server, an MCP server with a scope of tier Read
// and one above it, and a registration with a grant of the first.
func furniture() (*v1alpha1.MCPClientRegistration, []client.Object) {
	identity := map[string]string{v1alpha1.AnnotationOwner: "team-a@example.com", v1alpha1.AnnotationExpiresAt: "2026-12-01T00:00:00Z"}
	at := func(name string) metav1.ObjectMeta {
		return metav1.ObjectMeta{Namespace: "team", Name: name, Annotations: identity}
	}
	good := &v1alpha1.MCPClientRegistration{ObjectMeta: at("good"), Spec: v1alpha1.MCPClientRegistrationSpec{
		AuthorizationServerRef: v1alpha1.AuthorizationServerReference{Name: "auth"}, ClientName: "good", ApplicationType: v1alpha1.ApplicationWeb,
		GrantTypes: []v1alpha1.GrantType{v1alpha1.GrantClientCredentials}, TokenEndpointAuthMethod: v1alpha1.AuthMethodClientSecretBasic,
	}}
	return good, []client.Object{
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "team"}},
		&v1alpha1.AuthorizationServer{ObjectMeta: metav1.ObjectMeta{Name: "auth"}, Spec: v1alpha1.AuthorizationServerSpec{
			Issuer: "https://auth.example.com", DynamicRegistration: &v1alpha1.DynamicRegistration{},
			AllowedNamespaces: &v1alpha1.AllowedNamespaces{From: v1alpha1.NamespacesAll}, AllowedServers: &v1alpha1.AllowedNamespaces{From: v1alpha1.NamespacesAll},
		}},
		&v1alpha1.MCPServer{ObjectMeta: at("files"), Spec: v1alpha1.MCPServerSpec{
			Resource: "https://mcp.example.com/files", AuthorizationServerRef: v1alpha1.AuthorizationServerReference{Name: "auth"},
			Scopes: []v1alpha1.Scope{{Name: "files:read", Tier: v1alpha1.TierRead}, {Name: "files:write", Tier: v1alpha1.TierWrite}},
		}},
		&v1alpha1.ScopeGrant{ObjectMeta: at("good"), Spec: v1alpha1.ScopeGrantSpec{
			ClientRef: v1alpha1.LocalReference{Name: "good"}, ServerRef: v1alpha1.ServerReference{Name: "files"}, Scopes: []v1alpha1.ScopeName{"files:read"},
		}},
	}
}

// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"cmp"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/test/devas"
	"github.com/mcp-registrar/mcp-registrar/test/keycloak"
)

// venue is an authorization server at which clients go through their lives, and
// what is particular about it. The zero value is one that does all that the
// standards of dynamic registration say.
type venue struct {
	codeServer

	// live are the ids of all clients there; nil where nobody can ask.
	live func(t *testing.T) []string
	// resource is the audience of all tokens there, where clients have no say
	// in it.
	resource string
	// bounded says that tokens live no longer than the MCP server wants.
	bounded bool
	// secretless says that no client has a secret.
	secretless bool
	// disables says that a suspended client keeps its id.
	disables bool
	// rotations is how often the key of a busy client is replaced there: not
	// everywhere, for one takes a second, and the time of copies.
	rotations int
	// copies is for how long a copy of a client may be used.
	copies time.Duration
}

// venues are all kinds of authorization servers that there are, each open to
// all namespaces under its name.
func (w *world) venues(t *testing.T, documents string) map[string]venue {
	t.Helper()
	kept, rotating := w.startDevAS(t), w.startDevAS(t)
	for as, switches := range map[*devas.Server]devas.Switches{
		kept:     {RotateRegistrationToken: devas.RotateOnPut, RotateSecretOnPut: true, DropSoftware: true},
		rotating: {RotateRegistrationToken: devas.RotateAlways, DropUnknownFields: true},
	} {
		if err := as.Set(switches); err != nil {
			t.Fatal(err)
		}
	}
	server := sharedKeycloak(t)
	found := map[string]venue{
		"oidc-provider":         {codeServer: codeServer{object: newAuthorizationServer("oidc-provider", w.startOIDCProvider(t))}},
		"devas":                 developmentVenue("devas", w.startDevAS(t)),
		"devas-rotates-on-put":  developmentVenue("devas-rotates-on-put", kept),
		"devas-rotates-always":  developmentVenue("devas-rotates-always", rotating),
		"devas-own-ids":         ownIDsVenue("devas-own-ids", startLikeHydra(t)),
		"devas-with-documents":  documentsVenue(t, "devas-with-documents", documents),
		"keycloak":              w.administeredVenue(t, server),
		"keycloak-registration": w.registeringVenue(t, server),
	}
	for name, rotations := range map[string]int{
		"devas-rotates-always": 20, "keycloak": 20, "keycloak-registration": 20, "devas-with-documents": 5,
	} {
		v := found[name]
		v.rotations = rotations
		found[name] = v
	}
	return found
}

func developmentVenue(name string, as *devas.Server) venue {
	return venue{
		codeServer: codeServer{object: newAuthorizationServer(name, as.Issuer()), refreshes: true},
		live:       liveClients(as),
	}
}

func liveClients(as *devas.Server) func(*testing.T) []string {
	return func(*testing.T) []string {
		ids := []string{}
		for _, client := range as.Clients() {
			ids = append(ids, client.ID)
		}
		return ids
	}
}

// ownIDsVenue is a server whose clients are made by an admin API with ids of
// one's own choice.
func ownIDsVenue(name string, as *devas.Server) venue {
	v := developmentVenue(name, as)
	v.object.Spec.DynamicRegistration = nil
	v.object.Spec.Hydra = &v1alpha1.HydraManagement{AdminURL: as.HydraURL()}
	v.bounded = true
	return v
}

// documentsVenue is a server that fetches the documents of clients through a
// TLS proxy before the manager that serves them.
func documentsVenue(t *testing.T, name, documents string) venue {
	t.Helper()
	ingress := httptest.NewTLSServer(httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: documents}))
	t.Cleanup(ingress.Close)
	v := developmentVenue(name, startFetchingAS(t, ingress.Client()))
	v.object.Spec.DynamicRegistration = nil
	v.object.Spec.MetadataDocument = &v1alpha1.MetadataDocumentManagement{
		BaseURL: ingress.URL + "/mcp", CacheSeconds: new(int32(copySeconds)),
	}
	// What it knows are copies, some of which nobody has asked for since.
	v.live, v.secretless, v.copies = nil, true, copySeconds*time.Second
	return v
}

// administeredVenue is a realm of Keycloak that is managed by its admin API.
func (w *world) administeredVenue(t *testing.T, server *keycloak.Server) venue {
	t.Helper()
	at := w.administeredRealm(t, server)
	v := venue{codeServer: at, bounded: true, disables: true}
	v.live = registeredIn(v.realm(server))
	return v
}

// registeringVenue is a realm of Keycloak with dynamic registration. Its
// administrator has seen to what clients cannot register there: PKCE, and the
// audience of tokens.
func (w *world) registeringVenue(t *testing.T, server *keycloak.Server) venue {
	t.Helper()
	realm, at := w.registeringRealm(t, server)
	enforcePKCE(t, realm)
	v := venue{codeServer: at, live: registeredIn(realm), resource: "https://mcp.example.com/realm/files"}
	for _, scope := range scopes {
		addAudience(t, realm, scope, v.resource)
	}
	return v
}

// registeredIn are the clients of a realm but the operator's own.
func registeredIn(realm *keycloak.Realm) func(*testing.T) []string {
	return func(t *testing.T) []string {
		return slices.DeleteFunc(realm.ClientIDs(t), func(id string) bool { return id == release })
	}
}

// addAudience puts an audience into every token that has a scope.
func addAudience(t *testing.T, realm *keycloak.Realm, scope, audience string) {
	t.Helper()
	var known []struct{ ID, Name string }
	realm.Admin(t, http.MethodGet, "/client-scopes", nil).Decode(t, &known)
	for _, found := range known {
		if found.Name != scope {
			continue
		}
		answer := realm.Admin(t, http.MethodPost, "/client-scopes/"+found.ID+"/protocol-mappers/models", map[string]any{
			"name": "audience", "protocol": "openid-connect", "protocolMapper": "oidc-audience-mapper",
			"config": map[string]string{"included.custom.audience": audience, "access.token.claim": "true"},
		})
		if answer.Status != http.StatusCreated {
			t.Fatalf("scope %s: %d %s", scope, answer.Status, answer.Body)
		}
	}
}

// tokenBound is the longest life of a token that MCP servers want where they
// are heard.
const tokenBound = 2 * time.Minute

// scene makes a namespace with an MCPServer at the authorization server.
func (v venue) scene(t *testing.T, w *world) *scene {
	t.Helper()
	s := &scene{world: w, as: v.object.Name, namespace: w.namespace(t), at: v}
	s.server = s.newServer()
	if v.bounded {
		s.server.Spec.AccessTokenLifetimeSeconds = new(int32(tokenBound / time.Second))
	}
	w.create(t, s.server)
	return s
}

// machine is how a client of a machine authenticates.
func (v venue) machine() v1alpha1.TokenEndpointAuthMethod {
	if v.secretless {
		return v1alpha1.AuthMethodPrivateKeyJWT
	}
	return v1alpha1.AuthMethodClientSecretBasic
}

// methods are the ways in which clients authenticate there.
func (v venue) methods() []v1alpha1.TokenEndpointAuthMethod {
	if v.secretless {
		return methods[1:]
	}
	return methods
}

// another is a further AuthorizationServer object for the same server.
func (v venue) another(name string) venue {
	v.object = &v1alpha1.AuthorizationServer{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: *v.object.Spec.DeepCopy()}
	return v
}

// comes is for what a server says that must be so at once, and where it uses
// copies of clients, when they have had their time.
func (s *scene) comes(t *testing.T, said func() string, want, why string) {
	t.Helper()
	if s.at.copies == 0 {
		NewWithT(t).Expect(said()).To(Equal(want), why)
		return
	}
	NewWithT(t).Eventually(said, patience, often).Should(Equal(want), why)
}

// requireToken holds an access token against what its MCP server would: it is
// of the issuer, for this server alone, of the client, short-lived, and carries
// exactly these scopes.
func (s *scene) requireToken(t *testing.T, p party, answer reply, granted ...string) {
	t.Helper()
	g := NewWithT(t)
	s.seen.keep(answer.AccessToken, "access token")
	s.seen.keep(answer.RefreshToken, "refresh token")
	g.Expect(answer.Error).To(BeEmpty())
	said := verify(t.Context(), t, p.issuer, answer.AccessToken)
	g.Expect(strings.Fields(said.Scope)).To(ConsistOf(granted))
	g.Expect([]string(said.Audience)).To(Equal([]string{cmp.Or(s.server.Spec.Audience, s.server.Spec.Resource)}))
	g.Expect(cmp.Or(said.ClientID, said.AuthorizedParty)).To(Equal(p.id))
	bound := defaultBound
	if s.server.Spec.AccessTokenLifetimeSeconds != nil {
		bound = time.Duration(*s.server.Spec.AccessTokenLifetimeSeconds) * time.Second
	}
	g.Expect(said.Expiry.Time().Sub(said.IssuedAt.Time())).To(And(BeNumerically(">", 0), BeNumerically("<=", bound)))
}

// defaultBound is how long tokens live where the MCP server says nothing.
const defaultBound = 15 * time.Minute

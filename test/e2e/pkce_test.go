// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"net/url"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/test/devas"
	"github.com/mcp-registrar/mcp-registrar/test/keycloak"
)

// codeServer is an authorization server at which people log in.
type codeServer struct {
	object *v1alpha1.AuthorizationServer
	// refreshes says that a client that may refresh gets a refresh token for
	// every code.
	refreshes bool
	user      account
}

// TestPromises holds what the conditions PKCEEnforced and TokensConform say
// against what authorization servers do when a client tries.
func TestPromises(t *testing.T) {
	w := startWorld(t)
	keycloak := sharedKeycloak(t)
	t.Run("at", func(t *testing.T) {
		for name, server := range w.enforcing(t, keycloak) {
			server.object.Spec.Policy = &v1alpha1.RegistrationPolicy{RequirePKCEEnforced: new(true)}
			w.connectTo(t, server.object)
			t.Run(name, func(t *testing.T) {
				for kind, newClient := range codeClients {
					t.Run(kind, func(t *testing.T) {
						t.Parallel()
						testEnforced(t, w, server, newClient)
					})
				}
			})
		}
		for name, server := range w.notEnforcing(t, keycloak) {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				testNotEnforced(t, w, server)
			})
		}
		t.Run("tokens", func(t *testing.T) { testTokensConform(t, w) })
	})
	t.Run("no secret is shown", func(t *testing.T) { testNoSecretIsShown(t, w, "access token") })
}

// enforcing are the authorization servers that enforce PKCE.
func (w *world) enforcing(t *testing.T, keycloak *keycloak.Server) map[string]codeServer {
	t.Helper()
	rotating := w.startDevAS(t)
	if err := rotating.Set(devas.Switches{RotateRegistrationToken: devas.RotateAlways, DropSoftware: true, RotateSecretOnPut: true}); err != nil {
		t.Fatal(err)
	}
	realm, registering := w.registeringRealm(t, keycloak)
	enforcePKCE(t, realm)
	ownIDs := startLikeHydra(t)
	administered := newAuthorizationServer("devas-own-ids", ownIDs.Issuer())
	administered.Spec.DynamicRegistration = nil
	administered.Spec.Hydra = &v1alpha1.HydraManagement{AdminURL: ownIDs.HydraURL()}
	return map[string]codeServer{
		"keycloak-dcr":  registering,
		"keycloak":      w.administeredRealm(t, keycloak),
		"devas":         {object: newAuthorizationServer("devas", w.startDevAS(t).Issuer()), refreshes: true},
		"devas-rotates": {object: newAuthorizationServer("devas-rotates", rotating.Issuer()), refreshes: true},
		"devas-own-ids": {object: administered, refreshes: true},
		"oidc-provider": {object: newAuthorizationServer("oidc-provider", w.startOIDCProvider(t))},
	}
}

// startLikeHydra starts a development authorization server that is managed as
// Ory Hydra is.
func startLikeHydra(t *testing.T) *devas.Server {
	t.Helper()
	as, err := devas.New(devas.Options{Hydra: true})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	t.Cleanup(cancel)
	if err := as.Start(ctx); err != nil {
		t.Fatal(err)
	}
	return as
}

// connectTo creates an AuthorizationServer and waits until it is Ready.
func (w *world) connectTo(t *testing.T, object *v1alpha1.AuthorizationServer) {
	t.Helper()
	w.create(t, object)
	NewWithT(t).Eventually(w.ready(t, object), patience, often).Should(Equal("True/Ready"))
}

// codeClients are the kinds of clients that use the code flow.
var codeClients = map[string]func(*scene) *v1alpha1.MCPClientRegistration{
	"a public client": func(s *scene) *v1alpha1.MCPClientRegistration {
		return s.newCodeClient("desktop", v1alpha1.AuthMethodNone)
	},
	"a confidential client": func(s *scene) *v1alpha1.MCPClientRegistration {
		return s.newCodeClient("portal", v1alpha1.AuthMethodClientSecretBasic)
	},
}

func (s *scene) newCodeClient(name string, method v1alpha1.TokenEndpointAuthMethod) *v1alpha1.MCPClientRegistration {
	reg := s.newRegistration(name, method)
	reg.Spec.GrantTypes = []v1alpha1.GrantType{v1alpha1.GrantAuthorizationCode, v1alpha1.GrantRefreshToken}
	if method == v1alpha1.AuthMethodNone {
		reg.Spec.RedirectURIs = append(reg.Spec.RedirectURIs, "http://localhost"+callbackPath)
	} else {
		reg.Spec.RedirectURIs = []v1alpha1.RedirectURI{"https://portal.example.com" + callbackPath}
	}
	return reg
}

// promise reads a registration anew and says a condition of it in short.
func (w *world) promise(t *testing.T, reg *v1alpha1.MCPClientRegistration, kind string) func() string {
	return func() string {
		if err := w.Get(t.Context(), client.ObjectKeyFromObject(reg), reg); err != nil {
			return err.Error()
		}
		return condition(reg, kind)
	}
}

func testEnforced(t *testing.T, w *world, server codeServer, newClient func(*scene) *v1alpha1.MCPClientRegistration) {
	g := NewWithT(t)
	s := newScene(t, w, server.object.Name)
	reg := newClient(s)
	s.create(t, reg, s.newGrant(reg.Name, reg.Name, "files:read"))
	p := s.waitReady(t, reg)
	g.Eventually(w.promise(t, reg, v1alpha1.ConditionPKCEEnforced), patience, often).Should(Equal("True/Refused"))

	testProof(t, newVisitor(t, p, string(reg.Spec.RedirectURIs[0]), server.user), server.refreshes)
	if reg.Spec.TokenEndpointAuthMethod == v1alpha1.AuthMethodNone {
		testAnyPort(t, p, server.user)
	}
}

// testAnyPort logs in with a redirect URI on a port that nobody registered, as a
// program does that takes whatever port is free (RFC 8252 §7.3).
func testAnyPort(t *testing.T, p party, who account) {
	t.Helper()
	for _, host := range []string{"127.0.0.1", "localhost"} {
		verifier, challenge := newVerifier()
		v := newVisitor(t, p, "http://"+host+":49153"+callbackPath, who)
		NewWithT(t).Expect(v.redeem(t, v.code(t, s256(challenge)), verifier).AccessToken).NotTo(BeEmpty(), host)
	}
}

// testProof gets codes and redeems them with and without the proof that they
// need (RFC 7636).
func testProof(t *testing.T, v *visitor, refreshes bool) {
	t.Helper()
	g := NewWithT(t)
	verifier, challenge := newVerifier()
	g.Expect(v.redeem(t, v.code(t, s256(challenge)), verifier).AccessToken).NotTo(BeEmpty(), "the code flow with S256")

	v.requireRefused(t, "no challenge", nil)
	v.requireRefused(t, "a plain challenge", plain(verifier))
	v.requireRefused(t, "a challenge without a method", plainByDefault(verifier))

	other, _ := newVerifier()
	for name, wrong := range map[string]string{"a wrong verifier": other, "no verifier": "", "the challenge as verifier": challenge} {
		answer := v.redeem(t, v.code(t, s256(challenge)), wrong)
		g.Expect(answer.Error).To(BeElementOf("invalid_grant", "invalid_request"), name)
		g.Expect(answer.AccessToken).To(BeEmpty(), name)
	}
	testReplay(t, v, refreshes)
}

// testReplay redeems a code twice: the second time is refused, and ends what
// came of the first (RFC 6749 §4.1.2).
func testReplay(t *testing.T, v *visitor, refreshes bool) {
	g := NewWithT(t)
	verifier, challenge := newVerifier()
	code := v.code(t, s256(challenge))
	first := v.redeem(t, code, verifier)
	g.Expect(first.AccessToken).NotTo(BeEmpty())
	g.Expect(first.RefreshToken != "").To(Equal(refreshes), "a refresh token")
	if refreshes {
		first = v.refresh(t, first.RefreshToken)
		g.Expect(first.AccessToken).NotTo(BeEmpty(), "a refresh before the replay")
	}
	replayed := v.redeem(t, code, verifier)
	g.Expect(replayed.Error).To(Equal("invalid_grant"), "a replayed code")
	g.Expect(replayed.AccessToken).To(BeEmpty())
	if refreshes {
		g.Expect(v.refresh(t, first.RefreshToken).Error).To(Equal("invalid_grant"), "a refresh after the replay")
	}
}

// lax is an authorization server that leads on what it has to refuse: requests
// with some proof that is none.
type lax struct {
	codeServer

	proof    url.Values
	verifier string
}

func (w *world) notEnforcing(t *testing.T, keycloak *keycloak.Server) map[string]lax {
	t.Helper()
	verifier, _ := newVerifier()
	_, registering := w.registeringRealm(t, keycloak)
	found := map[string]lax{
		"keycloak without PKCE":  {codeServer: registering},
		"devas without PKCE":     {},
		"devas that takes plain": {proof: plain(verifier), verifier: verifier},
	}
	for name, switches := range map[string]devas.Switches{
		"devas without PKCE": {PKCEOptional: true}, "devas that takes plain": {AcceptPlain: true},
	} {
		as := w.startDevAS(t)
		if err := as.Set(switches); err != nil {
			t.Fatal(err)
		}
		server := found[name]
		server.object = newAuthorizationServer(w.namespace(t), as.Issuer())
		found[name] = server
	}
	return found
}

// testNotEnforced shows that the server is lax, and that the condition says so:
// the client stays, and is not Ready where policy asks for the promise.
func testNotEnforced(t *testing.T, w *world, server lax) {
	g := NewWithT(t)
	strict := server.object.DeepCopy()
	strict.Name += "-strict"
	strict.Spec.Policy = &v1alpha1.RegistrationPolicy{RequirePKCEEnforced: new(true)}
	w.connectTo(t, server.object)
	w.connectTo(t, strict)

	s := newScene(t, w, server.object.Name)
	reg := s.newCodeClient("desktop", v1alpha1.AuthMethodNone)
	s.create(t, reg, s.newGrant(reg.Name, reg.Name, "files:read"))
	p := s.waitReady(t, reg)
	g.Eventually(w.promise(t, reg, v1alpha1.ConditionPKCEEnforced), patience, often).Should(Equal("False/NotRefused"))
	g.Expect(condition(reg, v1alpha1.ConditionReady)).To(Equal("True/Ready"))
	v := newVisitor(t, p, string(reg.Spec.RedirectURIs[0]), server.user)
	g.Expect(v.redeem(t, v.code(t, server.proof), server.verifier).AccessToken).NotTo(BeEmpty(), "what the condition warns of")

	s = newScene(t, w, strict.Name)
	reg = s.newCodeClient("desktop", v1alpha1.AuthMethodNone)
	s.create(t, reg, s.newGrant(reg.Name, reg.Name, "files:read"))
	g.Eventually(w.ready(t, reg), patience, often).Should(Equal("False/" + v1alpha1.ReasonNotRefused))
}

// testTokensConform has one authorization server for each way in which a token
// may differ from what was granted.
func testTokensConform(t *testing.T, w *world) {
	for want, switches := range map[string]devas.Switches{
		"True/Conform":        {},
		"False/WrongAudience": {TokenAudience: "https://mcp.example.com/other"},
		"False/WrongScope":    {TokenScope: "files:write"},
		"False/TooLongLived":  {TokenLifetimeSeconds: 7200},
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			as := w.startDevAS(t)
			if err := as.Set(switches); err != nil {
				t.Fatal(err)
			}
			object := newAuthorizationServer(w.namespace(t), as.Issuer())
			object.Spec.CanaryTokens = new(true)
			w.connectTo(t, object)
			s := newScene(t, w, object.Name)
			for _, method := range methods[:2] {
				reg, p := s.registered(t, strings.ToLower(string(method)), method)
				NewWithT(t).Eventually(w.promise(t, reg, v1alpha1.ConditionTokensConform), patience, often).Should(Equal(want), string(method))
				NewWithT(t).Expect(condition(reg, v1alpha1.ConditionReady)).To(Equal("True/Ready"))
				w.seen.keep(p.ask(t, p.scope, p.resources).AccessToken, "access token")
			}
		})
	}
}

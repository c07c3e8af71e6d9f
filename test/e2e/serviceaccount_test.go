// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/test/env"
	"github.com/mcp-registrar/mcp-registrar/test/keycloak"
)

const (
	// clusterAlias is what realms that trust the cluster call it.
	clusterAlias  = "this-cluster"
	discoveryPath = "/.well-known/openid-configuration"
	keysPath      = "/openid/v1/jwks"
	// assertionSubject is the attribute of a client of Keycloak that says whose
	// tokens are its assertions.
	assertionSubject = "jwt.credential.sub"
	refusedAccount   = "invalid_client"
)

// TestServiceAccounts has clients without any secret: what authenticates each is
// the token of a ServiceAccount, which the API server signs and Keycloak checks
// with the keys that the API server publishes.
func TestServiceAccounts(t *testing.T) {
	server := sharedKeycloak(t)
	w, issuer := startIssuingWorld(t)
	for name, test := range map[string]func(*testing.T, *tokenScene){
		"a token of the ServiceAccount is all that a client needs": testAccountToken,
		"nobody else is let in": testOtherTokens,
		"an account of that name in another namespace is another client": testSameAccountName,
		"one ServiceAccount is one client":                               testAccountInUse,
		"of registrations made at once one has the ServiceAccount":       testAccountRace,
		"a suspended client's tokens are refused at once":                testAccountSuspended,
		"a deleted client's tokens are refused at once":                  testAccountDeleted,
		"whose tokens authenticate a client is repaired":                 testAccountRepaired,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, w.trustingScene(t, server, issuer))
		})
	}
	t.Run("no ServiceAccount where the realm does not trust the cluster", func(t *testing.T) {
		t.Parallel()
		testAccountNotTaken(t, w, server)
	})
}

// startIssuingWorld starts a world whose ServiceAccount tokens can be checked by
// anybody: its issuer has a certificate that Keycloak trusts, and shows the
// documents of the API server that a token is checked with, and nothing else.
func startIssuingWorld(t *testing.T) (w *world, issuer string) {
	t.Helper()
	published := httptest.NewUnstartedServer(nil)
	issuer = "https://" + published.Listener.Addr().String()
	rendered := renderChart(t)
	plane := env.StartForTest(t, env.Options{
		Manifests: []string{rendered.manifests}, ControllerManager: true,
		APIServerArgs: map[string][]string{
			"service-account-issuer": {issuer}, "service-account-jwks-uri": {issuer + keysPath},
		},
	})
	anonymous, err := rest.TransportFor(rest.AnonymousClientConfig(plane.Config))
	if err != nil {
		t.Fatal(err)
	}
	upstream, err := url.Parse(plane.Config.Host)
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{Transport: anonymous, Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(upstream) }}
	mux := http.NewServeMux()
	mux.Handle("GET "+discoveryPath, proxy)
	mux.Handle("GET "+keysPath, proxy)
	published.Config.Handler = mux
	published.StartTLS()
	t.Cleanup(published.Close)
	w = startWorldOn(t, plane, rendered)
	w.create(t, &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "issuer-discovery-for-all"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "system:service-account-issuer-discovery"},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.GroupKind, Name: "system:unauthenticated"}},
	})
	return w, issuer
}

// tokenScene is a scene at a realm that trusts the tokens of the cluster's
// ServiceAccounts, with three of those.
type tokenScene struct {
	*scene
	realm *keycloak.Realm
	// tokenEndpoint is the realm's, as its metadata says.
	tokenEndpoint string
}

func (w *world) trustingScene(t *testing.T, server *keycloak.Server, issuer string) *tokenScene {
	t.Helper()
	at := w.administeredVenue(t, server)
	realm := at.realm(server)
	realm.AddKubernetesIdentityProvider(t, clusterAlias, issuer)
	at.object.Spec.Keycloak.KubernetesIdentityProvider = clusterAlias
	at.object.Spec.DriftCheckSeconds = new(int32(60))
	w.connectTo(t, at.object)
	return newTokenScene(t, at.scene(t, w), realm)
}

func newTokenScene(t *testing.T, s *scene, realm *keycloak.Realm) *tokenScene {
	t.Helper()
	var metadata struct {
		TokenEndpoint string `json:"token_endpoint"`
	}
	getJSON(t.Context(), t, realm.Issuer+discoveryPath, &metadata)
	for _, name := range []string{"agent", "other", "idle"} {
		s.create(t, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: name}})
	}
	return &tokenScene{scene: s, realm: realm, tokenEndpoint: metadata.TokenEndpoint}
}

// newClient is a client of a machine that authenticates as a ServiceAccount.
func (s *tokenScene) newClient(name, account string) *v1alpha1.MCPClientRegistration {
	reg := s.newRegistration(name, v1alpha1.AuthMethodPrivateKeyJWT)
	reg.Spec.ServiceAccountName = account
	return reg
}

// client makes such a client, and waits until it is Ready.
func (s *tokenScene) client(t *testing.T, name, account string) *v1alpha1.MCPClientRegistration {
	t.Helper()
	reg := s.newClient(name, account)
	s.create(t, reg, s.newGrant(name, name, "files:read"))
	s.comesTo(t, reg, "True/Ready")
	return reg
}

func (s *tokenScene) comesTo(t *testing.T, reg *v1alpha1.MCPClientRegistration, standing string) {
	t.Helper()
	NewWithT(t).Eventually(s.ready(t, reg), patience, often).Should(Equal(standing), func() string {
		return fmt.Sprintf("%s: %+v", reg.Name, reg.Status.Conditions)
	})
}

// tokenOf has the API server issue a token of a ServiceAccount: for the realm,
// unless it says for whom else.
func (s *tokenScene) tokenOf(t *testing.T, account string, audiences ...string) string {
	t.Helper()
	if audiences == nil {
		audiences = []string{s.realm.Issuer}
	}
	request := &authenticationv1.TokenRequest{
		Spec: authenticationv1.TokenRequestSpec{Audiences: audiences, ExpirationSeconds: new(int64(600))},
	}
	of := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: account}}
	if err := s.SubResource("token").Create(t.Context(), of, request); err != nil {
		t.Fatal(err)
	}
	return request.Status.Token
}

// ask asks for a token with what a form says beside the grant.
func (s *tokenScene) ask(t *testing.T, scope string, form url.Values) reply {
	t.Helper()
	whole := url.Values{"grant_type": {"client_credentials"}, "scope": {scope}}
	maps.Copy(whole, form)
	return party{tokenEndpoint: s.tokenEndpoint}.request(t, whole)
}

// asserting is a form with an assertion, which says who asks.
func asserting(assertion string) url.Values {
	return url.Values{
		"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}, "client_assertion": {assertion},
	}
}

// withID is a form that names a client too.
func withID(id string, form url.Values) url.Values {
	form.Set("client_id", id)
	return form
}

// lets says as which client a ServiceAccount token lets one in, or how it is
// refused.
func (s *tokenScene) lets(t *testing.T, token string) func() string {
	return func() string {
		t.Helper()
		return s.outcome(t, asserting(token))
	}
}

func (s *tokenScene) outcome(t *testing.T, form url.Values) string {
	t.Helper()
	answer := s.ask(t, "files:read", form)
	if answer.Error != "" {
		return answer.Error
	}
	return verify(t.Context(), t, s.realm.Issuer, answer.AccessToken).AuthorizedParty
}

// requireClients holds the clients of the realm against those of registrations.
func (s *tokenScene) requireClients(t *testing.T, registrations ...*v1alpha1.MCPClientRegistration) {
	t.Helper()
	ids := []string{}
	for _, reg := range registrations {
		ids = append(ids, reg.Status.ClientID)
	}
	NewWithT(t).Expect(s.at.live(t)).To(ConsistOf(ids))
}

func testAccountToken(t *testing.T, s *tokenScene) {
	g := NewWithT(t)
	reg := s.client(t, "robot", "agent")
	g.Expect(reg.Status.ClientID).NotTo(BeEmpty())
	g.Expect(reg.Status.SecretName).To(BeEmpty())
	var secrets corev1.SecretList
	g.Expect(s.List(t.Context(), &secrets, client.InNamespace(s.namespace))).To(Succeed())
	g.Expect(secrets.Items).To(BeEmpty(), "the Secrets of the namespace")

	token, p := s.tokenOf(t, "agent"), party{id: reg.Status.ClientID, issuer: s.realm.Issuer}
	s.requireToken(t, p, s.ask(t, "files:read", asserting(token)), "files:read")
	s.requireToken(t, p, s.ask(t, "files:read", withID(p.id, asserting(token))), "files:read")
	for _, scope := range []string{"files:write", "notes:read", "files:read files:write"} {
		g.Expect(s.ask(t, scope, asserting(token)).Error).To(Equal("invalid_scope"), scope)
	}
	s.create(t, s.newGrant("more", "robot", "notes:read"))
	g.Eventually(s.effective(t, reg), patience, often).Should(ConsistOf("files:read", "notes:read"))
	s.requireToken(t, p, s.ask(t, "files:read notes:read", asserting(token)), "files:read", "notes:read")
	g.Expect(reg.Status.ClientID).To(Equal(p.id))
}

func testOtherTokens(t *testing.T, s *tokenScene) {
	g := NewWithT(t)
	id, another := s.client(t, "robot", "agent").Status.ClientID, s.client(t, "second", "other").Status.ClientID
	elsewhere := newTokenScene(t, s.at.scene(t, s.world), s.realm)
	token, idle := s.tokenOf(t, "agent"), s.tokenOf(t, "idle")
	own, foreign := strings.Split(token, "."), strings.Split(idle, ".")
	g.Expect(s.lets(t, token)()).To(Equal(id))
	held, _ := s.realm.Client(t, id)["secret"].(string)
	g.Expect(held).NotTo(BeEmpty(), "the secret that Keycloak makes for a client that wants none")

	for name, form := range map[string]url.Values{
		"of another ServiceAccount":                   asserting(idle),
		"of another, with the client's id":            withID(id, asserting(idle)),
		"of another client, with the client's id":     withID(id, asserting(s.tokenOf(t, "other"))),
		"of that name in another namespace":           asserting(elsewhere.tokenOf(t, "agent")),
		"for the API server":                          asserting(s.tokenOf(t, "agent", "https://kubernetes.default.svc")),
		"for another realm":                           asserting(s.tokenOf(t, "agent", s.realm.URL+"/realms/master")),
		"for the realm and another":                   asserting(s.tokenOf(t, "agent", s.realm.Issuer, "https://else.example.com")),
		"with the id of another client":               withID(another, asserting(token)),
		"with the signature of another":               asserting(own[0] + "." + own[1] + "." + foreign[2]),
		"with the claims of another":                  asserting(foreign[0] + "." + own[1] + "." + foreign[2]),
		"without a signature":                         asserting(own[0] + "." + own[1] + "."),
		"that is garbage":                             asserting("garbage"),
		"that is missing":                             {},
		"that is missing, with the client's id":       {"client_id": {id}},
		"that is missing, with a secret":              {"client_id": {id}, "client_secret": {randomToken()}},
		"that is missing, with Keycloak's own secret": {"client_id": {id}, "client_secret": {held}},
	} {
		if said := s.outcome(t, form); said != refusedAccount {
			t.Errorf("a token %s: %s", name, said)
		}
	}
	g.Expect(s.outcome(t, withID(release, asserting(token)))).To(Equal("unauthorized_client"), "with the id of a client that has a secret")
	g.Expect(s.lets(t, token)()).To(Equal(id), "the right token, after all that")
}

func testSameAccountName(t *testing.T, s *tokenScene) {
	g := NewWithT(t)
	elsewhere := newTokenScene(t, s.at.scene(t, s.world), s.realm)
	here, there := s.client(t, "robot", "agent"), elsewhere.client(t, "robot", "agent")
	g.Expect(here.Status.ClientID).NotTo(Equal(there.Status.ClientID))
	g.Expect(s.lets(t, s.tokenOf(t, "agent"))()).To(Equal(here.Status.ClientID))
	g.Expect(s.lets(t, elsewhere.tokenOf(t, "agent"))()).To(Equal(there.Status.ClientID))
	answer := s.ask(t, "files:read", asserting(elsewhere.tokenOf(t, "agent")))
	elsewhere.requireToken(t, party{id: there.Status.ClientID, issuer: s.realm.Issuer}, answer, "files:read")
}

func testAccountInUse(t *testing.T, s *tokenScene) {
	g := NewWithT(t)
	first := s.client(t, "first", "agent")
	second := s.newClient("second", "agent")
	s.create(t, second, s.newGrant("second", "second", "notes:read"))
	s.comesTo(t, second, "False/"+v1alpha1.ReasonServiceAccountInUse)
	told := meta.FindStatusCondition(second.Status.Conditions, v1alpha1.ConditionReady).Message
	g.Expect(told).To(ContainSubstring(`"agent"`))
	g.Expect(second.Status.ClientID).To(BeEmpty())
	s.requireClients(t, first)
	token := s.tokenOf(t, "agent")
	g.Expect(s.lets(t, token)()).To(Equal(first.Status.ClientID))
	g.Expect(s.ask(t, "notes:read", asserting(token)).Error).To(Equal("invalid_scope"), "what the second was granted")

	s.remove(t, first)
	s.comesTo(t, second, "True/Ready")
	s.requireClients(t, second)
	g.Expect(second.Status.ClientID).NotTo(Equal(first.Status.ClientID))
	s.requireToken(t, party{id: second.Status.ClientID, issuer: s.realm.Issuer}, s.ask(t, "notes:read", asserting(token)), "notes:read")
	g.Expect(s.ask(t, "files:read", asserting(token)).Error).To(Equal("invalid_scope"), "what the first was granted")
}

func testAccountRace(t *testing.T, s *tokenScene) {
	g := NewWithT(t)
	contenders := make([]*v1alpha1.MCPClientRegistration, 8)
	for i := range contenders {
		name := fmt.Sprintf("robot-%d", i)
		contenders[i] = s.newClient(name, "agent")
		s.create(t, contenders[i], s.newGrant(name, name, "files:read"))
	}
	standings := func() (all []string) {
		for _, reg := range contenders {
			all = append(all, s.ready(t, reg)())
		}
		slices.Sort(all)
		return all
	}
	wanted := append(slices.Repeat([]string{"False/" + v1alpha1.ReasonServiceAccountInUse}, len(contenders)-1), "True/Ready")
	g.Eventually(standings, patience, often).Should(Equal(wanted))
	winner := contenders[slices.IndexFunc(contenders, func(reg *v1alpha1.MCPClientRegistration) bool {
		return condition(reg, v1alpha1.ConditionReady) == "True/Ready"
	})]
	s.requireClients(t, winner)
	g.Expect(s.lets(t, s.tokenOf(t, "agent"))()).To(Equal(winner.Status.ClientID))
}

func testAccountSuspended(t *testing.T, s *tokenScene) {
	g := NewWithT(t)
	reg := s.client(t, "robot", "agent")
	id, lets := reg.Status.ClientID, s.lets(t, s.tokenOf(t, "agent"))
	g.Expect(lets()).To(Equal(id))
	s.setState(t, reg, v1alpha1.StateSuspended)
	s.comesTo(t, reg, "False/"+v1alpha1.ReasonSuspended)
	g.Expect(lets()).To(Equal(refusedAccount))

	second := s.newClient("second", "agent")
	s.create(t, second, s.newGrant("second", "second", "files:read"))
	s.comesTo(t, second, "False/"+v1alpha1.ReasonServiceAccountInUse)
	s.setState(t, reg, v1alpha1.StateActive)
	s.comesTo(t, reg, "True/Ready")
	g.Expect(reg.Status.ClientID).To(Equal(id))
	g.Expect(lets()).To(Equal(id))
}

func testAccountDeleted(t *testing.T, s *tokenScene) {
	g := NewWithT(t)
	reg := s.client(t, "robot", "agent")
	first, lets := reg.Status.ClientID, s.lets(t, s.tokenOf(t, "agent"))
	g.Expect(lets()).To(Equal(first))

	s.remove(t, s.newGrant("robot", "robot"))
	s.comesTo(t, reg, "False/"+v1alpha1.ReasonNoGrantInForce)
	g.Expect(reg.Status.Revocation).NotTo(BeNil())
	g.Expect(reg.Status.Revocation.ClientID).To(Equal(first))
	g.Expect(reg.Status.Revocation.VerifiedAt).NotTo(BeNil())
	g.Expect(lets()).To(Equal(refusedAccount), "without a grant")

	s.create(t, s.newGrant("again", "robot", "files:read"))
	s.comesTo(t, reg, "True/Ready")
	g.Expect(lets()).To(Equal(reg.Status.ClientID))
	if _, err := s.plane.RunKubectl(t.Context(), "delete", "mcpclientregistration", "-n", s.namespace, "robot", "--timeout=1m"); err != nil {
		t.Fatal(err)
	}
	g.Expect(lets()).To(Equal(refusedAccount), "after kubectl delete")
	g.Expect(apierrors.IsNotFound(s.Get(t.Context(), client.ObjectKeyFromObject(reg), reg))).To(BeTrue())
	s.requireClients(t)
}

// testAccountRepaired has an administrator of the realm hand a client to another
// account, and let another in by a secret.
func testAccountRepaired(t *testing.T, s *tokenScene) {
	g := NewWithT(t)
	reg, second := s.client(t, "robot", "agent"), s.client(t, "second", "other")
	id, key := reg.Status.ClientID, randomToken()
	idle := s.tokenOf(t, "idle")
	bySecret := func() string {
		return s.outcome(t, url.Values{"client_id": {second.Status.ClientID}, "client_secret": {key}})
	}
	for _, edit := range []struct {
		id      string
		changes keycloak.Client
		letsIn  func() string
	}{
		{id, keycloak.Client{"attributes": map[string]string{
			assertionSubject: "system:serviceaccount:" + s.namespace + ":idle",
		}}, s.lets(t, idle)},
		{second.Status.ClientID, keycloak.Client{"clientAuthenticatorType": "client-secret", "secret": key}, bySecret},
	} {
		// A drift check may come between an edit and a look at it.
		g.Eventually(func() string {
			s.realm.EditClient(t, edit.id, maps.Clone(edit.changes))
			return edit.letsIn()
		}, patience, often).Should(Equal(edit.id))
	}

	g.Eventually(s.lets(t, idle), 2*patience, 10*often).Should(Equal(refusedAccount))
	g.Eventually(bySecret, 2*patience, 10*often).Should(Equal(refusedAccount))
	for account, owner := range map[string]*v1alpha1.MCPClientRegistration{"agent": reg, "other": second} {
		g.Expect(s.lets(t, s.tokenOf(t, account))()).To(Equal(owner.Status.ClientID))
		attributes := s.realm.Client(t, owner.Status.ClientID)["attributes"]
		g.Expect(attributes).To(HaveKeyWithValue(assertionSubject, "system:serviceaccount:"+s.namespace+":"+account))
		s.comesTo(t, owner, "True/Ready")
	}
	g.Expect(reg.Status.ClientID).To(Equal(id))
	s.requireClients(t, reg, second)
}

// testAccountNotTaken asks for a client without a secret where the realm trusts
// nobody's tokens.
func testAccountNotTaken(t *testing.T, w *world, server *keycloak.Server) {
	at := w.administeredVenue(t, server)
	w.connectTo(t, at.object)
	s := newTokenScene(t, at.scene(t, w), at.realm(server))
	reg := s.newClient("robot", "agent")
	s.create(t, reg, s.newGrant("robot", "robot", "files:read"))
	s.comesTo(t, reg, "False/"+v1alpha1.ReasonAuthMethodNotAllowed)
	NewWithT(t).Expect(reg.Status.ClientID).To(BeEmpty())
	s.requireClients(t)
}

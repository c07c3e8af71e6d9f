// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/test/devas"
	"github.com/mcp-registrar/mcp-registrar/test/env"
)

// copySeconds is for how long the authorization server may use a copy.
const copySeconds = 2

// library is a scene whose clients are documents: two managers serve them, of
// which one leads, and an ingress leads to one of the two.
type library struct {
	*scene
	as      *devas.Server
	ingress *httptest.Server
	// target is where the ingress leads, and fetches how often it led there.
	target  atomic.Pointer[url.URL]
	fetches atomic.Int32
	// leader and other are where each manager serves documents; first is the
	// one that leads.
	leader, other string
	first         *manager
}

// TestMetadataDocuments runs the life of clients at an authorization server that
// fetches their documents through a TLS proxy in the place of an ingress.
func TestMetadataDocuments(t *testing.T) {
	l := newLibrary(t)
	t.Run("a person's client", func(t *testing.T) { testPersonsDocument(t, l) })
	t.Run("a machine's client", func(t *testing.T) { testMachinesDocument(t, l) })
	t.Run("nothing else is reachable", func(t *testing.T) { testNothingElse(t, l) })
	t.Run("the end without a leader", func(t *testing.T) { testEndWithoutLeader(t, l) })
}

func newLibrary(t *testing.T) *library {
	t.Helper()
	rendered := renderChart(t, "documents.enabled=true")
	l := &library{leader: freeAddress(t), other: freeAddress(t)}
	rendered.serveDocuments(t, l.leader)
	plane := env.StartForTest(t, env.Options{Manifests: []string{rendered.manifests}, ControllerManager: true})
	w := startWorldOn(t, plane, rendered)
	l.ingress = httptest.NewTLSServer(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			l.fetches.Add(1)
			r.SetURL(l.target.Load())
		},
	})
	t.Cleanup(l.ingress.Close)
	l.lead(l.leader)
	l.as = startFetchingAS(t, l.ingress.Client())
	as := newAuthorizationServer("documents", l.as.Issuer())
	as.Spec.DynamicRegistration = nil
	as.Spec.MetadataDocument = &v1alpha1.MetadataDocumentManagement{BaseURL: l.ingress.URL + "/mcp", CacheSeconds: new(int32(copySeconds))}
	w.create(t, as)
	NewWithT(t).Eventually(w.ready(t, as), patience, often).Should(Equal("True/Ready"))
	l.scene = newScene(t, w, "documents")
	rendered.serveDocuments(t, l.other)
	l.first, _ = l.joined(t)
	return l
}

// serveDocuments has the managers that are started from now on serve documents
// at an address of loopback.
func (c *chart) serveDocuments(t *testing.T, address string) {
	t.Helper()
	const flag = "--documents-bind-address="
	arguments := c.deployment.Spec.Template.Spec.Containers[0].Args
	for i := range arguments {
		if strings.HasPrefix(arguments[i], flag) {
			arguments[i] = flag + address
			return
		}
	}
	t.Fatal("the chart gives the manager no " + flag)
}

func startFetchingAS(t *testing.T, fetches *http.Client) *devas.Server {
	t.Helper()
	as, err := devas.New(devas.Options{MetadataDocuments: fetches})
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

// lead has the ingress lead to an address.
func (l *library) lead(address string) {
	l.target.Store(&url.URL{Scheme: "http", Host: address})
	l.fetches.Store(0)
}

// document is what one of the managers answers for a client id.
type document struct {
	Status       int      `json:"-"`
	Control      string   `json:"-"`
	Tag          string   `json:"-"`
	Text         string   `json:"-"`
	ClientID     string   `json:"client_id"`
	RedirectURIs []string `json:"redirect_uris"`
	Scope        string   `json:"scope"`
}

func (l *library) document(t *testing.T, address, id string) document {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+strings.TrimPrefix(id, l.ingress.URL), nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	got := document{
		Status: response.StatusCode, Control: response.Header.Get("Cache-Control"), Tag: response.Header.Get("ETag"), Text: string(body),
	}
	if got.Status == http.StatusOK {
		if err := json.Unmarshal(body, &got); err != nil {
			t.Fatal(err)
		}
	}
	return got
}

// everywhere waits until every manager answers alike, and returns the answer.
func (l *library) everywhere(t *testing.T, id string, holds func(document) bool) document {
	t.Helper()
	var got document
	for _, address := range []string{l.leader, l.other} {
		NewWithT(t).Eventually(func() bool {
			got = l.document(t, address, id)
			return holds(got)
		}, patience, often).Should(BeTrue(), "at %s: %+v", address, &got)
	}
	if one, two := l.document(t, l.leader, id), l.document(t, l.other, id); one.Text != two.Text || one.Tag != two.Tag {
		t.Errorf("the managers say different things: %+v, %+v", one, two)
	}
	return got
}

// freshFor is for how long a copy may be used.
func (d document) freshFor(t *testing.T) time.Duration {
	t.Helper()
	var seconds int
	if _, err := fmt.Sscanf(d.Control, "max-age=%d, must-revalidate", &seconds); err != nil {
		t.Errorf("Cache-Control: %s", d.Control)
	}
	return time.Duration(seconds) * time.Second
}

func answered(want int) func(document) bool {
	return func(d document) bool { return d.Status == want }
}

// served makes a registration and waits until it is Ready, served everywhere, and
// known to the authorization server.
func (l *library) served(t *testing.T, reg *v1alpha1.MCPClientRegistration) party {
	t.Helper()
	l.create(t, reg, l.newGrant(reg.Name, reg.Name, "files:read"))
	g := NewWithT(t)
	g.Eventually(l.ready(t, reg), patience, often).Should(Equal("True/Ready"))
	p := newParty(t, l.secret(t, reg.Status.SecretName))
	g.Expect(p.id).To(And(Equal(reg.Status.ClientID), HavePrefix(l.ingress.URL+"/mcp/mcpr-")))
	got := l.everywhere(t, p.id, answered(http.StatusOK))
	g.Expect(got.ClientID).To(Equal(p.id))
	g.Eventually(p.standing(t), patience, often).Should(Equal("known"))
	return p
}

func testPersonsDocument(t *testing.T, l *library) {
	g := NewWithT(t)
	reg := l.newRegistration("person", v1alpha1.AuthMethodNone)
	p := l.served(t, reg)
	got := l.document(t, l.other, p.id)
	g.Expect(got.Control).To(Equal("max-age=2, must-revalidate"))
	g.Expect(got.RedirectURIs).To(Equal([]string{"http://127.0.0.1" + callbackPath}))
	g.Expect(got.Text).NotTo(Or(ContainSubstring("team-a@example.com"), ContainSubstring(string(reg.UID)), ContainSubstring("secret")))
	for name, address := range map[string]string{"the leader": l.leader, "the other manager": l.other} {
		l.lead(address)
		// The copy that the authorization server has ends.
		g.Eventually(func() int32 { p.standing(t)(); return l.fetches.Load() }, patience, often).Should(BeNumerically(">", 0), name)
		b := newBrowser(t, p)
		verifier, challenge := newVerifier()
		answer := b.redeem(t, b.code(t, challenge), verifier)
		g.Expect(answer.Status).To(Equal(http.StatusOK), name)
		said := verify(t.Context(), t, p.issuer, answer.AccessToken)
		g.Expect(said.Scope).To(Equal("files:read"))
		g.Expect([]string(said.Audience)).To(ConsistOf(l.server.Spec.Resource))
		for _, pkce := range []url.Values{{}, {"code_challenge": {challenge}, "code_challenge_method": {"plain"}}} {
			g.Expect(b.authorize(t, pkce).Get("error")).To(Equal("invalid_request"))
		}
	}
	l.lead(l.leader)
	g.Eventually(func() string { l.ready(t, reg)(); return condition(reg, v1alpha1.ConditionPKCEEnforced) }, patience, often).Should(Equal("True/" + v1alpha1.ReasonRefused))

	grant := l.newGrant("more", "person", "notes:read")
	l.create(t, grant)
	before := got.Tag
	l.everywhere(t, p.id, func(d document) bool { return d.Scope == "files:read notes:read" && d.Tag != before })
	if err := l.Delete(t.Context(), grant); err != nil {
		t.Fatal(err)
	}
	l.everywhere(t, p.id, func(d document) bool { return d.Scope == "files:read" && d.Tag == before })

	if err := l.Delete(t.Context(), reg); err != nil {
		t.Fatal(err)
	}
	l.everywhere(t, p.id, answered(http.StatusNotFound))
	g.Eventually(l.ready(t, reg), patience, often).Should(ContainSubstring("not found"))
	g.Eventually(p.standing(t), patience, often).Should(Equal("invalid_client"))
}

func testMachinesDocument(t *testing.T, l *library) {
	g := NewWithT(t)
	reg := l.newRegistration("machine", v1alpha1.AuthMethodPrivateKeyJWT)
	p := l.served(t, reg)
	answer := p.ask(t, "files:read", l.server.Spec.Resource)
	g.Expect(answer.Status).To(Equal(http.StatusOK), answer.Error)
	said := verify(t.Context(), t, p.issuer, answer.AccessToken)
	g.Expect(said.ClientID).To(Equal(p.id))
	g.Expect([]string(said.Audience)).To(ConsistOf(l.server.Spec.Resource))
	g.Expect(p.ask(t, "files:write", l.server.Spec.Resource).Error).To(Equal("invalid_scope"))

	secret := l.newRegistration("secret", v1alpha1.AuthMethodClientSecretBasic)
	l.create(t, secret, l.newGrant("secret", "secret", "files:read"))
	g.Eventually(l.ready(t, secret), patience, often).Should(Equal("False/" + v1alpha1.ReasonAuthMethodNotAllowed))

	if err := l.Delete(t.Context(), reg); err != nil {
		t.Fatal(err)
	}
	l.everywhere(t, p.id, answered(http.StatusNotFound))
	g.Eventually(func() string { return p.ask(t, "files:read", l.server.Spec.Resource).Error }, patience, often).Should(Equal("invalid_client"))
}

func testNothingElse(t *testing.T, l *library) {
	p := l.served(t, l.newRegistration("stays", v1alpha1.AuthMethodNone))
	for _, path := range []string{"/", "/metrics", "/healthz", "/readyz", "/debug/pprof/", "/mcp", "/mcp/", "/mcp/mcpr-none"} {
		if got := l.document(t, l.leader, l.ingress.URL+path); got.Status != http.StatusNotFound || got.Text != "Not Found\n" {
			t.Errorf("%s: %+v", path, got)
		}
	}
	for _, more := range []string{"/", "?", "?x=1"} {
		if got := l.document(t, l.leader, p.id+more); got.Status != http.StatusNotFound {
			t.Errorf("%s: %+v", more, got)
		}
	}
}

// testEndWithoutLeader kills the leader shortly before a registration ends. The
// other manager, which does not lead yet, serves the document until then and no
// longer; once it leads it proves the revocation.
func testEndWithoutLeader(t *testing.T, l *library) {
	g := NewWithT(t)
	end := time.Now().Add(30 * time.Second).Truncate(time.Second)
	reg := l.newRegistration("ending", v1alpha1.AuthMethodNone)
	reg.Annotations[v1alpha1.AnnotationExpiresAt] = instant(end)
	p := l.served(t, reg)
	// Nobody else may lead before the end.
	g.Eventually(time.Now, patience, often).Should(BeTemporally(">", end.Add(-longestLease/2)))
	holder := l.holder(t)()
	if err := l.first.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-l.first.ended
	l.lead(l.other)
	g.Expect(time.Until(end)).To(BeNumerically(">", 0), "the registration ended before the leader was killed")
	g.Eventually(func() int {
		left := time.Until(end)
		got := l.document(t, l.other, p.id)
		switch {
		case got.Status == http.StatusOK && left <= 0:
			t.Errorf("the document is served %s after its end", -left)
		case got.Status == http.StatusOK && got.freshFor(t) > left:
			t.Errorf("%s before the end a copy may be used for %s", left, got.freshFor(t))
		case got.Status != http.StatusOK && time.Until(end) > 0:
			t.Errorf("the document is no longer served, %s before its end: %d", time.Until(end), got.Status)
		}
		return got.Status
	}, patience, 10*time.Millisecond).Should(Equal(http.StatusNotFound))
	g.Expect(l.holder(t)()).To(Equal(holder), "somebody leads again: the test shows nothing")
	g.Expect(p.standing(t)()).To(Equal("invalid_client"))

	g.Eventually(l.ready(t, reg), patience, often).Should(Equal("False/" + v1alpha1.ReasonExpired))
	g.Eventually(func() bool {
		return l.ready(t, reg)() != "" && reg.Status.Revocation != nil && reg.Status.Revocation.VerifiedAt != nil
	}, patience, often).Should(BeTrue())
	r := reg.Status.Revocation
	g.Expect(r.Cause).To(Equal(v1alpha1.CauseExpired))
	g.Expect(r.ResidualUntil.Sub(r.RevokedAtASAt.Time)).To(BeNumerically("~", (900+copySeconds)*time.Second, time.Second))
}

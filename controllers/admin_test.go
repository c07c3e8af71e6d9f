// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/exchange"
	"github.com/mcp-registrar/mcp-registrar/test/devas"
)

// admin is a world whose authorization server is managed through an admin API.
func admin(t *testing.T, adapt ...func(*v1alpha1.AuthorizationServer)) *world {
	t.Helper()
	return newWorld(t, devas.Options{Hydra: true}, adapt...)
}

// ready makes a registration with a grant and waits for its client.
func (w *world) ready(t *testing.T, reg *v1alpha1.MCPClientRegistration) {
	t.Helper()
	w.create(t, reg, w.grant(reg.Name, time.Now().Add(time.Hour), "files:read"))
	NewWithT(t).Eventually(w.state(t, reg), eventually, often).Should(Equal("True/Ready"))
}

func (w *world) annotate(t *testing.T, object client.Object, key, value string) {
	t.Helper()
	change, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": map[string]string{key: value}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Patch(t.Context(), object, client.RawPatch("application/merge-patch+json", change)); err != nil {
		t.Fatal(err)
	}
}

func condition(reg *v1alpha1.MCPClientRegistration, kind string) string {
	c := meta.FindStatusCondition(reg.Status.Conditions, kind)
	if c == nil {
		return ""
	}
	return string(c.Status) + "/" + c.Reason
}

func TestAdminAPIFromWishToProof(t *testing.T) {
	t.Parallel()
	w := admin(t, func(as *v1alpha1.AuthorizationServer) { as.Spec.CanaryTokens = new(true) })
	for _, method := range []v1alpha1.TokenEndpointAuthMethod{v1alpha1.AuthMethodNone, v1alpha1.AuthMethodClientSecretBasic, v1alpha1.AuthMethodPrivateKeyJWT} {
		t.Run(string(method), func(t *testing.T) {
			g := NewWithT(t)
			reg := w.registration(strings.ToLower(string(method)), method, time.Now().Add(time.Hour))
			w.ready(t, reg)
			id := reg.Status.ClientID
			g.Expect(id).To(HavePrefix("mcpr-"))
			if method != v1alpha1.AuthMethodNone {
				g.Eventually(func() string { w.state(t, reg)(); return condition(reg, v1alpha1.ConditionTokensConform) }, eventually, often).
					Should(Equal("False/WrongAudience"), "this server ignores the parameter resource (RFC 8707)")
				g.Expect(w.token(t, reg)).To(Equal(http.StatusOK))
			}
			extra := w.grant(reg.Name, time.Now().Add(time.Hour), "notes:read")
			w.create(t, extra)
			g.Eventually(func() int { w.state(t, reg)(); return len(reg.Status.Scopes) }, eventually, often).Should(Equal(2))
			g.Expect(reg.Status.ClientID).To(Equal(id))
			g.Expect(w.Delete(t.Context(), reg)).To(Succeed())
			g.Eventually(w.state(t, reg), eventually, often).Should(Equal("gone"))
			g.Expect(w.as.Clients()).NotTo(ContainElement(HaveField("ID", id)))
		})
	}
}

// secret is the credentials Secret of a registration.
func (w *world) secret(t *testing.T, reg *v1alpha1.MCPClientRegistration) *corev1.Secret {
	t.Helper()
	var secret corev1.Secret
	if err := w.Get(t.Context(), client.ObjectKey{Namespace: w.namespace, Name: reg.Name + "-mcp-client"}, &secret); err != nil {
		t.Fatal(err)
	}
	return &secret
}

// token asks for a token with what the Secret holds now, as a client would that
// reads it again for each request, and returns the status of the answer.
func (w *world) token(t *testing.T, reg *v1alpha1.MCPClientRegistration) int {
	t.Helper()
	return tokenStatus(t, w.secret(t, reg).Data)
}

func tokenStatus(t *testing.T, data map[string][]byte) int {
	t.Helper()
	endpoint := string(data[v1alpha1.SecretKeyTokenEndpoint])
	form := map[string][]string{}
	if key := data[v1alpha1.SecretKeyPrivateKey]; len(key) > 0 {
		handle := authserver.Handle{ClientID: string(data[v1alpha1.SecretKeyClientID]), PrivateKey: authserver.NewSecret(string(key)), KeyID: string(data[v1alpha1.SecretKeyKeyID])}
		assertion, err := exchange.Assertion(handle, endpoint, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		form = assertion
	}
	form["grant_type"] = []string{"client_credentials"}
	form["scope"] = []string{string(data[v1alpha1.SecretKeyScope])}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, endpoint, strings.NewReader(encodeForm(form)))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if secret := data[v1alpha1.SecretKeyClientSecret]; len(secret) > 0 {
		request.SetBasicAuth(string(data[v1alpha1.SecretKeyClientID]), string(secret))
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	if err := answer.Body.Close(); err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode
}

// A client that reads its Secret again for each request is never refused while
// its key is replaced twenty times, and the old keys are of no use in the end.
func TestKeyRotationUnderLoad(t *testing.T) {
	t.Parallel()
	tokens := devas.Switches{RotateRegistrationToken: devas.RotateAlways}
	for name, w := range map[string]*world{"admin API": admin(t), "dynamic registration": newWorld(t, devas.Options{Switches: tokens})} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rotateUnderLoad(t, w)
		})
	}
}

func rotateUnderLoad(t *testing.T, w *world) {
	g := NewWithT(t)
	const rotations = 20
	reg := w.registration("busy", v1alpha1.AuthMethodPrivateKeyJWT, time.Now().Add(time.Hour))
	reg.Spec.Credentials = &v1alpha1.Credentials{RotationOverlapSeconds: new(int32(overlap / time.Second))}
	w.ready(t, reg)
	id, first := reg.Status.ClientID, w.secret(t, reg)
	user := &busyUser{t: t, w: w, reg: reg.DeepCopy(), stop: make(chan struct{}), done: make(chan struct{})}
	go user.run()
	defer user.end()
	seen := map[string]bool{}
	for i := range rotations {
		before := string(w.secret(t, reg).Data[v1alpha1.SecretKeyKeyID])
		seen[before] = true
		w.annotate(t, reg, v1alpha1.AnnotationRotate, strconv.Itoa(i))
		g.Eventually(func() string { return string(w.secret(t, reg).Data[v1alpha1.SecretKeyKeyID]) }, eventually, often).
			ShouldNot(Equal(before), func() string { return fmt.Sprintf("rotation %d: %s %+v", i, w.state(t, reg)(), reg.Status) })
	}
	user.end()
	n := user.asked
	g.Expect(seen).To(HaveLen(rotations))
	g.Expect(n).To(BeNumerically(">", rotations))
	g.Eventually(func() *metav1.Time { w.state(t, reg)(); return reg.Status.OldKeyUntil }, eventually, often).Should(BeNil())
	g.Expect(reg.Status.ClientID).To(Equal(id))
	g.Expect(reg.Status.RotatedAt).NotTo(BeNil())
	g.Expect(tokenStatus(t, first.Data)).To(Equal(http.StatusUnauthorized))
	g.Expect(w.token(t, reg)).To(Equal(http.StatusOK))
	t.Logf("%d tokens during %d rotations", n, rotations)
}

// overlap is for how long a key that was replaced is still good.
const overlap = time.Second

// busyUser asks for one token after the other, and is never to be refused. What
// comes of a Secret that was read longer ago than the overlap shows nothing.
type busyUser struct {
	t          *testing.T
	w          *world
	reg        *v1alpha1.MCPClientRegistration
	once       sync.Once
	stop, done chan struct{}
	asked      int
}

func (u *busyUser) run() {
	defer close(u.done)
	for ; ; u.asked++ {
		select {
		case <-u.stop:
			return
		default:
		}
		read := time.Now()
		if status := u.w.token(u.t, u.reg); status != http.StatusOK && time.Since(read) < overlap {
			u.t.Errorf("request %d for a token: status %d", u.asked, status)
			return
		}
	}
}

func (u *busyUser) end() {
	u.once.Do(func() { close(u.stop) })
	<-u.done
}

// A secret that the operator chose is replaced on demand and by age; one that
// the server chose cannot be, and an event says so.
func TestSecretRotation(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	w := admin(t)
	reg := w.registration("machine", v1alpha1.AuthMethodClientSecretBasic, time.Now().Add(time.Hour))
	w.ready(t, reg)
	id, first := reg.Status.ClientID, w.secret(t, reg)
	w.annotate(t, reg, v1alpha1.AnnotationRotate, "now")
	g.Eventually(func() bool {
		return bytes.Equal(w.secret(t, reg).Data[v1alpha1.SecretKeyClientSecret], first.Data[v1alpha1.SecretKeyClientSecret])
	}, eventually, often).Should(BeFalse())
	g.Eventually(w.state(t, reg), eventually, often).Should(Equal("True/Ready"))
	g.Expect(reg.Status.ClientID).To(Equal(id))
	g.Expect(w.token(t, reg)).To(Equal(http.StatusOK))
	g.Expect(tokenStatus(t, first.Data)).To(Equal(http.StatusUnauthorized))

	// A Secret that was edited or deleted is restored, with the same client.
	second := w.secret(t, reg)
	g.Expect(w.Delete(t.Context(), second)).To(Succeed())
	w.annotate(t, reg, "example.com/nudge", "1")
	g.Eventually(func() error {
		var secret corev1.Secret
		return w.Get(t.Context(), client.ObjectKeyFromObject(second), &secret)
	}, eventually, often).Should(Succeed())
	g.Expect(w.secret(t, reg).Data).To(Equal(second.Data))

	other := newWorld(t, devas.Options{})
	fixed := other.registration("fixed", v1alpha1.AuthMethodClientSecretBasic, time.Now().Add(time.Hour))
	fixed.Annotations[v1alpha1.AnnotationRotate] = "now"
	other.ready(t, fixed)
	g.Eventually(other.told(t, "RotationUnsupported"), eventually, often).Should(Equal(1))
}

// told counts the events of a reason in the namespace of the test.
func (w *world) told(t *testing.T, reason string) func() int {
	return func() int {
		var list eventsv1.EventList
		if err := w.List(t.Context(), &list, client.InNamespace(w.namespace)); err != nil {
			t.Error(err)
		}
		n := 0
		for i := range list.Items {
			if list.Items[i].Reason == reason {
				n++
			}
		}
		return n
	}
}

// Clients that belong to nobody are counted and named, and reaped after their
// grace where that is asked for, and so are those of a cluster that is said to be gone;
// those of strangers and of other clusters are left alone.
func TestInventoryAndReaping(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	w := admin(t)
	const strangers = 120
	for i := range strangers {
		w.hydraClient(t, fmt.Sprintf("stranger-%03d", i), "")
	}
	reg := w.registration("mine", v1alpha1.AuthMethodClientSecretBasic, time.Now().Add(time.Hour))
	w.ready(t, reg)
	w.hydraClient(t, "lost", "mcp-registrar/cluster-uid/00000000-0000-0000-0000-000000000000")
	w.hydraClient(t, "theirs", "mcp-registrar/other-cluster/"+string(reg.UID))
	w.hydraClient(t, "before", "mcp-registrar/gone-cluster/"+string(reg.UID))
	var as v1alpha1.AuthorizationServer
	inventory := func() *v1alpha1.Inventory {
		if err := w.Get(t.Context(), client.ObjectKey{Name: w.name}, &as); err != nil {
			t.Error(err)
		}
		return as.Status.Inventory
	}
	g.Eventually(inventory, eventually, often).ShouldNot(BeNil())
	w.changeAS(t, map[string]any{"orphanPolicy": "Report", "orphanGraceSeconds": 61, "formerClusters": []string{"gone-cluster"}})
	g.Eventually(func() int32 { return inventory().Orphaned }, eventually, often).Should(Equal(int32(2)))
	g.Expect(as.Status.Inventory.Managed).To(Equal(int32(1)))
	g.Expect(as.Status.Inventory.Unmanaged).To(Equal(int32(strangers + 1)))
	g.Expect(as.Status.Inventory.UnmanagedClients).To(HaveLen(50))
	g.Expect(as.Status.Inventory.OrphanedClients).To(ConsistOf(HaveField("ClientID", "lost"), HaveField("ClientID", "before")))
	// The grace is over: the first sight is put into the past.
	g.Eventually(func() error {
		for i := range inventory().OrphanedClients {
			as.Status.Inventory.OrphanedClients[i].Since = metav1.NewTime(time.Now().Add(-time.Hour))
		}
		return w.Status().Update(t.Context(), &as)
	}, eventually, often).Should(Succeed())
	w.changeAS(t, map[string]any{"orphanPolicy": "Reap", "orphanGraceSeconds": 60})
	g.Eventually(func() int32 { return inventory().Orphaned }, eventually, often).Should(BeZero())
	ids := map[string]bool{}
	for _, c := range w.as.Clients() {
		ids[c.ID] = true
	}
	g.Expect(ids).To(HaveLen(strangers + 2))
	g.Expect(ids).To(HaveKey("theirs"))
	g.Expect(ids).To(HaveKey(reg.Status.ClientID))
	g.Expect(ids).NotTo(HaveKey("lost"))
	g.Expect(ids).NotTo(HaveKey("before"))
}

// changeAS merges into the spec of the AuthorizationServer, which has its
// clients listed anew.
func (w *world) changeAS(t *testing.T, spec map[string]any) {
	t.Helper()
	change, err := json.Marshal(map[string]any{"spec": spec})
	if err != nil {
		t.Fatal(err)
	}
	as := &v1alpha1.AuthorizationServer{ObjectMeta: metav1.ObjectMeta{Name: w.name}}
	if err := w.Patch(t.Context(), as, client.RawPatch("application/merge-patch+json", change)); err != nil {
		t.Fatal(err)
	}
}

var hydraCalls atomic.Int32

// hydraClient creates a client past the operator, with the ownership mark of
// somebody, or of nobody.
func (w *world) hydraClient(t *testing.T, id, owner string) {
	t.Helper()
	body := map[string]any{
		"client_id": id, "client_name": id, "client_secret": fmt.Sprintf("secret-%d", hydraCalls.Add(1)),
		"grant_types": []string{"client_credentials"}, "token_endpoint_auth_method": "client_secret_basic", "scope": "files:read",
	}
	if owner != "" {
		body["owner"] = owner
		body["metadata"] = map[string]string{"software_id": owner, "software_version": "mark"}
	}
	encoded, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.as.HydraURL()+"/admin/clients", bytes.NewReader(encoded))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	if err := answer.Body.Close(); err != nil {
		t.Fatal(err)
	}
	if answer.StatusCode != http.StatusCreated {
		t.Fatalf("creating client %s: status %d", id, answer.StatusCode)
	}
}

// T14: a client of somebody else is taken over with the platform team's leave,
// keeps its id and gets what is granted; without leave it is not touched.
func TestT14AdoptedByLeaveOnly(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	w := admin(t)
	w.hydraClient(t, "old-client", "")
	reg := w.registration("heir", v1alpha1.AuthMethodClientSecretBasic, time.Now().Add(time.Hour))
	reg.Annotations[v1alpha1.AnnotationAdopt] = "old-client"
	w.create(t, reg, w.grant(reg.Name, time.Now().Add(time.Hour), "files:read"))
	g.Eventually(w.state(t, reg), eventually, often).Should(Equal("False/AdoptionNotAllowed"))
	g.Expect(w.as.Clients()).To(HaveLen(1))
	w.changeAS(t, map[string]any{"adoptions": []map[string]string{{"clientID": "old-client", "namespace": w.namespace, "name": "heir"}}})
	g.Eventually(w.state(t, reg), eventually, often).Should(Equal("True/Ready"))
	g.Expect(reg.Status.ClientID).To(Equal("old-client"))
	g.Expect(w.token(t, reg)).To(Equal(http.StatusOK))
	g.Expect(w.as.Clients()).To(HaveLen(1))
	g.Expect(w.Delete(t.Context(), reg)).To(Succeed())
	g.Eventually(w.state(t, reg), eventually, often).Should(Equal("gone"))
	g.Expect(w.as.Clients()).To(BeEmpty())
}

func encodeForm(form map[string][]string) string { return url.Values(form).Encode() }

// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clocktesting "k8s.io/utils/clock/testing"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/controllers"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/metadatadocument"
	"github.com/mcp-registrar/mcp-registrar/test/env"
)

// library is a cluster in which nobody leads, with a manager that serves
// documents, and what is on record there.
type library struct {
	client.Client
	manager manager.Manager
	clock   *clocktesting.FakePassiveClock
	host    *metadatadocument.Host
	record  *controllers.Documents
}

func newLibrary(t *testing.T) *library {
	t.Helper()
	cluster := env.StartForTest(t, env.Options{CRDs: true})
	scheme, err := newScheme()
	if err != nil {
		t.Fatal(err)
	}
	l := &library{clock: clocktesting.NewFakePassiveClock(time.Now())}
	if l.Client, err = client.New(cluster.Config, client.Options{Scheme: scheme}); err != nil {
		t.Fatal(err)
	}
	l.host = metadatadocument.NewHost(metadatadocument.HostOptions{Now: l.clock.Now, PerSecond: 1 << 20})
	for _, name := range []string{operatorNamespace, "team"} {
		l.create(t, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}})
	}
	// Another manager leads, and does nothing.
	holder, seconds, renewed := "another", int32(3600), metav1.NowMicro()
	l.create(t, &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{Namespace: operatorNamespace, Name: "test"},
		Spec:       coordinationv1.LeaseSpec{HolderIdentity: &holder, LeaseDurationSeconds: &seconds, RenewTime: &renewed, AcquireTime: &renewed},
	})
	lease := time.Hour
	l.manager, err = ctrl.NewManager(cluster.Config, manager.Options{
		Scheme: scheme, Metrics: metricsserver.Options{BindAddress: "0"}, HealthProbeBindAddress: "0",
		LeaderElection: true, LeaderElectionID: "test", LeaderElectionNamespace: operatorNamespace, LeaseDuration: &lease,
	})
	if err != nil {
		t.Fatal(err)
	}
	l.record = l.documents(l.manager.GetAPIReader())
	if err := l.record.SetupWithManager(t.Context(), l.manager); err != nil {
		t.Fatal(err)
	}
	l.host.Attach(l.record)
	if got := l.ask(t, "https://clients.example.com/mcp/x"); got.Code != http.StatusServiceUnavailable {
		t.Errorf("before anything is known: %d", got.Code)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- l.manager.Start(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	NewWithT(t).Eventually(l.record.Current, eventually, often).Should(BeTrue())
	select {
	case <-l.manager.Elected():
		t.Error("the manager leads")
	default:
	}
	return l
}

func (l *library) documents(live client.Reader) *controllers.Documents {
	return &controllers.Documents{Client: l.manager.GetClient(), Live: live, Clock: l.clock, Namespace: operatorNamespace}
}

func (l *library) create(t *testing.T, objects ...client.Object) {
	t.Helper()
	(&world{Client: l.Client}).create(t, objects...)
}

func (l *library) ask(t *testing.T, id string) *httptest.ResponseRecorder {
	t.Helper()
	answer := httptest.NewRecorder()
	l.host.ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), http.MethodGet, strings.TrimPrefix(id, "https://clients.example.com"), http.NoBody))
	return answer
}

// becomes waits until the document of an id is answered with a status.
func (l *library) becomes(t *testing.T, id string, status int) {
	t.Helper()
	NewWithT(t).Eventually(func() int { return l.ask(t, id).Code }, eventually, often).Should(Equal(status), id)
}

// told is what is on record, in the words of its JSON.
type told map[string]any

func registered(id string) told {
	return told{
		"state": "Registered",
		"connection": told{
			"name": "documents", "issuer": "https://as.example.com", "method": "MetadataDocument",
			"baseURL": "https://clients.example.com/mcp", "copySeconds": 30,
		},
		"client": told{"id": id, "registered": told{
			"client_name": "agent [mark]", "software_version": "mark", "token_endpoint_auth_method": "none", "application_type": "native",
			"grant_types": []string{"authorization_code"}, "response_types": []string{"code"},
			"redirect_uris": []string{"http://127.0.0.1/callback"}, "scopes": []string{"files:read"},
		}},
	}
}

func encoded(t *testing.T, what told) map[string][]byte {
	t.Helper()
	data, err := json.Marshal(what)
	if err != nil {
		t.Fatal(err)
	}
	return map[string][]byte{"record.json": data}
}

// put makes a registration with an end, and its record.
func (l *library) put(t *testing.T, id string) (*v1alpha1.MCPClientRegistration, *corev1.Secret) {
	t.Helper()
	w := &world{name: "documents", namespace: "team"}
	_, name, _ := strings.Cut(id, "/mcp/")
	reg := w.registration(name, v1alpha1.AuthMethodNone, time.Now().Add(time.Hour))
	reg.Finalizers = []string{"test.example.com/held"}
	l.create(t, reg)
	l.end(t, reg, l.clock.Now().Add(time.Hour))
	record := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: operatorNamespace, Name: "registration-" + string(reg.UID),
			Labels:      map[string]string{v1alpha1.LabelRegistrationUID: string(reg.UID)},
			Annotations: map[string]string{"mcp-registrar.dev/registration-namespace": "team", "mcp-registrar.dev/registration-name": name},
		},
		Type: v1alpha1.SecretTypeRecord, Data: encoded(t, registered(id)),
	}
	l.create(t, record)
	return reg, record
}

// end says in the status when a registration ends.
func (l *library) end(t *testing.T, reg *v1alpha1.MCPClientRegistration, at time.Time) {
	t.Helper()
	reg.Status.ExpiresAt = new(metav1.NewTime(at))
	if err := l.Status().Update(t.Context(), reg); err != nil {
		t.Fatal(err)
	}
}

// TestDocumentsFollowTheRecord: a manager that does not lead serves the clients
// that are registered and wished for, and no others.
func TestDocumentsFollowTheRecord(t *testing.T) {
	t.Parallel()
	l := newLibrary(t)
	const base = "https://clients.example.com/mcp/"
	stays, _ := l.put(t, base+"stays")
	l.becomes(t, base+"stays", http.StatusOK)
	g := NewWithT(t)
	answer := l.ask(t, base+"stays")
	g.Expect(answer.Body.String()).To(And(ContainSubstring(`"client_id":"`+base+`stays"`), ContainSubstring(`"client_name":"agent"`), ContainSubstring(`"scope":"files:read"`)))
	g.Expect(answer.Header().Get("Cache-Control")).To(Equal("max-age=30, must-revalidate"))

	rewrite := func(change func(told)) func(*testing.T, *v1alpha1.MCPClientRegistration, *corev1.Secret) {
		return func(t *testing.T, reg *v1alpha1.MCPClientRegistration, record *corev1.Secret) {
			what := registered(base + reg.Name)
			change(what)
			record.Data = encoded(t, what)
			if err := l.Update(t.Context(), record); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, change := range map[string]func(*testing.T, *v1alpha1.MCPClientRegistration, *corev1.Secret){
		"pending": rewrite(func(r told) { r["state"] = "Pending" }),
		"deleted": rewrite(func(r told) { r["state"] = "Deleted" }),
		"revoked": rewrite(func(r told) { r["state"] = "Revoked" }),
		"begun":   rewrite(func(r told) { r["cause"] = "Expired" }),
		"moved":   rewrite(func(r told) { r["connection"] = told{"name": "documents", "issuer": "https://as.example.com"} }),
		"broken":  rewrite(func(r told) { r["state"] = 7 }),
		"unrecorded": func(t *testing.T, _ *v1alpha1.MCPClientRegistration, record *corev1.Secret) {
			if err := l.Delete(t.Context(), record); err != nil {
				t.Error(err)
			}
		},
		"deleting": func(t *testing.T, reg *v1alpha1.MCPClientRegistration, _ *corev1.Secret) {
			if err := l.Delete(t.Context(), reg); err != nil {
				t.Error(err)
			}
		},
		"gone": func(t *testing.T, reg *v1alpha1.MCPClientRegistration, _ *corev1.Secret) {
			reg.Finalizers = nil
			if err := errors.Join(l.Update(t.Context(), reg), l.Delete(t.Context(), reg)); err != nil {
				t.Error(err)
			}
		},
		"endless": func(t *testing.T, reg *v1alpha1.MCPClientRegistration, _ *corev1.Secret) {
			reg.Status.ExpiresAt = nil
			if err := l.Status().Update(t.Context(), reg); err != nil {
				t.Error(err)
			}
		},
		"another": func(t *testing.T, reg *v1alpha1.MCPClientRegistration, _ *corev1.Secret) {
			again := reg.DeepCopy()
			again.ResourceVersion, again.UID = "", ""
			reg.Finalizers = nil
			if err := errors.Join(l.Update(t.Context(), reg), l.Delete(t.Context(), reg), l.Create(t.Context(), again)); err != nil {
				t.Error(err)
			}
			l.end(t, again, l.clock.Now().Add(time.Hour))
		},
		"twice": func(t *testing.T, reg *v1alpha1.MCPClientRegistration, record *corev1.Secret) {
			second := record.DeepCopy()
			second.ResourceVersion, second.Name = "", "registration-second"
			second.Labels[v1alpha1.LabelRegistrationUID] = "second"
			l.create(t, second)
		},
	} {
		t.Run(name, func(t *testing.T) {
			reg, record := l.put(t, base+name)
			l.becomes(t, base+name, http.StatusOK)
			change(t, reg, record)
			l.becomes(t, base+name, http.StatusNotFound)
		})
	}
	g.Expect(l.ask(t, base+"stays").Code).To(Equal(http.StatusOK))

	// A status that follows the record is awaited for a minute.
	fresh, record := l.put(t, base+"fresh")
	fresh.Status.ExpiresAt = nil
	g.Expect(l.Status().Update(t.Context(), fresh)).To(Succeed())
	l.becomes(t, base+"fresh", http.StatusNotFound)
	rewrite(func(r told) { r["registeredAt"] = l.clock.Now().Add(-time.Second) })(t, fresh, record)
	l.becomes(t, base+"fresh", http.StatusOK)
	l.clock.SetTime(l.clock.Now().Add(59 * time.Second))
	g.Expect(l.ask(t, base+"fresh").Code).To(Equal(http.StatusNotFound))

	// The end comes with no event and nobody leading.
	l.end(t, stays, l.clock.Now().Add(30*time.Minute).Truncate(time.Second))
	l.clock.SetTime(stays.Status.ExpiresAt.Add(-time.Second))
	g.Eventually(func() string {
		if err := l.record.Confirm(t.Context()); err != nil {
			return err.Error()
		}
		return l.ask(t, base+"stays").Header().Get("Cache-Control")
	}, eventually, often).Should(Equal("max-age=1, must-revalidate"))
	l.clock.SetTime(stays.Status.ExpiresAt.Time)
	g.Expect(l.ask(t, base+"stays").Code).To(Equal(http.StatusNotFound))
}

// TestThePresentAuthorizationServerSaysHowLongCopiesLive follows a change of
// cacheSeconds.
func TestThePresentAuthorizationServerSaysHowLongCopiesLive(t *testing.T) {
	t.Parallel()
	l := newLibrary(t)
	const id = "https://clients.example.com/mcp/agent"
	l.put(t, id)
	l.becomes(t, id, http.StatusOK)
	as := &v1alpha1.AuthorizationServer{ObjectMeta: metav1.ObjectMeta{Name: "documents"}, Spec: v1alpha1.AuthorizationServerSpec{
		Issuer:           "https://as.example.com",
		MetadataDocument: &v1alpha1.MetadataDocumentManagement{BaseURL: "https://clients.example.com/mcp", CacheSeconds: new(int32(7))},
	}}
	l.create(t, as)
	control := func() string { return l.ask(t, id).Header().Get("Cache-Control") }
	NewWithT(t).Eventually(control, eventually, often).Should(Equal("max-age=7, must-revalidate"))
	if err := l.Delete(t.Context(), as); err != nil {
		t.Fatal(err)
	}
	NewWithT(t).Eventually(control, eventually, often).Should(Equal("max-age=30, must-revalidate"))
}

// silent is a reader that fails, or that holds an older version of everything.
type silent struct {
	client.Reader
	err   error
	older bool
}

func (b *silent) Get(ctx context.Context, key client.ObjectKey, object client.Object, options ...client.GetOption) error {
	if b.err != nil {
		return b.err
	}
	err := b.Reader.Get(ctx, key, object, options...)
	if b.older {
		object.SetResourceVersion("1")
	}
	return err
}

// TestAManagerThatHearsNothingServesNothing: it goes on for a minute, and comes
// back by itself.
func TestAManagerThatHearsNothingServesNothing(t *testing.T) {
	t.Parallel()
	l := newLibrary(t)
	g := NewWithT(t)
	const id = "https://clients.example.com/mcp/agent"
	live := &silent{Reader: l.manager.GetAPIReader()}
	documents := l.documents(live)
	l.host.Attach(documents)
	g.Expect(documents.Current()).To(BeFalse())
	g.Expect(documents.Confirm(t.Context())).To(Succeed(), "nothing on record")
	g.Expect(documents.Current()).To(BeTrue())
	l.put(t, id)
	l.becomes(t, id, http.StatusOK)
	for name, change := range map[string]func(){
		"the API server does not answer": func() { live.err = errors.New("no route to host") },
		"the cache is behind":            func() { live.older = true },
	} {
		live.err, live.older = nil, false
		g.Expect(documents.Confirm(t.Context())).To(Succeed(), name)
		change()
		l.clock.SetTime(l.clock.Now().Add(time.Minute - 1))
		g.Expect(documents.Confirm(t.Context())).NotTo(Succeed(), name)
		g.Expect(l.ask(t, id).Code).To(Equal(http.StatusOK), name)
		l.clock.SetTime(l.clock.Now().Add(1))
		g.Expect(documents.Confirm(t.Context())).NotTo(Succeed(), name)
		g.Expect(l.ask(t, id).Code).To(Equal(http.StatusServiceUnavailable), name)
		live.err, live.older = nil, false
		g.Expect(documents.Confirm(t.Context())).To(Succeed(), name)
		g.Expect(l.ask(t, id).Code).To(Equal(http.StatusOK), name)
	}
}

// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/test/devas"
)

const (
	public = v1alpha1.AuthMethodNone
	secret = v1alpha1.AuthMethodClientSecretBasic
	key    = v1alpha1.AuthMethodPrivateKeyJWT
)

// register makes a registration with a grant and waits for the given state.
func (w *world) register(t *testing.T, name string, method v1alpha1.TokenEndpointAuthMethod, state string) *v1alpha1.MCPClientRegistration {
	t.Helper()
	reg := w.registration(name, method, time.Now().Add(time.Hour))
	w.create(t, reg, w.grant(name, time.Now().Add(time.Hour), "files:read"))
	w.waitFor(t, reg, state)
	return reg
}

// waitFor waits for a state of Ready.
func (w *world) waitFor(t *testing.T, reg *v1alpha1.MCPClientRegistration, state string) {
	t.Helper()
	NewWithT(t).Eventually(w.state(t, reg), eventually, often).Should(Equal(state), func() string { return describe(reg) })
}

func describe(reg *v1alpha1.MCPClientRegistration) string {
	text, err := json.MarshalIndent(reg.Status, "", " ")
	return fmt.Sprint(string(text), err)
}

func (w *world) remove(t *testing.T, object client.Object) {
	t.Helper()
	if err := w.Delete(t.Context(), object); err != nil {
		t.Fatal(err)
	}
}

// edit changes an object under its present version.
func edit[T client.Object](t *testing.T, w *world, object T, change func(T)) {
	t.Helper()
	NewWithT(t).Eventually(func() error {
		if err := w.Get(t.Context(), client.ObjectKeyFromObject(object), object); err != nil {
			return err
		}
		change(object)
		return w.Update(t.Context(), object)
	}, eventually, often).Should(Succeed())
}

// nudge makes the operator look again now.
func (w *world) nudge(t *testing.T, reg *v1alpha1.MCPClientRegistration) {
	t.Helper()
	edit(t, w, reg, func(reg *v1alpha1.MCPClientRegistration) {
		reg.Annotations["test.example.com/nudge"] = time.Now().Format(time.RFC3339Nano)
	})
}

func (w *world) order(t *testing.T, fault devas.Fault) {
	t.Helper()
	if err := w.as.Order(fault); err != nil {
		t.Fatal(err)
	}
}

func (w *world) set(t *testing.T, switches devas.Switches) {
	t.Helper()
	if err := w.as.Set(switches); err != nil {
		t.Fatal(err)
	}
}

// record reads the registration record.
func (w *world) record(t *testing.T, reg *v1alpha1.MCPClientRegistration) *corev1.Secret {
	t.Helper()
	var record corev1.Secret
	name := types.NamespacedName{Namespace: operatorNamespace, Name: "registration-" + string(reg.UID)}
	if err := w.Get(t.Context(), name, &record); err != nil {
		t.Fatal(err)
	}
	return &record
}

// letGo is what the runbook tells an administrator to do.
func (w *world) letGo(t *testing.T, reg *v1alpha1.MCPClientRegistration) {
	t.Helper()
	record := w.record(t, reg)
	edit(t, w, record, func(record *corev1.Secret) {
		record.Annotations[v1alpha1.AnnotationRelease] = "alice: deleted in the console"
	})
}

// stays checks that an object that is being deleted is held for a while.
func (w *world) stays(t *testing.T, reg *v1alpha1.MCPClientRegistration, reason string) {
	t.Helper()
	g := NewWithT(t)
	w.remove(t, reg)
	g.Eventually(func() string {
		w.state(t, reg)()
		if c := meta.FindStatusCondition(reg.Status.Conditions, v1alpha1.ConditionRegistered); c != nil {
			return string(c.Status) + "/" + c.Reason
		}
		return ""
	}, eventually, often).Should(Equal("Unknown/"+reason), func() string { return describe(reg) })
	g.Expect(reg.Finalizers).To(ContainElement(v1alpha1.Finalizer))
}

func TestT20UnauthorizedDeletionOfALiveClientKeepsTheFinalizer(t *testing.T) {
	t.Parallel()
	for name, method := range map[string]v1alpha1.TokenEndpointAuthMethod{"public": public, "secret": secret, "key": key} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, devas.Options{})
			reg := w.register(t, name, method, "True/Ready")
			w.order(t, devas.Fault{Operation: devas.Delete, Status: http.StatusUnauthorized})
			w.stays(t, reg, v1alpha1.ReasonManagementLost)
			w.nudge(t, reg)
			NewWithT(t).Consistently(w.state(t, reg), 2*time.Second, often).Should(Equal("Unknown/ManagementLost"))
			if live := len(w.as.Clients()); live != 1 {
				t.Fatalf("%d clients live, want the one", live)
			}
			w.as.ClearFaults()
			w.nudge(t, reg)
			w.waitFor(t, reg, "gone")
			if live := len(w.as.Clients()); live != 0 {
				t.Errorf("%d clients live", live)
			}
		})
	}
}

func TestUnauthorizedDeletionOfAGoneClientIsProvenByTheSecondWitness(t *testing.T) {
	t.Parallel()
	for name, method := range map[string]v1alpha1.TokenEndpointAuthMethod{"public": public, "secret": secret, "key": key} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, devas.Options{})
			reg := w.register(t, name, method, "True/Ready")
			if err := w.as.Remove(reg.Status.ClientID); err != nil {
				t.Fatal(err)
			}
			w.remove(t, reg)
			w.waitFor(t, reg, "gone")
			if calls := w.as.Counts().Total(devas.Token); calls == 0 {
				t.Error("the second witness was not heard")
			}
		})
	}
}

func TestRefusedDeletionIsHeldUntilAPersonLetsGo(t *testing.T) {
	t.Parallel()
	w := newWorld(t, devas.Options{})
	reg := w.register(t, "held", public, "True/Ready")
	w.order(t, devas.Fault{Operation: devas.Delete, Status: http.StatusMethodNotAllowed})
	w.stays(t, reg, v1alpha1.ReasonManagementUnsupported)
	w.letGo(t, reg)
	w.waitFor(t, reg, "gone")
}

func TestRetryAfterIsObeyedInBothForms(t *testing.T) {
	t.Parallel()
	for name, dated := range map[string]bool{"seconds": false, "date": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, devas.Options{})
			NewWithT(t).Eventually(func() int { return w.as.Counts().Total(devas.Discovery) }, eventually, often).Should(BeNumerically(">", 0))
			// The date has whole seconds; what is early by a tenth is not early.
			header, date := "2", time.Now().Add(8*time.Second).Truncate(time.Second)
			if dated {
				header = date.UTC().Format(http.TimeFormat)
			}
			w.order(t, devas.Fault{Operation: devas.Register, Status: http.StatusTooManyRequests, RetryAfter: header, Count: 1})
			reg := w.register(t, "patient", public, "True/Ready")
			counts := w.as.Counts()[devas.Register]
			if counts[http.StatusTooManyRequests] != 1 || counts[http.StatusCreated] != 1 {
				t.Errorf("registrations by status: %v, want one 429 and one 201", counts)
			}
			var refused, created time.Time
			for _, entry := range w.as.Log() {
				switch {
				case entry.Operation == devas.Register && entry.Status == http.StatusTooManyRequests:
					refused = entry.Time
				case entry.Operation == devas.Register && entry.Status == http.StatusCreated:
					created = entry.Time
				}
			}
			if dated {
				refused = date.Add(-2 * time.Second)
			}
			if waited := created.Sub(refused); waited < 1900*time.Millisecond {
				t.Errorf("tried again %s too early", 2*time.Second-waited)
			}
			if len(reg.Status.PossibleOrphans) != 0 {
				t.Errorf("possible orphans: %v", reg.Status.PossibleOrphans)
			}
		})
	}
}

func TestLostAnswerOfARegistrationIsReportedAsAPossibleOrphan(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]devas.Fault{
		"error after the work": {Kind: devas.FaultStatus, Status: http.StatusInternalServerError, When: devas.After},
		"connection closed":    {Kind: devas.FaultClose, When: devas.After},
		"answer cut off":       {Kind: devas.FaultTruncate, When: devas.After},
		"answer of 5 MiB":      {Kind: devas.FaultLarge, When: devas.After},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, devas.Options{})
			fault.Operation, fault.Count = devas.Register, 1
			w.order(t, fault)
			reg := w.register(t, "lost", secret, "True/Ready")
			live := w.as.Clients()
			if len(live) != 2 || len(reg.Status.PossibleOrphans) != 1 {
				t.Fatalf("%d clients live, possible orphans %v; want ours and one orphan", len(live), reg.Status.PossibleOrphans)
			}
			for _, c := range live {
				orphan := strings.Contains(c.Name, reg.Status.PossibleOrphans[0])
				if ours := c.ID == reg.Status.ClientID; ours == orphan {
					t.Errorf("client %s (%s): ours %t, orphan %t", c.ID, c.Name, ours, orphan)
				}
			}
			g := NewWithT(t)
			var as v1alpha1.AuthorizationServer
			g.Eventually(func() *v1alpha1.ClientCounts {
				g.Expect(w.Get(t.Context(), types.NamespacedName{Name: w.name}, &as)).To(Succeed())
				return as.Status.Clients
			}, eventually, often).Should(Equal(&v1alpha1.ClientCounts{Managed: 1, PossibleOrphans: 1}))
			w.remove(t, reg)
			w.waitFor(t, reg, "gone")
			if record := w.record(t, reg); record.Labels[v1alpha1.LabelPossibleOrphan] != "true" {
				t.Error("the possible orphan is no longer on record")
			}
		})
	}
}

func TestRotatedTokenLostWithItsAnswerIsNotTakenForAbsence(t *testing.T) {
	t.Parallel()
	for name, method := range map[string]v1alpha1.TokenEndpointAuthMethod{"public": public, "secret": secret} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, devas.Options{Switches: devas.Switches{RotateRegistrationToken: devas.RotateOnPut}})
			reg := w.register(t, name, method, "True/Ready")
			w.order(t, devas.Fault{Operation: devas.Replace, Kind: devas.FaultClose, When: devas.After, Count: 1})
			w.create(t, w.grant(name, time.Now().Add(time.Hour), "notes:read"))
			w.waitFor(t, reg, "Unknown/ManagementLost")
			w.stays(t, reg, v1alpha1.ReasonManagementLost)
			if live := len(w.as.Clients()); live != 1 {
				t.Errorf("%d clients live, want the one that is reported", live)
			}
			w.letGo(t, reg)
			w.waitFor(t, reg, "gone")
		})
	}
}

func TestT19AcceptedDeletionWithoutEffectIsNotBelieved(t *testing.T) {
	t.Parallel()
	w := newWorld(t, devas.Options{})
	reg := w.register(t, "zombie", public, "True/Ready")
	w.order(t, devas.Fault{Operation: devas.Delete, Status: http.StatusNoContent})
	w.stays(t, reg, v1alpha1.ReasonRevoking)
	w.as.ClearFaults()
	w.waitFor(t, reg, "gone")
	if live := len(w.as.Clients()); live != 0 {
		t.Errorf("%d clients live", live)
	}
}

func TestAnswersBeyondTheWishAreUndone(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		method   v1alpha1.TokenEndpointAuthMethod
		switches devas.Switches
		reason   string
	}{
		"extra scope":                {public, devas.Switches{ExtraScope: "admin"}, v1alpha1.ReasonWidened},
		"extra grant type":           {public, devas.Switches{ExtraGrantType: "implicit"}, v1alpha1.ReasonWidened},
		"extra redirect URI":         {public, devas.Switches{ExtraRedirectURI: "https://evil.example/cb"}, v1alpha1.ReasonWidened},
		"secret for a public client": {public, devas.Switches{SecretForPublic: true}, v1alpha1.ReasonWidened},
		"secret expired":             {secret, devas.Switches{SecretExpired: true}, v1alpha1.ReasonSecretExpired},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, devas.Options{Switches: c.switches})
			reg := w.register(t, "wide", c.method, "False/"+c.reason)
			g := NewWithT(t)
			w.verified(t, reg)
			g.Expect(w.as.Clients()).To(BeEmpty())
			g.Expect(w.as.Counts().Total(devas.Register)).To(Equal(1))
			g.Expect(meta.IsStatusConditionTrue(reg.Status.Conditions, v1alpha1.ConditionStalled)).To(BeTrue())
			w.nudge(t, reg)
			g.Consistently(func() int { return w.as.Counts().Total(devas.Register) }, time.Second, often).Should(Equal(1))
			if c.method == secret {
				var credentials corev1.Secret
				g.Expect(w.Get(t.Context(), types.NamespacedName{Namespace: w.namespace, Name: "wide-mcp-client"}, &credentials)).NotTo(Succeed())
			}
		})
	}
}

func TestDiscoveryThatMayNotBeUsed(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		switches devas.Switches
		ready    string
		reason   string
	}{
		"another issuer":  {devas.Switches{Issuer: "https://other.example.com"}, "False/IssuerMismatch", v1alpha1.ReasonAuthorizationServerNotReady},
		"foreign origin":  {devas.Switches{RegistrationOrigin: "http://127.0.0.1:1"}, "False/ForeignEndpoint", v1alpha1.ReasonAuthorizationServerNotReady},
		"S256 is missing": {devas.Switches{HideS256: true}, "True/Ready", v1alpha1.ReasonPKCEUnsupported},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, devas.Options{Switches: c.switches})
			w.register(t, "waiting", public, "False/"+c.reason)
			NewWithT(t).Eventually(func() string {
				var as v1alpha1.AuthorizationServer
				if err := w.Get(t.Context(), types.NamespacedName{Name: w.name}, &as); err != nil {
					return err.Error()
				}
				if ready := meta.FindStatusCondition(as.Status.Conditions, v1alpha1.ConditionReady); ready != nil {
					return string(ready.Status) + "/" + ready.Reason
				}
				return ""
			}, eventually, often).Should(Equal(c.ready), "the AuthorizationServer")
			if calls := w.as.Counts().Total(devas.Register); calls != 0 {
				t.Errorf("%d registrations were sent", calls)
			}
		})
	}
}

func TestNothingIsSentElsewhere(t *testing.T) {
	t.Parallel()
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { t.Errorf("%s %s was sent elsewhere", r.Method, r.URL) }))
	t.Cleanup(elsewhere.Close)
	for name, c := range map[string]struct {
		prepare func(*world)
		state   string
		// asked is how often a client was asked for: what may have been carried out
		// is asked for once more.
		asked int
	}{
		"redirect": {func(w *world) {
			w.order(t, devas.Fault{Operation: devas.Register, Kind: devas.FaultRedirect, When: devas.After, Location: elsewhere.URL})
		}, "False/" + v1alpha1.ReasonPossibleOrphans, 2},
		"management URI": {func(w *world) { w.set(t, devas.Switches{ClientURIOrigin: elsewhere.URL}) }, "False/" + v1alpha1.ReasonRejected, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, devas.Options{})
			c.prepare(w)
			reg := w.register(t, "astray", public, c.state)
			g := NewWithT(t)
			g.Expect(reg.Status.PossibleOrphans).To(HaveLen(c.asked))
			g.Expect(reg.Status.ClientID).To(BeEmpty())
			g.Expect(w.as.Counts().Total(devas.Register)).To(Equal(c.asked))
			w.remove(t, reg)
			w.waitFor(t, reg, "gone")
		})
	}
}

func TestServerDownForAMinuteLosesNothing(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a minute: not with -short")
	}
	t.Parallel()
	w := newWorld(t, devas.Options{})
	var doomed, wanted []*v1alpha1.MCPClientRegistration
	for i := range 20 {
		doomed = append(doomed, w.register(t, fmt.Sprintf("doomed-%d", i), public, "True/Ready"))
	}
	if err := w.as.Stop(); err != nil {
		t.Fatal(err)
	}
	for i := range 50 {
		name := fmt.Sprintf("wanted-%d", i)
		reg := w.registration(name, []v1alpha1.TokenEndpointAuthMethod{public, secret, key}[i%3], time.Now().Add(time.Hour))
		w.create(t, reg, w.grant(name, time.Now().Add(time.Hour), "files:read"))
		wanted = append(wanted, reg)
	}
	for _, reg := range doomed {
		w.remove(t, reg)
	}
	down := time.NewTimer(60 * time.Second)
	select {
	case <-down.C:
	case <-t.Context().Done():
		t.Fatal("interrupted")
	}
	for _, reg := range doomed {
		if state := w.state(t, reg)(); state == "gone" {
			t.Fatalf("%s was let go while the server was down", reg.Name)
		}
	}
	if err := w.as.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	g := NewWithT(t)
	for _, reg := range doomed {
		g.Eventually(w.state(t, reg), eventually, often).Should(Equal("gone"))
	}
	for _, reg := range wanted {
		g.Eventually(w.state(t, reg), eventually, often).Should(Equal("True/Ready"), func() string { return describe(reg) })
		g.Expect(reg.Status.PossibleOrphans).To(BeEmpty())
	}
	g.Expect(w.as.Clients()).To(HaveLen(len(wanted)))
}

func decode(t *testing.T, data []byte, into any) {
	t.Helper()
	if err := json.Unmarshal(data, into); err != nil {
		t.Fatal(err)
	}
}

func TestT20ClientOfARegistrationWithoutFinalizerIsReaped(t *testing.T) {
	t.Parallel()
	w := newWorld(t, devas.Options{})
	g := NewWithT(t)
	kept := w.register(t, "kept", public, "True/Ready")
	edit(t, w, kept, func(reg *v1alpha1.MCPClientRegistration) { reg.Finalizers = nil })
	g.Eventually(func() []string { w.state(t, kept)(); return kept.Finalizers }, eventually, often).Should(ContainElement(v1alpha1.Finalizer))

	lost := w.register(t, "lost", secret, "True/Ready")
	w.order(t, devas.Fault{Operation: devas.Delete, Status: http.StatusServiceUnavailable})
	w.remove(t, w.grantsOf(t, "lost")) // so that the finalizer's return does not race with the deletion
	w.remove(t, lost)
	edit(t, w, lost, func(reg *v1alpha1.MCPClientRegistration) { reg.Finalizers = nil })
	w.waitFor(t, lost, "gone")
	g.Expect(w.as.Clients()).To(HaveLen(2), "the client outlives its object")
	w.as.ClearFaults()
	g.Eventually(func() int { return len(w.as.Clients()) }, eventually, often).Should(Equal(1), "until the record is looked at")
}

func TestClientWithoutItsKeyIsProvenGoneAllTheSame(t *testing.T) {
	t.Parallel()
	w := newWorld(t, devas.Options{})
	reg := w.register(t, "keyless", key, "True/Ready")
	held := &corev1.Secret{}
	if err := w.Get(t.Context(), types.NamespacedName{Namespace: w.namespace, Name: reg.Status.SecretName}, held); err != nil {
		t.Fatal(err)
	}
	// The key goes first, as when the namespace is deleted, and the answer to
	// the deletion is lost.
	w.remove(t, held)
	w.order(t, devas.Fault{Operation: devas.Delete, Kind: devas.FaultClose, When: devas.After, Count: 1})
	w.remove(t, reg)
	w.waitFor(t, reg, "gone")
	if live := len(w.as.Clients()); live != 0 {
		t.Errorf("%d clients live", live)
	}
	if heard := w.as.Counts().Total(devas.Token); heard == 0 {
		t.Error("the second witness was not heard")
	}
}

func TestT20ForgedKeyIsNoWitness(t *testing.T) {
	t.Parallel()
	w := newWorld(t, devas.Options{})
	forger := w.register(t, "forger", key, "True/Ready")
	other := w.register(t, "other", key, "True/Ready")
	var own, foreign corev1.Secret
	g := NewWithT(t)
	g.Expect(w.Get(t.Context(), types.NamespacedName{Namespace: w.namespace, Name: forger.Status.SecretName}, &own)).To(Succeed())
	g.Expect(w.Get(t.Context(), types.NamespacedName{Namespace: w.namespace, Name: other.Status.SecretName}, &foreign)).To(Succeed())
	w.order(t, devas.Fault{Operation: devas.Delete, Status: http.StatusUnauthorized})
	w.order(t, devas.Fault{Operation: devas.Replace, Status: http.StatusUnauthorized})
	w.remove(t, forger)
	edit(t, w, &own, func(own *corev1.Secret) {
		own.Data[v1alpha1.SecretKeyPrivateKey] = foreign.Data[v1alpha1.SecretKeyPrivateKey]
	})
	g.Consistently(w.state(t, forger), 3*time.Second, often).ShouldNot(Equal("gone"))
	g.Expect(w.as.Clients()).To(HaveLen(2))
}

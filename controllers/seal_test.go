// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	testclock "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/controllers"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
	"github.com/mcp-registrar/mcp-registrar/test/env"
)

const (
	sealSecret = "mcp-registrar-seal"
	// epoch is some installation of the admission policies.
	epoch = "an-epoch"
)

// sealers makes sealers that have a namespace in common, and no other state.
func (w *world) sealers(t *testing.T, count int) []*controllers.Sealer {
	t.Helper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "operator-"}}
	w.create(t, namespace)
	made := make([]*controllers.Sealer, count)
	for i := range made {
		made[i] = &controllers.Sealer{Client: w.Client, Live: w.Client, Namespace: namespace.Name}
	}
	return made
}

func approvedGrant() *v1alpha1.ScopeGrant {
	at := metav1.NewTime(time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC))
	return &v1alpha1.ScopeGrant{
		ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "reader", UID: "one"},
		Status: v1alpha1.ScopeGrantStatus{Approval: &v1alpha1.Approval{
			Decision: v1alpha1.DecisionApproved, Generation: 1, Reason: "ticket 1", ApprovedBy: serverOwner,
			ExpiresAt: new(metav1.NewTime(at.Add(time.Hour))), ApprovedAt: &at,
		}},
	}
}

func seal(t *testing.T, s *controllers.Sealer, grant *v1alpha1.ScopeGrant) string {
	t.Helper()
	made, err := s.Seal(t.Context(), grant, grant.Status.Approval, epoch)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func TestKeyOfTheSealsIsMadeOnce(t *testing.T) {
	t.Parallel()
	w := &world{Client: shared.Client}
	sealers := w.sealers(t, 16)
	made := make([]string, len(sealers))
	var begin, group sync.WaitGroup
	begin.Add(1)
	for i, s := range sealers {
		group.Go(func() {
			begin.Wait()
			var err error
			grant := approvedGrant()
			if made[i], err = s.Seal(t.Context(), grant, grant.Status.Approval, epoch); err != nil {
				t.Error(err)
			}
		})
	}
	begin.Done()
	group.Wait()
	for _, one := range made {
		if one == "" || one != made[0] {
			t.Fatalf("the seals differ: %q", made)
		}
	}
	var secret corev1.Secret
	if err := w.Get(t.Context(), types.NamespacedName{Namespace: sealers[0].Namespace, Name: sealSecret}, &secret); err != nil {
		t.Fatal(err)
	}
	if key := secret.Data["key"]; len(key) != 32 || secret.Labels[v1alpha1.LabelManagedBy] != v1alpha1.ManagedByValue {
		t.Errorf("a key of %d bytes, labels %v", len(key), secret.Labels)
	}
}

func TestSealIsOfOneApprovalAsItStands(t *testing.T) {
	t.Parallel()
	w := &world{Client: shared.Client}
	g, s := NewWithT(t), w.sealers(t, 1)[0]
	is := func(change func(*v1alpha1.ScopeGrant)) policy.Knowledge {
		grant := approvedGrant()
		grant.Status.Approval.Seal = seal(t, s, grant)
		change(grant)
		known, err := s.Is(t.Context(), grant, epoch)
		g.Expect(err).NotTo(HaveOccurred())
		return known
	}
	g.Expect(is(func(*v1alpha1.ScopeGrant) {})).To(Equal(policy.Present))
	g.Expect(is(func(grant *v1alpha1.ScopeGrant) { grant.Generation, grant.Labels = 9, map[string]string{"a": "b"} })).To(Equal(policy.Present), "whether it still holds is not the seal's question")
	later := new(metav1.NewTime(time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)))
	for name, change := range map[string]func(*v1alpha1.ScopeGrant){
		"another grant":      func(grant *v1alpha1.ScopeGrant) { grant.UID = "two" },
		"another decision":   func(grant *v1alpha1.ScopeGrant) { grant.Status.Approval.Decision = v1alpha1.DecisionDenied },
		"another generation": func(grant *v1alpha1.ScopeGrant) { grant.Status.Approval.Generation = 2 },
		"another reason":     func(grant *v1alpha1.ScopeGrant) { grant.Status.Approval.Reason = "ticket 2" },
		"no reason":          func(grant *v1alpha1.ScopeGrant) { grant.Status.Approval.Reason = "" },
		"another approver":   func(grant *v1alpha1.ScopeGrant) { grant.Status.Approval.ApprovedBy = mallory },
		"a later end":        func(grant *v1alpha1.ScopeGrant) { grant.Status.Approval.ExpiresAt = later },
		"no end":             func(grant *v1alpha1.ScopeGrant) { grant.Status.Approval.ExpiresAt = nil },
		"another instant":    func(grant *v1alpha1.ScopeGrant) { grant.Status.Approval.ApprovedAt = later },
		"no instant":         func(grant *v1alpha1.ScopeGrant) { grant.Status.Approval.ApprovedAt = nil },
		"a text moved over": func(grant *v1alpha1.ScopeGrant) {
			a := grant.Status.Approval
			a.Reason, a.ApprovedBy = a.Reason+a.ApprovedBy[:1], a.ApprovedBy[1:]
		},
		"a shorter seal": func(grant *v1alpha1.ScopeGrant) { grant.Status.Approval.Seal = grant.Status.Approval.Seal[:32] },
		"upper case": func(grant *v1alpha1.ScopeGrant) {
			grant.Status.Approval.Seal = strings.ToUpper(grant.Status.Approval.Seal)
		},
		"no seal":          func(grant *v1alpha1.ScopeGrant) { grant.Status.Approval.Seal = "" },
		"never verified":   func(grant *v1alpha1.ScopeGrant) { grant.Status.Approval.Seal = policy.UnverifiedSeal },
		"no approval":      func(grant *v1alpha1.ScopeGrant) { grant.Status.Approval = nil },
		"approver unnamed": func(grant *v1alpha1.ScopeGrant) { grant.Status.Approval.ApprovedBy = "" },
	} {
		if known := is(change); known != policy.Absent {
			t.Errorf("%s: the seal passes (%v)", name, known)
		}
	}
}

// TestKeyOfTheSealsThatIsOfNoUse: nothing is sealed with it, and no seal
// passes; the error says what to do and never what the key is.
func TestKeyOfTheSealsThatIsOfNoUse(t *testing.T) {
	t.Parallel()
	w := &world{Client: shared.Client}
	for name, data := range map[string]map[string][]byte{
		"short": {"key": []byte("canary-canary-canary-canary-123")}, "missing": {"other": []byte("canary-canary-canary-canary-1234")}, "empty": nil,
	} {
		g, s := NewWithT(t), w.sealers(t, 1)[0]
		w.create(t, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{
			Namespace: s.Namespace, Name: sealSecret, Labels: map[string]string{v1alpha1.LabelManagedBy: v1alpha1.ManagedByValue},
		}, Data: data})
		grant := approvedGrant()
		_, err := s.Seal(t.Context(), grant, grant.Status.Approval, epoch)
		g.Expect(err).To(MatchError(And(ContainSubstring("too short"), ContainSubstring("delete the Secret"), ContainSubstring(s.Namespace+"/"+sealSecret))), name)
		g.Expect(err.Error()).NotTo(ContainSubstring("canary"))
		grant.Status.Approval.Seal = strings.Repeat("0", 64)
		known, err := s.Is(t.Context(), grant, epoch)
		g.Expect(err).To(HaveOccurred())
		g.Expect(known).To(Equal(policy.Unknown), "what cannot be checked is not known to be false")
		// The remedy of the message works.
		w.remove(t, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: s.Namespace, Name: sealSecret}})
		g.Expect(seal(t, s, grant)).To(HaveLen(64))
	}
}

// TestKeyOfTheSealsThatWasDeleted: the next process makes another, and what was
// sealed with the old one is approved by nobody.
func TestKeyOfTheSealsThatWasDeleted(t *testing.T) {
	t.Parallel()
	w := &world{Client: shared.Client}
	g, sealers, grant := NewWithT(t), w.sealers(t, 2), approvedGrant()
	old := seal(t, sealers[0], grant)
	grant.Status.Approval.Seal = old
	w.remove(t, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: sealers[0].Namespace, Name: sealSecret}})
	known, err := sealers[0].Is(t.Context(), grant, epoch)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(known).To(Equal(policy.Present), "a running process knows the key")
	known, err = sealers[1].Is(t.Context(), grant, epoch)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(known).To(Equal(policy.Absent))
	g.Expect(seal(t, sealers[1], grant)).NotTo(Equal(old))
}

// TestKeyOfTheSealsThatCannotBeRead: a failure to look is not "no".
func TestKeyOfTheSealsThatCannotBeRead(t *testing.T) {
	t.Parallel()
	w := &world{Client: shared.Client}
	g, s, grant := NewWithT(t), w.sealers(t, 1)[0], approvedGrant()
	scheme, err := newScheme()
	g.Expect(err).NotTo(HaveOccurred())
	direct, err := client.NewWithWatch(shared.cluster.Config, client.Options{Scheme: scheme})
	g.Expect(err).NotTo(HaveOccurred())
	failing := errors.New("the API server is down")
	s.Live = interceptor.NewClient(direct, interceptor.Funcs{
		Get: func(context.Context, client.WithWatch, client.ObjectKey, client.Object, ...client.GetOption) error {
			return failing
		},
	})
	grant.Status.Approval.Seal = strings.Repeat("0", 64)
	known, err := s.Is(t.Context(), grant, epoch)
	g.Expect(err).To(MatchError(failing))
	g.Expect(known).To(Equal(policy.Unknown))
	err = w.Get(t.Context(), types.NamespacedName{Namespace: s.Namespace, Name: sealSecret}, &corev1.Secret{})
	g.Expect(apierrors.IsNotFound(err)).To(BeTrue(), "no key is made on a guess")
	s.Live = direct
	g.Expect(seal(t, s, grant)).To(HaveLen(64), "and the next look may succeed")
}

// TestSealIsOfOneEpoch: what was approved under one installation of the
// policies says nothing under another, or under none.
func TestSealIsOfOneEpoch(t *testing.T) {
	t.Parallel()
	w := &world{Client: shared.Client}
	g, sealers, grant := NewWithT(t), w.sealers(t, 2), approvedGrant()
	grant.Status.Approval.Seal = seal(t, sealers[0], grant)
	for _, other := range []string{"", "another-epoch"} {
		known, err := sealers[0].Is(t.Context(), grant, other)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(known).To(Equal(policy.Absent))
	}
	_, err := sealers[0].Seal(t.Context(), grant, grant.Status.Approval, "")
	g.Expect(err).To(HaveOccurred(), "nothing is sealed without policies")
	begun := func(s *controllers.Sealer) string {
		begun, err := s.Epoch(t.Context())
		g.Expect(err).NotTo(HaveOccurred())
		return begun
	}
	g.Expect(begun(sealers[0])).To(BeEmpty())
	g.Expect(sealers[0].BeginEpoch(t.Context(), epoch)).To(Succeed())
	g.Expect(begun(sealers[0])).To(Equal(epoch))
	g.Expect(begun(sealers[1])).To(Equal(epoch), "the next process knows it")
	known, err := sealers[1].Is(t.Context(), grant, epoch)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(known).To(Equal(policy.Present), "the key is the same")
}

// admissionRig is a cluster in which policies come and go, without a manager.
type admissionRig struct {
	*world
	t      *testing.T
	direct client.WithWatch
	clock  *testclock.FakePassiveClock
	sealer *controllers.Sealer
}

func newAdmissionRig(t *testing.T) *admissionRig {
	t.Helper()
	cluster := env.StartForTest(t, env.Options{CRDs: true})
	scheme, err := newScheme()
	if err != nil {
		t.Fatal(err)
	}
	direct, err := client.NewWithWatch(cluster.Config, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	rig := &admissionRig{
		world: &world{Client: direct, cluster: cluster}, t: t, direct: direct,
		clock: testclock.NewFakePassiveClock(time.Now().Add(time.Minute)),
	}
	rig.sealer = rig.sealers(t, 1)[0]
	return rig
}

// oldEnough is how old the policies must be.
const oldEnough = 10 * time.Second

// fresh is what a process that just started knows.
func (r *admissionRig) fresh() *controllers.Admission {
	sealer := &controllers.Sealer{Client: r.direct, Live: r.direct, Namespace: r.sealer.Namespace}
	return &controllers.Admission{Client: r.direct, Live: r.direct, Sealer: sealer, Clock: r.clock, Served: true}
}

// is checks what is known when a new epoch may begin, and returns the epoch.
func (r *admissionRig) is(want policy.Knowledge, when string) string {
	r.t.Helper()
	admission := r.fresh()
	if err := admission.Begin(r.t.Context()); err != nil {
		r.t.Errorf("%s: %v", when, err)
	}
	known, epoch, err := admission.Is(r.t.Context())
	if err != nil || known != want || (epoch != "") != (want == policy.Present) {
		r.t.Errorf("%s: %v %q (%v), want %v", when, known, epoch, err, want)
	}
	return epoch
}

// TestAdmissionIsSeenForAWhile: an operator whose clock is behind relies on the
// policies when it has seen them for ten seconds, and goes on to do so.
func TestAdmissionIsSeenForAWhile(t *testing.T) {
	t.Parallel()
	r := newAdmissionRig(t)
	for _, object := range admissionObjects() {
		r.create(t, object)
	}
	admission, seen := r.fresh(), time.Now().Add(-5*time.Minute)
	for after, want := range []policy.Knowledge{policy.Absent, policy.Absent, policy.Present} {
		r.clock.SetTime(seen.Add(time.Duration(after) * 5 * time.Second))
		if err := admission.Begin(t.Context()); err != nil {
			t.Fatal(err)
		}
		if known, _, err := admission.Is(t.Context()); err != nil || known != want {
			t.Errorf("%d s after the first sight: %v (%v), want %v", after*5, known, err, want)
		}
	}
	if known, _, err := r.fresh().Is(t.Context()); err != nil || known != policy.Present {
		t.Errorf("after a restart: %v (%v)", known, err)
	}
}

// TestAdmissionIsInForce goes through each way of not being in force.
func TestAdmissionIsInForce(t *testing.T) {
	t.Parallel()
	r := newAdmissionRig(t)
	r.is(policy.Absent, "nothing is installed")
	for i, object := range admissionObjects() {
		r.is(policy.Absent, fmt.Sprintf("%d of 6 objects are there", i))
		r.create(t, object)
	}
	known, _, err := r.fresh().Is(t.Context())
	if err != nil || known != policy.Absent {
		t.Errorf("the epoch has not begun: %v (%v)", known, err)
	}
	first := r.is(policy.Present, "all are installed")
	if known, again, err := r.fresh().Is(t.Context()); err != nil || known != policy.Present || again != first {
		t.Errorf("after a restart: %v %q (%v), want %q", known, again, err, first)
	}
	r.weaken()
	if again := r.is(policy.Present, "all is mended"); again != first {
		t.Errorf("another epoch although no object was replaced")
	}
	r.replace(first)

	down := interceptor.NewClient(r.direct, interceptor.Funcs{
		Get: func(context.Context, client.WithWatch, client.ObjectKey, client.Object, ...client.GetOption) error {
			return errors.New("the API server is down")
		},
	})
	admission := r.fresh()
	admission.Client = down
	if known, _, err := admission.Is(t.Context()); err == nil || known != policy.Unknown {
		t.Errorf("the policies cannot be read: %v (%v), want unknown and an error", known, err)
	}
	admission = r.fresh()
	admission.Sealer.Live = down
	if known, _, err := admission.Is(t.Context()); err == nil || known != policy.Unknown {
		t.Errorf("the epoch cannot be read: %v (%v), want unknown and an error", known, err)
	}
	admission = r.fresh()
	admission.Served = false
	if known, _, err := admission.Is(t.Context()); err != nil || known != policy.Absent {
		t.Errorf("the cluster does not have the API: %v (%v)", known, err)
	}
}

// weaken weakens and mends each of the policies and bindings.
func (r *admissionRig) weaken() {
	for _, name := range []string{"mcp-registrar-approval", "mcp-registrar-operator", "mcp-registrar-requester"} {
		rules := &admissionregistrationv1.ValidatingAdmissionPolicy{ObjectMeta: metav1.ObjectMeta{Name: name}}
		failing := func(how admissionregistrationv1.FailurePolicyType) {
			edit(r.t, r.world, rules, func(p *admissionregistrationv1.ValidatingAdmissionPolicy) { p.Spec.FailurePolicy = &how })
		}
		failing(admissionregistrationv1.Ignore)
		r.is(policy.Absent, name+" ignores failures")
		failing(admissionregistrationv1.Fail)
		r.is(policy.Present, name+" is mended")
		for what, change := range map[string]func(*admissionregistrationv1.ValidatingAdmissionPolicyBindingSpec){
			"only warns": func(s *admissionregistrationv1.ValidatingAdmissionPolicyBindingSpec) {
				s.ValidationActions = []admissionregistrationv1.ValidationAction{admissionregistrationv1.Warn, admissionregistrationv1.Audit}
			},
			"binds another policy": func(s *admissionregistrationv1.ValidatingAdmissionPolicyBindingSpec) { s.PolicyName = "harmless" },
			"exempts namespaces": func(s *admissionregistrationv1.ValidatingAdmissionPolicyBindingSpec) {
				s.MatchResources = &admissionregistrationv1.MatchResources{
					NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"checked": "yes"}},
				}
			},
		} {
			r.bind(name, change)
			r.is(policy.Absent, name+" "+what)
		}
		r.bind(name, func(s *admissionregistrationv1.ValidatingAdmissionPolicyBindingSpec) {
			s.ValidationActions = []admissionregistrationv1.ValidationAction{admissionregistrationv1.Deny, admissionregistrationv1.Audit}
		})
		r.is(policy.Present, name+" refuses and notes")
	}
}

// bind changes a binding from what it should be.
func (r *admissionRig) bind(name string, change func(*admissionregistrationv1.ValidatingAdmissionPolicyBindingSpec)) {
	binding := &admissionregistrationv1.ValidatingAdmissionPolicyBinding{ObjectMeta: metav1.ObjectMeta{Name: name}}
	edit(r.t, r.world, binding, func(b *admissionregistrationv1.ValidatingAdmissionPolicyBinding) {
		b.Spec = admissionregistrationv1.ValidatingAdmissionPolicyBindingSpec{
			PolicyName: name, ValidationActions: []admissionregistrationv1.ValidationAction{admissionregistrationv1.Deny},
		}
		change(&b.Spec)
	})
}

// replace deletes each of the policies and bindings, and makes it anew: another
// epoch begins after a while, when no approval is left that nobody looked at.
func (r *admissionRig) replace(last string) {
	grant := (&world{Client: r.direct, namespace: "default"}).writing("unchecked", time.Now().Add(time.Hour))
	r.create(r.t, grant)
	for _, object := range admissionObjects() {
		held := object.DeepCopyObject().(client.Object)
		edit(r.t, r.world, held, func(held client.Object) { held.SetFinalizers([]string{"test.example.com/held"}) })
		r.remove(r.t, held)
		r.is(policy.Absent, held.GetName()+" is being deleted")
		edit(r.t, r.world, held, func(held client.Object) { held.SetFinalizers(nil) })
		r.is(policy.Absent, held.GetName()+" is gone")
		r.decide(r.t, grant, owned)
		r.create(r.t, object)
		created := object.GetCreationTimestamp().Time
		r.clock.SetTime(created.Add(oldEnough - 1))
		r.is(policy.Absent, held.GetName()+" is new")
		r.clock.SetTime(created.Add(oldEnough))
		r.is(policy.Absent, "an approval was not looked at")
		r.decide(r.t, grant, func(a *v1alpha1.Approval) { a.Seal = policy.UnverifiedSeal })
		next := r.is(policy.Present, held.GetName()+" is old enough")
		if next == last {
			r.t.Errorf("%s was replaced in the same epoch", held.GetName())
		}
		last = next
		r.clock.SetTime(created.Add(time.Minute))
	}
}

// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"github.com/prometheus/client_golang/prometheus"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/controllers"
	"github.com/mcp-registrar/mcp-registrar/internal/audit"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/connect"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/instrumented"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
	"github.com/mcp-registrar/mcp-registrar/test/devas"
	"github.com/mcp-registrar/mcp-registrar/test/env"
)

// aheadClock is the real clock, put forward.
type aheadClock struct{ ahead atomic.Int64 }

func (c *aheadClock) Now() time.Time                  { return time.Now().Add(time.Duration(c.ahead.Load())) }
func (c *aheadClock) Since(t time.Time) time.Duration { return c.Now().Sub(t) }

// ownCluster is a cluster of one test, in which a manager is started and
// stopped at will.
type ownCluster struct {
	client.Client
	cluster *env.ControlPlane
	clock   aheadClock
	audit   recordedEvents
	// prober asks live servers, once in an hour; nil asks none.
	prober controllers.Prober
}

func newOwnCluster(t *testing.T) *ownCluster {
	t.Helper()
	own := &ownCluster{cluster: env.StartForTest(t, env.Options{CRDs: true})}
	scheme, err := newScheme()
	if err != nil {
		t.Fatal(err)
	}
	if own.Client, err = client.New(own.cluster.Config, client.Options{Scheme: scheme}); err != nil {
		t.Fatal(err)
	}
	own.world().create(t, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: operatorNamespace}})
	return own
}

// world is the cluster without an authorization server.
func (o *ownCluster) world() *world { return &world{Client: o.Client, cluster: o.cluster} }

// run runs a manager that watches some namespaces, or all, until it is stopped
// or the test ends.
func (o *ownCluster) run(t *testing.T, namespaces ...string) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	watched := map[string]cache.Config{}
	for _, name := range namespaces {
		watched[name] = cache.Config{}
	}
	mgr, err := ctrl.NewManager(o.cluster.Config, manager.Options{
		Scheme: o.Scheme(), Metrics: metricsserver.Options{BindAddress: "0"}, HealthProbeBindAddress: "0",
		Controller: config.Controller{SkipNameValidation: new(true)},
		Cache: cache.Options{DefaultNamespaces: watched, ByObject: map[client.Object]cache.ByObject{
			&corev1.Secret{}: {Namespaces: map[string]cache.Config{operatorNamespace: {}}},
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	registry := prometheus.NewRegistry()
	measured, err := instrumented.NewMetrics(registry, o.clock.Now)
	if err != nil {
		t.Fatal(err)
	}
	err = controllers.Setup(ctx, mgr, controllers.Options{
		Clock: &o.clock, Connector: connect.New(connect.Options{Metrics: measured, Now: o.clock.Now}),
		Metrics: controllers.NewMetrics(registry), Audit: &o.audit,
		Namespace: operatorNamespace, Cluster: "own", Workers: 4, WatchNamespaces: namespaces,
		Prober: o.prober, ProbeInterval: time.Hour,
	})
	if err != nil {
		t.Fatal(err)
	}
	stopped := make(chan error, 1)
	go func() { stopped <- mgr.Start(ctx) }()
	var done atomic.Bool
	stop = func() {
		if cancel(); done.CompareAndSwap(false, true) {
			if err := <-stopped; err != nil {
				t.Error(err)
			}
		}
	}
	t.Cleanup(stop)
	return stop
}

// admissionObjects are policies of the names that approvals rest on, with their
// bindings. They refuse nothing.
func admissionObjects() []client.Object {
	var objects []client.Object
	for _, name := range []string{"mcp-registrar-approval", "mcp-registrar-operator", "mcp-registrar-requester"} {
		objects = append(objects, &admissionregistrationv1.ValidatingAdmissionPolicy{
			ObjectMeta: metav1.ObjectMeta{Name: name},
			Spec: admissionregistrationv1.ValidatingAdmissionPolicySpec{
				MatchConstraints: &admissionregistrationv1.MatchResources{ResourceRules: []admissionregistrationv1.NamedRuleWithOperations{{
					RuleWithOperations: admissionregistrationv1.RuleWithOperations{
						Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Update},
						Rule: admissionregistrationv1.Rule{
							APIGroups: []string{v1alpha1.GroupVersion.Group}, APIVersions: []string{"*"}, Resources: []string{"scopegrants/status"},
						},
					},
				}}},
				Validations: []admissionregistrationv1.Validation{{Expression: "true"}},
			},
		}, &admissionregistrationv1.ValidatingAdmissionPolicyBinding{
			ObjectMeta: metav1.ObjectMeta{Name: name},
			Spec: admissionregistrationv1.ValidatingAdmissionPolicyBindingSpec{
				PolicyName: name, ValidationActions: []admissionregistrationv1.ValidationAction{admissionregistrationv1.Deny},
			},
		})
	}
	return objects
}

const serverOwner = "olga@example.com"

// owned writes an approval as the policies would let it pass.
func owned(a *v1alpha1.Approval) { a.ApprovedBy = serverOwner }

// asked is a registration with a grant that somebody must approve.
func (w *world) asked(t *testing.T, name string) (*v1alpha1.MCPClientRegistration, *v1alpha1.ScopeGrant) {
	t.Helper()
	reg, grant := w.registration(name, public, time.Now().Add(time.Hour)), w.writing(name, time.Now().Add(time.Hour))
	grant.Annotations[v1alpha1.AnnotationRequestedBy] = "ci@example.com"
	w.create(t, reg, grant)
	return reg, grant
}

// operatorSees waits until the operator knows whether approvals are checked:
// the grant awaits one, and its message says how to give it.
func (w *world) operatorSees(t *testing.T, grant *v1alpha1.ScopeGrant, checked bool) {
	t.Helper()
	NewWithT(t).Eventually(func() bool {
		if state := w.grantState(t, grant)(); state != "False/"+v1alpha1.ReasonApprovalRequired {
			return !checked
		}
		return strings.Contains(w.waitForGrant(t, grant, "False/"+v1alpha1.ReasonApprovalRequired), "kubectl patch")
	}, eventually, often).Should(Equal(checked))
}

func (w *world) unverified(t *testing.T, reg *v1alpha1.MCPClientRegistration, grant *v1alpha1.ScopeGrant) {
	t.Helper()
	g := NewWithT(t)
	w.waitForGrant(t, grant, "False/"+v1alpha1.ReasonApprovalUnverified)
	g.Expect(grant.Status.Approval.Seal).To(Equal(policy.UnverifiedSeal), grant.Name)
	g.Expect(grant.Status.Approval.ApprovedAt).To(BeNil(), grant.Name)
	w.waitFor(t, reg, "False/"+v1alpha1.ReasonNoGrantInForce)
}

func (w *world) inForce(t *testing.T, reg *v1alpha1.MCPClientRegistration, grant *v1alpha1.ScopeGrant) {
	t.Helper()
	g := NewWithT(t)
	w.waitForGrant(t, grant, "True/Ready")
	w.waitFor(t, reg, "True/Ready")
	g.Expect(grant.Status.Basis).To(Equal(v1alpha1.BasisApproved))
	g.Expect(grant.Status.Approval.Seal).To(MatchRegexp("^[0-9a-f]{64}$"))
	g.Expect(grant.Status.Approval.ApprovedAt).NotTo(BeNil())
	g.Expect(w.clientOf(t, reg).Scope).To(Equal("files:write"))
}

func TestApprovalsCountWhileThePoliciesAreInForce(t *testing.T) {
	t.Parallel()
	own := newOwnCluster(t)
	stop := own.run(t)
	w := newWorldIn(t, own.Client, own.cluster, devas.Options{})
	g := NewWithT(t)
	_, pending := w.asked(t, "pending")
	before, beforeGrant := w.asked(t, "before")
	w.decide(t, beforeGrant, owned)
	w.unverified(t, before, beforeGrant)

	early, earlyGrant := w.asked(t, "early")
	w.waitForGrant(t, earlyGrant, "False/"+v1alpha1.ReasonApprovalRequired)
	installed := time.Now().Truncate(time.Second)
	w.create(t, admissionObjects()...)
	w.decide(t, earlyGrant, owned)
	w.waitForGrant(t, earlyGrant, "False/"+v1alpha1.ReasonApprovalUnverified)
	young := time.Since(installed)
	w.unverified(t, early, earlyGrant)
	if young > 9*time.Second {
		t.Fatal("the machine is too slow for this test: the policies count after 10 s")
	}
	own.clock.ahead.Store(int64(20 * time.Second))
	w.operatorSees(t, pending, true)
	sealed, sealedGrant := w.asked(t, "sealed")
	w.decide(t, sealedGrant, owned)
	w.inForce(t, sealed, sealedGrant)
	for _, grant := range []*v1alpha1.ScopeGrant{beforeGrant, earlyGrant} {
		g.Expect(w.grantState(t, grant)()).To(Equal("False/"+v1alpha1.ReasonApprovalUnverified), "what nobody checked stays so")
	}
	w.decide(t, beforeGrant, owned)
	w.inForce(t, before, beforeGrant)

	// A seal is of one approval of one grant, and of nothing else.
	w.decide(t, earlyGrant, func(a *v1alpha1.Approval) { *a = *sealedGrant.Status.Approval })
	w.waitForGrant(t, earlyGrant, "False/"+v1alpha1.ReasonApprovalUnverified)
	approved := *beforeGrant.Status.Approval
	w.decide(t, beforeGrant, func(a *v1alpha1.Approval) {
		*a = approved
		a.ExpiresAt = new(metav1.NewTime(time.Now().Add(1000 * time.Hour)))
	})
	w.waitForGrant(t, beforeGrant, "False/"+v1alpha1.ReasonApprovalUnverified)
	w.waitFor(t, before, "False/"+v1alpha1.ReasonNoGrantInForce)

	// The next process goes on with what was checked.
	stop()
	version, sent := sealedGrant.ResourceVersion, w.as.Counts()
	own.run(t)
	again, _ := w.asked(t, "after-the-restart")
	w.waitFor(t, again, "False/"+v1alpha1.ReasonNoGrantInForce)
	w.inForce(t, sealed, sealedGrant)
	g.Expect(sealedGrant.ResourceVersion).To(Equal(version))
	for _, operation := range []devas.Operation{devas.Register, devas.Replace, devas.Delete} {
		g.Expect(w.as.Counts().Total(operation)).To(Equal(sent.Total(operation)), string(operation))
	}

	// Without the policies anybody may write a seal that was once given: none counts.
	id := sealed.Status.ClientID
	w.remove(t, admissionObjects()[3]) // one binding is enough
	w.operatorSees(t, pending, false)
	w.waitForGrant(t, sealedGrant, "False/"+v1alpha1.ReasonApprovalUnverified)
	w.waitFor(t, sealed, "False/"+v1alpha1.ReasonNoGrantInForce)
	w.proven(t, sealed, id, v1alpha1.CauseNoGrantInForce)
	late, lateGrant := w.asked(t, "late")
	w.decide(t, lateGrant, owned)
	w.unverified(t, late, lateGrant)
}

// TestApprovalOfATimeWithoutOperatorAndPolicies: nobody checked it, and when
// both are back it passes for nothing.
func TestApprovalOfATimeWithoutOperatorAndPolicies(t *testing.T) {
	t.Parallel()
	own := newOwnCluster(t)
	w := newWorldIn(t, own.Client, own.cluster, devas.Options{})
	reg, grant := w.asked(t, "forged")
	w.decide(t, grant, owned)
	w.create(t, admissionObjects()...)
	own.clock.ahead.Store(int64(20 * time.Second))
	own.run(t)
	w.unverified(t, reg, grant)
	_, pending := w.asked(t, "pending")
	w.operatorSees(t, pending, true)
	w.decide(t, grant, owned)
	w.inForce(t, reg, grant)
}

// TestApprovalEndsWithWhatWasApproved: the scope is gone after a change of the
// spec, a later end, a withdrawal, a denial, an approval of one's own.
func TestApprovalEndsWithWhatWasApproved(t *testing.T) {
	t.Parallel()
	own := newOwnCluster(t)
	own.clock.ahead.Store(int64(20 * time.Second))
	w := own.world()
	w.create(t, admissionObjects()...)
	own.run(t)
	w = newWorldIn(t, own.Client, own.cluster, devas.Options{})
	withdraw := func(grant *v1alpha1.ScopeGrant) {
		NewWithT(t).Eventually(func() error {
			w.grantState(t, grant)()
			grant.Status.Approval = nil
			return w.Status().Update(t.Context(), grant)
		}, eventually, often).Should(Succeed())
	}
	annotated := func(key, value string) func(*v1alpha1.ScopeGrant) {
		return func(grant *v1alpha1.ScopeGrant) {
			edit(t, w, grant, func(grant *v1alpha1.ScopeGrant) { grant.Annotations[key] = value })
		}
	}
	for name, c := range map[string]struct {
		end           func(*v1alpha1.ScopeGrant)
		reason, says  string
		recorded      audit.Type
		approvedAgain bool
	}{
		"spec-changed": {func(grant *v1alpha1.ScopeGrant) {
			edit(t, w, grant, func(grant *v1alpha1.ScopeGrant) { grant.Spec.Reason = "ticket 2" })
		}, v1alpha1.ReasonApprovalRequired, "generation 1 of the grant was approved", audit.ApprovalVoided, true},
		"end-moved": {annotated(v1alpha1.AnnotationExpiresAt, time.Now().Add(2*time.Hour).UTC().Format(time.RFC3339)),
			v1alpha1.ReasonApprovalRequired, "was moved beyond", audit.ApprovalVoided, true},
		"changed-by-the-approver": {annotated(v1alpha1.AnnotationChangedBy, serverOwner),
			v1alpha1.ReasonApprovalRequired, "last changed the grant approved it", audit.ApprovalVoided, false},
		"withdrawn": {withdraw, v1alpha1.ReasonApprovalRequired, "of tier Write", audit.ApprovalWithdrawn, true},
		"denied": {func(grant *v1alpha1.ScopeGrant) {
			w.decide(t, grant, func(a *v1alpha1.Approval) { owned(a); a.Decision, a.Reason = v1alpha1.DecisionDenied, "not any more" })
		}, v1alpha1.ReasonApprovalDenied, "(not any more)", audit.GrantDenied, true},
	} {
		reg, grant := w.asked(t, name)
		w.waitForGrant(t, grant, "False/"+v1alpha1.ReasonApprovalRequired)
		w.decide(t, grant, owned)
		w.inForce(t, reg, grant)
		id := reg.Status.ClientID
		c.end(grant)
		message := w.waitForGrant(t, grant, "False/"+c.reason)
		NewWithT(t).Expect(message).To(ContainSubstring(c.says), name)
		w.waitFor(t, reg, "False/"+v1alpha1.ReasonNoGrantInForce)
		w.proven(t, reg, id, v1alpha1.CauseNoGrantInForce)
		own.recorded(t, grant, c.recorded)
		if c.approvedAgain {
			w.decide(t, grant, owned)
			w.inForce(t, reg, grant)
		}
	}
}

// recorded checks that something about a grant is on the audit record once.
func (o *ownCluster) recorded(t *testing.T, grant *v1alpha1.ScopeGrant, kind audit.Type) {
	t.Helper()
	count := 0
	for _, event := range o.audit.of(grant.Namespace) {
		if event.Type == kind && event.Data.Name == grant.Name && event.Data.Kind == "ScopeGrant" {
			count++
		}
	}
	if count != 1 {
		t.Errorf("%s of %s was recorded %d times", kind, grant.Name, count)
	}
}

// gathering is for how long the operator gathers changes before it counts.
const gathering = 5 * time.Second

// TestServerTellsWhichGrantsWait: counted, in order, at most 50, and in few
// writes however many come at one time.
func TestServerTellsWhichGrantsWait(t *testing.T) {
	t.Parallel()
	w := newWorld(t, devas.Options{})
	g, other := NewWithT(t), w.beside(t)
	server := w.server("files")
	edit(t, w, server, func(server *v1alpha1.MCPServer) {
		server.Spec.AllowedClients = &v1alpha1.AllowedClients{Namespaces: v1alpha1.NamespacesAll}
	})
	for _, side := range []*world{w, other} {
		side.create(t, side.registration("reader", public, time.Now().Add(time.Hour)))
	}
	w.create(t, w.grant("reader", time.Now().Add(time.Hour), "files:read"))
	w.serverTells(t, v1alpha1.GrantCounts{InForce: 1}, 0)
	written := shared.writes.to("mcpservers", w.namespace, "files")
	g.Expect(written).To(BeNumerically(">", 0))
	var made []*v1alpha1.ScopeGrant
	begun := time.Now()
	for i := range 30 {
		for _, side := range []*world{w, other} {
			grant := side.writing("reader", time.Now().Add(time.Hour))
			grant.Name, grant.Spec.ServerRef.Namespace = fmt.Sprintf("wait-%02d", 29-i), w.namespace
			grant.Annotations[v1alpha1.AnnotationRequestedBy] = strings.Repeat("ü", 100*(i%20))
			side.create(t, grant)
			made = append(made, grant)
		}
	}
	pending := w.serverTells(t, v1alpha1.GrantCounts{InForce: 1, Pending: 60}, 50)
	writes := shared.writes.to("mcpservers", w.namespace, "files") - written
	most := 3 + int(time.Since(begun)/gathering)
	g.Expect(writes).To(And(BeNumerically(">", 0), BeNumerically("<=", most)), "writes for 60 grants at once")
	for i, one := range pending[1:] {
		before := pending[i]
		g.Expect(before.Namespace+"/"+before.Name < one.Namespace+"/"+one.Name).To(BeTrue(), "in order")
		g.Expect(one.Client).To(Equal("reader"))
		g.Expect(one.Generation).To(Equal(int64(1)))
		g.Expect(strings.Trim(one.RequestedBy, "ü")).To(BeEmpty(), "cut between characters")
	}
	for _, grant := range made[:40] {
		w.remove(t, grant)
	}
	pending = w.serverTells(t, v1alpha1.GrantCounts{InForce: 1, Pending: 20}, 20)
	g.Expect(pending[0].Name).To(Equal("wait-00"))
	edit(t, w, made[59], func(grant *v1alpha1.ScopeGrant) { grant.Spec.Reason = "ticket 2" })
	g.Eventually(func() (generations []int64) {
		for _, one := range w.serverTells(t, v1alpha1.GrantCounts{InForce: 1, Pending: 20}, 20) {
			if one.Namespace == made[59].Namespace && one.Name == made[59].Name {
				generations = append(generations, one.Generation)
			}
		}
		return generations
	}, eventually, often).Should(Equal([]int64{2}), "the generation to name in the approval")
}

// serverTells waits until the status of the server counts as wanted.
func (w *world) serverTells(t *testing.T, want v1alpha1.GrantCounts, listed int) []v1alpha1.PendingGrant {
	t.Helper()
	var server v1alpha1.MCPServer
	NewWithT(t).Eventually(func() v1alpha1.GrantCounts {
		err := w.Get(t.Context(), client.ObjectKey{Namespace: w.namespace, Name: "files"}, &server)
		if err != nil || server.Status.Grants == nil {
			return v1alpha1.GrantCounts{InForce: -1}
		}
		return *server.Status.Grants
	}, eventually, often).Should(Equal(want))
	NewWithT(t).Expect(server.Status.PendingGrants).To(HaveLen(listed))
	return server.Status.PendingGrants
}

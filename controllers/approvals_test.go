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
	"k8s.io/apimachinery/pkg/api/meta"
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

// owned makes an approval one as the policies would let it pass.
func owned(a *v1alpha1.ScopeGrantApproval) {
	a.Annotations[v1alpha1.AnnotationApprovedBy] = serverOwner
}

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
		return strings.Contains(w.waitForGrant(t, grant, "False/"+v1alpha1.ReasonApprovalRequired), "status.pendingGrants")
	}, eventually, often).Should(Equal(checked))
}

func (w *world) unverified(t *testing.T, reg *v1alpha1.MCPClientRegistration, grant *v1alpha1.ScopeGrant) {
	t.Helper()
	w.waitForGrant(t, grant, "False/"+v1alpha1.ReasonApprovalUnverified)
	NewWithT(t).Expect(grant.Status.Approval).To(BeNil(), grant.Name)
	w.waitFor(t, reg, "False/"+v1alpha1.ReasonNoGrantInForce)
}

func (w *world) inForce(t *testing.T, reg *v1alpha1.MCPClientRegistration, grant *v1alpha1.ScopeGrant) {
	t.Helper()
	g := NewWithT(t)
	w.waitForGrant(t, grant, "True/Ready")
	w.waitFor(t, reg, "True/Ready")
	g.Expect(grant.Status.Basis).To(Equal(v1alpha1.BasisApproved))
	g.Expect(grant.Status.Approval.ApprovedBy).To(Equal(serverOwner))
	g.Expect(w.clientOf(t, reg).Scope).To(Equal("files:write"))
}

// approvalState waits for a state of an approval, and returns what it says.
func (w *world) approvalState(t *testing.T, a *v1alpha1.ScopeGrantApproval, state string) string {
	t.Helper()
	var message string
	NewWithT(t).Eventually(func() string {
		if err := w.Get(t.Context(), client.ObjectKeyFromObject(a), a); err != nil {
			return err.Error()
		}
		ready := meta.FindStatusCondition(a.Status.Conditions, v1alpha1.ConditionReady)
		if ready == nil {
			return "unseen"
		}
		message = ready.Message
		return string(ready.Status) + "/" + ready.Reason
	}, eventually, often).Should(Equal(state))
	return message
}

// policiesCount waits until what is approved now is checked.
func policiesCount(t *testing.T, installed time.Time) {
	t.Helper()
	NewWithT(t).Eventually(func() bool { return time.Since(installed) > 11*time.Second }, "20s", often).Should(BeTrue())
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

	w.create(t, admissionObjects()...)
	installed := time.Now()
	w.operatorSees(t, pending, true)
	early, earlyGrant := w.asked(t, "early")
	w.decide(t, earlyGrant, owned)
	w.unverified(t, early, earlyGrant)
	if time.Since(installed) > 9*time.Second {
		t.Fatal("the machine is too slow for this test: the policies count after 10 s")
	}
	policiesCount(t, installed)
	checked, checkedGrant := w.asked(t, "checked")
	w.decide(t, checkedGrant, owned)
	w.inForce(t, checked, checkedGrant)
	for _, grant := range []*v1alpha1.ScopeGrant{beforeGrant, earlyGrant} {
		g.Expect(w.grantState(t, grant)()).To(Equal("False/"+v1alpha1.ReasonApprovalUnverified), "what nobody checked stays so")
	}
	w.decide(t, beforeGrant, owned)
	w.inForce(t, before, beforeGrant)

	// The next process goes on with what was checked.
	stop()
	version, sent := checkedGrant.ResourceVersion, w.as.Counts()
	stop = own.run(t)
	again, _ := w.asked(t, "after-the-restart")
	w.waitFor(t, again, "False/"+v1alpha1.ReasonNoGrantInForce)
	w.inForce(t, checked, checkedGrant)
	g.Expect(checkedGrant.ResourceVersion).To(Equal(version))
	for _, operation := range []devas.Operation{devas.Register, devas.Replace, devas.Delete} {
		g.Expect(w.as.Counts().Total(operation)).To(Equal(sent.Total(operation)), string(operation))
	}

	// Without the policies anybody who may approve may write any name: none counts.
	id := checked.Status.ClientID
	w.remove(t, admissionObjects()[3]) // one binding is enough
	w.operatorSees(t, pending, false)
	w.waitForGrant(t, checkedGrant, "False/"+v1alpha1.ReasonApprovalUnverified)
	w.waitFor(t, checked, "False/"+v1alpha1.ReasonNoGrantInForce)
	w.proven(t, checked, id, v1alpha1.CauseNoGrantInForce)
	late, lateGrant := w.asked(t, "late")
	w.decide(t, lateGrant, owned)
	w.unverified(t, late, lateGrant)

	// A time without operator and policies: what was approved in it is not checked
	// when both are back.
	stop()
	gone, goneGrant := w.asked(t, "while-nobody-looked")
	w.decide(t, goneGrant, owned)
	w.create(t, admissionObjects()[3])
	own.run(t)
	w.unverified(t, gone, goneGrant)
}

// TestApprovalEndsWithWhatWasLookedAt: the scope is gone after a change of grant,
// client or server, a later end, a denial, an approval of one's own, an end, and when
// the approval is deleted; the grant, the approval and the audit record say why.
func TestApprovalEndsWithWhatWasLookedAt(t *testing.T) {
	t.Parallel()
	own := newOwnCluster(t)
	w := own.world()
	w.create(t, admissionObjects()...)
	installed := time.Now()
	own.run(t)
	w = newWorldIn(t, own.Client, own.cluster, devas.Options{})
	policiesCount(t, installed)
	annotated := func(key, value string) func(*v1alpha1.ScopeGrant, *v1alpha1.MCPClientRegistration, *v1alpha1.ScopeGrantApproval) {
		return func(grant *v1alpha1.ScopeGrant, _ *v1alpha1.MCPClientRegistration, _ *v1alpha1.ScopeGrantApproval) {
			edit(t, w, grant, func(grant *v1alpha1.ScopeGrant) { grant.Annotations[key] = value })
		}
	}
	for name, c := range map[string]struct {
		end           func(*v1alpha1.ScopeGrant, *v1alpha1.MCPClientRegistration, *v1alpha1.ScopeGrantApproval)
		reason, says  string
		recorded      audit.Type
		approvedAgain bool
	}{
		"reason-changed": {func(grant *v1alpha1.ScopeGrant, _ *v1alpha1.MCPClientRegistration, _ *v1alpha1.ScopeGrantApproval) {
			edit(t, w, grant, func(grant *v1alpha1.ScopeGrant) { grant.Spec.Reason = "ticket 2" })
		}, v1alpha1.ReasonApprovalRequired, `reason: was "ticket 1", is "ticket 2"`, audit.ApprovalVoided, true},
		"redirect-changed": {func(_ *v1alpha1.ScopeGrant, reg *v1alpha1.MCPClientRegistration, _ *v1alpha1.ScopeGrantApproval) {
			edit(t, w, reg, func(reg *v1alpha1.MCPClientRegistration) {
				reg.Spec.RedirectURIs = append(reg.Spec.RedirectURIs, "https://evil.example.com/callback")
			})
		}, v1alpha1.ReasonApprovalRequired, `redirect URIs: added "https://evil.example.com/callback"`, audit.ApprovalVoided, true},
		"owner-changed": {annotated(v1alpha1.AnnotationOwner, "mallory@example.com"),
			v1alpha1.ReasonApprovalRequired, `owner of the grant: was "`, audit.ApprovalVoided, true},
		"end-moved": {annotated(v1alpha1.AnnotationExpiresAt, time.Now().Add(2*time.Hour).UTC().Format(time.RFC3339)),
			v1alpha1.ReasonApprovalRequired, "end: was", audit.ApprovalVoided, true},
		"changed-by-the-approver": {annotated(v1alpha1.AnnotationChangedBy, serverOwner),
			v1alpha1.ReasonApprovalRequired, "last changed the grant approved it", audit.ApprovalVoided, false},
		"deleted": {func(_ *v1alpha1.ScopeGrant, _ *v1alpha1.MCPClientRegistration, a *v1alpha1.ScopeGrantApproval) {
			w.remove(t, a)
		},
			v1alpha1.ReasonApprovalRequired, "of tier Write", audit.ApprovalWithdrawn, true},
		"denied": {func(grant *v1alpha1.ScopeGrant, _ *v1alpha1.MCPClientRegistration, _ *v1alpha1.ScopeGrantApproval) {
			w.decide(t, grant, func(a *v1alpha1.ScopeGrantApproval) {
				owned(a)
				a.Spec.Decision, a.Spec.Reason = v1alpha1.DecisionDenied, "not any more"
			})
		}, v1alpha1.ReasonApprovalDenied, "(not any more)", audit.GrantDenied, false},
	} {
		reg, grant := w.asked(t, name)
		w.waitForGrant(t, grant, "False/"+v1alpha1.ReasonApprovalRequired)
		approval := w.decide(t, grant, owned)
		w.inForce(t, reg, grant)
		w.approvalState(t, approval, "True/Ready")
		NewWithT(t).Expect(policy.Looked(approval.Status.LookedAt).Digest()).To(Equal(approval.Spec.Digest), "what was looked at is kept")
		id := reg.Status.ClientID
		c.end(grant, reg, approval)
		message := w.waitForGrant(t, grant, "False/"+c.reason)
		NewWithT(t).Expect(message).To(ContainSubstring(c.says), name)
		w.waitFor(t, reg, "False/"+v1alpha1.ReasonNoGrantInForce)
		w.proven(t, reg, id, v1alpha1.CauseNoGrantInForce)
		own.recorded(t, grant, c.recorded)
		if c.recorded == audit.ApprovalVoided {
			NewWithT(t).Expect(w.approvalState(t, approval, "False/"+v1alpha1.ReasonApprovalVoid)).To(ContainSubstring(c.says), name)
		}
		if c.approvedAgain {
			w.decide(t, grant, owned)
			w.inForce(t, reg, grant)
		}
	}
}

// TestApprovalOutlivesWhatIsLess: an approval stands when less is asked for, and the
// scope ends when the approval does.
func TestApprovalOutlivesWhatIsLess(t *testing.T) {
	t.Parallel()
	own := newOwnCluster(t)
	w := own.world()
	w.create(t, admissionObjects()...)
	installed := time.Now()
	own.run(t)
	w = newWorldIn(t, own.Client, own.cluster, devas.Options{})
	policiesCount(t, installed)
	reg, grant := w.asked(t, "less")
	approval := w.decide(t, grant, owned)
	w.inForce(t, reg, grant)
	w.approvalState(t, approval, "True/Ready")
	end := time.Now().Add(30 * time.Minute).UTC().Truncate(time.Second)
	edit(t, w, grant, func(grant *v1alpha1.ScopeGrant) {
		grant.Annotations[v1alpha1.AnnotationExpiresAt] = end.Format(time.RFC3339)
	})
	g := NewWithT(t)
	g.Eventually(func() time.Time {
		w.grantState(t, grant)()
		return grant.Status.ExpiresAt.UTC()
	}, eventually, often).Should(Equal(end))
	w.inForce(t, reg, grant)
	w.approvalState(t, approval, "True/Ready")

	short, shortGrant := w.asked(t, "short")
	w.decide(t, shortGrant, func(a *v1alpha1.ScopeGrantApproval) {
		owned(a)
		a.Spec.ExpirationTime = new(metav1.NewTime(time.Now().Add(6 * time.Second)))
	})
	w.inForce(t, short, shortGrant)
	id := short.Status.ClientID
	w.waitForGrant(t, shortGrant, "False/"+v1alpha1.ReasonApprovalRequired)
	w.proven(t, short, id, v1alpha1.CauseNoGrantInForce)
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
	w.serverTells(t, v1alpha1.GrantCounts{InForce: 1, Clients: 1}, 0)
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
	pending := w.serverTells(t, v1alpha1.GrantCounts{InForce: 1, Clients: 1, Pending: 60}, 50)
	writes := shared.writes.to("mcpservers", w.namespace, "files") - written
	most := 3 + int(time.Since(begun)/gathering)
	g.Expect(writes).To(And(BeNumerically(">", 0), BeNumerically("<=", most)), "writes for 60 grants at once")
	for i, one := range pending[1:] {
		before := pending[i]
		g.Expect(before.Namespace+"/"+before.Name < one.Namespace+"/"+one.Name).To(BeTrue(), "in order")
		g.Expect(one.Client).To(Equal("reader"))
		g.Expect(one.Generation).To(Equal(int64(1)))
		g.Expect(strings.TrimSuffix(strings.Trim(one.RequestedBy, "ü"), "…")).To(BeEmpty(), "cut between characters")
		if strings.HasSuffix(one.RequestedBy, "…") {
			g.Expect(one.Digest).To(BeEmpty(), "what is not shown whole is not approved")
		} else {
			g.Expect(one.Digest).To(HaveLen(64))
		}
	}
	for _, grant := range made[:40] {
		w.remove(t, grant)
	}
	pending = w.serverTells(t, v1alpha1.GrantCounts{InForce: 1, Clients: 1, Pending: 20}, 20)
	g.Expect(pending[0].Name).To(Equal("wait-00"))
	edit(t, w, made[59], func(grant *v1alpha1.ScopeGrant) { grant.Spec.Reason = "ticket 2" })
	g.Eventually(func() (generations []int64) {
		for _, one := range w.serverTells(t, v1alpha1.GrantCounts{InForce: 1, Clients: 1, Pending: 20}, 20) {
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

// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/audit"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
	"github.com/mcp-registrar/mcp-registrar/test/devas"
)

// The tests of this file run without the admission policies: whatever a tenant
// may write, nothing of it reaches the authorization server.

const mallory = "mallory@example.com"

// tenant is the world as a user sees it who may write everything of this
// product in the namespace, status included.
func (w *world) tenant(t *testing.T) *world {
	t.Helper()
	name := metav1.ObjectMeta{Namespace: w.namespace, Name: "tenant"}
	w.create(t,
		&rbacv1.Role{ObjectMeta: name, Rules: []rbacv1.PolicyRule{
			{APIGroups: []string{v1alpha1.GroupVersion.Group}, Resources: []string{"*"}, Verbs: []string{"create", "get", "list", "update", "patch", "delete"}},
		}},
		&rbacv1.RoleBinding{ObjectMeta: name, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "tenant"},
			Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: mallory}}})
	config, err := w.cluster.UserConfig(mallory)
	if err != nil {
		t.Fatal(err)
	}
	scheme, err := newScheme()
	if err != nil {
		t.Fatal(err)
	}
	theirs := *w
	theirs.Client, err = client.New(config, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	NewWithT(t).Eventually(func() error {
		return theirs.List(t.Context(), &v1alpha1.ScopeGrantList{}, client.InNamespace(w.namespace))
	}, eventually, often).Should(Succeed())
	return &theirs
}

// writing is a grant of a scope that nobody approves by itself.
func (w *world) writing(name string, until time.Time) *v1alpha1.ScopeGrant {
	grant := w.grant(name, until, "files:write")
	grant.Name, grant.GenerateName, grant.Spec.Reason = name, "", "ticket 1"
	return grant
}

// decide writes an approval, as anybody who may write the status.
func (w *world) decide(t *testing.T, grant *v1alpha1.ScopeGrant, change func(*v1alpha1.Approval)) {
	t.Helper()
	NewWithT(t).Eventually(func() error {
		if err := w.Get(t.Context(), client.ObjectKeyFromObject(grant), grant); err != nil {
			return err
		}
		until, err := time.Parse(time.RFC3339, grant.Annotations[v1alpha1.AnnotationExpiresAt])
		if err != nil {
			return err
		}
		grant.Status.Approval = &v1alpha1.Approval{
			Decision: v1alpha1.DecisionApproved, Generation: grant.Generation, ApprovedBy: mallory, ExpiresAt: new(metav1.NewTime(until)),
		}
		change(grant.Status.Approval)
		return w.Status().Update(t.Context(), grant)
	}, eventually, often).Should(Succeed())
}

// grantState is the Ready condition of a grant in short, and its message.
func (w *world) grantState(t *testing.T, grant *v1alpha1.ScopeGrant) func() string {
	return func() string {
		if err := w.Get(t.Context(), client.ObjectKeyFromObject(grant), grant); err != nil {
			return err.Error()
		}
		ready := meta.FindStatusCondition(grant.Status.Conditions, v1alpha1.ConditionReady)
		if ready == nil {
			return "unseen"
		}
		return string(ready.Status) + "/" + ready.Reason
	}
}

func (w *world) waitForGrant(t *testing.T, grant *v1alpha1.ScopeGrant, state string) string {
	t.Helper()
	NewWithT(t).Eventually(w.grantState(t, grant), eventually, often).Should(Equal(state))
	return meta.FindStatusCondition(grant.Status.Conditions, v1alpha1.ConditionReady).Message
}

// bounded is the policy of an authorization server with a maximum lifetime.
func bounded(as *v1alpha1.AuthorizationServer) {
	as.Spec.Policy = &v1alpha1.RegistrationPolicy{MaxRegistrationLifetimeSeconds: new(int64(24 * 3600))}
}

// preApproving makes the server of a world approve a client beforehand.
func (w *world) preApproving(t *testing.T, name string) {
	t.Helper()
	edit(t, w, w.server("files"), func(server *v1alpha1.MCPServer) {
		server.Spec.Grants = &v1alpha1.GrantPolicy{PreApproved: []v1alpha1.PreApproval{{
			Namespace: w.namespace, Client: name, Scopes: []v1alpha1.PreApprovedScope{"files:write"}, Until: metav1.NewTime(time.Now().Add(time.Hour)),
		}}}
	})
}

func TestUngovernedObjectsReachNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, devas.Options{}, bounded)
	tenant, soon := w.tenant(t), time.Now().Add(time.Hour)
	without := func(annotation string) func(client.Object) {
		return func(object client.Object) { delete(object.GetAnnotations(), annotation) }
	}
	long := func(object client.Object) {
		object.GetAnnotations()[v1alpha1.AnnotationExpiresAt] = time.Now().Add(48 * time.Hour).UTC().Format(time.RFC3339)
	}
	nothing := func(client.Object) {}
	cases := map[string]struct {
		reg, grant  func(client.Object)
		state       string
		grantState  string
		says, hints string
	}{
		"no-owner":        {without(v1alpha1.AnnotationOwner), nothing, "OwnerMissing", "RegistrationPending", "mcp-registrar.dev/owner is missing", "set it"},
		"no-expiry":       {without(v1alpha1.AnnotationExpiresAt), nothing, "ExpiryMissing", "RegistrationPending", "mcp-registrar.dev/expires-at is missing", "set it"},
		"too-long":        {long, nothing, "LifetimeTooLong", "RegistrationPending", "beyond the maximum lifetime of 86400 seconds", "choose an earlier instant"},
		"grant-no-owner":  {nothing, without(v1alpha1.AnnotationOwner), "NoGrantInForce", "OwnerMissing", "no ScopeGrant", "look at the conditions"},
		"grant-no-expiry": {nothing, without(v1alpha1.AnnotationExpiresAt), "NoGrantInForce", "ExpiryMissing", "no ScopeGrant", "look at the conditions"},
	}
	regs, grants := map[string]*v1alpha1.MCPClientRegistration{}, map[string]*v1alpha1.ScopeGrant{}
	for name, c := range cases {
		regs[name], grants[name] = w.registration(name, public, soon), w.grant(name, soon, "files:read")
		c.reg(regs[name])
		c.grant(grants[name])
		tenant.create(t, regs[name], grants[name])
	}
	for name, c := range cases {
		w.waitFor(t, regs[name], "False/"+c.state)
		ready := meta.FindStatusCondition(regs[name].Status.Conditions, v1alpha1.ConditionReady)
		NewWithT(t).Expect(ready.Message).To(And(ContainSubstring(c.says), ContainSubstring(c.hints)), name)
		state := "False/" + c.grantState
		if c.grantState == v1alpha1.ReasonRegistrationPending {
			state = "False/" + v1alpha1.ReasonNotApplied
		}
		w.waitForGrant(t, grants[name], state)
	}
	w.register(t, "good", public, "True/Ready")
	if calls := w.as.Counts().Total(devas.Register); calls != 1 {
		t.Errorf("%d registrations were sent, want that of the good one", calls)
	}
}

// A wildcard or a catch-all name is refused by the schema, which cannot be
// uninstalled by itself.
func TestUngovernedWildcardIsRefusedByTheSchema(t *testing.T) {
	t.Parallel()
	w := newWorld(t, devas.Options{})
	tenant := w.tenant(t)
	for _, name := range []v1alpha1.ScopeName{"*", "files:*", "all", "Admin", "full-access"} {
		err := tenant.Create(t.Context(), w.grant("greedy", time.Now().Add(time.Hour), name))
		if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "for example") {
			t.Errorf("scope %q: %v, want a refusal with an example", name, err)
		}
	}
}

// forgery is a way to approve without the right to.
type forgery struct {
	grant    func(*v1alpha1.ScopeGrant)
	approval func(*v1alpha1.Approval)
	seal     string
}

func forgeries() map[string]forgery {
	ours := func(a *v1alpha1.Approval) {}
	requested := func(by string) func(*v1alpha1.ScopeGrant) {
		return func(grant *v1alpha1.ScopeGrant) { grant.Annotations[v1alpha1.AnnotationRequestedBy] = by }
	}
	owner := func(a *v1alpha1.Approval) { a.ApprovedBy = "server-owner@example.com" }
	sealed := strings.Repeat("0123456789abcdef", 4)
	return map[string]forgery{
		"own-grant":           {requested(mallory), ours, policy.UnverifiedSeal},
		"without-the-verb":    {requested("ci@example.com"), ours, policy.UnverifiedSeal},
		"nobody-asked":        {func(*v1alpha1.ScopeGrant) {}, ours, policy.UnverifiedSeal},
		"in-anothers-name":    {requested(mallory), owner, policy.UnverifiedSeal},
		"requester-and-name":  {requested("ci@example.com"), owner, policy.UnverifiedSeal},
		"of-no-generation":    {requested("ci@example.com"), func(a *v1alpha1.Approval) { owner(a); a.Generation = 99 }, policy.UnverifiedSeal},
		"without-approver":    {requested("ci@example.com"), func(a *v1alpha1.Approval) { a.ApprovedBy = "" }, policy.UnverifiedSeal},
		"as-if-taken-up":      {requested("ci@example.com"), func(a *v1alpha1.Approval) { owner(a); a.ApprovedAt = new(metav1.Now()) }, policy.UnverifiedSeal},
		"as-if-sealed":        {requested("ci@example.com"), func(a *v1alpha1.Approval) { owner(a); a.ApprovedAt, a.Seal = new(metav1.Now()), sealed }, sealed},
		"sealed-as-never-yet": {requested("ci@example.com"), func(a *v1alpha1.Approval) { owner(a); a.Seal = policy.UnverifiedSeal }, policy.UnverifiedSeal},
	}
}

func TestUngovernedApprovalsCountForNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, devas.Options{})
	g, tenant, soon := NewWithT(t), w.tenant(t), time.Now().Add(time.Hour)
	w.preApproving(t, "pre-approved")
	regs, grants := map[string]*v1alpha1.MCPClientRegistration{}, map[string]*v1alpha1.ScopeGrant{}
	for name, forged := range forgeries() {
		regs[name], grants[name] = w.registration(name, public, soon), w.writing(name, soon)
		forged.grant(grants[name])
		tenant.create(t, regs[name], grants[name])
	}
	for name, forged := range forgeries() {
		message := w.waitForGrant(t, grants[name], "False/"+v1alpha1.ReasonApprovalRequired)
		g.Expect(message).To(And(ContainSubstring("of tier Write"), ContainSubstring("spec.grants.preApproved")), "approving it is not offered")
		tenant.decide(t, grants[name], forged.approval)
	}
	old := w.writing("of-an-old-generation", soon)
	regs[old.Name] = w.registration(old.Name, public, soon)
	tenant.create(t, regs[old.Name], old)
	edit(t, tenant, old, func(grant *v1alpha1.ScopeGrant) { grant.Spec.Reason = "ticket 2" })
	tenant.decide(t, old, func(a *v1alpha1.Approval) { a.Generation = 1 })
	grants[old.Name] = old
	for name, grant := range grants {
		message := w.waitForGrant(t, grant, "False/"+v1alpha1.ReasonApprovalUnverified)
		g.Expect(message).To(And(ContainSubstring("only while the admission policies are installed"), ContainSubstring("ask the platform team to install them")), name)
		g.Expect(grant.Status.Approval).NotTo(BeNil(), name)
		g.Expect(grant.Status.Approval.Seal).To(Equal(sealOf(name)), name)
		g.Expect(grant.Status.Basis).To(BeEmpty(), name)
		g.Expect(meta.IsStatusConditionTrue(grant.Status.Conditions, v1alpha1.ConditionStalled)).To(BeTrue(), name)
		w.waitFor(t, regs[name], "False/"+v1alpha1.ReasonNoGrantInForce)
	}
	// A seal that is wiped off is put on again.
	tenant.decide(t, grants["own-grant"], func(*v1alpha1.Approval) {})
	g.Eventually(func() string {
		w.grantState(t, grants["own-grant"])()
		return grants["own-grant"].Status.Approval.Seal
	}, eventually, often).Should(Equal(policy.UnverifiedSeal))

	good := w.registration("pre-approved", public, soon)
	tenant.create(t, good, w.writing("pre-approved", soon))
	w.waitFor(t, good, "True/Ready")
	g.Expect(w.as.Counts().Total(devas.Register)).To(Equal(1), "only what the server's owners approved beforehand was sent")
}

func sealOf(name string) string {
	if forged, found := forgeries()[name]; found {
		return forged.seal
	}
	return policy.UnverifiedSeal
}

func TestUngovernedDenialDeniesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, devas.Options{})
	g, tenant := NewWithT(t), w.tenant(t)
	w.preApproving(t, "reader")
	reg, soon := w.registration("reader", public, time.Now().Add(time.Hour)), time.Now().Add(time.Hour)
	reading, writing := w.grant("reader", soon, "files:read"), w.writing("reader", soon)
	w.create(t, reg, reading, writing)
	for _, grant := range []*v1alpha1.ScopeGrant{reading, writing} {
		w.waitForGrant(t, grant, "True/Ready")
		tenant.decide(t, grant, func(a *v1alpha1.Approval) { a.Decision, a.Reason = v1alpha1.DecisionDenied, "no" })
		g.Eventually(func() string { w.grantState(t, grant)(); return grant.Status.Approval.Seal }, eventually, often).Should(Equal(policy.UnverifiedSeal))
		g.Expect(w.grantState(t, grant)()).To(Equal("True/Ready"))
	}
	g.Expect(w.state(t, reg)()).To(Equal("True/Ready"))
	g.Expect(reg.Status.Scopes).To(HaveLen(2))
	g.Expect(w.as.Counts().Total(devas.Replace)).To(BeNumerically("<=", 1), "the scopes were not taken away in between")
	g.Expect(w.as.Deleted()).To(BeEmpty())
}

// A term is what the operator accepted; a forged one extends nothing.
func TestUngovernedTermExtendsNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, devas.Options{}, bounded)
	tenant, end := w.tenant(t), time.Now().Add(1000*time.Hour).Truncate(time.Second)
	reg := w.registration("eternal", public, end)
	tenant.create(t, reg, w.grant("eternal", end, "files:read"))
	w.waitFor(t, reg, "False/"+v1alpha1.ReasonLifetimeTooLong)
	NewWithT(t).Eventually(func() error {
		w.state(t, reg)()
		reg.Status.Term = &v1alpha1.Term{StartedAt: metav1.NewTime(end.Add(-time.Hour)), ExpiresAt: metav1.NewTime(end)}
		return tenant.Status().Update(t.Context(), reg)
	}, eventually, often).Should(Succeed())
	tenant.nudge(t, reg)
	NewWithT(t).Consistently(func() int { return w.as.Counts().Total(devas.Register) }, 3*time.Second, often).Should(BeZero())
	w.waitFor(t, reg, "False/"+v1alpha1.ReasonLifetimeTooLong)
}

// The client of a registration whose finalizer a tenant takes off is revoked,
// with proof, from what the operator keeps for itself.
func TestUngovernedRemovalOfTheFinalizerSavesNoClient(t *testing.T) {
	t.Parallel()
	w := newWorld(t, devas.Options{})
	g, tenant := NewWithT(t), w.tenant(t)
	slow, quick := w.register(t, "slow", secret, "True/Ready"), w.register(t, "quick", key, "True/Ready")
	ids := []string{slow.Status.ClientID, quick.Status.ClientID}
	w.order(t, devas.Fault{Operation: devas.Delete, ClientID: slow.Status.ClientID, Status: http.StatusServiceUnavailable})
	for _, reg := range []*v1alpha1.MCPClientRegistration{slow, quick} {
		g.Eventually(func() bool {
			off := client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`))
			// Both fail once the object is gone, which is what is waited for.
			patched, deleted := tenant.Patch(t.Context(), reg, off), tenant.Delete(t.Context(), reg)
			return apierrors.IsNotFound(patched) && apierrors.IsNotFound(deleted)
		}, eventually, time.Millisecond).Should(BeTrue())
	}
	w.as.ClearFaults()
	g.Eventually(func() []string { return w.as.Deleted() }, eventually, often).Should(ContainElements(ids))
	g.Expect(w.as.Clients()).To(BeEmpty())
	for _, reg := range []*v1alpha1.MCPClientRegistration{slow, quick} {
		record := types.NamespacedName{Namespace: operatorNamespace, Name: "registration-" + string(reg.UID)}
		g.Eventually(func() bool { return apierrors.IsNotFound(w.Get(t.Context(), record, &corev1.Secret{})) }, eventually, often).Should(BeTrue())
	}
	proven := map[string]bool{}
	for _, event := range shared.audit.of(w.namespace) {
		if event.Type == audit.RevocationVerified {
			proven[event.Data.ClientID] = true
		}
	}
	g.Expect(proven).To(And(HaveKey(ids[0]), HaveKey(ids[1])), "the proof is on the audit record")
}

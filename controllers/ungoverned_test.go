// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers_test

import (
	"cmp"
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

// decide creates a decision about a grant as it stands, once its registration is
// there.
func (w *world) decide(t *testing.T, grant *v1alpha1.ScopeGrant, change func(*v1alpha1.ScopeGrantApproval)) *v1alpha1.ScopeGrantApproval {
	t.Helper()
	var made *v1alpha1.ScopeGrantApproval
	NewWithT(t).Eventually(func() error {
		var reg v1alpha1.MCPClientRegistration
		var server v1alpha1.MCPServer
		for key, object := range map[client.ObjectKey]client.Object{
			client.ObjectKeyFromObject(grant):                                                 grant,
			{Namespace: grant.Namespace, Name: "client of " + grant.Spec.ClientRef.Name}:      &reg,
			{Namespace: grant.ServerNamespace(), Name: "server " + grant.Spec.ServerRef.Name}: &server,
		} {
			key.Name = strings.TrimPrefix(strings.TrimPrefix(key.Name, "client of "), "server ")
			if err := w.Get(t.Context(), key, object); err != nil {
				return err
			}
		}
		made = &v1alpha1.ScopeGrantApproval{
			ObjectMeta: metav1.ObjectMeta{
				Namespace: server.Namespace, GenerateName: grant.Name + "-", Annotations: map[string]string{v1alpha1.AnnotationApprovedBy: mallory},
			},
			Spec: v1alpha1.ScopeGrantApprovalSpec{
				ServerRef:    v1alpha1.ApprovedServer{Name: server.Name, UID: string(server.UID)},
				GrantRef:     &v1alpha1.ApprovedGrant{Namespace: grant.Namespace, Name: grant.Name, UID: string(grant.UID), Generation: grant.Generation},
				Registration: &v1alpha1.ApprovedRegistration{UID: string(reg.UID), Generation: reg.Generation},
				Digest:       policy.Look(grant, &reg, &server).Digest(),
				ToolsDigest:  policy.ToolsDigest(grant, &server),
				RequestedBy:  cmp.Or(grant.Annotations[v1alpha1.AnnotationRequestedBy], "nobody"),
				Decision:     v1alpha1.DecisionApproved,
			},
		}
		change(made)
		return w.Create(t.Context(), made)
	}, eventually, often).Should(Succeed())
	return made
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

// beforehand approves a scope of the server of a world for a client before it asks.
func (w *world) beforehand(name string, scopes ...string) *v1alpha1.ScopeGrantApproval {
	return &v1alpha1.ScopeGrantApproval{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: name},
		Spec: v1alpha1.ScopeGrantApprovalSpec{
			ServerRef: v1alpha1.ApprovedServer{Name: "files"}, ClientRef: &v1alpha1.ApprovedClient{Namespace: w.namespace, Name: name},
			Scopes: scopes, Decision: v1alpha1.DecisionApproved, ExpirationTime: new(metav1.NewTime(time.Now().Add(time.Hour).Truncate(time.Second))),
		},
	}
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

// forgery is a way to approve what was looked at in somebody's name.
type forgery struct {
	grant    func(*v1alpha1.ScopeGrant)
	approval func(*v1alpha1.ScopeGrantApproval)
}

func forgeries() map[string]forgery {
	by := func(who string) func(*v1alpha1.ScopeGrantApproval) {
		return func(a *v1alpha1.ScopeGrantApproval) { a.Annotations[v1alpha1.AnnotationApprovedBy] = who }
	}
	requested := func(by string) func(*v1alpha1.ScopeGrant) {
		return func(grant *v1alpha1.ScopeGrant) { grant.Annotations[v1alpha1.AnnotationRequestedBy] = by }
	}
	const owner = "server-owner@example.com"
	return map[string]forgery{
		"own-grant":          {requested(mallory), by(mallory)},
		"nobody-asked":       {func(*v1alpha1.ScopeGrant) {}, by(mallory)},
		"in-anothers-name":   {requested(mallory), by(owner)},
		"requester-and-name": {requested("ci@example.com"), by(owner)},
		"of-no-generation":   {requested("ci@example.com"), func(a *v1alpha1.ScopeGrantApproval) { by(owner)(a); a.Spec.GrantRef.Generation = 99 }},
		"without-approver":   {requested("ci@example.com"), func(a *v1alpha1.ScopeGrantApproval) { a.Annotations = nil }},
		"of-another-digest":  {requested("ci@example.com"), func(a *v1alpha1.ScopeGrantApproval) { by(owner)(a); a.Spec.Digest = strings.Repeat("0", 64) }},
	}
}

// Who approves what was looked at is known only with the policies. Who may approve
// beforehand is plain RBAC.
func TestUngovernedApprovalsCountForNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, devas.Options{})
	g, tenant, soon := NewWithT(t), w.tenant(t), time.Now().Add(time.Hour)
	w.create(t, w.beforehand("pre-approved", "files:write"))
	regs, grants := map[string]*v1alpha1.MCPClientRegistration{}, map[string]*v1alpha1.ScopeGrant{}
	for name, forged := range forgeries() {
		regs[name], grants[name] = w.registration(name, public, soon), w.writing(name, soon)
		forged.grant(grants[name])
		tenant.create(t, regs[name], grants[name])
	}
	for name, forged := range forgeries() {
		message := w.waitForGrant(t, grants[name], "False/"+v1alpha1.ReasonApprovalRequired)
		g.Expect(message).To(And(ContainSubstring("of tier Write"), ContainSubstring("spec.clientRef of a ScopeGrantApproval")), "approving it is not offered")
		tenant.decide(t, grants[name], forged.approval)
	}
	for name, grant := range grants {
		message := w.waitForGrant(t, grant, "False/"+v1alpha1.ReasonApprovalUnverified)
		g.Expect(message).To(And(ContainSubstring("only while the admission policies are installed"), ContainSubstring("ask the platform team to install them")), name)
		g.Expect(grant.Status.Approval).To(BeNil(), name)
		g.Expect(grant.Status.Basis).To(BeEmpty(), name)
		g.Expect(meta.IsStatusConditionTrue(grant.Status.Conditions, v1alpha1.ConditionStalled)).To(BeTrue(), name)
		w.waitFor(t, regs[name], "False/"+v1alpha1.ReasonNoGrantInForce)
	}
	good := w.registration("pre-approved", public, soon)
	tenant.create(t, good, w.writing("pre-approved", soon))
	w.waitFor(t, good, "True/Ready")
	g.Expect(w.as.Counts().Total(devas.Register)).To(Equal(1), "only what the server's owners approved beforehand was sent")
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

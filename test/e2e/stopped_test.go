// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"fmt"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/test/devas"
)

// maxLifetime is the longest life of a registration in TestStopped.
const maxLifetime = 24 * time.Hour

// TestStopped has the rules without the manager: while none runs, the API server
// refuses what the rules forbid and tells how to do it right, and takes what they
// allow. The manager that is started then carries all of it out.
func TestStopped(t *testing.T) {
	w := startWorld(t)
	as := w.startDevAS(t)
	object := newAuthorizationServer("devas", as.Issuer())
	object.Spec.Policy = &v1alpha1.RegistrationPolicy{MaxRegistrationLifetimeSeconds: new(int64(maxLifetime / time.Second))}
	w.create(t, object)
	NewWithT(t).Eventually(w.ready(t, object), patience, often).Should(Equal("True/Ready"))
	o := newOffice(t, w, as)
	reg, p := o.robot(t, "robot")
	early := o.grantOf("early", "robot", releaseScope)
	o.asks(t, early)
	w.awaitPolicies(t)
	t.Run("a grant from before the policies counted tells how to approve it", func(t *testing.T) { testEarlyGrant(t, w, early) })
	edited := o.editedGrant(t)
	w.manager.stop(t)
	before := changes(as)

	t.Run("what the rules forbid is refused", func(t *testing.T) { testRefusals(t, o, reg, edited) })
	var later *laterWork
	t.Run("what the rules allow is taken", func(t *testing.T) { later = testLegitimate(t, o, reg, edited) })
	if done := changes(as).minus(before); done["register"]+done["replace"]+done["delete"] != 0 {
		t.Fatalf("without a manager, the authorization server was asked: %v", done)
	}
	w.startManager(t)
	t.Run("the manager carries out what was taken", func(t *testing.T) { testCarriedOut(t, o, reg, p, later) })
}

// testEarlyGrant waits until a grant that was asked for when approvals did not
// count yet, as the policies had only just come, says that they do.
func testEarlyGrant(t *testing.T, w *world, grant *v1alpha1.ScopeGrant) {
	NewWithT(t).Eventually(func() string {
		w.ready(t, grant)()
		if ready := meta.FindStatusCondition(grant.Status.Conditions, v1alpha1.ConditionReady); ready != nil {
			return ready.Message
		}
		return ""
	}, patience, often).Should(ContainSubstring("status.pendingGrants"))
}

// editedGrant is a grant that waits for approval in its second generation.
func (o *office) editedGrant(t *testing.T) *v1alpha1.ScopeGrant {
	t.Helper()
	grant := o.grantOf("edited", "robot", releaseScope)
	o.asks(t, grant)
	o.alice.does(t, "patch", "scopegrant", "edited", "-n", team, "--type=merge",
		"-p", fmt.Sprintf(`{"spec":{"scopes":[%q,%q]}}`, releaseScope, writeScope))
	NewWithT(t).Eventually(func() int64 {
		o.ready(t, grant)()
		return grant.Status.ObservedGeneration
	}, patience, often).Should(BeEquivalentTo(2))
	return grant
}

// refusal is something that must not be possible.
type refusal struct {
	name string
	who  *person
	act  func(p *person) error
	// says are parts of the message: what is wrong, and what to do.
	says []string
}

func testRefusals(t *testing.T, o *office, reg *v1alpha1.MCPClientRegistration, edited *v1alpha1.ScopeGrant) {
	otto := o.newPerson(t, "otto", map[string]string{serverOwner: billing, clientDeveloper: team, grantApprover: billing})
	own := o.grantOf("own", "robot", releaseScope)
	if err := otto.Create(t.Context(), own); err != nil {
		t.Fatal(err)
	}
	for _, r := range append(o.refusedCreations(t), o.refusedChanges(t, otto, reg, own, edited)...) {
		t.Run(r.name, func(t *testing.T) {
			err := r.act(r.who)
			if err == nil {
				t.Fatalf("%s was not refused", r.who.name)
			}
			for _, part := range r.says {
				NewWithT(t).Expect(err.Error()).To(ContainSubstring(part))
			}
			t.Log(err)
		})
	}
}

// refusedCreations are objects that must not come to be.
func (o *office) refusedCreations(t *testing.T) []refusal {
	creates := func(object client.Object) func(*person) error {
		return func(p *person) error { return p.Create(t.Context(), object) }
	}
	without := func(object client.Object, annotation string) client.Object {
		annotations := object.GetAnnotations()
		delete(annotations, annotation)
		object.SetAnnotations(annotations)
		return object
	}
	long := o.newRegistration("long", v1alpha1.AuthMethodClientSecretBasic)
	long.Annotations[v1alpha1.AnnotationExpiresAt] = instant(time.Now().Add(maxLifetime + time.Hour))
	forged := o.grantOf("forged", "robot", readScope)
	forged.Annotations[v1alpha1.AnnotationRequestedBy] = "olga"
	return []refusal{
		{
			"a registration without an owner", o.alice,
			creates(without(o.newRegistration("ownerless", v1alpha1.AuthMethodNone), v1alpha1.AnnotationOwner)),
			[]string{"annotation mcp-registrar.dev/owner is missing", "for example mcp-registrar.dev/owner:"},
		},
		{
			"a grant without an owner", o.alice,
			creates(without(o.grantOf("ownerless", "robot", readScope), v1alpha1.AnnotationOwner)),
			[]string{"annotation mcp-registrar.dev/owner is missing", "for example mcp-registrar.dev/owner:"},
		},
		{
			"a registration without an end", o.alice,
			creates(without(o.newRegistration("endless", v1alpha1.AuthMethodNone), v1alpha1.AnnotationExpiresAt)),
			[]string{"annotation mcp-registrar.dev/expires-at is missing", "for example mcp-registrar.dev/expires-at:"},
		},
		{
			"a grant without an end", o.alice,
			creates(without(o.grantOf("endless", "robot", readScope), v1alpha1.AnnotationExpiresAt)),
			[]string{"annotation mcp-registrar.dev/expires-at is missing", "for example mcp-registrar.dev/expires-at:"},
		},
		{
			"a grant of a wildcard", o.alice, creates(o.grantOf("wild", "robot", "invoices:*")),
			[]string{"wildcard", "for example invoices:read"},
		},
		{
			"a grant of a catch-all", o.alice, creates(o.grantOf("all", "robot", "full-access")),
			[]string{"catch-all", "for example invoices:read"},
		},
		{
			"a registration that lives longer than the authorization server's policy", o.alice, creates(long),
			[]string{"beyond the maximum lifetime of 86400 seconds", "choose an instant no later than"},
		},
		{
			"a grant that somebody else is said to have asked for", o.alice, creates(forged),
			[]string{"annotation mcp-registrar.dev/requested-by names another user", "leave it out"},
		},
	}
}

// refusedChanges are changes of what there is that must not be possible.
func (o *office) refusedChanges(t *testing.T, otto *person, reg *v1alpha1.MCPClientRegistration, own, edited *v1alpha1.ScopeGrant) []refusal {
	merges := func(object client.Object, format string, args ...any) func(*person) error {
		return func(p *person) error {
			patch := client.RawPatch("application/merge-patch+json", fmt.Appendf(nil, format, args...))
			return p.Patch(t.Context(), object.DeepCopyObject().(client.Object), patch)
		}
	}
	approves := func(grant *v1alpha1.ScopeGrant) func(*person) error {
		return func(p *person) error { return p.decide(t, o.world, grant, v1alpha1.DecisionApproved) }
	}
	return []refusal{
		{
			"approving one's own grant", otto, approves(own),
			[]string{`user "otto" asked for this grant`, "ask another owner of the MCPServer"},
		},
		{
			"approving without the right to", o.bob, approves(edited),
			[]string{`cannot create resource "scopegrantapprovals"`},
		},
		{
			"noting another approver", o.olga, func(p *person) error {
				a := o.looked(t, edited, v1alpha1.DecisionApproved)
				a.Annotations = map[string]string{v1alpha1.AnnotationApprovedBy: "bob"}
				return p.Create(t.Context(), a)
			},
			[]string{"mcp-registrar.dev/approved-by must be the user who creates the object", "leave it out"},
		},
		{
			"changing who asked", o.alice, merges(edited, `{"metadata":{"annotations":{%q:"olga"}}}`, v1alpha1.AnnotationRequestedBy),
			[]string{"annotation mcp-registrar.dev/requested-by never changes", "keep it as it is stored"},
		},
		{
			"removing the finalizer as a tenant", o.alice, merges(reg, `{"metadata":{"finalizers":null}}`),
			[]string{"finalizer mcp-registrar.dev/client is taken off by the operator", "delete the object and wait"},
		},
		{
			"removing the owner", o.alice, merges(reg, `{"metadata":{"annotations":{%q:null}}}`, v1alpha1.AnnotationOwner),
			[]string{"annotation mcp-registrar.dev/owner is missing", "name who answers for this object"},
		},
	}
}

// decide makes a decision about a grant as it is.
func (p *person) decide(t *testing.T, w *world, grant *v1alpha1.ScopeGrant, decision v1alpha1.ApprovalDecision) error {
	t.Helper()
	return p.Create(t.Context(), w.looked(t, grant, decision))
}

// laterWork is what was asked for while no manager ran.
type laterWork struct {
	created, doomed *v1alpha1.MCPClientRegistration
	grant           *v1alpha1.ScopeGrant
	renewedUntil    time.Time
}

// testLegitimate creates, renews, approves and deletes as people may.
func testLegitimate(t *testing.T, o *office, reg *v1alpha1.MCPClientRegistration, edited *v1alpha1.ScopeGrant) *laterWork {
	later := &laterWork{
		created: o.newRegistration("meanwhile", v1alpha1.AuthMethodPrivateKeyJWT),
		doomed:  o.newRegistration("doomed", v1alpha1.AuthMethodClientSecretBasic),
		grant:   edited, renewedUntil: time.Now().Add(3 * time.Hour).Truncate(time.Second),
	}
	o.asks(t, later.created, o.grantOf("meanwhile-reads", "meanwhile", readScope), later.doomed)
	if later.created.Annotations[v1alpha1.AnnotationRequestedBy] != "alice" {
		t.Errorf("nobody noted that alice asked: %v", later.created.Annotations)
	}
	o.alice.annotate(t, "mcpclientregistration", reg.Name, later.renewedUntil)
	if err := o.olga.decide(t, o.world, edited, v1alpha1.DecisionApproved); err != nil {
		t.Errorf("olga approves: %v", err)
	}
	if err := o.alice.Delete(t.Context(), later.doomed); err != nil {
		t.Errorf("alice deletes: %v", err)
	}
	return later
}

func testCarriedOut(t *testing.T, o *office, reg *v1alpha1.MCPClientRegistration, p party, later *laterWork) {
	g := NewWithT(t)
	o.waitReady(t, later.created)
	g.Eventually(func() bool {
		o.ready(t, reg)()
		return reg.Status.ExpiresAt != nil && reg.Status.ExpiresAt.Time.Equal(later.renewedUntil)
	}, patience, often).Should(BeTrue(), "the renewal is not taken up")
	o.requireScopes(t, p, readScope, writeScope, releaseScope)
	g.Eventually(o.ready(t, later.grant), patience, often).Should(Equal("True/Ready"))
	g.Expect(later.grant.Status.Approval.ApprovedBy).To(Equal("olga"))
	g.Eventually(func() bool {
		return apierrors.IsNotFound(o.Get(t.Context(), client.ObjectKeyFromObject(later.doomed), later.doomed))
	}, patience, often).Should(BeTrue(), "what was deleted meanwhile is still there")
	g.Eventually(func() int { return len(o.as.Clients()) }, patience, often).Should(Equal(2))
	g.Expect(o.as.Counts().Total(devas.Delete)).To(BeZero(), "what never had a client was deleted at the authorization server")
}

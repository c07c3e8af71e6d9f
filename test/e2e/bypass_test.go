// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
)

// TestBypass has the manager without the rules in the API server: what they would
// refuse is stored, and says why it leads nowhere.
func TestBypass(t *testing.T) {
	w := startWorld(t, "admission.enabled=false")
	as := w.startDevAS(t)
	object := newAuthorizationServer("devas", as.Issuer())
	object.Spec.Policy = &v1alpha1.RegistrationPolicy{MaxRegistrationLifetimeSeconds: new(int64(maxLifetime / time.Second))}
	w.create(t, object)
	NewWithT(t).Eventually(w.ready(t, object), patience, often).Should(Equal("True/Ready"))
	o := newOffice(t, w, as)
	reg, p := o.robot(t, "robot")
	registered := changes(as)

	for _, b := range o.bypasses(t) {
		t.Run(b.name, func(t *testing.T) {
			g := NewWithT(t)
			o.asks(t, b.object)
			if b.grant != nil {
				o.asks(t, b.grant)
			}
			if b.then != nil {
				g.Expect(b.then()).To(Succeed())
			}
			g.Eventually(o.ready(t, b.object), patience, often).Should(Equal("False/" + b.reason))
			told := meta.FindStatusCondition(b.object.GetConditions(), v1alpha1.ConditionReady).Message
			g.Expect(told).To(ContainSubstring(b.says))
		})
	}
	t.Run("a wildcard is refused by the schema", func(t *testing.T) {
		err := o.alice.Create(t.Context(), o.grantOf("wild", "robot", "invoices:*"))
		NewWithT(t).Expect(err).To(MatchError(ContainSubstring("must not contain a wildcard")))
	})
	t.Run("a finalizer that a tenant takes off is put on again", func(t *testing.T) {
		o.alice.does(t, "patch", "mcpclientregistration", reg.Name, "-n", team, "--type=merge", "-p", `{"metadata":{"finalizers":null}}`)
		NewWithT(t).Eventually(func() []string {
			o.ready(t, reg)()
			return reg.Finalizers
		}, patience, often).Should(ContainElement(v1alpha1.Finalizer))
	})
	o.settled(t, quiet)
	if done := changes(as).minus(registered); done["register"]+done["replace"]+done["delete"] != 0 {
		t.Errorf("something reached the authorization server: %v", done)
	}
	o.requireScopes(t, p, readScope)
	if standing := o.ready(t, reg)(); standing != "True/Ready" {
		t.Errorf("the registration beside all that is %s", standing)
	}
}

// TestForgedBefore installs the rules, while no manager runs, when an approval had
// been forged already: the manager that comes then must not take it for checked.
func TestForgedBefore(t *testing.T) {
	w := startWorld(t, "admission.enabled=false")
	as := w.startDevAS(t)
	w.connect(t, "devas", as.Issuer())
	o := newOffice(t, w, as)
	_, p := o.robot(t, "robot")
	grant := o.grantOf("forged", "robot", releaseScope)
	grant.Annotations[v1alpha1.AnnotationRequestedBy] = "alice"
	o.asks(t, grant)
	NewWithT(t).Eventually(o.ready(t, grant), patience, often).Should(Equal("False/" + v1alpha1.ReasonApprovalRequired))
	w.manager.stop(t)
	if err := o.forges(t, o.olga, grant, "somebody")(); err != nil {
		t.Fatal(err)
	}
	if err := w.plane.Apply(t.Context(), renderChart(t).manifests); err != nil {
		t.Fatal(err)
	}
	w.awaitPolicies(t)
	w.startManager(t)
	NewWithT(t).Eventually(o.ready(t, grant), patience, often).Should(Equal("False/" + v1alpha1.ReasonApprovalUnverified))
	w.settled(t, quiet)
	o.requireScopes(t, p, readScope)
	if standing := o.ready(t, grant)(); standing != "False/"+v1alpha1.ReasonApprovalUnverified {
		t.Errorf("the grant is %s, with approval %+v", standing, grant.Status.Approval)
	}
}

// forges is an approval by a person in the name of another.
func (o *office) forges(t *testing.T, p *person, grant *v1alpha1.ScopeGrant, name string) func() error {
	return func() error {
		a := o.looked(t, grant, v1alpha1.DecisionApproved)
		a.Annotations = map[string]string{v1alpha1.AnnotationApprovedBy: name}
		return p.Create(t.Context(), a)
	}
}

// bypass is something that the admission policies would have refused.
type bypass struct {
	name   string
	object conditioned
	// grant gives a registration what it needs otherwise.
	grant *v1alpha1.ScopeGrant
	// then is done when the object was made.
	then         func() error
	reason, says string
}

func (o *office) bypasses(t *testing.T) []bypass {
	without := func(object conditioned, annotation string) conditioned {
		annotations := object.GetAnnotations()
		delete(annotations, annotation)
		object.SetAnnotations(annotations)
		return object
	}
	long := o.newRegistration("long", v1alpha1.AuthMethodClientSecretBasic)
	long.Annotations[v1alpha1.AnnotationExpiresAt] = instant(time.Now().Add(maxLifetime + time.Hour))
	own, foreign, forged := o.grantOf("own", "robot", releaseScope), o.grantOf("foreign", "robot", releaseScope), o.grantOf("forged", "robot", releaseScope)
	forged.Annotations[v1alpha1.AnnotationRequestedBy] = "somebody"
	own.Annotations[v1alpha1.AnnotationRequestedBy] = "olga"
	foreign.Annotations[v1alpha1.AnnotationRequestedBy] = "alice"
	return []bypass{
		{
			name: "a registration without an owner", grant: o.grantOf("ownerless", "ownerless", readScope),
			object: without(o.newRegistration("ownerless", v1alpha1.AuthMethodNone), v1alpha1.AnnotationOwner),
			reason: v1alpha1.ReasonOwnerMissing, says: "annotation mcp-registrar.dev/owner is missing: set it",
		},
		{
			name: "a registration without an end", grant: o.grantOf("endless", "endless", readScope),
			object: without(o.newRegistration("endless", v1alpha1.AuthMethodNone), v1alpha1.AnnotationExpiresAt),
			reason: v1alpha1.ReasonExpiryMissing, says: "annotation mcp-registrar.dev/expires-at is missing: set it",
		},
		{
			name: "a grant without an end", object: without(o.grantOf("endless-grant", "robot", readScope), v1alpha1.AnnotationExpiresAt),
			reason: v1alpha1.ReasonExpiryMissing, says: "annotation mcp-registrar.dev/expires-at is missing: set it",
		},
		{
			name: "a registration that lives longer than the policy allows", object: long, grant: o.grantOf("long", "long", readScope),
			reason: v1alpha1.ReasonLifetimeTooLong, says: "choose an earlier instant",
		},
		{
			name: "an approval of one's own grant", object: own, then: o.forges(t, o.olga, own, "olga"),
			reason: v1alpha1.ReasonApprovalUnverified, says: "count only while the admission policies are installed",
		},
		{
			name: "an approval of one's own grant in another's name", object: foreign, then: o.forges(t, o.olga, foreign, "bob"),
			reason: v1alpha1.ReasonApprovalUnverified, says: "count only while the admission policies are installed",
		},
		{
			name: "an approval in a name of one's own making", object: forged, then: o.forges(t, o.olga, forged, "nobody"),
			reason: v1alpha1.ReasonApprovalUnverified, says: "count only while the admission policies are installed",
		},
	}
}

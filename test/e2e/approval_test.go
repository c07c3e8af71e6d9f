// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/test/devas"
)

// TestApprovals is the life of grants that need the word of the server's owners,
// each step taken by the person whose it is.
func TestApprovals(t *testing.T) {
	w := startWorld(t)
	as := w.startDevAS(t)
	w.connect(t, "devas", as.Issuer())
	o := newOffice(t, w, as)
	w.awaitPolicies(t)
	// One after the other: the first looks at all grants that wait.
	for _, step := range []struct {
		name string
		test func(*testing.T, *office)
	}{
		{"an elevated grant from request to denial", testElevatedGrant},
		{"an end date that was moved needs approval if it is later", testMovedEnd},
		{"a pre-approval counts until its end", testPreApprovalEnds},
		{"the scope is gone soon after the approval is withdrawn", testWithdrawalLateness},
		{"an approval by those who may not give it is refused", testForeignApproval},
		{"an approval outlives a restart of the operator", testApprovalOutlivesRestart},
	} {
		t.Run(step.name, func(t *testing.T) { step.test(t, o) })
	}
	t.Run("no secret is shown", func(t *testing.T) {
		// The canary search wants to have seen every kind of secret.
		reg := o.newRegistration("with-key", v1alpha1.AuthMethodPrivateKeyJWT)
		o.asks(t, reg, o.grantOf("with-key", "with-key", readScope))
		o.waitReady(t, reg)
		testNoSecretIsShown(t, w, "access token")
	})
}

func testElevatedGrant(t *testing.T, o *office) {
	g := NewWithT(t)
	_, p := o.robot(t, "robot")
	grant := o.grantOf("elevated", "robot", releaseScope)
	o.asks(t, grant)
	command := o.approval(t, grant)
	o.requirePending(t, grant)
	o.requireScopes(t, p, readScope)

	if said, err := o.olga.shell(t, command); err != nil {
		t.Fatalf("%s: %v\n%s", command, err, said)
	}
	o.requireScopes(t, p, readScope, releaseScope)
	g.Eventually(o.ready(t, grant), patience, often).Should(Equal("True/Ready"))
	approval := grant.Status.Approval
	g.Expect(approval.ApprovedBy).To(Equal("olga"))
	g.Expect(o.approvals(t, grant)).To(HaveLen(1))
	g.Expect(approval.UID).To(BeEquivalentTo(o.approvals(t, grant)[0].UID))
	g.Expect(grant.Status.Basis).To(Equal(v1alpha1.BasisApproved))
	g.Eventually(o.pending(t), patience, often).Should(BeEmpty())

	o.alice.does(t, "patch", "scopegrant", "elevated", "-n", team, "--type=merge",
		"-p", fmt.Sprintf(`{"spec":{"scopes":[%q,%q]}}`, releaseScope, writeScope))
	o.requireScopes(t, p, readScope)
	o.requirePending(t, grant)
	g.Expect(grant.Annotations).To(HaveKeyWithValue(v1alpha1.AnnotationChangedBy, "alice"))
	o.olga.approve(t, o.world, grant)
	o.requireScopes(t, p, readScope, writeScope, releaseScope)

	o.olga.withdraw(t, o.world, grant)
	o.requireScopes(t, p, readScope)
	o.requirePending(t, grant)

	denial := o.looked(t, grant, v1alpha1.DecisionDenied)
	denial.Spec.Reason = "ask for invoices:write alone"
	if err := o.olga.Create(t.Context(), denial); err != nil {
		t.Fatal(err)
	}
	g.Eventually(o.ready(t, grant), patience, often).Should(Equal("False/" + v1alpha1.ReasonApprovalDenied))
	told := o.alice.does(t, "get", "scopegrant", "elevated", "-n", team,
		"-o", `jsonpath={.status.conditions[?(@.type=="Ready")].message}`)
	g.Expect(told).To(And(ContainSubstring("olga"), ContainSubstring("ask for invoices:write alone")))
	g.Expect(kstatusOf(t, o.world, grant)).To(Equal(status.FailedStatus))
	o.requireScopes(t, p, readScope)
	g.Eventually(o.pending(t), patience, often).Should(BeEmpty(), "what was denied still waits")
}

// requirePending checks that both sides see that a grant waits for approval.
func (o *office) requirePending(t *testing.T, grant *v1alpha1.ScopeGrant) {
	t.Helper()
	g := NewWithT(t)
	g.Eventually(o.ready(t, grant), patience, often).Should(Equal("False/" + v1alpha1.ReasonApprovalRequired))
	g.Expect(condition(grant, v1alpha1.ConditionReconciling)).To(HavePrefix("True/"))
	g.Expect(kstatusOf(t, o.world, grant)).To(Equal(status.InProgressStatus))
	g.Eventually(func() (waiting []string) {
		for _, p := range o.pending(t)() {
			waiting = append(waiting, fmt.Sprintf("%s/%s %d %s %s", p.Namespace, p.Name, p.Generation, p.Client, p.RequestedBy))
		}
		return waiting
	}, patience, often).Should(ConsistOf(fmt.Sprintf("%s/%s %d %s alice", team, grant.Name, grant.Generation, grant.Spec.ClientRef.Name)))
	counted := o.olga.does(t, "get", "mcpserver", "invoices", "-n", billing, "-o", "jsonpath={.status.grants.pending}")
	g.Expect(counted).To(Equal("1"))
}

// pending are the grants that the owners of the server are shown.
func (o *office) pending(t *testing.T) func() []v1alpha1.PendingGrant {
	return func() []v1alpha1.PendingGrant {
		o.ready(t, o.server)()
		return o.server.Status.PendingGrants
	}
}

// kstatusOf is what GitOps tools make of an object.
func kstatusOf(t *testing.T, w *world, object client.Object) status.Status {
	t.Helper()
	kinds, _, err := w.Scheme().ObjectKinds(object)
	if err != nil {
		t.Fatal(err)
	}
	read := &unstructured.Unstructured{}
	read.SetGroupVersionKind(kinds[0])
	if err := w.Get(t.Context(), client.ObjectKeyFromObject(object), read); err != nil {
		t.Fatal(err)
	}
	result, err := status.Compute(read)
	if err != nil {
		t.Fatal(err)
	}
	return result.Status
}

func testMovedEnd(t *testing.T, o *office) {
	g := NewWithT(t)
	reg, p := o.robot(t, "mover")
	o.alice.annotate(t, "mcpclientregistration", reg.Name, time.Now().Add(12*time.Hour))
	grant := o.grantOf("moved", "mover", releaseScope)
	o.asks(t, grant)
	o.olga.approve(t, o.world, grant)
	o.requireScopes(t, p, readScope, releaseScope)
	g.Eventually(o.ready(t, grant), patience, often).Should(Equal("True/Ready"))
	approved, err := time.Parse(time.RFC3339, grant.Annotations[v1alpha1.AnnotationExpiresAt])
	g.Expect(err).NotTo(HaveOccurred())

	o.alice.annotate(t, "scopegrant", grant.Name, approved.Add(time.Second))
	o.requireScopes(t, p, readScope)
	g.Eventually(o.ready(t, grant), patience, often).Should(Equal("False/" + v1alpha1.ReasonApprovalRequired))
	told := meta.FindStatusCondition(grant.Status.Conditions, v1alpha1.ConditionReady).Message
	g.Expect(told).To(ContainSubstring(fmt.Sprintf("end: was %q", instant(approved))))

	o.alice.annotate(t, "scopegrant", grant.Name, approved.Add(-time.Minute))
	o.requireScopes(t, p, readScope, releaseScope)
	g.Eventually(o.ready(t, grant), patience, often).Should(Equal("True/Ready"))

	o.alice.annotate(t, "scopegrant", grant.Name, approved.Add(time.Hour))
	o.requireScopes(t, p, readScope)
	o.olga.approve(t, o.world, grant)
	o.requireScopes(t, p, readScope, releaseScope)
	g.Eventually(o.ready(t, grant), patience, often).Should(Equal("True/Ready"))
}

// annotate moves the end of an object.
func (p *person) annotate(t *testing.T, kind, name string, end time.Time) {
	t.Helper()
	p.does(t, "annotate", kind, name, "-n", team, "--overwrite", v1alpha1.AnnotationExpiresAt+"="+instant(end))
}

func testPreApprovalEnds(t *testing.T, o *office) {
	g := NewWithT(t)
	_, p := o.robot(t, "pre-approved")
	approves := func(name string, until time.Time) {
		before := beforehand(billing, "invoices", team, "pre-approved", string(releaseScope), until)
		before.Name = name
		if err := o.olga.Create(t.Context(), before); err != nil {
			t.Fatal(err)
		}
	}
	end := time.Now().Add(10 * time.Minute).Truncate(time.Second)
	approves("long", end)
	grant := o.grantOf("pre-approved", "pre-approved", releaseScope)
	o.asks(t, grant)
	g.Eventually(o.scopesAt(p.id), patience, often).Should(ConsistOf(readScope, releaseScope))
	g.Eventually(o.ready(t, grant), patience, often).Should(Equal("True/Ready"))
	g.Expect(grant.Status.Basis).To(Equal(v1alpha1.BasisPreApproved))
	g.Expect(grant.Status.ExpiresAt.Time.Equal(end)).To(BeTrue(), "the status says %s", grant.Status.ExpiresAt)

	end = time.Now().Add(4 * time.Second).Truncate(time.Second)
	approves("short", end)
	o.olga.does(t, "delete", "mcpapproval", "-n", billing, "long")
	g.Eventually(o.scopesAt(p.id), patience, often).Should(ConsistOf(readScope))
	lost := o.changedAt(p.id)
	if lost.Before(end) {
		t.Errorf("the scope was removed %s early", end.Sub(lost))
	}
	t.Logf("the scope was gone %d ms after the pre-approval's end", lost.Sub(end).Milliseconds())
	g.Eventually(o.ready(t, grant), patience, often).Should(Equal("False/" + v1alpha1.ReasonApprovalRequired))
	o.olga.approve(t, o.world, grant)
	o.requireScopes(t, p, readScope, releaseScope)
}

// changedAt is when the authorization server last changed a client.
func (o *office) changedAt(id string) time.Time {
	for _, entry := range slices.Backward(o.as.Log()) {
		if entry.ClientID == id && entry.Operation == devas.Replace && entry.Status == 200 {
			return entry.Time
		}
	}
	return time.Time{}
}

func testWithdrawalLateness(t *testing.T, o *office) {
	const rounds = 12
	g := NewWithT(t)
	_, p := o.robot(t, "measured")
	grant := o.grantOf("measured", "measured", releaseScope)
	o.asks(t, grant)
	var returned, sent []time.Duration
	for range rounds {
		o.olga.approve(t, o.world, grant)
		g.Eventually(o.scopesAt(p.id), patience, often).Should(ContainElement(releaseScope))
		began := time.Now()
		o.olga.withdraw(t, o.world, grant)
		ended := time.Now()
		g.Eventually(o.scopesAt(p.id), patience, often).ShouldNot(ContainElement(releaseScope))
		lost := o.changedAt(p.id)
		returned, sent = append(returned, lost.Sub(ended)), append(sent, lost.Sub(began))
	}
	t.Logf("the authorization server took the scope away, in %d rounds, after kubectl returned: %s ms; after kubectl was started: %s ms",
		rounds, millis(returned), millis(sent))
}

// millis lists durations in milliseconds, the shortest first.
func millis(durations []time.Duration) string {
	var texts []string
	for _, d := range slices.Sorted(slices.Values(durations)) {
		texts = append(texts, fmt.Sprint(d.Milliseconds()))
	}
	return strings.Join(texts, ", ")
}

func testForeignApproval(t *testing.T, o *office) {
	g := NewWithT(t)
	_, p := o.robot(t, "wished")
	grant := o.grantOf("wished", "wished", releaseScope)
	o.asks(t, grant)
	command := o.approval(t, grant)
	said, err := o.bob.shell(t, command)
	g.Expect(err).To(HaveOccurred())
	g.Expect(said).To(ContainSubstring("forbidden"))
	said, err = o.alice.shell(t, command)
	g.Expect(err).To(HaveOccurred())
	g.Expect(said).To(ContainSubstring("forbidden"))
	g.Expect(o.ready(t, grant)()).To(Equal("False/" + v1alpha1.ReasonApprovalRequired))
	o.requireScopes(t, p, readScope)
	o.remove(t, grant)
}

func testApprovalOutlivesRestart(t *testing.T, o *office) {
	g := NewWithT(t)
	reg, p := o.robot(t, "restarted")
	grant := o.grantOf("restarted", "restarted", releaseScope)
	o.asks(t, grant)
	o.olga.approve(t, o.world, grant)
	o.requireScopes(t, p, readScope, releaseScope)
	g.Eventually(o.ready(t, grant), patience, often).Should(Equal("True/Ready"))
	changes := o.as.Counts().Total(devas.Replace)
	o.manager.stop(t)
	o.startManager(t)
	o.settled(t, quiet)
	g.Expect(o.as.Counts().Total(devas.Replace)).To(Equal(changes), "the restart changed a client")
	o.requireScopes(t, p, readScope, releaseScope)
	g.Expect(o.ready(t, reg)()).To(Equal("True/Ready"))
	g.Expect(o.ready(t, grant)()).To(Equal("True/Ready"))
}

// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers_test

import (
	"strings"
	"testing"
	"time"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/test/devas"
)

// kstatusOf is what kstatus, and with it Flux and Argo CD, makes of an object.
func kstatusOf(t *testing.T, object client.Object) status.Status {
	t.Helper()
	fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
	if err != nil {
		t.Fatal(err)
	}
	computed, err := status.Compute(&unstructured.Unstructured{Object: fields})
	if err != nil {
		t.Fatal(err)
	}
	return computed.Status
}

// TestBadInputIsNeverSent holds for what a schema cannot see: annotations and
// other objects. Good objects beside it are not delayed.
func TestBadInputIsNeverSent(t *testing.T) {
	t.Parallel()
	w := newWorld(t, devas.Options{}, func(as *v1alpha1.AuthorizationServer) {
		as.Spec.Policy = &v1alpha1.RegistrationPolicy{
			MaxRegistrationLifetimeSeconds: new(int64(24 * 3600)),
			OwnerPattern:                   `[a-z-]+@example\.com`,
			RedirectURIPatterns:            []string{`http://127\.0\.0\.1/.*`},
		}
	})
	soon := time.Now().Add(time.Hour)
	annotate := func(key, value string) func(*v1alpha1.MCPClientRegistration) {
		return func(reg *v1alpha1.MCPClientRegistration) {
			if delete(reg.Annotations, key); value != "" {
				reg.Annotations[key] = value
			}
		}
	}
	cases := map[string]struct {
		change  func(*v1alpha1.MCPClientRegistration)
		reason  string
		mention []string
	}{
		"no-end":      {annotate(v1alpha1.AnnotationExpiresAt, ""), v1alpha1.ReasonExpiryMissing, []string{"mcp-registrar.dev/expires-at", "2027-"}},
		"unparsable":  {annotate(v1alpha1.AnnotationExpiresAt, "next tuesday"), v1alpha1.ReasonExpiryInvalid, []string{"mcp-registrar.dev/expires-at", "2027-"}},
		"past":        {annotate(v1alpha1.AnnotationExpiresAt, "2020-01-01T00:00:00Z"), v1alpha1.ReasonExpired, []string{"mcp-registrar.dev/expires-at", "2027-"}},
		"too-long":    {annotate(v1alpha1.AnnotationExpiresAt, time.Now().Add(48*time.Hour).Format(time.RFC3339)), v1alpha1.ReasonLifetimeTooLong, []string{"mcp-registrar.dev/expires-at", "86400", "2027-"}},
		"no-owner":    {annotate(v1alpha1.AnnotationOwner, ""), v1alpha1.ReasonOwnerMissing, []string{"mcp-registrar.dev/owner", "team-payments@example.com"}},
		"wrong-owner": {annotate(v1alpha1.AnnotationOwner, "nobody"), v1alpha1.ReasonOwnerNotAllowed, []string{"mcp-registrar.dev/owner", "team-payments@example.com"}},
		"redirect": {func(reg *v1alpha1.MCPClientRegistration) {
			reg.Spec.RedirectURIs = []v1alpha1.RedirectURI{"https://app.example.com/cb"}
		}, v1alpha1.ReasonRedirectURINotAllowed, []string{"spec.redirectURIs", "127"}},
	}
	g := NewWithT(t)
	bad := map[string]*v1alpha1.MCPClientRegistration{}
	for name, c := range cases {
		reg := w.registration(name, public, soon)
		c.change(reg)
		w.create(t, reg, w.grant(name, soon, "files:read"))
		bad[name] = reg
	}
	unknown := w.registration("unknown-scope", public, soon)
	astray := w.grant("unknown-scope", soon, "files:burn")
	w.create(t, unknown, astray)
	good := w.register(t, "good", public, "True/Ready")
	g.Expect(kstatusOf(t, good)).To(Equal(status.CurrentStatus))

	for name, reg := range bad {
		w.waitFor(t, reg, "False/"+cases[name].reason)
		accepted := meta.FindStatusCondition(reg.Status.Conditions, v1alpha1.ConditionAccepted)
		for _, mention := range cases[name].mention {
			g.Expect(accepted.Message).To(ContainSubstring(mention), name)
		}
		g.Expect(kstatusOf(t, reg)).To(Equal(status.FailedStatus), name)
		g.Expect(reg.Status.ClientID).To(BeEmpty())
	}
	w.waitFor(t, unknown, "False/"+v1alpha1.ReasonNoGrantInForce)
	g.Expect(kstatusOf(t, unknown)).To(Equal(status.InProgressStatus))
	g.Expect(w.waitForGrant(t, astray, "False/"+v1alpha1.ReasonScopeUnknown)).To(And(ContainSubstring("spec.scopes"), ContainSubstring("files:burn"), ContainSubstring("for example")))
	g.Expect(w.as.Counts().Total(devas.Register)).To(Equal(1), "only the good one was sent")
}

func TestT7ForeignSecretIsNeverOverwritten(t *testing.T) {
	t.Parallel()
	w := newWorld(t, devas.Options{})
	g := NewWithT(t)
	theirs := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "taken-mcp-client",
			Labels: map[string]string{v1alpha1.LabelManagedBy: v1alpha1.ManagedByValue}},
		Data: map[string][]byte{"client_id": []byte("theirs")},
	}
	w.create(t, theirs)
	reg := w.register(t, "taken", secret, "False/"+v1alpha1.ReasonSecretConflict)
	g.Expect(w.Get(t.Context(), client.ObjectKeyFromObject(theirs), theirs)).To(Succeed())
	g.Expect(theirs.Data).To(HaveLen(1))
	g.Expect(w.as.Counts().Total(devas.Register)).To(BeZero())
	w.remove(t, reg)
	w.waitFor(t, reg, "gone")
	g.Expect(w.Get(t.Context(), client.ObjectKeyFromObject(theirs), theirs)).To(Succeed())
}

func TestT8GrantsReachOtherNamespacesOnlyWhereTheirServersAllow(t *testing.T) {
	t.Parallel()
	w := newWorld(t, devas.Options{})
	other := newWorld(t, devas.Options{})
	g := NewWithT(t)
	for _, name := range []string{"files", "missing"} {
		grant := w.grant("reader", time.Now().Add(time.Hour), "files:read")
		grant.Name, grant.GenerateName = name, ""
		grant.Spec.ServerRef = v1alpha1.ServerReference{Namespace: other.namespace, Name: name}
		w.create(t, grant)
	}
	reg := w.registration("reader", public, time.Now().Add(time.Hour))
	w.create(t, reg)
	w.waitFor(t, reg, "False/"+v1alpha1.ReasonNoGrantInForce)
	messages := map[string]string{}
	for _, name := range []string{"files", "missing"} {
		var grant v1alpha1.ScopeGrant
		g.Eventually(func() string {
			g.Expect(w.Get(t.Context(), client.ObjectKey{Namespace: w.namespace, Name: name}, &grant)).To(Succeed())
			if c := meta.FindStatusCondition(grant.Status.Conditions, v1alpha1.ConditionAccepted); c != nil {
				messages[name] = c.Message
				return c.Reason
			}
			return ""
		}, eventually, often).Should(Equal(v1alpha1.ReasonServerNotAvailable))
	}
	g.Expect(messages["missing"]).To(Equal(strings.ReplaceAll(messages["files"], `MCPServer "files"`, `MCPServer "missing"`)), "whether the server exists is not told")
}

func TestOneNamespaceNotAllowed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, devas.Options{}, func(as *v1alpha1.AuthorizationServer) {
		as.Spec.AllowedNamespaces = &v1alpha1.AllowedNamespaces{From: v1alpha1.NamespacesSelector,
			Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"mcp-clients": "allowed"}}}
	})
	reg := w.register(t, "outsider", public, "False/"+v1alpha1.ReasonNamespaceNotAllowed)
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: w.namespace}}
	edit(t, w, namespace, func(ns *corev1.Namespace) {
		ns.Labels = map[string]string{"mcp-clients": "allowed"}
	})
	w.waitFor(t, reg, "True/Ready")
	edit(t, w, namespace, func(ns *corev1.Namespace) { delete(ns.Labels, "mcp-clients") })
	w.waitFor(t, reg, "False/"+v1alpha1.ReasonNamespaceNotAllowed)
	g := NewWithT(t)
	g.Eventually(func() int { return len(w.as.Clients()) }, eventually, often).Should(BeZero())
}

// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers_test

import (
	"encoding/base64"
	"testing"

	. "github.com/onsi/gomega"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/test/devas"
)

// quota bounds the Secrets of the namespace to none, and waits until the API server
// holds to it.
func (w *world) quota(t *testing.T) *corev1.ResourceQuota {
	t.Helper()
	quota := &corev1.ResourceQuota{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "no-secrets"},
		Spec:       corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{"count/secrets": resource.MustParse("0")}},
	}
	w.create(t, quota)
	// No controller counts here.
	quota.Status = corev1.ResourceQuotaStatus{Hard: quota.Spec.Hard, Used: corev1.ResourceList{"count/secrets": resource.MustParse("0")}}
	if err := w.Status().Update(t.Context(), quota); err != nil {
		t.Fatal(err)
	}
	probe := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "probe"}}
	NewWithT(t).Eventually(func() string {
		if err := w.Create(t.Context(), probe.DeepCopy(), client.DryRunAll); err != nil {
			return err.Error()
		}
		return ""
	}, eventually, often).Should(ContainSubstring("exceeded quota"))
	return quota
}

// policy denies what an expression does not hold for, in the world's namespace.
func (w *world) policy(t *testing.T, resource, expression, says string) *admissionregistrationv1.ValidatingAdmissionPolicy {
	t.Helper()
	group := map[string]string{"secrets": "", "mcpclientregistrations": v1alpha1.GroupVersion.Group}[resource]
	name := w.namespace + "-" + resource
	denial := &admissionregistrationv1.ValidatingAdmissionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: admissionregistrationv1.ValidatingAdmissionPolicySpec{
			MatchConstraints: &admissionregistrationv1.MatchResources{
				NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: w.namespace}},
				ResourceRules: []admissionregistrationv1.NamedRuleWithOperations{{RuleWithOperations: admissionregistrationv1.RuleWithOperations{
					Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Create, admissionregistrationv1.Update},
					Rule:       admissionregistrationv1.Rule{APIGroups: []string{group}, APIVersions: []string{"*"}, Resources: []string{resource}},
				}}},
			},
			Validations: []admissionregistrationv1.Validation{{Expression: expression, MessageExpression: says}},
		},
	}
	binding := &admissionregistrationv1.ValidatingAdmissionPolicyBinding{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: admissionregistrationv1.ValidatingAdmissionPolicyBindingSpec{
			PolicyName: name, ValidationActions: []admissionregistrationv1.ValidationAction{admissionregistrationv1.Deny},
		},
	}
	w.create(t, denial, binding)
	t.Cleanup(func() {
		for _, object := range []client.Object{denial, binding} {
			if err := client.IgnoreNotFound(w.Delete(t.Context(), object)); err != nil {
				t.Log(err)
			}
		}
	})
	return denial
}

// denied waits until a policy is held to.
func (w *world) denied(t *testing.T, probe client.Object) {
	t.Helper()
	NewWithT(t).Eventually(func() error {
		return w.Create(t.Context(), probe.DeepCopyObject().(client.Object), client.DryRunAll)
	}, eventually, often).Should(MatchError(ContainSubstring("denied request")))
}

func (w *world) saidOf(t *testing.T, reg *v1alpha1.MCPClientRegistration) string {
	t.Helper()
	NewWithT(t).Expect(w.Get(t.Context(), client.ObjectKeyFromObject(reg), reg)).To(Succeed())
	return meta.FindStatusCondition(reg.Status.Conditions, v1alpha1.ConditionReady).Message
}

// A quota, a policy: the API server's own reason reaches the team, by the object and
// its event, and the registration heals when the cause is gone.
func TestWhatTheAPIServerRefusesReachesTheTeam(t *testing.T) {
	t.Parallel()
	w := newWorld(t, devas.Options{})
	g := NewWithT(t)
	quota := w.quota(t)
	reg := w.register(t, "counted", secret, "Unknown/"+v1alpha1.ReasonWriteRefused)
	g.Expect(w.saidOf(t, reg)).To(And(
		ContainSubstring("refuses to create the credentials Secret, because of a quota: make room"),
		ContainSubstring("exceeded quota: no-secrets, requested: count/secrets=1, used: count/secrets=0, limited: count/secrets=0")))
	g.Eventually(func() []string { return w.eventsOf(t, reg) }, eventually, often).Should(ContainElement(ContainSubstring("exceeded quota: no-secrets")))
	g.Expect(kstatusOf(t, reg)).To(BeEquivalentTo("Failed"))
	w.remove(t, quota)
	w.waitFor(t, reg, "True/Ready")
}

func TestWhatAPolicyRefusesReachesTheTeamWithoutASecret(t *testing.T) {
	t.Parallel()
	w := newWorld(t, devas.Options{})
	g := NewWithT(t)
	w.policy(t, "secrets", `!has(object.data) || !("client_secret" in object.data) || ("cost-centre" in object.metadata.?labels.orValue({}))`,
		`object.metadata.name == "teller-mcp-client" ? "not with " + string(object.data["client_secret"]) : "a Secret needs the label cost-centre"`)
	w.denied(t, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "probe"}, Data: map[string][]byte{"client_secret": []byte("x")}})
	reg := w.register(t, "labelled", secret, "Unknown/"+v1alpha1.ReasonWriteRefused)
	g.Expect(w.saidOf(t, reg)).To(And(ContainSubstring("because of an admission policy"), ContainSubstring("denied request: a Secret needs the label cost-centre")))
	teller := w.register(t, "teller", secret, "Unknown/"+v1alpha1.ReasonWriteRefused)
	said := append(w.eventsOf(t, teller), w.saidOf(t, teller))
	for _, reg := range []*v1alpha1.MCPClientRegistration{reg, teller} {
		edit(t, w, reg, func(reg *v1alpha1.MCPClientRegistration) {
			reg.Spec.Credentials = &v1alpha1.Credentials{Labels: map[string]string{"cost-centre": "77"}}
		})
		w.waitFor(t, reg, "True/Ready")
	}
	var credentials corev1.Secret
	g.Expect(w.Get(t.Context(), client.ObjectKey{Namespace: w.namespace, Name: "teller-mcp-client"}, &credentials)).To(Succeed())
	value := credentials.Data["client_secret"]
	g.Expect(value).NotTo(BeEmpty())
	for _, text := range said {
		g.Expect(text).NotTo(Or(ContainSubstring("not with"), ContainSubstring(string(value)), ContainSubstring(base64.StdEncoding.EncodeToString(value))))
	}
}

// eventsOf are the texts of the events about an object.
func (w *world) eventsOf(t *testing.T, object client.Object) []string {
	t.Helper()
	var list corev1.EventList
	NewWithT(t).Expect(w.List(t.Context(), &list, client.InNamespace(w.namespace))).To(Succeed())
	var texts []string
	for _, event := range list.Items {
		if event.InvolvedObject.UID == object.GetUID() {
			texts = append(texts, event.Reason+": "+event.Message)
		}
	}
	return texts
}

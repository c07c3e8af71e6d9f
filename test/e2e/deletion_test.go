// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
)

// namespaceDeadline is how long the deletion of a namespace with ten
// registrations may take. Most of it is Kubernetes', which looks every eight
// seconds whether a namespace is empty.
const namespaceDeadline = 90 * time.Second

func (s *scene) kubectlDelete(ctx context.Context, reg *v1alpha1.MCPClientRegistration) error {
	_, err := s.plane.RunKubectl(ctx, "delete", "mcpclientregistration", reg.Name, "--namespace="+reg.Namespace)
	return err
}

func testKubectlDelete(t *testing.T, w *world, at venue) {
	s := at.scene(t, w)
	reg, p := s.registered(t, "robot", at.machine())
	if err := s.kubectlDelete(t.Context(), reg); err != nil {
		t.Fatal(err)
	}
	s.comes(t, p.standing(t), "invalid_client", "after the deletion")
}

// testDeleteWaits stops an authorization server that no other test uses.
func testDeleteWaits(t *testing.T, w *world) {
	g := NewWithT(t)
	as := w.startDevAS(t)
	w.connect(t, "sometimes-down", as.Issuer())
	s := newScene(t, w, "sometimes-down")
	reg, p := s.registered(t, "robot", v1alpha1.AuthMethodClientSecretBasic)
	if err := as.Stop(); err != nil {
		t.Fatal(err)
	}
	deleted := make(chan error, 1)
	go func() { deleted <- s.kubectlDelete(t.Context(), reg) }()
	g.Eventually(func() bool {
		s.ready(t, reg)()
		return reg.DeletionTimestamp != nil
	}, patience, often).Should(BeTrue(), "kubectl did not delete")
	g.Eventually(func() string {
		s.ready(t, reg)()
		return condition(reg, v1alpha1.ConditionRegistered)
	}, patience, often).Should(Equal("Unknown/" + v1alpha1.ReasonUnavailable))
	g.Consistently(deleted, 3*time.Second, often).ShouldNot(Receive(), "kubectl delete ended while the authorization server was down")
	g.Expect(s.Get(t.Context(), client.ObjectKeyFromObject(reg), reg)).To(Succeed())
	g.Expect(reg.Finalizers).To(ContainElement(v1alpha1.Finalizer))
	g.Expect(as.Deleted()).To(BeEmpty())

	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	t.Cleanup(cancel)
	if err := as.Start(ctx); err != nil {
		t.Fatal(err)
	}
	back := time.Now()
	g.Eventually(deleted, 2*patience, often).Should(Receive(BeNil()))
	g.Expect(as.Deleted()).To(Equal([]string{p.id}))
	g.Expect(as.Clients()).To(BeEmpty())
	t.Logf("deleted %s after the authorization server was back", time.Since(back).Round(time.Millisecond))
}

func testNamespace(t *testing.T, w *world, at venue) {
	s := at.scene(t, w)
	var parties []party
	for i, method := range slices.Repeat(at.methods(), 5)[:10] {
		reg := s.newRegistration(fmt.Sprintf("robot-%d", i), method)
		s.create(t, reg, s.newGrant(reg.Name, reg.Name, "files:read"))
	}
	var registrations v1alpha1.MCPClientRegistrationList
	if err := s.List(t.Context(), &registrations, client.InNamespace(s.namespace)); err != nil {
		t.Fatal(err)
	}
	for i := range registrations.Items {
		parties = append(parties, s.waitReady(t, &registrations.Items[i]))
	}
	if len(parties) != 10 {
		t.Fatalf("%d clients, want 10", len(parties))
	}
	began := time.Now()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: s.namespace}}
	s.remove(t, namespace)
	NewWithT(t).Eventually(func() bool {
		return apierrors.IsNotFound(s.Get(t.Context(), client.ObjectKeyFromObject(namespace), namespace))
	}, 2*namespaceDeadline, often).Should(BeTrue(), "the namespace is still there")
	took := time.Since(began)
	if took > namespaceDeadline {
		t.Errorf("deleting the namespace took %s, want at most %s", took, namespaceDeadline)
	}
	for _, p := range parties {
		s.comes(t, p.standing(t), "invalid_client", "a client by "+p.method+" after the namespace is gone")
	}
	t.Logf("the namespace with ten registrations was gone after %s", took.Round(time.Millisecond))
}

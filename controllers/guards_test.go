// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers_test

import (
	"encoding/json"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/test/devas"
)

// guard is a Lease as a guard of the server files keeps it.
func (w *world) guard(t *testing.T, name, seen string) *coordinationv1.Lease {
	t.Helper()
	return &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: w.namespace, Name: name, Labels: map[string]string{v1alpha1.LabelGuard: "true"},
			Annotations: map[string]string{v1alpha1.AnnotationGuards: w.namespace + "/files", v1alpha1.AnnotationSeen: w.seen(t, seen)},
		},
		Spec: coordinationv1.LeaseSpec{
			HolderIdentity: &name, LeaseDurationSeconds: new(int32(600)), RenewTime: &metav1.MicroTime{Time: time.Now()},
		},
	}
}

func (w *world) seen(t *testing.T, version string) string {
	t.Helper()
	text, err := json.Marshal(map[string]string{w.name: version})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func (w *world) acknowledge(t *testing.T, lease *coordinationv1.Lease, version string) {
	t.Helper()
	edit(t, w, lease, func(l *coordinationv1.Lease) { l.Annotations[v1alpha1.AnnotationSeen] = w.seen(t, version) })
}

// What is left of a revoked client's power ends when every guard is known to
// have the news, not before; without guards, with its last token.
func TestResidualPowerEndsWithTheLastGuard(t *testing.T) {
	t.Parallel()
	w := newWorld(t, devas.Options{})
	g := NewWithT(t)
	server := &v1alpha1.MCPServer{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "files"}}
	edit(t, w, server, func(s *v1alpha1.MCPServer) { s.Spec.Boundary = v1alpha1.BoundaryGuarded })
	first, second := w.guard(t, "first", "1"), w.guard(t, "second", "1")
	reg := w.registration("bot", public, time.Now().Add(time.Hour))
	w.create(t, first, second, w.grant("bot", time.Now().Add(time.Hour), "files:read"), reg)
	w.waitFor(t, reg, "True/Ready")

	edit(t, w, reg, func(r *v1alpha1.MCPClientRegistration) {
		r.Annotations[v1alpha1.AnnotationExpiresAt] = time.Now().Add(-time.Second).UTC().Format(time.RFC3339)
	})
	w.waitFor(t, reg, "False/"+v1alpha1.ReasonExpired)
	w.verified(t, reg)
	g.Expect(reg.Status.Revocation.DeniedAt).To(BeNil())
	g.Expect(reg.Status.Revocation.ResidualUntil.Sub(reg.Status.Revocation.RevokedAtASAt.Time)).To(BeNumerically(">=", time.Minute))

	w.acknowledge(t, first, reg.ResourceVersion)
	now := func() *v1alpha1.Revocation {
		if err := w.Get(t.Context(), client.ObjectKeyFromObject(reg), reg); err != nil {
			t.Fatal(err)
		}
		return reg.Status.Revocation
	}
	g.Consistently(func() *metav1.Time { return now().DeniedAt }, time.Second, often).Should(BeNil(), "the second guard lags")
	before := time.Now().Truncate(time.Second)
	w.acknowledge(t, first, reg.ResourceVersion)
	w.acknowledge(t, second, reg.ResourceVersion)
	g.Eventually(func() *metav1.Time { return now().DeniedAt }, eventually, often).ShouldNot(BeNil())
	g.Expect(reg.Status.Revocation.DeniedAt.Time).To(BeTemporally(">=", before))
	g.Expect(reg.Status.Revocation.ResidualUntil).To(Equal(reg.Status.Revocation.DeniedAt))

	version := reg.ResourceVersion
	w.acknowledge(t, first, version+"0")
	g.Consistently(func() string { now(); return reg.ResourceVersion }, time.Second, often).Should(Equal(version), "it is noted once")
}

// A server that may be reached past its guards leaves a token its whole life.
func TestAnOpenServerLeavesTokensTheirLife(t *testing.T) {
	t.Parallel()
	w := newWorld(t, devas.Options{})
	reg := w.registration("bot", public, time.Now().Add(time.Hour))
	w.create(t, w.guard(t, "only", "18446744073709551615"), w.grant("bot", time.Now().Add(time.Hour), "files:read"), reg)
	w.expiresUndenied(t, reg)
}

// An authorization server that binds scopes to no resource gives a client tokens
// for every server that knows one of its scopes.
func TestAnOpenServerWithTheSameScopeLeavesTokensTheirLife(t *testing.T) {
	t.Parallel()
	w := newWorld(t, devas.Options{})
	server := &v1alpha1.MCPServer{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "files"}}
	edit(t, w, server, func(s *v1alpha1.MCPServer) { s.Spec.Boundary = v1alpha1.BoundaryGuarded })
	reg := w.registration("bot", public, time.Now().Add(time.Hour))
	w.create(t, w.server("copy"), w.guard(t, "only", "18446744073709551615"), w.grant("bot", time.Now().Add(time.Hour), "files:read"), reg)
	w.expiresUndenied(t, reg)
}

// expiresUndenied lets a client expire of which nobody may say that every guard
// refuses it.
func (w *world) expiresUndenied(t *testing.T, reg *v1alpha1.MCPClientRegistration) {
	t.Helper()
	w.waitFor(t, reg, "True/Ready")
	edit(t, w, reg, func(r *v1alpha1.MCPClientRegistration) {
		r.Annotations[v1alpha1.AnnotationExpiresAt] = time.Now().Add(-time.Second).UTC().Format(time.RFC3339)
	})
	w.waitFor(t, reg, "False/"+v1alpha1.ReasonExpired)
	w.verified(t, reg)
	NewWithT(t).Consistently(func() *metav1.Time {
		if err := w.Get(t.Context(), client.ObjectKeyFromObject(reg), reg); err != nil {
			t.Fatal(err)
		}
		return reg.Status.Revocation.DeniedAt
	}, time.Second, often).Should(BeNil())
}

// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers_test

import (
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/test/devas"
)

// wishes makes a registration with a grant, which has a name.
func (w *world) wishes(t *testing.T, name string, scopes ...v1alpha1.ScopeName) (*v1alpha1.MCPClientRegistration, *v1alpha1.ScopeGrant) {
	t.Helper()
	reg, grant := w.registration(name, public, time.Now().Add(time.Hour)), w.grant(name, time.Now().Add(time.Hour), scopes...)
	w.create(t, reg, grant)
	return reg, grant
}

func (w *world) rules(t *testing.T, change func(*v1alpha1.RegistrationPolicy)) {
	t.Helper()
	edit(t, w, &v1alpha1.AuthorizationServer{ObjectMeta: metav1.ObjectMeta{Name: w.name}}, func(as *v1alpha1.AuthorizationServer) { change(as.Spec.Policy) })
}

// TestRoomForGrants: what is over the bound waits, and follows when there is room; a
// stricter bound takes nothing from anybody, and keeps nobody from leaving.
func TestRoomForGrants(t *testing.T) {
	t.Parallel()
	w := newWorld(t, devas.Options{}, func(as *v1alpha1.AuthorizationServer) {
		as.Spec.Policy = &v1alpha1.RegistrationPolicy{MaxGrantsPerNamespace: new(int32(2)), MaxGrantedScopesPerNamespace: new(int32(1))}
	})
	g := NewWithT(t)
	first, firstGrant := w.wishes(t, "first", "files:read")
	w.waitFor(t, first, "True/Ready")
	_, wide := w.wishes(t, "wide", "files:read", "notes:read")
	g.Expect(w.waitForGrant(t, wide, "False/"+v1alpha1.ReasonQuotaExceeded)).To(And(ContainSubstring("would have 2 different scopes"), ContainSubstring("allows 1 (maxGrantedScopesPerNamespace)"), ContainSubstring("ask the platform team")))
	second, _ := w.wishes(t, "second", "files:read")
	w.waitFor(t, second, "True/Ready")
	third, thirdGrant := w.wishes(t, "third", "files:read")
	g.Expect(w.waitForGrant(t, thirdGrant, "False/"+v1alpha1.ReasonQuotaExceeded)).To(And(ContainSubstring("has 2 ScopeGrants in force"), ContainSubstring("allows 2 (maxGrantsPerNamespace)")))
	g.Expect(w.as.Counts().Total(devas.Register)).To(Equal(2))

	w.rules(t, func(p *v1alpha1.RegistrationPolicy) {
		p.MaxGrantsPerNamespace, p.MaxGrantedScopesPerNamespace = new(int32(1)), new(int32(0))
	})
	edit(t, w, second, func(reg *v1alpha1.MCPClientRegistration) { reg.Spec.ClientName = "renamed" })
	g.Eventually(func() bool {
		return w.state(t, second)() == "True/Ready" && second.Status.ObservedGeneration == second.Generation
	}, eventually, often).Should(BeTrue())
	w.waitFor(t, first, "True/Ready")

	w.remove(t, firstGrant)
	w.waitFor(t, first, "False/"+v1alpha1.ReasonNoGrantInForce)
	g.Eventually(w.as.Deleted, eventually, often).Should(HaveLen(1))
	w.rules(t, func(p *v1alpha1.RegistrationPolicy) {
		p.MaxGrantsPerNamespace, p.MaxGrantedScopesPerNamespace = new(int32(2)), new(int32(1))
	})
	w.waitFor(t, third, "True/Ready")
	w.rules(t, func(p *v1alpha1.RegistrationPolicy) { p.MaxGrantedScopesPerNamespace = nil })
	w.waitForGrant(t, wide, "False/"+v1alpha1.ReasonQuotaExceeded)
	w.remove(t, second)
	w.waitForGrant(t, wide, "True/Ready")
}

// TestRoomForServers: an MCPServer over the bound waits, its grants with it, and both
// follow when there is room.
func TestRoomForServers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, devas.Options{}, func(as *v1alpha1.AuthorizationServer) {
		as.Spec.Policy = &v1alpha1.RegistrationPolicy{MaxServersPerNamespace: new(int32(1)), MaxCatalogueScopesPerNamespace: new(int32(3))}
	})
	g := NewWithT(t)
	ready := func(server *v1alpha1.MCPServer) func() string {
		return func() string {
			if err := w.Get(t.Context(), client.ObjectKeyFromObject(server), server); err != nil {
				return err.Error()
			}
			if c := meta.FindStatusCondition(server.Status.Conditions, v1alpha1.ConditionReady); c != nil {
				return string(c.Status) + "/" + c.Reason + ": " + c.Message
			}
			return ""
		}
	}
	first, _ := w.wishes(t, "first", "files:read")
	w.waitFor(t, first, "True/Ready")
	more := w.server("more")
	w.create(t, more)
	g.Eventually(ready(more), eventually, often).Should(And(HavePrefix("False/QuotaExceeded"), ContainSubstring("allows 1 (maxServersPerNamespace)"), ContainSubstring("ask the platform team")))
	second, grant := w.registration("second", public, time.Now().Add(time.Hour)), w.grant("second", time.Now().Add(time.Hour), "files:read")
	grant.Spec.ServerRef.Name = more.Name
	w.create(t, second, grant)
	w.waitForGrant(t, grant, "False/"+v1alpha1.ReasonServerNotAccepted)
	w.waitFor(t, first, "True/Ready")

	w.remove(t, w.server("files"))
	g.Eventually(ready(more), eventually, often).Should(HavePrefix("True/Ready"))
	w.waitFor(t, second, "True/Ready")
	w.waitFor(t, first, "False/"+v1alpha1.ReasonNoGrantInForce)
}

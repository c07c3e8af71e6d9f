// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers_test

import (
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/test/devas"
)

// toward is a grant of scopes of the server of another namespace.
func (w *world) toward(other *world, client string) *v1alpha1.ScopeGrant {
	grant := w.grant(client, time.Now().Add(time.Hour), "notes:read")
	grant.Name, grant.GenerateName = client+"-abroad", ""
	grant.Spec.ServerRef.Namespace = other.namespace
	return grant
}

// TestServerThatIsNotWatched: an operator that is told to watch less keeps what
// exists, gives nothing new, and still takes away.
func TestServerThatIsNotWatched(t *testing.T) {
	t.Parallel()
	own := newOwnCluster(t)
	w := newWorldIn(t, own.Client, own.cluster, devas.Options{})
	g, other := NewWithT(t), w.beside(t)
	edit(t, other, other.server("files"), func(server *v1alpha1.MCPServer) {
		server.Spec.AllowedClients = &v1alpha1.AllowedClients{Namespaces: v1alpha1.NamespacesAll}
	})
	stop := own.run(t, w.namespace, other.namespace)
	until := time.Now().Add(time.Hour)
	regs, ids := map[string]*v1alpha1.MCPClientRegistration{}, map[string]string{}
	for _, name := range []string{"kept", "deleted", "suspended", "bereft"} {
		regs[name] = w.registration(name, secret, until)
		w.create(t, regs[name], w.toward(other, name))
		w.waitFor(t, regs[name], "True/Ready")
		ids[name] = regs[name].Status.ClientID
	}
	inside := w.register(t, "inside", public, "True/Ready")
	stop()

	sent := w.as.Counts()
	stop = own.run(t, w.namespace)
	late := w.registration("late", public, until)
	lateGrant := w.toward(other, "late")
	w.create(t, late, lateGrant, w.grant("kept", until, "files:read"))
	for name, state := range map[string]string{"kept": "Unknown/", "late": "False/"} {
		message := w.waitForGrant(t, w.toward(other, name), state+v1alpha1.ReasonServerNotWatched)
		g.Expect(message).To(And(ContainSubstring("does not watch"), ContainSubstring("--watch-namespaces"), ContainSubstring("ask the platform team")))
	}
	for _, name := range []string{"kept", "deleted", "suspended", "bereft"} {
		w.waitFor(t, regs[name], "Unknown/"+v1alpha1.ReasonServerNotWatched)
		g.Expect(regs[name].Status.ClientID).To(Equal(ids[name]))
		g.Expect(meta.IsStatusConditionTrue(regs[name].Status.Conditions, v1alpha1.ConditionStalled)).To(BeTrue())
	}
	w.waitFor(t, late, "False/"+v1alpha1.ReasonNoGrantInForce)
	g.Expect(w.state(t, inside)()).To(Equal("True/Ready"))
	g.Expect(w.clientOf(t, regs["kept"]).Scope).To(Equal("notes:read"), "what exists is kept, nothing is added")
	for _, operation := range []devas.Operation{devas.Register, devas.Replace, devas.Delete} {
		g.Expect(w.as.Counts().Total(operation)).To(Equal(sent.Total(operation)), string(operation))
	}

	w.remove(t, regs["deleted"])
	w.waitFor(t, regs["deleted"], "gone")
	edit(t, w, regs["suspended"], func(reg *v1alpha1.MCPClientRegistration) { reg.Spec.State = v1alpha1.StateSuspended })
	w.waitFor(t, regs["suspended"], "False/"+v1alpha1.ReasonSuspended)
	w.proven(t, regs["suspended"], ids["suspended"], v1alpha1.CauseSuspended)
	w.remove(t, w.toward(other, "bereft"))
	w.waitFor(t, regs["bereft"], "False/"+v1alpha1.ReasonNoGrantInForce)
	w.proven(t, regs["bereft"], ids["bereft"], v1alpha1.CauseNoGrantInForce)
	stop()

	own.run(t, w.namespace, other.namespace)
	w.waitFor(t, late, "True/Ready")
	w.waitForGrant(t, lateGrant, "True/Ready")
	w.waitFor(t, regs["kept"], "True/Ready")
	g.Expect(regs["kept"].Status.ClientID).To(Equal(ids["kept"]))
	g.Expect(regs["kept"].Status.Scopes).To(HaveLen(2))
	g.Expect(w.as.Clients()).To(HaveLen(3))
}

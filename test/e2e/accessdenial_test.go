// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"

	. "github.com/onsi/gomega"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/test/mcpserver"
)

// onCall makes somebody with one role of the chart, in the whole cluster.
func (w *world) onCall(t *testing.T, name, role string) *person {
	t.Helper()
	w.create(t, &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: name}},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: release + "-" + role},
	})
	return w.newPerson(t, name, nil)
}

// TestAccessDenial has somebody of the platform team pull the kill switch, with no
// more than the chart's role: the client is refused at the next request and its
// stream closed, although its registration says that all is well.
func TestAccessDenial(t *testing.T) {
	w := startWorld(t)
	b := newBoundary(t, w)
	u := sample("files", startSample(t, mcpserver.Options{}))
	plain := sample("plain", startSample(t, mcpserver.Options{Stateless: true, JSON: true}))
	w.create(t, newGuardedServer(b.namespace, u.name, b.as, b.guard.resource(u.name), u.tools()),
		newGuardedServer(b.namespace, plain.name, b.as, b.guard.resource(plain.name), plain.tools()))
	b.guard.start(t, w, b.kubeconfig, []string{b.behind(u.name, u.url), b.behind(plain.name, plain.url)})
	admin, developer := w.onCall(t, "pat", "registrar-admin"), w.onCall(t, "dora", "client-developer")

	reg := b.newRegistration("agent", v1alpha1.AuthMethodClientSecretBasic)
	b.create(t, reg, b.grantAt(u.name, "agent-files", "agent", scopeLooks), b.grantAt(plain.name, "agent-plain", "agent", scopeLooks))
	p := b.readyAtGuard(t, reg, scopeLooks)
	streaming, token := b.accessToken(t, p, b.guard.resource(u.name), scopeLooks), b.accessToken(t, p, b.guard.resource(plain.name), scopeLooks)
	b.awaitAllowed(t, plain.name, plain.looks, token)
	b.awaitAllowed(t, u.name, u.looks, streaming)
	c := &caller{guard: b.guard, path: "/" + plain.name}
	call := func() plainAnswer { return c.call(t, plain.looks, plain.arguments[plain.looks], token) }

	for name, spec := range map[string]string{
		"by-client":       "  client:\n    authorizationServerRef: {name: " + b.as + "}\n    clientID: " + reg.Status.ClientID + "\n",
		"by-registration": "  registration: {namespace: " + b.namespace + ", name: agent}\n",
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			user := dialGo(t, b.guard.resource(u.name), streaming)
			user.follow(t, u.follows, u.arguments[u.follows])
			g.Expect(user.open()).To(BeNumerically(">", 0))
			file := filepath.Join(t.TempDir(), "denial.yaml")
			manifest := "apiVersion: mcp-registrar.dev/v1alpha1\nkind: AccessDenial\nmetadata:\n  name: " + name + "\nspec:\n" + spec + "  reason: Key leaked, incident 4711\n"
			if err := os.WriteFile(file, []byte(manifest), 0o600); err != nil {
				t.Fatal(err)
			}
			said, err := developer.kubectl(t, "create", "-f", file)
			g.Expect(err).To(HaveOccurred(), said)
			said, err = admin.kubectl(t, "create", "-f", file)
			g.Expect(err).NotTo(HaveOccurred(), said)
			g.Eventually(func() string { return call().reason }, felt*5, often).Should(Equal("Denied"))
			g.Expect(call().status).To(Equal(http.StatusUnauthorized))
			g.Eventually(user.open, streamBound, often).Should(BeZero(), "a stream goes on")
			denial := &v1alpha1.AccessDenial{ObjectMeta: metav1.ObjectMeta{Name: name}}
			g.Eventually(func() *metav1.Time {
				if err := w.Get(t.Context(), client.ObjectKeyFromObject(denial), denial); err != nil {
					t.Fatal(err)
				}
				return denial.Status.EnforcedTime
			}, patience, often).ShouldNot(BeNil())
			g.Expect(*denial.Status.EnforcedBy).To(BeEquivalentTo(1))
			g.Expect(b.ready(t, reg)()).To(Equal("True/Ready"), "the register says otherwise")
			said, err = admin.kubectl(t, "wait", "accessdenial", name, "--for=condition=Enforced", "--timeout=30s")
			g.Expect(err).NotTo(HaveOccurred(), said)
			said, err = admin.kubectl(t, "delete", "accessdenial", name)
			g.Expect(err).NotTo(HaveOccurred(), said)
			g.Eventually(func() int { return call().status }, patience, often).Should(Equal(http.StatusOK))
		})
	}
}

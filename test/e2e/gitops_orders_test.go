// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/test/devas"
)

// randomOrders is how often one set of objects is applied, each time in another
// order; in every slowEvery-th the operator sees each object by itself first.
const (
	randomOrders = 50
	slowEvery    = 10
)

// TestApplyInRandomOrder applies one directory in many orders, as kubectl does:
// by file name.
func TestApplyInRandomOrder(t *testing.T) {
	w := startWorld(t)
	as := w.startDevAS(t)
	w.awaitPolicies(t)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	admin := &person{name: "admin", home: t.TempDir()}
	admin.kubeconfig = filepath.Join(admin.home, "kubeconfig")
	robot, err := w.plane.UserConfig("system:serviceaccount:flux-system:kustomize-controller", "system:masters")
	if err != nil {
		t.Fatal(err)
	}
	if err := w.plane.Kubeconfig(admin.kubeconfig, robot); err != nil {
		t.Fatal(err)
	}
	sets := make([][]conditioned, randomOrders)
	t.Run("apply", func(t *testing.T) {
		for i := range sets {
			s := &scene{world: w, as: fmt.Sprintf("company-%d", i), namespace: w.namespace(t)}
			sets[i] = s.set(as.Issuer())
			order := random.Perm(len(sets[i]))
			t.Run(fmt.Sprint(order), func(t *testing.T) {
				t.Parallel()
				files := writeInOrder(t, sets[i], order)
				if i%slowEvery == 0 {
					s.applyOneByOne(t, admin, sets[i], order, files)
				}
				admin.does(t, "apply", "-f", filepath.Dir(files[0]))
			})
		}
	})
	g := NewWithT(t)
	for _, set := range sets {
		for _, object := range set {
			g.Eventually(w.ready(t, object), patience, often).Should(Equal("True/Ready"), "%T %s/%s", object, object.GetNamespace(), object.GetName())
		}
	}
	requireSameEnd(t, as)
	var told []corev1.Event
	g.Eventually(func() int { told = w.told(t); return len(told) }, patience, often).
		Should(BeNumerically(">=", randomOrders*len(sets[0])), "events are missing")
	for _, event := range told {
		g.Expect(event.Type).To(Equal(corev1.EventTypeNormal), "%s %s: %s", event.InvolvedObject.Kind, event.Reason, event.Message)
	}
}

// told are the events about objects of the product.
func (w *world) told(t *testing.T) []corev1.Event {
	t.Helper()
	var events corev1.EventList
	if err := w.List(t.Context(), &events); err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(events.Items, func(event corev1.Event) bool {
		return !strings.HasPrefix(event.InvolvedObject.APIVersion, v1alpha1.GroupVersion.Group+"/")
	})
}

// set is an authorization server, a server that approves one scope beforehand,
// two registrations and four grants.
func (s *scene) set(issuer string) []conditioned {
	server := s.newServer()
	writes := s.newGrant("writer-writes", "writer", "files:write")
	writes.Spec.Reason = "ticket FIN-1234"
	return []conditioned{
		newAuthorizationServer(s.as, issuer), server,
		s.newRegistration("reader", v1alpha1.AuthMethodNone), s.newRegistration("writer", v1alpha1.AuthMethodClientSecretBasic),
		s.newGrant("reader-reads", "reader", "files:read"), s.newGrant("writer-reads", "writer", "files:read"),
		s.newGrant("writer-notes", "writer", "notes:read"), writes,
		beforehand(s.namespace, server.Name, s.namespace, "writer", "files:write", inAnHour()),
	}
}

// writeInOrder writes a directory whose files are named after the order.
func writeInOrder(t *testing.T, set []conditioned, order []int) []string {
	t.Helper()
	dir := t.TempDir()
	var files []string
	for place, i := range order {
		content, err := yaml.Marshal(set[i])
		if err != nil {
			t.Fatal(err)
		}
		text, _, _ := strings.Cut(string(content), "\nstatus:")
		files = append(files, filepath.Join(dir, fmt.Sprintf("%02d.yaml", place)))
		if err := os.WriteFile(files[place], []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return files
}

// applyOneByOne applies each file when the operator has said something of the
// one before.
func (s *scene) applyOneByOne(t *testing.T, admin *person, set []conditioned, order []int, files []string) {
	t.Helper()
	for place, i := range order {
		admin.does(t, "apply", "-f", files[place])
		NewWithT(t).Eventually(s.ready(t, set[i].DeepCopyObject().(conditioned)), patience, often).ShouldNot(Equal("unseen"))
	}
}

// requireSameEnd checks that each set has its two clients, with their scopes.
func requireSameEnd(t *testing.T, as *devas.Server) {
	t.Helper()
	ends := map[string]int{}
	for _, c := range as.Clients() {
		scopes := strings.Fields(c.Scope)
		slices.Sort(scopes)
		ends[strings.Join(scopes, " ")]++
	}
	want := map[string]int{"files:read": randomOrders, "files:read files:write notes:read": randomOrders}
	NewWithT(t).Expect(ends).To(Equal(want))
	NewWithT(t).Expect(as.Deleted()).To(BeEmpty(), "a client was revoked on the way")
}

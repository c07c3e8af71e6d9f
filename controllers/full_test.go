// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/test/devas"
)

// fillers are what a tenant can fill an object with, in pieces.
var fillers = map[string]func(reg *v1alpha1.MCPClientRegistration, pieces int){
	"finalizers": func(reg *v1alpha1.MCPClientRegistration, pieces int) {
		reg.Finalizers = reg.Finalizers[:1]
		for i := range pieces {
			reg.Finalizers = append(reg.Finalizers, fmt.Sprintf("%s.example.com/%060d", strings.Repeat("a", 63), i))
		}
	},
	"owner references": func(reg *v1alpha1.MCPClientRegistration, pieces int) {
		reg.OwnerReferences = nil
		for i := range pieces {
			// Of a kind that nobody knows, so that the garbage collector, which takes away what
			// has no owner left, cannot tell.
			reg.OwnerReferences = append(reg.OwnerReferences, metav1.OwnerReference{
				APIVersion: "example.com/v1", Kind: "Owner", Name: strings.Repeat("a", 100), UID: types.UID(fmt.Sprintf("%0100d", i)),
			})
		}
	},
}

// fill fills an object to the very limit of the API server's storage.
func (w *world) fill(t *testing.T, reg *v1alpha1.MCPClientRegistration, with func(*v1alpha1.MCPClientRegistration, int)) {
	t.Helper()
	fits, tooMany := 0, 16_384
	for tooMany-fits > 1 {
		pieces := (fits + tooMany) / 2
		if err := w.Get(t.Context(), client.ObjectKeyFromObject(reg), reg); err != nil {
			t.Fatal(err)
		}
		with(reg, pieces)
		if err := w.Update(t.Context(), reg); err != nil {
			tooMany = pieces
			continue
		}
		fits = pieces
	}
	if fits < 100 {
		t.Fatalf("the object is full with %d pieces", fits)
	}
}

// denials are the AccessDenials that the operator made for a registration.
func (w *world) denials(t *testing.T, reg *v1alpha1.MCPClientRegistration) func() []string {
	return func() []string {
		var list v1alpha1.AccessDenialList
		if err := w.List(t.Context(), &list, client.MatchingLabels{v1alpha1.LabelRegistrationUID: string(reg.UID)}); err != nil {
			return []string{err.Error()}
		}
		var clients []string
		for _, denial := range list.Items {
			if denial.Spec.Client != nil {
				clients = append(clients, denial.Spec.Client.ClientID)
			}
		}
		return clients
	}
}

// An object that its team filled to the limit cannot carry a denial: its client goes
// all the same, and guards learn it in another way, until the object can say it.
func TestFullObjectHoldsNothingBack(t *testing.T) {
	t.Parallel()
	for filler, with := range fillers {
		for cause, leave := range map[string]func(*v1alpha1.MCPClientRegistration){
			"expired": func(reg *v1alpha1.MCPClientRegistration) {
				reg.Annotations[v1alpha1.AnnotationExpiresAt] = time.Now().Add(-time.Minute).UTC().Format(time.RFC3339)
			},
			"without an owner": func(reg *v1alpha1.MCPClientRegistration) {
				reg.Annotations["example.com/was-owner"] = strings.Repeat("x", 4)
				delete(reg.Annotations, v1alpha1.AnnotationOwner)
			},
		} {
			t.Run(filler+", "+cause, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, devas.Options{})
				reg := w.register(t, "full", secret, "True/Ready")
				id := reg.Status.ClientID
				w.fill(t, reg, with)
				edit(t, w, reg, leave)
				g := NewWithT(t)
				g.Eventually(func() int { return len(w.as.Clients()) }, eventually, often).Should(BeZero())
				w.state(t, reg)()
				if reg.Status.Revocation == nil || reg.Status.Revocation.ClientID != id {
					g.Eventually(w.denials(t, reg), eventually, often).Should(Equal([]string{id}))
					t.Log("denied beside the object")
				}
				edit(t, w, reg, func(reg *v1alpha1.MCPClientRegistration) { with(reg, 0) })
				g.Eventually(func() bool {
					w.state(t, reg)()
					r := reg.Status.Revocation
					return r != nil && r.ClientID == id && r.VerifiedAt != nil
				}, eventually, often).Should(BeTrue(), func() string { return describe(reg) })
				g.Eventually(w.denials(t, reg), eventually, often).Should(BeEmpty())
			})
		}
	}
}

// An object that others hold when the operator lets it go stays, and does not go on
// to say that its client lives.
func TestObjectThatOthersHoldSaysThatItsClientIsGone(t *testing.T) {
	t.Parallel()
	for state, owner := range map[string]string{"True/Ready": "team-a@example.com", "False/OwnerInvalid": "a\n"} {
		t.Run(state, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, devas.Options{})
			g := NewWithT(t)
			reg := w.registration("held", secret, time.Now().Add(time.Hour))
			reg.Annotations[v1alpha1.AnnotationOwner] = owner
			w.create(t, reg, w.grant("held", time.Now().Add(time.Hour), "files:read"))
			w.waitFor(t, reg, state)
			id := reg.Status.ClientID
			edit(t, w, reg, func(reg *v1alpha1.MCPClientRegistration) { reg.Finalizers = append(reg.Finalizers, "example.com/hold") })
			w.remove(t, reg)
			g.Eventually(func() bool {
				said := w.state(t, reg)()
				return (said == "False/Deleting" || id == "") && reg.Status.ClientID == "" && !slices.Contains(reg.Finalizers, v1alpha1.Finalizer)
			}, eventually, often).Should(BeTrue(), func() string { return describe(reg) })
			if r := reg.Status.Revocation; id != "" && (r == nil || r.ClientID != id || r.VerifiedAt == nil || r.Cause != v1alpha1.CauseDeleted) {
				t.Errorf("revocation: %+v", r)
			}
			version := reg.ResourceVersion
			g.Consistently(func() string { w.state(t, reg)(); return reg.ResourceVersion }, time.Second, often).Should(Equal(version), "it is written again and again")
			edit(t, w, reg, func(reg *v1alpha1.MCPClientRegistration) { reg.Finalizers = nil })
			w.waitFor(t, reg, "gone")
		})
	}
}

// An object that is held and full cannot say it: its client stays denied beside it,
// until the object can.
func TestFullObjectThatOthersHoldStaysDenied(t *testing.T) {
	t.Parallel()
	w := newWorld(t, devas.Options{})
	g := NewWithT(t)
	reg := w.register(t, "held", secret, "True/Ready")
	id := reg.Status.ClientID
	w.fill(t, reg, fillers["finalizers"])
	w.remove(t, reg)
	g.Eventually(func() int { return len(w.as.Clients()) }, eventually, often).Should(BeZero())
	g.Eventually(func() bool { w.state(t, reg)(); return !slices.Contains(reg.Finalizers, v1alpha1.Finalizer) }, eventually, often).Should(BeTrue())
	if reg.Status.ClientID != "" {
		g.Consistently(w.denials(t, reg), 2*time.Second, often).Should(Equal([]string{id}))
		t.Log("denied beside the object")
	}
	edit(t, w, reg, func(reg *v1alpha1.MCPClientRegistration) { reg.Finalizers = reg.Finalizers[:1] })
	g.Eventually(w.state(t, reg), eventually, often).Should(Equal("False/Deleting"), func() string { return describe(reg) })
	g.Eventually(w.denials(t, reg), eventually, often).Should(BeEmpty())
	edit(t, w, reg, func(reg *v1alpha1.MCPClientRegistration) { reg.Finalizers = nil })
	w.waitFor(t, reg, "gone")
}

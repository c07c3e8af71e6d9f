// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/audit"
	"github.com/mcp-registrar/mcp-registrar/test/devas"
)

// soonAfter bounds what is to come about two seconds after a registration went, on a
// machine that is busy.
const soonAfter = 7 * time.Second

// unserved deletes the AuthorizationServer.
func (w *world) unserved(t *testing.T) {
	t.Helper()
	w.remove(t, &v1alpha1.AuthorizationServer{ObjectMeta: metav1.ObjectMeta{Name: w.name}})
}

// strip deletes a registration past its finalizer.
func (w *world) strip(t *testing.T, reg *v1alpha1.MCPClientRegistration) {
	t.Helper()
	w.remove(t, reg)
	edit(t, w, reg, func(reg *v1alpha1.MCPClientRegistration) { reg.Finalizers = nil })
	w.waitFor(t, reg, "gone")
}

// recorded says that the record of a registration is there.
func (w *world) recorded(t *testing.T, reg *v1alpha1.MCPClientRegistration) func() bool {
	return func() bool {
		key := client.ObjectKey{Namespace: operatorNamespace, Name: "registration-" + string(reg.UID)}
		return !apierrors.IsNotFound(w.Get(t.Context(), key, &corev1.Secret{}))
	}
}

// leftTold holds that the audit record tells of the end of a client, and that its
// registration went without it.
func leftTold(t *testing.T, events []audit.Event, id string) {
	t.Helper()
	told, without := map[audit.Type]bool{}, false
	for _, e := range events {
		if e.Data.ClientID == id {
			told[e.Type] = true
			without = without || strings.Contains(e.Data.Message, "finalizer was taken off")
		}
	}
	if !told[audit.ClientRevoked] || !told[audit.RevocationVerified] || !without {
		t.Errorf("on record: %v; that the registration went without it: %t", told, without)
	}
}

// outlives holds that the client lives on without its object; what the operator began
// while it was there has ended by then.
func (w *world) outlives(t *testing.T) {
	t.Helper()
	NewWithT(t).Consistently(w.as.Clients, 500*time.Millisecond, often).Should(HaveLen(1), "the client outlives its object")
}

// A client whose registration went without it is revoked at once, from its record.
func TestStrayIsRevokedAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, devas.Options{})
	g := NewWithT(t)
	reg := w.register(t, "stray", secret, "True/Ready")
	id := reg.Status.ClientID
	w.order(t, devas.Fault{Operation: devas.Delete, Status: http.StatusServiceUnavailable})
	w.remove(t, w.grantsOf(t, "stray")) // so that the finalizer's return does not race with the deletion
	w.strip(t, reg)
	w.outlives(t)
	w.as.ClearFaults()
	g.Eventually(w.as.Clients, soonAfter, often).Should(BeEmpty())
	g.Eventually(w.recorded(t, reg), soonAfter, often).Should(BeFalse())
	leftTold(t, shared.audit.of(w.namespace), id)
}

// So is one whose AuthorizationServer object went too.
func TestStrayWithoutAuthorizationServerIsRevoked(t *testing.T) {
	t.Parallel()
	w := newWorld(t, devas.Options{})
	g := NewWithT(t)
	reg := w.register(t, "stray", secret, "True/Ready")
	id := reg.Status.ClientID
	w.order(t, devas.Fault{Operation: devas.Delete, Status: http.StatusServiceUnavailable})
	w.unserved(t)
	w.strip(t, reg)
	w.outlives(t)
	w.as.ClearFaults()
	g.Eventually(w.as.Clients, soonAfter, often).Should(BeEmpty())
	g.Eventually(w.recorded(t, reg), soonAfter, often).Should(BeFalse())
	leftTold(t, shared.audit.of(w.namespace), id)
}

// The record of a client that is proven to be gone does not stay for want of its
// AuthorizationServer.
func TestRecordOfNothingGoesWithoutAuthorizationServer(t *testing.T) {
	t.Parallel()
	w := newWorld(t, devas.Options{})
	reg := w.register(t, "stray", secret, "True/Ready")
	id := reg.Status.ClientID
	w.unserved(t)
	w.proven(t, reg, id, v1alpha1.CauseAuthorizationServerGone)
	edit(t, w, reg, func(reg *v1alpha1.MCPClientRegistration) { reg.Finalizers = nil })
	if !w.recorded(t, reg)() {
		t.Fatal("there is no record")
	}
	w.remove(t, reg)
	w.waitFor(t, reg, "gone")
	NewWithT(t).Eventually(w.recorded(t, reg), soonAfter, often).Should(BeFalse())
}

// A stray that cannot be dealt with is counted until it is.
func TestStrayThatStaysIsCounted(t *testing.T) {
	t.Parallel()
	w := newWorld(t, devas.Options{})
	g := NewWithT(t)
	reg := w.register(t, "stray", secret, "True/Ready")
	counts := func() (c v1alpha1.ClientCounts) {
		var as v1alpha1.AuthorizationServer
		if err := w.Get(t.Context(), types.NamespacedName{Name: w.name}, &as); err == nil && as.Status.Clients != nil {
			c = *as.Status.Clients
		}
		return c
	}
	g.Eventually(counts, eventually, often).Should(Equal(v1alpha1.ClientCounts{Managed: 1}))
	w.order(t, devas.Fault{Operation: devas.Delete, Status: http.StatusServiceUnavailable})
	w.remove(t, w.grantsOf(t, "stray"))
	w.strip(t, reg)
	g.Eventually(counts, 2*soonAfter, often).Should(Equal(v1alpha1.ClientCounts{PossibleOrphans: 1}))
	w.as.ClearFaults()
	g.Eventually(counts, eventually, often).Should(Equal(v1alpha1.ClientCounts{}))
	g.Expect(w.as.Clients()).To(BeEmpty())
}

// What was left while no operator ran is dealt with by the next.
func TestStrayOfADeadOperatorIsRevoked(t *testing.T) {
	t.Parallel()
	own := newOwnCluster(t)
	w := newWorldIn(t, own.Client, own.cluster, devas.Options{})
	g := NewWithT(t)
	stop := own.run(t)
	served := w.register(t, "served", secret, "True/Ready")
	stop()
	w.strip(t, served)
	w.unserved(t)
	stop = own.run(t)
	g.Eventually(w.as.Clients, 2*soonAfter, often).Should(BeEmpty())
	g.Eventually(w.recorded(t, served), soonAfter, often).Should(BeFalse())
	leftTold(t, own.audit.of(w.namespace), served.Status.ClientID)
	stop()
}

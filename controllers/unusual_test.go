// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/test/devas"
)

// member is a member of an answer with an odd value.
func member(name, value string) map[string]json.RawMessage {
	return map[string]json.RawMessage{name: json.RawMessage(value)}
}

// oddMembers are values that no server should answer, and that some do: none of
// them may hold a deletion back.
var oddMembers = map[string]map[string]json.RawMessage{
	"an owner with a line feed":         member("contacts", `["team@example.com\n"]`),
	"an owner with a carriage return":   member("contacts", `["team@example.com\r"]`),
	"a name with a line separator":      member("client_name", `"a\u2028b"`),
	"contacts that are no list":         member("contacts", `"team@example.com"`),
	"a scope beyond any bound":          member("scope", fmt.Sprintf("%q", fmt.Sprintf("%0100000d", 7))),
	"a scope that is a list":            member("scope", `["files:read"]`),
	"a scope that is an object":         member("scope", `{}`),
	"an end of the secret that is text": member("client_secret_expires_at", `"0"`),
	"an end in milliseconds":            member("client_secret_expires_at", `1900000000000`),
	"a key set that is text":            member("jwks", `"none"`),
	"redirect URIs that are numbers":    member("redirect_uris", `[1,2]`),
}

// A registration whose answer is odd leaves at most the client that it is said to
// have; the deletion takes it away, whatever is answered of it.
func TestOddAnswersHoldNoDeletionBack(t *testing.T) {
	t.Parallel()
	for name, answer := range oddMembers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, devas.Options{})
			w.set(t, devas.Switches{AnswerWith: answer})
			reg := w.registration("odd", secret, time.Now().Add(time.Hour))
			w.create(t, reg, w.grant("odd", time.Now().Add(time.Hour), "files:read"))
			NewWithT(t).Eventually(func() bool {
				w.state(t, reg)()
				ready := meta.FindStatusCondition(reg.Status.Conditions, v1alpha1.ConditionReady)
				return ready != nil && ready.Reason != v1alpha1.ReasonRevoking && ready.Reason != v1alpha1.ReasonRegistrationPending
			}, eventually, often).Should(BeTrue(), func() string { return describe(reg) })
			if live := len(w.as.Clients()); live > 1 || live == 1 && reg.Status.ClientID == "" {
				t.Errorf("%d clients live, status names %q: %s", live, reg.Status.ClientID, describe(reg))
			}
			w.remove(t, reg)
			w.waitFor(t, reg, "gone")
			if live := w.as.Clients(); len(live) != 0 {
				t.Errorf("%d clients live", len(live))
			}
		})
	}
}

// What becomes odd while a client lives holds its deletion back no more than what
// was odd from the start.
func TestAnswersThatBecomeOddHoldNoDeletionBack(t *testing.T) {
	t.Parallel()
	for name, answer := range oddMembers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, devas.Options{Switches: devas.Switches{RotateRegistrationToken: devas.RotateOnPut}})
			reg := w.register(t, "turns", secret, "True/Ready")
			w.set(t, devas.Switches{RotateRegistrationToken: devas.RotateOnPut, AnswerWith: answer})
			w.create(t, w.grant("turns-more", time.Now().Add(time.Hour), "notes:read"))
			edit(t, w, reg, func(reg *v1alpha1.MCPClientRegistration) { reg.Spec.ClientName = "another name" })
			NewWithT(t).Eventually(func() int { return w.as.Counts().Total(devas.Replace) }, eventually, often).Should(BeNumerically(">", 0))
			w.remove(t, reg)
			w.waitFor(t, reg, "gone")
			if live := w.as.Clients(); len(live) != 0 {
				t.Errorf("%d clients live", len(live))
			}
		})
	}
}

// An answer that names a client by which nothing can be done is undone, and the same
// is not asked for again at once.
func TestUnusableAnswerIsUndone(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]map[string]json.RawMessage{
		"scope is an object": member("scope", `{}`), "grant types are text": member("grant_types", `"client_credentials"`),
		"redirect URIs are numbers": member("redirect_uris", `[1]`),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, devas.Options{})
			w.set(t, devas.Switches{AnswerWith: answer})
			reg := w.registration("undone", secret, time.Now().Add(time.Hour))
			w.create(t, reg, w.grant("undone", time.Now().Add(time.Hour), "files:read"))
			w.waitFor(t, reg, "False/Rejected")
			asked := w.as.Counts().Total(devas.Register)
			if live := len(w.as.Clients()); live != 0 || len(reg.Status.PossibleOrphans) != 0 || asked != 1 {
				t.Errorf("%d clients live after %d requests: %s", live, asked, describe(reg))
			}
			if r := reg.Status.Revocation; r == nil || r.Cause != v1alpha1.CauseUnusable || r.VerifiedAt == nil {
				t.Errorf("revocation: %+v", r)
			}
			w.nudge(t, reg)
			NewWithT(t).Consistently(func() int { return w.as.Counts().Total(devas.Register) }, 2*time.Second, often).Should(Equal(asked))
			w.set(t, devas.Switches{})
			edit(t, w, reg, func(reg *v1alpha1.MCPClientRegistration) { reg.Spec.ClientName = "asked anew" })
			w.waitFor(t, reg, "True/Ready")
		})
	}
}

// A page in the server's place proves nothing: neither that a deletion was done nor
// that a client is gone.
func TestPagesProveNothing(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		deleting, reading int
		method            v1alpha1.TokenEndpointAuthMethod
	}{
		"maintenance, then not found": {http.StatusOK, http.StatusNotFound, public}, "maintenance, then gone": {http.StatusOK, http.StatusGone, secret},
		"no content, then not found": {http.StatusNoContent, http.StatusNotFound, secret}, "no content, then a login": {http.StatusNoContent, http.StatusUnauthorized, key},
		"not found twice": {http.StatusNotFound, http.StatusNotFound, key}, "forbidden, then not found": {http.StatusForbidden, http.StatusNotFound, public},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, devas.Options{})
			reg := w.register(t, "paged", c.method, "True/Ready")
			for operation, status := range map[devas.Operation]int{devas.Delete: c.deleting, devas.Read: c.reading, devas.Token: c.reading} {
				w.order(t, devas.Fault{Operation: operation, Kind: devas.FaultPage, Status: status})
			}
			w.remove(t, reg)
			NewWithT(t).Consistently(w.state(t, reg), 2*time.Second, often).ShouldNot(Equal("gone"))
			if live := len(w.as.Clients()); live != 1 {
				t.Errorf("%d clients live, want the one", live)
			}
			if r := reg.Status.Revocation; r != nil && r.VerifiedAt != nil {
				t.Errorf("verified: %+v", r)
			}
			w.as.ClearFaults()
			w.waitFor(t, reg, "gone")
			if live := len(w.as.Clients()); live != 0 {
				t.Errorf("%d clients live", live)
			}
		})
	}
}

// One registration finds out that clients cannot be deleted at a server; then it is
// known of the server, and nothing more is sent until that changes.
func TestServerWithoutManagementIsLearntOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, devas.Options{})
	bare := map[string]json.RawMessage{"registration_client_uri": json.RawMessage("null"), "registration_access_token": json.RawMessage("null")}
	w.set(t, devas.Switches{AnswerWith: bare})
	regs := w.many(t, "bare", 8)
	w.waitForAll(t, regs, "False/"+v1alpha1.ReasonManagementUnsupported)
	as := &v1alpha1.AuthorizationServer{}
	state := func() string {
		if err := w.Get(t.Context(), types.NamespacedName{Name: w.name}, as); err != nil {
			return err.Error()
		}
		return readyOf(as.Status.Conditions)
	}
	NewWithT(t).Eventually(state, eventually, often).Should(Equal("False/" + v1alpha1.ReasonManagementUnsupported))
	if live := len(w.as.Clients()); live != 1 {
		t.Errorf("%d clients live, want the one by which it was learnt", live)
	}
	named := 0
	for _, reg := range regs {
		w.state(t, reg)()
		named += len(reg.Status.PossibleOrphans)
	}
	if named != 1 {
		t.Errorf("%d marks are named, for one client", named)
	}

	w.set(t, devas.Switches{})
	edit(t, w, as, func(as *v1alpha1.AuthorizationServer) { as.Spec.DriftCheckSeconds = new(int32(600)) })
	w.waitForAll(t, regs, "True/Ready")
	NewWithT(t).Eventually(state, eventually, often).Should(Equal("True/Ready"))
}

// One answer whose token cannot be read says nothing of the server: others are
// registered there.
func TestGarbledTokenIsNoLackOfManagement(t *testing.T) {
	t.Parallel()
	w := newWorld(t, devas.Options{})
	w.set(t, devas.Switches{AnswerWith: member("registration_access_token", `["not a text"]`)})
	reg := w.registration("garbled", secret, time.Now().Add(time.Hour))
	w.create(t, reg, w.grant("garbled", time.Now().Add(time.Hour), "files:read"))
	NewWithT(t).Eventually(func() bool {
		w.state(t, reg)()
		ready := meta.FindStatusCondition(reg.Status.Conditions, "Ready")
		return ready != nil && ready.Status == "False" && w.as.Counts().Total(devas.Register) > 0 && ready.Reason != "RegistrationPending"
	}, eventually, often).Should(BeTrue())
	w.set(t, devas.Switches{})
	other := w.registration("other", secret, time.Now().Add(time.Hour))
	w.create(t, other, w.grant("other", time.Now().Add(time.Hour), "files:read"))
	w.waitFor(t, other, "True/Ready")
}

func readyOf(conditions []metav1.Condition) string {
	ready := meta.FindStatusCondition(conditions, v1alpha1.ConditionReady)
	if ready == nil {
		return ""
	}
	return string(ready.Status) + "/" + ready.Reason
}

// A third party's policy takes the labels off every Secret while a record is written:
// what exists is still taken away, and it is counted from when it should be gone.
func TestUnlabelledRecordHoldsNoDeletionBack(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*corev1.Secret){
		"labels":                 func(s *corev1.Secret) { s.Labels = nil },
		"annotations":            func(s *corev1.Secret) { s.Annotations = nil },
		"both":                   func(s *corev1.Secret) { s.Labels, s.Annotations = nil, nil },
		"a member of the record": func(s *corev1.Secret) { spoil(t, s, "rotation", `"none"`) },
		"the state":              func(s *corev1.Secret) { spoil(t, s, "state", `7`) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, devas.Options{})
			reg := w.register(t, "unlabelled", secret, "True/Ready")
			edit(t, w, w.record(t, reg), change)
			w.remove(t, reg)
			w.waitFor(t, reg, "gone")
			if live := len(w.as.Clients()); live != 0 {
				t.Errorf("%d clients live", live)
			}
			var left corev1.Secret
			key := client.ObjectKey{Namespace: operatorNamespace, Name: "registration-" + string(reg.UID)}
			NewWithT(t).Eventually(func() error { return client.IgnoreNotFound(w.Get(t.Context(), key, &left)) }, eventually, often).Should(Succeed())
		})
	}
}

// A record whose registration is gone is let go of by a person's word, as the runbook
// says, after a revocation was tried.
func TestRecordWithoutRegistrationIsLetGo(t *testing.T) {
	t.Parallel()
	w := newWorld(t, devas.Options{})
	g := NewWithT(t)
	reg := w.register(t, "left", secret, "True/Ready")
	w.order(t, devas.Fault{Operation: devas.Delete, Status: http.StatusServiceUnavailable})
	w.remove(t, w.grantsOf(t, "left"))
	w.remove(t, reg)
	edit(t, w, reg, func(reg *v1alpha1.MCPClientRegistration) { reg.Finalizers = nil })
	w.waitFor(t, reg, "gone")
	g.Eventually(func() string {
		var stored struct{ Cause string }
		decode(t, w.record(t, reg).Data["record.json"], &stored)
		return stored.Cause
	}, eventually, often).ShouldNot(BeEmpty(), "until a revocation was tried")
	w.letGo(t, reg)
	var left corev1.Secret
	key := client.ObjectKey{Namespace: operatorNamespace, Name: "registration-" + string(reg.UID)}
	g.Eventually(func() bool { return apierrors.IsNotFound(w.Get(t.Context(), key, &left)) }, eventually, often).Should(BeTrue())
	if live := len(w.as.Clients()); live != 1 {
		t.Errorf("%d clients live, want the one that a person answers for", live)
	}
}

// spoil gives a member of a record another value.
func spoil(t *testing.T, record *corev1.Secret, name, value string) {
	t.Helper()
	var members map[string]json.RawMessage
	decode(t, record.Data["record.json"], &members)
	members[name] = json.RawMessage(value)
	data, err := json.Marshal(members)
	if err != nil {
		t.Fatal(err)
	}
	record.Data["record.json"] = data
}

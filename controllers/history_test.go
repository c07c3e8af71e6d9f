// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"fmt"
	"testing"

	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	fakeclient "sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
)

// era is an API server with the Lease of the history, and replicas that look at it.
type era struct {
	client.Client
	t *testing.T
}

func newEra(t *testing.T) *era {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	return &era{fakeclient.NewClientBuilder().WithScheme(scheme).Build(), t}
}

func (e *era) replica(leads bool) *History {
	elected := make(chan struct{})
	if leads {
		close(elected)
	}
	return &History{Client: e, Live: e, Clock: clocktesting.NewFakeClock(begun), Namespace: stageOperator, Elected: elected}
}

func (e *era) lease() *coordinationv1.Lease {
	e.t.Helper()
	var lease coordinationv1.Lease
	if err := e.Get(e.t.Context(), client.ObjectKey{Namespace: stageOperator, Name: historyName}, &lease); err != nil {
		e.t.Fatal(err)
	}
	return &lease
}

// putBack has the Lease say what it said, some versions later.
func (e *era) putBack(lease *coordinationv1.Lease, later int) {
	e.t.Helper()
	for range later {
		now := e.lease()
		now.Annotations = lease.Annotations
		now.Labels = map[string]string{"version": now.ResourceVersion}
		if err := e.Update(e.t.Context(), now); err != nil {
			e.t.Fatal(err)
		}
	}
}

func TestEveryReplicaNoticesThatTheAPIServerWasPutBack(t *testing.T) {
	t.Parallel()
	e := newEra(t)
	leader, other := e.replica(true), e.replica(false)
	beat := func(h *History) error { return h.beat(t.Context()) }
	if err := errors.Join(beat(other), beat(leader), beat(other)); err != nil {
		t.Fatal(err)
	}
	copied := e.lease()
	for range historyLength / 2 {
		if err := beat(leader); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(beat(other), other.Holds(t.Context())); err != nil {
		t.Fatalf("while it goes on: %v", err)
	}
	e.putBack(copied, 3)
	for name, h := range map[string]*History{"the leader": leader, "the other": other} {
		if err := beat(h); !errors.Is(err, errPutBack) {
			t.Errorf("%s: %v", name, err)
		}
		if err := h.Holds(t.Context()); !errors.Is(err, errPutBack) {
			t.Errorf("%s is asked: %v", name, err)
		}
	}
	if err := leader.Start(t.Context()); !errors.Is(err, errPutBack) {
		t.Errorf("it goes on: %v", err)
	}
	// The next process goes on from there.
	next := e.replica(true)
	if err := errors.Join(beat(next), beat(next)); err != nil {
		t.Error(err)
	}
	if err := e.Delete(t.Context(), e.lease()); err != nil {
		t.Fatal(err)
	}
	if err := beat(next); !errors.Is(err, errPutBack) {
		t.Errorf("without the Lease: %v", err)
	}
}

func TestALostAnswerIsNoOtherHistory(t *testing.T) {
	t.Parallel()
	e := newEra(t)
	h := e.replica(true)
	if err := h.beat(t.Context()); err != nil {
		t.Fatal(err)
	}
	before, version := h.nonce, h.version
	if err := h.beat(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.nonce, h.version = before, version
	if err := h.beat(t.Context()); err != nil {
		t.Error(err)
	}
	if got := len(nonces(e.lease())); got != 3 {
		t.Errorf("%d nonces", got)
	}
	for range 2 * historyLength {
		if err := h.beat(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if got := len(nonces(e.lease())); got != historyLength {
		t.Errorf("%d nonces, want %d", got, historyLength)
	}
}

// What a Lease says it has seen, and cannot have seen, is not believed.
func TestAVersionFromAnotherHistoryIsNotBelieved(t *testing.T) {
	t.Parallel()
	for seen, want := range map[string]string{"99": "99", "100": "100", "101": "", "18446744073709551615": "", "": "", "x": ""} {
		lease := guardLease("guard", fmt.Sprintf(`{"seen":%q}`, seen))
		lease.ResourceVersion = "100"
		lease.Annotations[v1alpha1.AnnotationSeen] = fmt.Sprintf(`{"company":%q}`, seen)
		got := guardOf(lease, "company", begun)
		if got.Seen != want || got.Denials.Seen != want {
			t.Errorf("%q: got %q and %q, want %q", seen, got.Seen, got.Denials.Seen, want)
		}
	}
}

// Nothing final is said while the API server may be another one.
func TestNoDenialIsEnforcedInAnotherHistory(t *testing.T) {
	s := newStage(t, "history")
	e := newEra(t)
	history := e.replica(true)
	if err := history.beat(t.Context()); err != nil {
		t.Fatal(err)
	}
	history.nonce = "gone"
	s.accessDenials.Guards.History = history
	s.broken["nothing"] = true
	s.deny(plainDenial, actsOnAll)
	s.begin()
	if denial := s.storedDenial(); denial.Status.EnforcedTime != nil {
		t.Errorf("got %+v", denial.Status)
	}
	if _, err := s.accessDenials.Reconcile(context.Background(), s.storedDenial()); !errors.Is(err, errPutBack) {
		t.Errorf("got %v", err)
	}
}

// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"fmt"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
)

// goneWithout deletes the registration past its finalizer and returns what it was.
// Nothing is reconciled.
func (s *stage) goneWithout() *v1alpha1.MCPClientRegistration {
	s.t.Helper()
	reg := s.registration()
	reg.Finalizers = nil
	if err := s.Update(s.t.Context(), reg); err != nil {
		s.t.Fatal(err)
	}
	s.remove(reg)
	return reg
}

// leftRecord is the record of a registration; nil where there is none.
func (s *stage) leftRecord(reg *v1alpha1.MCPClientRegistration) *corev1.Secret {
	s.t.Helper()
	var secret corev1.Secret
	err := s.Get(s.t.Context(), client.ObjectKey{Namespace: stageOperator, Name: recordName(reg.UID)}, &secret)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return &secret
}

// strayOnce has the record of a registration looked at once.
func (s *stage) strayOnce(reg *v1alpha1.MCPClientRegistration) (time.Duration, error) {
	s.t.Helper()
	result, err := s.strays.Reconcile(s.t.Context(), s.leftRecord(reg))
	return result.RequeueAfter, err
}

// A record that lost its label is believed about a client of the server that it names
// and about no other: while there is no such AuthorizationServer, it is not believed.
func TestUnmarkedStrayIsBelievedOfItsServerOnly(t *testing.T) {
	s := newStage(t, "unmarked")
	s.begin()
	reg := s.goneWithout()
	secret := s.leftRecord(reg)
	delete(secret.Labels, v1alpha1.LabelRegistrationUID)
	if err := s.Update(t.Context(), secret); err != nil {
		t.Fatal(err)
	}
	s.remove(&v1alpha1.AuthorizationServer{ObjectMeta: metav1.ObjectMeta{Name: "company"}})
	again, err := s.strayOnce(reg)
	if err != nil || again != blockedDelay || len(s.as.Clients()) != 1 || s.leftRecord(reg) == nil {
		t.Fatalf("without the server: again in %s, %v, %d clients", again, err, len(s.as.Clients()))
	}
	if !s.strays.Strays.Held(secret.Name) {
		t.Error("it is not counted")
	}
	s.issuer.ResourceVersion = ""
	s.create(s.issuer)
	if _, err := s.strayOnce(reg); err != nil || len(s.as.Clients()) != 0 || s.leftRecord(reg) != nil {
		t.Errorf("with the server: %v, %d clients", err, len(s.as.Clients()))
	}
	if s.strays.Strays.Held(secret.Name) {
		t.Error("it is counted still")
	}
}

// A record of another cluster may be a copy: its client lives on, unless the
// AuthorizationServer says that the cluster is gone. That is no word about others.
func TestStrayOfAnotherClusterIsLeftAlone(t *testing.T) {
	s := newStage(t, "copied")
	s.begin()
	reg := s.goneWithout()
	s.strays.Cluster = "another"
	declare := func(former ...string) {
		t.Helper()
		var as v1alpha1.AuthorizationServer
		if err := s.Get(t.Context(), client.ObjectKeyFromObject(s.issuer), &as); err != nil {
			t.Fatal(err)
		}
		as.Spec.FormerClusters = former
		if err := s.Update(t.Context(), &as); err != nil {
			t.Fatal(err)
		}
	}
	for _, former := range [][]string{nil, {"elsewhere", "clust"}} {
		declare(former...)
		again, err := s.strayOnce(reg)
		if err != nil || again != blockedDelay || len(s.as.Clients()) != 1 || s.leftRecord(reg) == nil {
			t.Fatalf("former clusters %q: again in %s, %v, %d clients", former, again, err, len(s.as.Clients()))
		}
		if !s.strays.Strays.Held(recordName(reg.UID)) {
			t.Error("it is not counted")
		}
	}
	declare("elsewhere", "cluster")
	if _, err := s.strayOnce(reg); err != nil || len(s.as.Clients()) != 0 || s.leftRecord(reg) != nil {
		t.Errorf("of a former cluster: %v, %d clients", err, len(s.as.Clients()))
	}
}

// A request of which the answer is under way is no possible orphan: the answer may
// name its client.
func TestStrayWaitsForTheAnswerUnderWay(t *testing.T) {
	s := newStage(t, "asking")
	s.loseAnswer()
	reg := s.goneWithout()
	done := s.strays.Strays.work(reg.UID)
	again, err := s.strayOnce(reg)
	if err != nil || again != turnDelay || !s.stored().Pending() {
		t.Fatalf("again in %s, %v, want %s", again, err, turnDelay)
	}
	done()
	again, err = s.strayOnce(reg)
	if left := s.stored(); err != nil || again != 0 || len(left.Orphans) != 1 {
		t.Errorf("again in %s, %v, record %+v", again, err, left)
	}
}

// Few strays are dealt with at one time at one server, so that one that hangs leaves
// the others to theirs.
func TestStraysOfOneServerAreFew(t *testing.T) {
	s := NewStrays()
	var leaves []func()
	for i := range straysAtOnce {
		leave, entered := s.enter(other(i), "hung")
		if !entered {
			t.Fatalf("the %d. has no place", i+1)
		}
		leaves = append(leaves, leave)
	}
	if _, entered := s.enter(other(9), "hung"); entered {
		t.Error("more have a place than may")
	}
	leave, entered := s.enter(other(9), "quick")
	if !entered {
		t.Fatal("another server's has no place")
	}
	leave()
	leaves[0]()
	if _, entered := s.enter(other(9), "hung"); !entered {
		t.Error("there is no place although one left")
	}
}

// What is in the way decides when it is tried again.
func TestStrayIsTriedAgain(t *testing.T) {
	for name, c := range map[string]struct {
		err   error
		again time.Duration
		fails bool
	}{
		"the server says when":    {&authserver.Error{Kind: authserver.Unavailable, RetryAfter: 7 * time.Second}, 7 * time.Second, false},
		"the server is away":      {&authserver.Error{Kind: authserver.Unavailable}, 0, true},
		"the server forbids it":   {&authserver.Error{Kind: authserver.Rejected}, blockedDelay, false},
		"the token is refused":    {&authserver.Error{Kind: authserver.Unauthorized}, blockedDelay, false},
		"nothing is in the way":   {},
		"it was not sent at once": {&authserver.Error{Kind: authserver.Unavailable, Unsent: true, RetryAfter: time.Second}, time.Second, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t, "tried")
			s.begin()
			reg := s.goneWithout()
			s.as.revocation = c.err
			again, err := s.strayOnce(reg)
			if again != c.again || (err != nil) != c.fails {
				t.Errorf("again in %s, %v", again, err)
			}
			waits := c.err == nil || c.again == time.Second
			if held := s.strays.Strays.Held(recordName(reg.UID)); held == waits {
				t.Errorf("held: %t", held)
			}
			if c.err == nil {
				return
			}
			s.as.revocation = nil
			if _, err := s.strayOnce(reg); err != nil || s.leftRecord(reg) != nil || len(s.as.Clients()) != 0 {
				t.Errorf("then: %v, %d clients", err, len(s.as.Clients()))
			}
		})
	}
}

// The record of a registration that is there, or that is in a namespace which is not
// watched, is left alone.
func TestRecordOfARegistrationIsNoStray(t *testing.T) {
	s := newStage(t, "declared")
	s.begin()
	reg := s.registration()
	if again, err := s.strayOnce(reg); again != 0 || err != nil || len(s.as.Clients()) != 1 {
		t.Errorf("again in %s, %v, %d clients", again, err, len(s.as.Clients()))
	}
	s.goneWithout()
	s.strays.Watched = []string{"another"}
	if again, err := s.strayOnce(reg); again != 0 || err != nil || len(s.as.Clients()) != 1 {
		t.Errorf("not watched: again in %s, %v, %d clients", again, err, len(s.as.Clients()))
	}
}

// heardQueue notes what is enqueued.
type heardQueue struct {
	workqueue.TypedRateLimitingInterface[reconcile.Request]
	heard []string
}

func (q *heardQueue) Add(request reconcile.Request) { q.AddAfter(request, 0) }

func (q *heardQueue) AddAfter(request reconcile.Request, after time.Duration) {
	q.heard = append(q.heard, fmt.Sprintf("%s after %s", request.NamespacedName, after))
}

// A record is looked at when its registration went, when it appears, and when it tells
// of something else while its registration is gone; not when the reconciler itself
// writes it.
func TestStraysAreNoticed(t *testing.T) {
	s := newStage(t, "noticed")
	s.begin()
	declared := &heardQueue{}
	s.strays.altered(t.Context(), event.UpdateEvent{ObjectOld: &corev1.Secret{}, ObjectNew: s.recordSecret()}, declared)
	if len(declared.heard) > 0 {
		t.Errorf("while its registration is there: %v", declared.heard)
	}
	reg := s.goneWithout()
	secret := s.leftRecord(reg)
	other := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: stageOperator, Name: "initial-access-token"}}
	with := func(change func(*corev1.Secret)) *corev1.Secret {
		changed := secret.DeepCopy()
		change(changed)
		return changed
	}
	tells := func(name, value string) *corev1.Secret {
		return with(func(secret *corev1.Secret) {
			secret.Data[recordKey] = slices.Concat([]byte(`{"`+name+`":`+value+`,`), secret.Data[recordKey][1:])
		})
	}
	key := types.NamespacedName{Namespace: stageOperator, Name: recordName(reg.UID)}
	soon, atOnce := []string{key.String() + " after 2s"}, []string{key.String() + " after 0s"}
	ctx := t.Context()
	for name, c := range map[string]struct {
		happens func(q requestQueue)
		want    []string
	}{
		"its registration went": {func(q requestQueue) { s.strays.wentWithout(ctx, event.DeleteEvent{Object: reg}, q) }, soon},
		"it appears":            {func(q requestQueue) { s.strays.appeared(ctx, event.CreateEvent{Object: secret}, q) }, soon},
		"another Secret":        {func(q requestQueue) { s.strays.appeared(ctx, event.CreateEvent{Object: other}, q) }, nil},
		"a person's word": {func(q requestQueue) {
			word := with(func(secret *corev1.Secret) { secret.Annotations[v1alpha1.AnnotationRelease] = "alice" })
			s.strays.altered(ctx, event.UpdateEvent{ObjectOld: secret, ObjectNew: word}, q)
		}, atOnce},
		"another request": {func(q requestQueue) {
			asks := with(func(secret *corev1.Secret) { secret.Data[recordKey] = []byte(`{"state":"Pending","mark":"two"}`) })
			s.strays.altered(ctx, event.UpdateEvent{ObjectOld: secret, ObjectNew: asks}, q)
		}, soon},
		"legible again": {func(q requestQueue) {
			bad := with(func(secret *corev1.Secret) { secret.Data[recordKey] = []byte("?") })
			s.strays.altered(ctx, event.UpdateEvent{ObjectOld: bad, ObjectNew: secret}, q)
		}, soon},
		"a step of its own": {func(q requestQueue) {
			s.strays.altered(ctx, event.UpdateEvent{ObjectOld: secret, ObjectNew: tells("dueAt", `"2026-09-01T12:00:00Z"`)}, q)
		}, nil},
	} {
		q := &heardQueue{}
		if c.happens(q); !slices.Equal(q.heard, c.want) {
			t.Errorf("%s: %v, want %v", name, q.heard, c.want)
		}
	}
}

// loseAnswer begins with a registration whose request has no answer.
func (s *stage) loseAnswer() {
	s.t.Helper()
	s.as.registration = unavailable
	s.begin()
	s.as.registration = &authserver.Error{Kind: authserver.Unavailable, MaybeApplied: true}
	if _, err := s.registrations.Reconcile(s.t.Context(), s.registration()); err == nil {
		s.t.Fatal("the answer was not lost")
	}
}

// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"fmt"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
)

// deny makes the denial of a case, and the guards that there are, each with what
// it says of denials.
func (s *stage) deny(change func(*v1alpha1.AccessDenial), guards ...string) {
	s.denial = &v1alpha1.AccessDenial{
		ObjectMeta: metav1.ObjectMeta{Name: "incident", UID: "incident", Generation: 1, CreationTimestamp: metav1.NewTime(begun.Add(-time.Hour))},
		Spec: v1alpha1.AccessDenialSpec{
			Client: &v1alpha1.DeniedClient{AuthorizationServerRef: v1alpha1.AuthorizationServerReference{Name: "company"}, ClientID: "c1"},
			Reason: "Key leaked, incident 4711",
		},
		Status: v1alpha1.AccessDenialStatus{ObservedGeneration: -1},
	}
	change(s.denial)
	for i, says := range guards {
		s.create(guardLease(fmt.Sprintf("guard-%d", i), says))
	}
}

// guardLease is the Lease of a guard of the server invoices.
func guardLease(name, denials string) *coordinationv1.Lease {
	return &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: serversPlace, Name: name, Labels: map[string]string{v1alpha1.LabelGuard: labelTrue},
			Annotations: map[string]string{v1alpha1.AnnotationGuards: serversPlace + "/invoices", v1alpha1.AnnotationDenials: denials},
		},
		Spec: coordinationv1.LeaseSpec{LeaseDurationSeconds: new(int32(600)), RenewTime: &metav1.MicroTime{Time: begun}},
	}
}

// actsOnAll is what a guard says that has seen everything: the first versions.
const actsOnAll = `{"seen":"1"}`

var denialCases = []reasonCase{
	{"enforced", "True/Ready", func(s *stage) { s.deny(plainDenial, actsOnAll, actsOnAll) }},
	{"pending", "False/GuardsPending", func(s *stage) { s.deny(plainDenial, actsOnAll, `{"seen":"1","open":["incident"]}`, "") }},
	{"no-guard", "False/NoGuard", func(s *stage) { s.deny(plainDenial) }},
	{"ended", "False/Expired", func(s *stage) {
		s.deny(func(d *v1alpha1.AccessDenial) { d.Spec.ExpirationTime = &metav1.Time{Time: begun} }, actsOnAll)
	}},
	{"newer", "False/NotUnderstood", func(s *stage) { s.deny(func(d *v1alpha1.AccessDenial) { d.Spec.Client = nil }, actsOnAll) }},
	{"some-namespaces", "Unknown/GuardsUnknown", func(s *stage) {
		s.deny(plainDenial, actsOnAll)
		s.accessDenials.Guards = nil
	}},
}

func plainDenial(*v1alpha1.AccessDenial) {}

func (s *stage) storedDenial() *v1alpha1.AccessDenial {
	s.t.Helper()
	var denial v1alpha1.AccessDenial
	if err := s.Get(s.t.Context(), client.ObjectKey{Name: "incident"}, &denial); err != nil {
		s.t.Fatal(err)
	}
	return &denial
}

// The status follows the slowest guard, is written once, and does not depend on
// what the status itself did to the version of the object.
func TestADenialIsEnforcedWhenTheLastGuardHasIt(t *testing.T) {
	s := newStage(t, "slow")
	s.deny(plainDenial, actsOnAll, "")
	s.begin()
	denial := s.storedDenial()
	if denial.Status.EnforcedTime != nil || *denial.Status.EnforcedBy != 1 || *denial.Status.Pending != 1 || denial.Status.PendingGuards[0] != "invoices/guard-1" {
		t.Fatalf("while one is behind: %+v", denial.Status)
	}
	version := denial.ResourceVersion
	s.settle()
	if again := s.storedDenial(); again.ResourceVersion != version {
		t.Errorf("it is written again and again: %+v", again.Status)
	}
	slow := guardLease("guard-1", "")
	if err := s.Get(t.Context(), client.ObjectKeyFromObject(slow), slow); err != nil {
		t.Fatal(err)
	}
	slow.Annotations[v1alpha1.AnnotationDenials] = actsOnAll
	if err := s.Update(t.Context(), slow); err != nil {
		t.Fatal(err)
	}
	s.clock.SetTime(begun.Add(1500 * time.Millisecond))
	s.settle()
	denial = s.storedDenial()
	if at := denial.Status.EnforcedTime; at == nil || !at.Time.Equal(begun.Add(2*time.Second)) || *denial.Status.EnforcedBy != 2 || denial.Status.Pending != nil {
		t.Fatalf("when all have it: %+v", denial.Status)
	}
	version = denial.ResourceVersion
	s.create(guardLease("guard-2", ""))
	s.settle()
	if again := s.storedDenial(); again.ResourceVersion != version {
		t.Errorf("a guard that begins later changes the status: %+v", again.Status)
	}
}

// A guard that may go on no more, and the Lease of a stranger, are not waited for.
func TestWhoIsNotWaitedFor(t *testing.T) {
	s := newStage(t, "strangers")
	s.deny(plainDenial, actsOnAll)
	s.server.Spec.Boundary = v1alpha1.BoundaryGuarded
	stranger, ended, idle := guardLease("stranger", ""), guardLease("ended", ""), guardLease("idle", "")
	stranger.Namespace, ended.Spec.LeaseDurationSeconds = "elsewhere", new(int32(0))
	idle.Annotations[v1alpha1.AnnotationGuards] = "invoices/nothing"
	s.create(stranger, ended, idle)
	s.begin()
	s.clock.SetTime(begun.Add(time.Minute))
	s.settle()
	if denial := s.storedDenial(); denial.Status.EnforcedTime == nil || *denial.Status.EnforcedBy != 1 {
		t.Errorf("got %+v", denial.Status)
	}
}

// What the operator made goes when it has ended, or when its registration is gone
// for long; what people made never does.
func TestOnlyTheOperatorsDenialsAreTakenAway(t *testing.T) {
	s := newStage(t, "bot")
	s.deny(func(d *v1alpha1.AccessDenial) { d.Spec.ExpirationTime = &metav1.Time{Time: begun} })
	made := func(uid, name string, change func(*v1alpha1.AccessDenial)) {
		denial := denialOf(client.ObjectKey{Namespace: clientsPlace, Name: name}, "", "company", "c-"+uid, "x")
		denial.Name, denial.UID, denial.CreationTimestamp = uid, "uid-of-"+denial.UID, metav1.NewTime(begun.Add(-25*time.Hour))
		denial.Labels[v1alpha1.LabelRegistrationUID] = uid
		change(denial)
		s.create(denial)
	}
	made("bot", "bot", plainDenial)
	made("ended", "bot", func(d *v1alpha1.AccessDenial) { d.Spec.ExpirationTime = &metav1.Time{Time: begun} })
	made("gone", "gone", plainDenial)
	made("before", "bot", plainDenial)
	made("young", "gone", func(d *v1alpha1.AccessDenial) { d.CreationTimestamp = metav1.NewTime(begun.Add(-23 * time.Hour)) })
	s.begin()
	var left v1alpha1.AccessDenialList
	if err := s.List(t.Context(), &left); err != nil {
		t.Fatal(err)
	}
	var names []string
	for i := range left.Items {
		names = append(names, left.Items[i].Name)
	}
	if got := fmt.Sprint(names); got != "[bot incident young]" {
		t.Errorf("left are %s", got)
	}
}

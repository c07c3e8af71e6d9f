// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
)

// The delays after an error: as the work queues of the manager have them.
const (
	firstDelay   = 100 * time.Millisecond
	longestDelay = time.Minute
	// countDelay is how long after a change of a record its authorization server
	// is looked at.
	countDelay = 5 * time.Second
	// strayDelay is how long after a change of its registration a record is looked at.
	strayDelay = 2 * time.Second
)

// tooMany is how many passes at one instant are taken for passes without end.
const tooMany = 10_000

// task is an object in the queue of a controller.
type task struct {
	controller string
	key        client.ObjectKey
}

// timer is when a task is due. Of two at one instant, the earlier comes first.
type timer struct {
	at       time.Time
	serial   int
	waiting  bool
	failures int
}

// wake makes a task due at an instant, or earlier if it is.
func (s *Sandbox) wake(t task, at time.Time) {
	known := s.due[t]
	if known == nil {
		known = &timer{}
		s.due[t] = known
	}
	if !known.waiting || at.Before(known.at) {
		s.serial++
		known.at, known.serial, known.waiting = at, s.serial, true
	}
}

// WakeAll has every controller look at every object of its kind, at records when
// what the operator lets go itself is gone.
func (s *Sandbox) WakeAll(ctx context.Context) error {
	for controller, list := range map[string]client.ObjectList{
		Registrations: &v1alpha1.MCPClientRegistrationList{}, Grants: &v1alpha1.ScopeGrantList{},
		Servers: &v1alpha1.MCPServerList{}, AuthorizationServers: &v1alpha1.AuthorizationServerList{},
	} {
		if err := s.Client.List(ctx, list); err != nil {
			return err
		}
		items, err := meta.ExtractList(list)
		if err != nil {
			return err
		}
		for _, item := range items {
			if object, ok := item.(client.Object); ok {
				s.wake(task{controller, client.ObjectKeyFromObject(object)}, s.Clock.Now())
			}
		}
	}
	var records corev1.SecretList
	if err := s.Client.List(ctx, &records, client.InNamespace(Namespace)); err != nil {
		return err
	}
	for i := range records.Items {
		if records.Items[i].Type == v1alpha1.SecretTypeRecord {
			s.wake(task{Strays, client.ObjectKeyFromObject(&records.Items[i])}, s.Clock.Now().Add(strayDelay))
		}
	}
	return nil
}

// Run makes passes, each when it is due, until an instant.
func (s *Sandbox) Run(ctx context.Context, until time.Time) error {
	for count := 0; ; {
		next, found := s.next()
		if !found || s.due[next].at.After(until) {
			s.Clock.SetTime(until)
			return ctx.Err()
		}
		if at := s.due[next].at; at.After(s.Clock.Now()) {
			s.Clock.SetTime(at)
			count = 0
		}
		if count++; count > tooMany {
			return fmt.Errorf("%d passes at %s, the last of %s for %s", count, s.Clock.Now(), next.controller, next.key)
		}
		if err := s.pass(ctx, next); err != nil {
			return err
		}
	}
}

// RunFor is Run until some time from now.
func (s *Sandbox) RunFor(ctx context.Context, d time.Duration) error {
	return s.Run(ctx, s.Clock.Now().Add(d))
}

func (s *Sandbox) next() (first task, found bool) {
	for t, timer := range s.due {
		if !timer.waiting {
			continue
		}
		earlier := !found || timer.at.Before(s.due[first].at) || timer.at.Equal(s.due[first].at) && timer.serial < s.due[first].serial
		if earlier {
			first, found = t, true
		}
	}
	return first, found
}

// pass makes one pass and puts the object back as the work queue would.
func (s *Sandbox) pass(ctx context.Context, t task) error {
	reconciler := s.controllers[t.controller]
	if reconciler == nil {
		return fmt.Errorf("there is no controller %s", t.controller)
	}
	timer := s.due[t]
	timer.waiting = false
	s.passes[t.controller]++
	result, err := reconciler.Reconcile(ctx, ctrl.Request{NamespacedName: t.key})
	switch {
	case err != nil:
		delay := min(firstDelay<<min(timer.failures, 20), longestDelay)
		timer.failures++
		s.wake(t, s.Clock.Now().Add(delay))
	case result.RequeueAfter > 0:
		timer.failures = 0
		s.wake(t, s.Clock.Now().Add(result.RequeueAfter))
	default:
		timer.failures = 0
	}
	return ctx.Err()
}

// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build soak

package soak

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/test/devas"
	"github.com/mcp-registrar/mcp-registrar/test/operator"
)

// loss is a registration whose client becomes unmanageable in every run,
// rather than by luck.
type loss struct {
	name string
	// then is what its team does after that.
	then func(ctx context.Context, s *script, slot int) error
}

// losses are the wishes that a registration can be left with: those that are
// kept, that go, and that rest.
var losses = []loss{
	{"wished", func(context.Context, *script, int) error { return nil }},
	{"deleted", func(ctx context.Context, s *script, slot int) error { return s.delete(ctx, slot) }},
	{"suspended", func(ctx context.Context, s *script, slot int) error { return s.suspend(ctx, s.slots[slot]) }},
}

// renamed ends the names of clients that were replaced.
const renamed = " renamed"

// lose lets replacements be done at the authorization server, holds their
// answers back, and kills the manager that waits for them. It returns the names
// of the registrations.
func (r *run) lose(t *testing.T) []string {
	t.Helper()
	manager, err := operator.Start(t.Context(), r.Manager)
	if err != nil {
		t.Fatal(err)
	}
	first := len(r.script.slots)
	var names []string
	for _, l := range losses {
		reg, err := r.script.createSteady(t.Context(), "lost-"+l.name)
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, reg.name)
	}
	ids := r.awaitReady(t, manager, names)
	for i, name := range names {
		if err := r.AS.Order(devas.Fault{
			Operation: devas.Replace, ClientID: ids[i], Kind: devas.FaultHang, When: devas.After, Count: 1,
		}); err != nil {
			t.Fatal(err)
		}
		if err := r.script.rename(t.Context(), r.script.slots[first+i], name+renamed); err != nil {
			t.Fatal(err)
		}
	}
	r.awaitReplaced(t, manager, ids)
	r.killer.kills = append(r.killer.kills, time.Now())
	if err := manager.Kill(); err != nil {
		t.Fatal(err)
	}
	r.AS.ClearFaults()
	for i, l := range losses {
		if err := l.then(t.Context(), r.script, first+i); err != nil {
			t.Fatal(err)
		}
	}
	return names
}

// awaitReady waits until registrations are Ready, and returns their client
// ids.
func (r *run) awaitReady(t *testing.T, manager *operator.Process, names []string) []string {
	t.Helper()
	ids, state := make([]string, len(names)), ""
	r.await(t, manager, "Ready", func(ctx context.Context) (bool, error) {
		for i, name := range names {
			var reg v1alpha1.MCPClientRegistration
			if err := r.Get(ctx, client.ObjectKey{Namespace: operator.TeamNamespace, Name: name}, &reg); err != nil {
				return false, err
			}
			state = ready(reg.Status.Conditions, reg.Status.ObservedGeneration, reg.Generation)
			if ids[i] = reg.Status.ClientID; state != "True/"+v1alpha1.ReasonReady || ids[i] == "" {
				return false, nil
			}
		}
		return true, nil
	})
	return ids
}

// awaitReplaced waits until the clients have their new names.
func (r *run) awaitReplaced(t *testing.T, manager *operator.Process, ids []string) {
	t.Helper()
	r.await(t, manager, "replaced", func(context.Context) (bool, error) {
		replaced := 0
		for _, c := range r.AS.Clients() {
			if slices.Contains(ids, c.ID) && strings.Contains(c.Name, renamed) {
				replaced++
			}
		}
		return replaced == len(ids), nil
	})
}

func (r *run) await(t *testing.T, manager *operator.Process, what string, done wait.ConditionWithContextFunc) {
	t.Helper()
	err := wait.PollUntilContextTimeout(t.Context(), watchEvery, *settle, true, func(ctx context.Context) (bool, error) {
		select {
		case <-manager.Ended():
			return false, errors.New("the manager ended by itself: see manager.log")
		default:
			return done(ctx)
		}
	})
	if err != nil {
		t.Fatalf("not %s: %v", what, err)
	}
}

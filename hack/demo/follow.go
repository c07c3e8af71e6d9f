// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/test/devas"
)

// change is a registration as it is now, or as it was when it went.
type change struct {
	registration *v1alpha1.MCPClientRegistration
	gone         bool
}

// follow prints a line for each change of a registration until the context ends.
func (w *world) follow(ctx context.Context) error {
	var known v1alpha1.MCPClientRegistrationList
	if err := w.client.List(ctx, &known); err != nil {
		return fmt.Errorf("reading the registrations: %w", err)
	}
	last := map[types.UID]*v1alpha1.MCPClientRegistration{}
	for i := range known.Items {
		last[known.Items[i].UID] = &known.Items[i]
	}
	changes, err := w.watch(ctx)
	if err != nil {
		return fmt.Errorf("watching the registrations: %w", err)
	}
	w.hints(ctx)
	fmt.Fprintln(w.out, "\nWhat happens from now on (times are UTC):")
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-w.manager.ended:
			return w.manager.check()
		case c := <-changes:
			w.print(c.registration, w.describe(last[c.registration.UID], c))
			last[c.registration.UID] = c.registration
		}
	}
}

// watch returns all changes, in their order, beginning with what is there.
func (w *world) watch(ctx context.Context) (<-chan change, error) {
	registrations, err := cache.New(w.plane.Config, cache.Options{Scheme: w.scheme})
	if err != nil {
		return nil, err
	}
	informer, err := registrations.GetInformer(ctx, &v1alpha1.MCPClientRegistration{}, cache.BlockUntilSynced(false))
	if err != nil {
		return nil, err
	}
	changes := make(chan change)
	send := func(object any, gone bool) {
		if left, ok := object.(toolscache.DeletedFinalStateUnknown); ok {
			object = left.Obj
		}
		if registration, ok := object.(*v1alpha1.MCPClientRegistration); ok {
			select {
			case changes <- change{registration, gone}:
			case <-ctx.Done():
			}
		}
	}
	_, err = informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
		AddFunc:    func(object any) { send(object, false) },
		UpdateFunc: func(_, object any) { send(object, false) },
		DeleteFunc: func(object any) { send(object, true) },
	})
	if err != nil {
		return nil, err
	}
	go func() {
		if err := registrations.Start(ctx); err != nil && !errors.Is(err, context.Canceled) {
			fmt.Fprintln(w.out, "watching the registrations:", err)
		}
	}()
	return changes, nil
}

func (w *world) print(object client.Object, lines []string) {
	for _, line := range lines {
		fmt.Fprintf(w.out, "%s  %-20s  %s\n", time.Now().UTC().Format(time.TimeOnly), key(object), line)
	}
}

// describe puts a change into words. What became of the client of an object that
// is gone is asked of the authorization server itself.
func (w *world) describe(before *v1alpha1.MCPClientRegistration, c change) []string {
	if before == nil {
		before = &v1alpha1.MCPClientRegistration{}
	}
	if c.gone {
		return []string{afterDeletion(before.Status.ClientID, w.as.Clients())}
	}
	lines := clientChange(before, c.registration)
	lines = append(lines, revocationChange(before.Status.Revocation, c.registration.Status.Revocation)...)
	if len(lines) == 0 {
		lines = readyChange(before, c.registration)
	}
	return lines
}

func afterDeletion(clientID string, alive []devas.Client) string {
	switch {
	case clientID == "":
		return "deleted; there was no client"
	case slices.ContainsFunc(alive, func(c devas.Client) bool { return c.ID == clientID }):
		return "deleted; client " + clientID + " is STILL at the authorization server"
	}
	return "deleted; client " + clientID + " is gone at the authorization server"
}

// clientChange tells of a new client, and of scopes and end dates of one.
func clientChange(before, after *v1alpha1.MCPClientRegistration) []string {
	id := after.Status.ClientID
	if id == "" {
		return nil
	}
	if before.Status.ClientID != id {
		return []string{fmt.Sprintf("registered: client %s, scopes %s, until %s", id, scopes(after), end(after))}
	}
	var lines []string
	if scopes(before) != scopes(after) {
		lines = append(lines, fmt.Sprintf("changed: scopes %s, before %s", scopes(after), scopes(before)))
	}
	if end(before) != end(after) {
		lines = append(lines, fmt.Sprintf("changed: expires %s, before %s", end(after), end(before)))
	}
	return lines
}

// revocationChange tells of a revocation as far as it is known to have got.
func revocationChange(before, after *v1alpha1.Revocation) []string {
	if after == nil || equality.Semantic.DeepEqual(before, after) {
		return nil
	}
	var lines []string
	told := before != nil && before.VerifiedAt != nil && before.ClientID == after.ClientID && before.VerifiedAt.Equal(after.VerifiedAt)
	if !told {
		lines = append(lines, revocationLine(after))
	}
	if after.DeniedAt != nil && (!told || before.DeniedAt == nil) {
		lines = append(lines, fmt.Sprintf("refused: no guard lets client %s pass, known at %s", after.ClientID, clock(after.DeniedAt.Time)))
	}
	return lines
}

func revocationLine(r *v1alpha1.Revocation) string {
	line := fmt.Sprintf("revoked: client %s, cause %s, due %s", r.ClientID, r.Cause, clock(r.DueAt.Time))
	switch {
	case r.RevokedAtASAt == nil:
		return fmt.Sprintf("revoking: client %s, cause %s", r.ClientID, r.Cause)
	case r.VerifiedAt == nil:
		return line + ", revokedAt " + clock(r.RevokedAtASAt.Time) + ", not yet verified"
	}
	line += fmt.Sprintf(", revokedAt %s, verifiedAt %s", clock(r.RevokedAtASAt.Time), clock(r.VerifiedAt.Time))
	if r.ResidualUntil != nil && r.DeniedAt == nil {
		line += ", issued tokens end by " + clock(r.ResidualUntil.Time)
	}
	return line
}

func clock(t time.Time) string { return t.UTC().Format(time.TimeOnly) }

// readyChange tells of another reason of Ready, and of a deletion that begins.
func readyChange(before, after *v1alpha1.MCPClientRegistration) []string {
	if before.DeletionTimestamp == nil && after.DeletionTimestamp != nil {
		return []string{"to be deleted: its client is revoked first"}
	}
	ready := meta.FindStatusCondition(after.Status.Conditions, v1alpha1.ConditionReady)
	if ready == nil || state(before) == ready.Reason {
		return nil
	}
	return []string{fmt.Sprintf("Ready=%s/%s: %s", ready.Status, ready.Reason, ready.Message)}
}

// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	_ "embed"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/test/mcpserver"
)

const (
	clerkNamespace = "payments"
	clerk          = "clerk"
	clerkGrant     = "clerk-pays"
	readScope      = "invoices:read"
	writeScope     = "invoices:write"
	// knownDelay is how long a guard may take to know a new client, refusalDelay
	// how long to refuse one that left, goneDelay how long its object may stay.
	knownDelay   = 10 * time.Second
	refusalDelay = 5 * time.Second
	goneDelay    = 30 * time.Second
)

//go:embed clerk.yaml
var clerkObjects string

// showBoundary has the clerk call tools through the guard: allowed, refused with
// the scope to ask for, and refused with a token that has not expired once the
// clerk is deleted. Anything else is an error.
func (w *world) showBoundary(ctx context.Context) error {
	fmt.Fprintf(w.out, "\nThe client %s/%s calls tools through the guard, %s:\n\n", clerkNamespace, clerk, w.guardURL)
	for _, do := range []func(context.Context) error{w.showCalls, w.showDeletion} {
		if err := do(ctx); err != nil {
			return fmt.Errorf("at the boundary: %w\nThe end of the guard's log:\n%s", err, w.guard.tail())
		}
	}
	return w.showRecord()
}

// say prints a line about a step.
func (w *world) say(what, result string) { fmt.Fprintf(w.out, "  %-44s %s\n", what, result) }

// showCalls calls with a token that has too little, and then with one that has
// what the refusal named.
func (w *world) showCalls(ctx context.Context) error {
	narrow, err := w.firstSession(ctx)
	if err != nil {
		return err
	}
	defer narrow.close()
	tools, err := narrow.list(ctx)
	if err != nil {
		return err
	}
	w.say("tools/list", fmt.Sprintf("%s (%d more are hidden)", strings.Join(tools, ", "), hidden(tools)))
	if err := w.expect(ctx, narrow, mcpserver.ToolRead, http.StatusOK, ""); err != nil {
		return err
	}
	if err := w.expect(ctx, narrow, mcpserver.ToolPay, http.StatusForbidden, `scope="`+readScope+" "+writeScope+`"`); err != nil {
		return err
	}
	token, err := w.askToken(ctx, readScope+" "+writeScope)
	if err != nil {
		return err
	}
	w.say("a token with that scope too", "until "+clock(token.end))
	if w.wide, err = w.connect(ctx, token); err != nil {
		return err
	}
	return w.expect(ctx, w.wide, mcpserver.ToolPay, http.StatusOK, "")
}

// firstSession begins a session with a token that can only read, as soon as the
// guard knows the client.
func (w *world) firstSession(ctx context.Context) (*caller, error) {
	token, err := w.askToken(ctx, readScope)
	if err != nil {
		return nil, err
	}
	w.say("a token for "+readScope, "until "+clock(token.end))
	var session *caller
	var last error
	err = wait.PollUntilContextTimeout(ctx, 100*time.Millisecond, knownDelay, true, func(ctx context.Context) (bool, error) {
		session, last = w.connect(ctx, token)
		return last == nil, w.guard.check()
	})
	if wait.Interrupted(err) && last != nil {
		return nil, last
	}
	return session, err
}

// expect calls a tool and prints how that went, which must be as said.
func (w *world) expect(ctx context.Context, c *caller, tool string, status int, holds string) error {
	got, err := c.call(ctx, tool)
	if err != nil {
		return err
	}
	w.say("tools/call "+tool, got.String())
	if got.status != status || !strings.Contains(got.text, holds) {
		return fmt.Errorf("%s was answered with %d %s, not with %d %s", tool, got.status, got.text, status, holds)
	}
	return nil
}

// parameter finds what a developer looks at in a challenge.
var parameter = regexp.MustCompile(`(?:error|scope)="[^"]*"`)

func (o outcome) String() string {
	text := o.text
	if o.status != http.StatusOK {
		text = strings.Join(parameter.FindAllString(o.text, -1), ", ")
	}
	return fmt.Sprintf("%d  %s", o.status, text)
}

// showDeletion deletes the clerk and calls with its token, which has not
// expired, until that is refused.
func (w *world) showDeletion(ctx context.Context) error {
	defer w.wide.close()
	registration := &v1alpha1.MCPClientRegistration{ObjectMeta: metav1.ObjectMeta{Namespace: clerkNamespace, Name: clerk}}
	if err := w.client.Get(ctx, client.ObjectKeyFromObject(registration), registration); err != nil {
		return fmt.Errorf("reading the clerk: %w", err)
	}
	if err := w.client.Delete(ctx, registration); err != nil {
		return fmt.Errorf("deleting the clerk: %w", err)
	}
	deleted := time.Now()
	w.say("kubectl delete mcpreg -n "+clerkNamespace+" "+clerk, "")
	var got outcome
	var felt time.Duration
	calls := 0
	err := wait.PollUntilContextTimeout(ctx, time.Millisecond, refusalDelay, true, func(ctx context.Context) (bool, error) {
		felt, calls = time.Since(deleted), calls+1
		var err error
		got, err = w.wide.call(ctx, mcpserver.ToolRead)
		return got.status == http.StatusUnauthorized, err
	})
	if err != nil {
		return fmt.Errorf("the token of a deleted client is still accepted after %s: %w", refusalDelay, err)
	}
	w.say("tools/call "+mcpserver.ToolRead, got.String())
	w.say("", fmt.Sprintf("the same token, %s before its end, %.1f ms after the deletion (calls that passed in between: %d)",
		time.Until(w.wide.token.end).Round(time.Second), felt.Seconds()*1000, calls-1))
	return w.gone(ctx, registration)
}

// gone waits until the clerk is, and takes away its grant.
func (w *world) gone(ctx context.Context, registration *v1alpha1.MCPClientRegistration) error {
	id := registration.Status.ClientID
	err := wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, goneDelay, true, func(ctx context.Context) (bool, error) {
		err := w.client.Get(ctx, client.ObjectKeyFromObject(registration), registration)
		return apierrors.IsNotFound(err), client.IgnoreNotFound(err)
	})
	if err != nil {
		return fmt.Errorf("waiting for the clerk to go: %w", err)
	}
	w.say("", afterDeletion(id, w.as.Clients()))
	grant := &v1alpha1.ScopeGrant{ObjectMeta: metav1.ObjectMeta{Namespace: clerkNamespace, Name: clerkGrant}}
	return client.IgnoreNotFound(w.client.Delete(ctx, grant))
}

// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"reflect"
	"time"

	"k8s.io/utils/clock"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/lifecycle"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

// executor carries out what internal/lifecycle plans for a client that must not
// exist, whoever knows of it. It is the one place that has a client deleted, and it
// decides nothing about states.
type executor struct {
	servers *Servers
	clock   clock.PassiveClock
}

// leaver is whoever knows of a client that must not exist.
type leaver interface {
	// store stores a record in place of the one before.
	store(ctx context.Context, record policy.Record) (policy.Record, error)
	// end does what is left to do when the client is gone, tells of its end, and
	// stores the record of it where one is kept.
	end(ctx context.Context, out lifecycle.Outcome) (policy.Record, error)
	// tell tells of what happened at the authorization server.
	tell(ctx context.Context, event lifecycle.Event)
}

// leaving is a client that must not exist.
type leaving struct {
	lifecycle.Facts
	leaver
	// connection is where the client is.
	connection authserver.Config
	// credentials are what is at hand of the client's own.
	credentials policy.CredentialsFact
	// later takes a record that may wait, to be stored in the next turn, where others are
	// to go at this time; nil where nothing waits.
	later func(policy.Record) bool
	// unstored says that Record holds what an answer renewed and storage refused: it
	// is stored with the next answer, whatever that means.
	unstored bool
	// confirm makes sure of what cannot be taken back, when there is a place at the
	// server and before anything is done; nil where there is nothing to make sure of. It
	// reports whether cause and instant can be read again from the objects now.
	confirm func(context.Context) (repeatable bool, err error)
}

// mostSteps is more than the longest way of a client out of its server.
const mostSteps = 8

// errTooManySteps says that the plans for a client lead nowhere.
var errTooManySteps = errors.New("the steps for a client that is to go do not end")

// run takes the steps of a client's way out until it is gone, or something stands
// in the way, or is to be waited for. The record that it returns is what is stored.
func (x executor) run(ctx context.Context, l leaving) (record policy.Record, wait time.Duration, err error) {
	server, leave := authserver.Server(nil), func() {}
	defer func() { leave() }()
	for range mostSteps {
		plan := lifecycle.Next(l.Facts, x.clock.Now())
		if plan.Idle() {
			return l.Record, 0, nil
		}
		if plan.Call != lifecycle.None && server == nil {
			if server, leave, err = x.enter(ctx, l.connection); err != nil {
				return l.Record, 0, err
			}
			var cancel context.CancelFunc
			ctx, cancel = detached(ctx)
			defer cancel()
		}
		out, err := x.step(ctx, server, &l, plan)
		if err == nil && out.Ended {
			// What is left to do is the cluster's affair.
			leave()
			l.Record, err = l.end(ctx, out)
			return l.Record, 0, err
		}
		if err != nil || out.Err != nil || out.Wait > 0 {
			return l.Record, out.Wait, errors.Join(out.Err, err)
		}
	}
	return l.Record, 0, errTooManySteps
}

// waits leaves what may wait for a moment to memory, where others are to go.
func (l *leaving) waits(out lifecycle.Outcome) bool {
	if !out.MayWait || l.unstored || l.later == nil || !l.later(out.Record) {
		return false
	}
	l.Record = out.Record
	return true
}

// confirmed confirms once, and plans again where it is known by then that cause and
// instant can be read again.
func (x executor) confirmed(ctx context.Context, l *leaving, plan lifecycle.Plan) (lifecycle.Plan, error) {
	confirm := l.confirm
	l.confirm = nil
	if confirm == nil {
		return plan, nil
	}
	repeatable, err := confirm(ctx)
	if err != nil || !repeatable {
		return plan, err
	}
	l.Repeatable = true
	return lifecycle.Next(l.Facts, x.clock.Now()), nil
}

// enter takes a place at the server before anything is stored: where there is none
// nothing has begun.
func (x executor) enter(ctx context.Context, connection authserver.Config) (authserver.Server, func(), error) {
	server, leave, err := x.servers.Enter(ctx, connection, authserver.Urgent)
	if err != nil {
		return nil, func() {}, err
	}
	return server, leave, nil
}

// step carries out one plan: the intent is stored, the server is asked, and what
// its answer means is told and stored before anything else.
func (x executor) step(ctx context.Context, server authserver.Server, l *leaving, plan lifecycle.Plan) (out lifecycle.Outcome, err error) {
	if plan, err = x.confirmed(ctx, l, plan); err != nil {
		return out, err
	}
	before := l.Record
	for _, event := range plan.Events {
		l.tell(ctx, event)
	}
	if err := l.keep(ctx, plan.Intent); err != nil {
		if plan.BestEffort() {
			l.Facts = l.Without(plan.Call)
			return lifecycle.Outcome{}, nil
		}
		return out, err
	}
	answer := x.askOf(ctx, server, l, plan, before)
	out = plan.After(answer, x.clock.Now())
	out.Record.Version = l.Record.Version
	if out.Ended {
		return out, nil
	}
	for _, event := range out.Events {
		l.tell(ctx, event)
	}
	if l.waits(out) {
		return out, nil
	}
	err = l.keepAnswer(ctx, out.Record)
	if plan.BestEffort() {
		// What the answer renewed is in force, stored or not: the deletion goes on
		// with it, and is stored with what it means.
		l.Record, l.unstored, err = out.Record.At(l.Record.Version), err != nil, nil
		l.Facts = l.Without(plan.Call)
	}
	return out, err
}

// keep stores a record where it is not what is stored already.
func (l *leaving) keep(ctx context.Context, record policy.Record) error {
	if reflect.DeepEqual(record, l.Record) {
		return nil
	}
	return l.put(ctx, record)
}

// keepAnswer is keep after an answer: what was renewed before and could not be stored
// is not lost for want of news.
func (l *leaving) keepAnswer(ctx context.Context, record policy.Record) error {
	if l.unstored {
		return l.put(ctx, record)
	}
	return l.keep(ctx, record)
}

func (l *leaving) put(ctx context.Context, record policy.Record) error {
	stored, err := l.store(ctx, record)
	if err == nil {
		l.Record, l.unstored = stored, false
	}
	return err
}

// askOf makes the call of a plan for a client that must not exist.
func (x executor) askOf(ctx context.Context, server authserver.Server, l *leaving, plan lifecycle.Plan, before policy.Record) lifecycle.Answer {
	// One that was about to be taken over is deleted only if that was done.
	before.Adopting = false
	a := x.ask(ctx, server, plan, before, l.credentials, l.Capabilities)
	a.Err = early(before, a.Err, x.clock.Now())
	if l.Capabilities.OwnSecret {
		// The register chooses secrets there: what somebody else set is not taken
		// over.
		a.Client.Secret = authserver.Secret{}
	}
	return a
}

// ask makes one call. before is the record as it was before the intent: what is
// stored ahead of an update says nothing about the credentials at hand.
func (x executor) ask(ctx context.Context, server authserver.Server, plan lifecycle.Plan, before policy.Record,
	credentials policy.CredentialsFact, capabilities authserver.Traits,
) (a lifecycle.Answer) {
	handle := before.Handle(credentials, x.clock.Now())
	switch plan.Call {
	case lifecycle.None:
	case lifecycle.Register:
		a.Client, a.Err = server.Register(ctx, plan.Request)
	case lifecycle.Replace, lifecycle.GiveProbeKey:
		a.Client, a.Err = server.Replace(ctx, handle, plan.Request)
	case lifecycle.Disable:
		if a.Err = server.Disable(ctx, handle); a.Err == nil {
			a.Client, a.Found, a.Err = server.Find(ctx, handle)
		}
	case lifecycle.Look, lifecycle.Prove:
		a.Client, a.Found, a.Err = server.Find(ctx, handle)
	case lifecycle.Revoke:
		a = x.revoke(ctx, server, handle, capabilities)
	}
	return a
}

// revoke disables the client first where the server can: from then on it is of no
// use, however long its deletion takes. A server that does not is told to delete it
// all the same.
func (x executor) revoke(ctx context.Context, server authserver.Server, handle authserver.Handle, capabilities authserver.Traits) (a lifecycle.Answer) {
	if capabilities.Disables {
		err := server.Disable(ctx, handle)
		if isConflict(err) {
			a.Err = err
			return a
		}
		if err == nil {
			a.DisabledAt = x.clock.Now()
		}
	}
	a.Err = server.Revoke(ctx, handle)
	return a
}

// early is what an error means that leaves open whether a client is gone: while its
// key may not be known yet, that it is asked about too early.
func early(record policy.Record, err error, now time.Time) error {
	answer, ok := errors.AsType[*authserver.Error](err)
	lag := record.KeysLag(now)
	if lag <= 0 || !ok || answer.Kind != authserver.Unauthorized {
		return err
	}
	return &authserver.Error{Kind: authserver.Unavailable, Op: answer.Op, Status: answer.Status, RetryAfter: lag, Err: err}
}

// isConflict says that a client carries another's mark.
func isConflict(err error) bool {
	answer, ok := errors.AsType[*authserver.Error](err)
	return ok && answer.Kind == authserver.Conflict
}

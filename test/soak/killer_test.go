// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build soak

package soak

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/mcp-registrar/mcp-registrar/test/devas"
	"github.com/mcp-registrar/mcp-registrar/test/operator"
)

const (
	// patience is how long an aimed kill waits for its moment.
	patience = 3 * time.Second
	// watchEvery is how often the authorization server is looked at for one.
	watchEvery = 2 * time.Millisecond
	// lookShare is how much longer is waited than looked.
	lookShare = 4
	// tellEvery is after how many kills the progress is told.
	tellEvery = 100
	// heldAnswer is how long an answer is held back after its work is done,
	// where a kill is to come between the two.
	heldAnswer = 40 * time.Millisecond
)

// killer starts managers and kills them.
type killer struct {
	stage  *operator.Stage
	random *rand.Rand
	// kills are the moments; aimed counts those that followed a change at the
	// authorization server, by what the change was.
	kills []time.Time
	aimed map[devas.Operation]int
	// say tells of the progress of a long run.
	say func(format string, args ...any)
}

func newKiller(s *operator.Stage, seed uint64, say func(string, ...any)) *killer {
	return &killer{stage: s, random: rand.New(rand.NewPCG(seed, 2)), aimed: map[devas.Operation]int{}, say: say}
}

// run kills so many managers, each a random while after its start or right
// after it changed something at the authorization server.
func (k *killer) run(ctx context.Context, kills int) error {
	for range kills {
		manager, err := operator.Start(ctx, k.stage.Manager)
		if err != nil {
			return err
		}
		if err := k.await(ctx, manager); err != nil {
			return err
		}
		k.kills = append(k.kills, time.Now())
		if err := manager.Kill(); err != nil {
			return fmt.Errorf("kill %d: %w", len(k.kills), err)
		}
		k.stage.AS.ClearFaults()
		if len(k.kills)%tellEvery == 0 {
			k.say("%d kills, %d live clients", len(k.kills), len(k.stage.AS.Clients()))
		}
	}
	return nil
}

// await waits for the moment to kill.
func (k *killer) await(ctx context.Context, manager *operator.Process) error {
	if k.random.IntN(4) == 0 {
		return k.pause(ctx, manager, 50*time.Millisecond+time.Duration(k.random.IntN(550))*time.Millisecond)
	}
	if k.random.IntN(2) == 0 {
		operations := []devas.Operation{devas.Register, devas.Replace, devas.Delete}
		if err := k.stage.AS.Order(devas.Fault{
			Operation: operations[k.random.IntN(len(operations))], Kind: devas.FaultLatency, When: devas.After,
			Count: 1, DelayMillis: int(heldAnswer.Milliseconds()),
		}); err != nil {
			return err
		}
	}
	changes, delay := 1+k.random.IntN(6), time.Duration(k.random.IntN(25))*time.Millisecond
	operation, err := k.watch(ctx, manager, changes)
	if err != nil {
		return err
	}
	if operation != "" {
		k.aimed[operation]++
	}
	return k.pause(ctx, manager, delay)
}

// watch returns after so many changes of the clients, and says what the last
// one was.
func (k *killer) watch(ctx context.Context, manager *operator.Process, changes int) (devas.Operation, error) {
	deadline, before := time.Now().Add(patience), look(k.stage.AS)
	var last devas.Operation
	every := watchEvery
	for changes > 0 && time.Now().Before(deadline) {
		if err := k.pause(ctx, manager, every); err != nil {
			return last, err
		}
		looked := time.Now()
		after := look(k.stage.AS)
		// Thousands of clients take a while: the manager needs the processor more.
		every = max(watchEvery, lookShare*time.Since(looked))
		if operation := before.changed(after); operation != "" {
			last = operation
			changes--
		}
		before = after
	}
	return last, nil
}

func (k *killer) pause(ctx context.Context, manager *operator.Process, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-manager.Ended():
		return errors.New("the manager ended by itself: see manager.log")
	case <-timer.C:
		return nil
	}
}

// sight is what the authorization server holds at one moment.
type sight struct {
	clients []devas.Client
	deleted int
}

func look(as *devas.Server) sight { return sight{as.Clients(), len(as.Deleted())} }

// changed says which kind of request made the difference, if there is one.
func (before sight) changed(after sight) devas.Operation {
	switch {
	case after.deleted > before.deleted:
		return devas.Delete
	case len(after.clients) > len(before.clients):
		return devas.Register
	case !slices.EqualFunc(before.clients, after.clients, func(a, b devas.Client) bool {
		return a.ID == b.ID && a.Name == b.Name && a.Scope == b.Scope && slices.Equal(a.RedirectURIs, b.RedirectURIs)
	}):
		return devas.Replace
	}
	return ""
}

// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"sync"
)

// together has those who need the same read of the API server at one time share one:
// while one is under way others gather for the next, which is begun after all of them
// asked. Its zero value is ready.
type together[K comparable, T any] struct {
	mu    sync.Mutex
	lines map[K]*line[T]
}

// line are those who wait for the same.
type line[T any] struct {
	// turn is taken by who reads, next is what others gather for, and in counts who is
	// in the line.
	turn chan struct{}
	next *answer[T]
	in   int
}

// answer is what came of a read.
type answer[T any] struct {
	done  chan struct{}
	value T
	err   error
}

// read is what a read that began after the call returned. The value is shared and is
// not to be changed.
func (t *together[K, T]) read(ctx context.Context, key K, read func(context.Context) (T, error)) (T, error) {
	l, a, first := t.join(key)
	defer t.leave(key, l)
	if first {
		t.ask(ctx, l, a, read)
	}
	select {
	case <-a.done:
		return a.value, a.err
	case <-ctx.Done():
		var none T
		return none, wrap("waiting for a read that others share", ctx.Err())
	}
}

// join takes a place in a line, and reports whether it is the first for this answer.
func (t *together[K, T]) join(key K) (l *line[T], a *answer[T], first bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.lines == nil {
		t.lines = map[K]*line[T]{}
	}
	if l = t.lines[key]; l == nil {
		l = &line[T]{turn: make(chan struct{}, 1)}
		t.lines[key] = l
	}
	l.in++
	if l.next == nil {
		l.next, first = &answer[T]{done: make(chan struct{})}, true
	}
	return l, l.next, first
}

func (t *together[K, T]) leave(key K, l *line[T]) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if l.in--; l.in == 0 {
		delete(t.lines, key)
	}
}

// ask reads when it is its turn. The others wait for it, whatever becomes of the first.
func (t *together[K, T]) ask(ctx context.Context, l *line[T], a *answer[T], read func(context.Context) (T, error)) {
	l.turn <- struct{}{}
	defer func() { <-l.turn }()
	t.mu.Lock()
	l.next = nil
	t.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), listTimeout)
	defer cancel()
	a.value, a.err = read(ctx)
	close(a.done)
}

// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package token

import (
	"context"
	"errors"
	"sync"
	"time"
)

const (
	// refreshAfter is the age from which a value is fetched again, without
	// anybody waiting for it.
	refreshAfter = 5 * time.Minute
	// waitAfter is the age from which callers wait for the newer value, unless
	// the last try failed: a value that nobody asked for grows old.
	waitAfter = 2 * refreshAfter
	// longestKept is for how long a value is used while its issuer is away.
	longestKept = 24 * time.Hour
	// holdOff is the time between two tries, whatever callers want.
	holdOff = 10 * time.Second
	// holdOffUnknown is the same as long as nothing is known, when no token can
	// be verified.
	holdOffUnknown = 2 * time.Second
	// longestFetch bounds one try.
	longestFetch = 10 * time.Second
)

var errNeverFetched = errors.New("nothing is known of the issuer")

// kept is what an issuer said last. One try at a time fetches it anew, and those
// who need it wait for the same one.
type kept[T any] struct {
	// fetch returns the value; last is the one known, to be returned where it
	// is still the same.
	fetch func(ctx context.Context, last T) (T, error)

	mu        sync.Mutex
	value     T
	known     bool
	fetchedAt time.Time
	triedAt   time.Time
	err       error
	flight    chan struct{}
}

// get returns the value, fetched where it is not known or too old.
func (k *kept[T]) get(ctx context.Context, now time.Time) (T, error) {
	k.mu.Lock()
	age := ago(k.fetchedAt, now)
	if k.known && age < refreshAfter {
		defer k.mu.Unlock()
		return k.value, nil
	}
	flight := k.start(ctx, now)
	usable := k.known && age < longestKept
	if flight == nil || usable && (age < waitAfter || k.err != nil) {
		defer k.mu.Unlock()
		return k.answer(now)
	}
	k.mu.Unlock()
	if err := wait(ctx, flight); err != nil {
		var none T
		return none, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.answer(now)
}

// again returns the value that the issuer has now, for a caller whom the known
// one did not serve. Within the hold-off it is what the last try gave.
func (k *kept[T]) again(ctx context.Context, now time.Time) (T, error) {
	k.mu.Lock()
	flight := k.start(ctx, now)
	k.mu.Unlock()
	if flight != nil {
		if err := wait(ctx, flight); err != nil {
			var none T
			return none, err
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.value, k.err
}

// ago is how long ago something was. What is of a later time, by more than callers come at
// once, was before the clock was set back, and nobody knows how long that is ago.
func ago(at, now time.Time) time.Duration {
	if at.Sub(now) > longestFetch {
		return waitAfter
	}
	return now.Sub(at)
}

// answer is the value as long as it may be used. Its caller holds the lock.
func (k *kept[T]) answer(now time.Time) (T, error) {
	if k.known && now.Sub(k.fetchedAt) < longestKept {
		return k.value, nil
	}
	var none T
	if k.err == nil {
		return none, errNeverFetched
	}
	return none, k.err
}

// start returns the try under way, or begins one; nil where it is too early for
// that. Its caller holds the lock.
func (k *kept[T]) start(ctx context.Context, now time.Time) chan struct{} {
	hold := holdOff
	if !k.known {
		hold = holdOffUnknown
	}
	if k.flight == nil && (k.triedAt.IsZero() || ago(k.triedAt, now) >= hold) {
		k.triedAt = now
		k.flight = make(chan struct{})
		go k.run(context.WithoutCancel(ctx), now, k.value)
	}
	return k.flight
}

// run fetches for all who wait, so that it does not end with one of them. The
// value counts as old as the try.
func (k *kept[T]) run(ctx context.Context, now time.Time, last T) {
	ctx, cancel := context.WithTimeout(ctx, longestFetch)
	defer cancel()
	value, err := k.fetch(ctx, last)
	k.mu.Lock()
	defer k.mu.Unlock()
	if err == nil {
		k.value, k.known, k.fetchedAt = value, true, now
	}
	k.err = err
	close(k.flight)
	k.flight = nil
}

func wait(ctx context.Context, flight <-chan struct{}) error {
	select {
	case <-flight:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

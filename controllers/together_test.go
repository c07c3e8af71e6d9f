// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// Many who ask at one time share few reads, and none gets what was read before it
// asked. One that ends before the answer holds nobody, and a failure is told to all.
func TestReadsTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var reads together[string, time.Time]
		var count atomic.Int64
		failure := errors.New("no answer")
		read := func(context.Context) (time.Time, error) {
			began := time.Now()
			time.Sleep(50 * time.Millisecond)
			if count.Add(1)%3 == 0 {
				return time.Time{}, failure
			}
			return began, nil
		}
		var group sync.WaitGroup
		failed := atomic.Int64{}
		for i := range 640 {
			group.Go(func() {
				time.Sleep(time.Duration(i) * time.Millisecond)
				asked := time.Now()
				began, err := reads.read(t.Context(), "team", read)
				switch {
				case errors.Is(err, failure):
					failed.Add(1)
				case err != nil || began.Before(asked):
					t.Errorf("asked at %s, read at %s: %v", asked, began, err)
				}
			})
		}
		group.Go(func() {
			// The one before it waits to read for both.
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Millisecond)
			defer cancel()
			time.Sleep(3 * time.Millisecond / 2)
			if _, err := reads.read(ctx, "team", read); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("who ends early is told %v", err)
			}
		})
		group.Wait()
		if n := count.Load(); n > 20 || failed.Load() == 0 {
			t.Errorf("%d reads, %d were told of a failure", n, failed.Load())
		}
		if len(reads.lines) != 0 {
			t.Errorf("%d lines are kept", len(reads.lines))
		}
	})
}

// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"hash/fnv"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// DriftSchedule spreads drift checks over their interval: each object has its
// own instant in it, which only its UID decides. What was checked is kept in
// memory; after a restart every object waits for its next instant.
type DriftSchedule struct {
	mu    sync.Mutex
	begun time.Time
	last  map[types.UID]time.Time
}

// NewDriftSchedule starts a schedule at the given instant.
func NewDriftSchedule(begun time.Time) *DriftSchedule {
	return &DriftSchedule{begun: begun, last: map[types.UID]time.Time{}}
}

// Due says whether an instant of the object has come since it was checked.
func (s *DriftSchedule) Due(uid types.UID, interval time.Duration, now time.Time) bool {
	s.mu.Lock()
	last, found := s.last[uid]
	s.mu.Unlock()
	if !found {
		last = s.begun
	}
	return !s.Next(uid, interval, last).After(now)
}

// Next is the first instant of the object after the given one.
func (s *DriftSchedule) Next(uid types.UID, interval time.Duration, after time.Time) time.Time {
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(uid))
	interval = max(interval, time.Second)
	offset := time.Duration(float64(interval) * (float64(hash.Sum32()) / (1 << 32)))
	next := after.Truncate(interval).Add(offset)
	for !next.After(after) {
		next = next.Add(interval)
	}
	return next
}

// Done notes that the object was checked.
func (s *DriftSchedule) Done(uid types.UID, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last[uid] = now
}

// Suspect makes the object due at once.
func (s *DriftSchedule) Suspect(uid types.UID) { s.Done(uid, time.Time{}) }

// Forget drops what is kept for the object.
func (s *DriftSchedule) Forget(uid types.UID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.last, uid)
}

// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package devas

import (
	"fmt"
	"net/http"
	"slices"
	"sync"
)

// FaultKind says what goes wrong.
type FaultKind string

const (
	// FaultStatus answers with Fault.Status and an OAuth error.
	FaultStatus FaultKind = "status"
	// FaultClose closes the connection without an answer. Go's HTTP client
	// repeats a GET on its own when the connection was a reused one.
	FaultClose FaultKind = "close"
	// FaultTruncate announces the whole body and sends half of it.
	FaultTruncate FaultKind = "truncate"
	// FaultLarge pads the JSON answer to more than 5 MiB.
	FaultLarge FaultKind = "large"
	// FaultPage answers with a page in HTML, as somebody does who stands in front
	// of the server; Fault.Status, or 200.
	FaultPage FaultKind = "page"
	// FaultRedirect redirects to Fault.Location.
	FaultRedirect FaultKind = "redirect"
	// FaultHang never answers; it lasts until the client gives up or the
	// server is stopped.
	FaultHang FaultKind = "hang"
	// FaultLatency answers properly, Fault.DelayMillis late.
	FaultLatency FaultKind = "latency"
)

// When says whether a fault comes before or after the work of the request.
type When string

const (
	// Before means the request has no effect. It is the default.
	Before When = "before"
	// After means the request takes effect and only its answer is spoilt.
	After When = "after"
)

// Fault is an order to spoil matching requests.
type Fault struct {
	// Operation is the operation to spoil. Empty means Any.
	Operation Operation `json:"operation,omitempty"`
	// ClientID, if set, restricts the fault to requests that name this client.
	ClientID string `json:"clientID,omitempty"`
	// Kind says what goes wrong. Empty means FaultStatus.
	Kind FaultKind `json:"kind,omitempty"`
	// When says whether the work is done all the same. Empty means Before.
	When When `json:"when,omitempty"`
	// Count is how many requests are spoilt. Zero means until cleared.
	Count int `json:"count,omitempty"`
	// Status is the status to answer with; required for FaultStatus, 307 if left
	// out for FaultRedirect, 200 for FaultPage.
	Status int `json:"status,omitempty"`
	// Error is the OAuth error code of the answer. Empty means one that
	// fits the status.
	Error string `json:"error,omitempty"`
	// RetryAfter is sent as it stands in the Retry-After header: seconds or
	// an HTTP date. Empty means no such header.
	RetryAfter string `json:"retryAfter,omitempty"`
	// Location is the target of FaultRedirect.
	Location string `json:"location,omitempty"`
	// DelayMillis is the delay of FaultLatency.
	DelayMillis int `json:"delayMillis,omitempty"`
}

func (f Fault) withDefaults() (Fault, error) {
	if f.Operation == "" {
		f.Operation = Any
	}
	if f.Kind == "" {
		f.Kind = FaultStatus
	}
	if f.When == "" {
		f.When = Before
	}
	if f.Kind == FaultPage && f.Status == 0 {
		f.Status = http.StatusOK
	}
	if f.Kind == FaultRedirect && f.Status == 0 {
		f.Status = http.StatusTemporaryRedirect
	}
	if !slices.Contains(operations, f.Operation) {
		return f, fmt.Errorf("operation %q: unknown", f.Operation)
	}
	if f.When != Before && f.When != After {
		return f, fmt.Errorf("when %q: want before or after", f.When)
	}
	if f.Count < 0 {
		return f, fmt.Errorf("count %d: must not be negative", f.Count)
	}
	return f, f.validateKind()
}

func (f Fault) validateKind() error {
	class := f.Status / 100
	switch f.Kind {
	case FaultStatus:
		if class != 4 && class != 5 && f.Status != http.StatusNoContent {
			return fmt.Errorf("status %d: want 204, or 400 to 599", f.Status)
		}
	case FaultPage:
		if class != 2 && class != 4 && class != 5 {
			return fmt.Errorf("status %d: a page wants success, or 400 to 599", f.Status)
		}
	case FaultRedirect:
		if class != 3 || f.Location == "" {
			return fmt.Errorf("redirect %d to %q: want a 3xx status and a location", f.Status, f.Location)
		}
	case FaultLatency:
		if f.DelayMillis <= 0 {
			return fmt.Errorf("delay %d ms: must be positive", f.DelayMillis)
		}
	case FaultClose, FaultTruncate, FaultLarge, FaultHang:
	default:
		return fmt.Errorf("kind %q: unknown", f.Kind)
	}
	return nil
}

func (f Fault) matches(o Operation, clientID string) bool {
	return (f.Operation == Any || f.Operation == o) && (f.ClientID == "" || f.ClientID == clientID)
}

// works tells whether the request takes effect in spite of the fault.
func (f Fault) works() bool {
	return f.When == After || f.Kind == FaultLatency
}

// delays are the milliseconds to wait before and after the work.
func (f Fault) delays() (before, after int) {
	switch {
	case f.Kind != FaultLatency:
		return 0, 0
	case f.When == After:
		return 0, f.DelayMillis
	default:
		return f.DelayMillis, 0
	}
}

// faultQueue holds ordered faults, oldest first. The first that matches a
// request is the one that spoils it.
type faultQueue struct {
	mu     sync.Mutex
	faults []Fault
}

func (q *faultQueue) order(f Fault) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.faults = append(q.faults, f)
}

func (q *faultQueue) clear() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.faults = nil
}

func (q *faultQueue) pending() []Fault {
	q.mu.Lock()
	defer q.mu.Unlock()
	return slices.Clone(q.faults)
}

// take returns the fault that spoils this request, if any, and uses it up by one.
func (q *faultQueue) take(o Operation, clientID string) (Fault, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i, f := range q.faults {
		if !f.matches(o, clientID) {
			continue
		}
		switch f.Count {
		case 0:
		case 1:
			q.faults = slices.Delete(q.faults, i, i+1)
		default:
			q.faults[i].Count--
		}
		return f, true
	}
	return Fault{}, false
}

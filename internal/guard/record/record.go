// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package record

import (
	"errors"
	"regexp"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"
	"k8s.io/utils/clock"
	"k8s.io/utils/lru"

	"github.com/mcp-registrar/mcp-registrar/internal/audit"
	"github.com/mcp-registrar/mcp-registrar/internal/guard"
)

const (
	// strangersPerSecond and strangersBurst bound the lines about callers of whom
	// nothing is known: whoever can send requests could fill the disk.
	strangersPerSecond = 20
	strangersBurst     = 100
)

// Options say where decisions are recorded.
type Options struct {
	// Stream takes the lines. Nil: there is no audit.
	Stream audit.CallRecorder
	// Registerer takes the metrics. Required.
	Registerer prometheus.Registerer
	// Clock tells when a decision was made. Required.
	Clock clock.PassiveClock
	// Stats tells how the register stands. Nil leaves out its metrics.
	Stats func() Stats
	// Open tells how many requests are under way. Nil leaves out its metric.
	Open func() int
}

// Recorder is a guard.Recorder. It may be used by several goroutines.
type Recorder struct {
	stream    audit.CallRecorder
	clock     clock.PassiveClock
	metrics   *metrics
	strangers bound
	// refused bounds the lines of refusals of each client.
	refused *lru.Cache
}

var _ guard.Recorder = (*Recorder)(nil)

// New returns a Recorder.
func New(o Options) (*Recorder, error) {
	if o.Registerer == nil || o.Clock == nil {
		return nil, errors.New("recording calls: a registerer and a clock are needed")
	}
	m, err := newMetrics(o)
	if err != nil {
		return nil, err
	}
	return &Recorder{stream: o.Stream, clock: o.Clock, metrics: m, strangers: bound{Limiter: rate.NewLimiter(strangersPerSecond, strangersBurst)}, refused: lru.New(maxRefused)}, nil
}

// Record implements guard.Recorder: it counts a decision and writes its line.
func (r *Recorder) Record(request guard.Request, v guard.Verdict) {
	r.metrics.count(request, v)
	if r.stream == nil {
		return
	}
	now := r.clock.Now()
	event := audit.CallEvent{Type: audit.CallRefused, Time: now}
	if v.Allowed() {
		event.Type = audit.CallAllowed
	}
	var omitted uint64
	if !v.Allowed() {
		bound := r.bound(v)
		if !bound.AllowN(now, 1) {
			bound.omitted.Add(1)
			r.metrics.omitted.Inc()
			return
		}
		omitted = bound.omitted.Swap(0)
	}
	event.Data = data(request, v)
	event.Data.Omitted = omitted
	r.stream.RecordCall(event)
}

// Added takes how much longer a request took because of the guard.
func (r *Recorder) Added(server guard.ServerName, d time.Duration) {
	r.metrics.added.WithLabelValues(server.String()).Observe(d.Seconds())
}

// Failed takes that a server gave no answer that could be passed on.
func (r *Recorder) Failed(server guard.ServerName, f guard.Failure) {
	r.metrics.failed.WithLabelValues(server.String(), string(f)).Inc()
}

// How many refusals of one client have a line: those of a client that was revoked
// and does not give up would fill the disk. What is allowed always has one.
const (
	refusedPerSecond = 5
	refusedBurst     = 100
	maxRefused       = 10_000
)

// bound bounds the lines of refusals of some callers.
type bound struct {
	*rate.Limiter
	// omitted are the refusals that no line tells of yet.
	omitted atomic.Uint64
}

// bound is that of all callers that nobody knows, or of the one that somebody
// does.
func (r *Recorder) bound(v guard.Verdict) *bound {
	if stranger(v) {
		return &r.strangers
	}
	key := [2]string{v.Token.Issuer, v.Token.ClientID}
	if found, ok := r.refused.Get(key); ok {
		if known, ok := found.(*bound); ok {
			return known
		}
	}
	added := &bound{Limiter: rate.NewLimiter(refusedPerSecond, refusedBurst)}
	r.refused.Add(key, added)
	return added
}

// stranger says that nothing is known of the caller: no token was verified.
func stranger(v guard.Verdict) bool { return !v.Allowed() && v.Token.ClientID == "" }

// data is what a line says of a decision.
func data(request guard.Request, v guard.Verdict) audit.CallData {
	d := audit.CallData{
		Server: request.Server.String(), Resource: v.Server.Resource, AuthorizationServer: v.Server.AuthorizationServer,
		Method: request.Message.Method, Tool: request.Message.Tool, RequestID: request.Message.ID,
		Verdict: audit.VerdictRefused, Reason: string(v.Reason),
		Issuer: v.Token.Issuer, ClientID: v.Token.ClientID, Subject: v.Token.Subject, TokenID: v.Token.ID, TokenExpiresAt: v.Token.ExpiresAt,
		Client: clientOf(v), RegistrationUID: v.Decision.Client.UID, Owner: v.Decision.Client.Owner,
		Grant: v.Decision.Grant.Name, Basis: string(v.Decision.Grant.Basis), ApprovedBy: v.Decision.Grant.ApprovedBy, Scope: v.Decision.Scope,
		StepUp: v.Decision.StepUp, TraceParent: traceParent(request.TraceParent),
	}
	if v.Allowed() {
		d.Verdict = audit.VerdictAllowed
	}
	return d
}

// clientOf names the registration; empty where it is not known.
func clientOf(v guard.Verdict) string {
	client := v.Decision.Client
	if client.Name == "" {
		return ""
	}
	return client.Namespace + "/" + client.Name
}

// wellFormed is version 00 of traceparent, with which later versions begin.
var wellFormed = regexp.MustCompile(`^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(-|$)`)

// traceParentLength is the length of that version.
const traceParentLength = 55

// traceParent is what may be said of a traceparent, which is any text that a
// client likes to send.
func traceParent(text string) string {
	if len(text) < traceParentLength || !wellFormed.MatchString(text) {
		return ""
	}
	return text[:traceParentLength]
}

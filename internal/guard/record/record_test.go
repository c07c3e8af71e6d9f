// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package record

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/audit"
	"github.com/mcp-registrar/mcp-registrar/internal/guard"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

var noon = time.Date(2026, 8, 1, 12, 0, 0, 0, time.UTC)

// kept keeps what is recorded.
type kept struct {
	mu     sync.Mutex
	events []audit.CallEvent
}

func (k *kept) RecordCall(event audit.CallEvent) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.events = append(k.events, event)
}

// setup is a recorder with all that it writes to.
type setup struct {
	*Recorder
	kept     kept
	clock    *clocktesting.FakePassiveClock
	registry *prometheus.Registry
}

func newSetup(t *testing.T, with func(*Options)) *setup {
	t.Helper()
	s := &setup{clock: clocktesting.NewFakePassiveClock(noon), registry: prometheus.NewPedanticRegistry()}
	o := Options{Stream: &s.kept, Registerer: s.registry, Clock: s.clock}
	if with != nil {
		with(&o)
	}
	var err error
	if s.Recorder, err = New(o); err != nil {
		t.Fatal(err)
	}
	return s
}

var ledger = guard.Server{
	ServerEntry: policy.ServerEntry{
		Namespace: "finance", Name: "ledger", Resource: "https://ledger.example.com/mcp", AuthorizationServer: "corporate",
		Scopes: []policy.CatalogueScope{{Name: "ledger:write", Tools: []string{"post_entry"}}, {Name: "ledger:close", Tools: []string{"close_month"}}},
	},
	Issuer: "https://login.example.com",
}

const trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

func call(tool string) guard.Request {
	return guard.Request{
		Server: guard.ServerName{Namespace: "finance", Name: "ledger"}, TraceParent: trace, Authorization: []string{"Bearer very-secret"},
		Message: guard.Message{Kind: guard.Call, Method: "tools/call", ID: "7", Tool: tool},
	}
}

func known(reason guard.Reason) guard.Verdict {
	return guard.Verdict{
		Reason: reason, Server: ledger,
		Token: guard.Token{Issuer: "https://login.example.com", ClientID: "c-1", Subject: "jane", ID: "t-1", ExpiresAt: noon.Add(time.Minute)},
		Decision: policy.CallDecision{Client: policy.ClientEntry{
			Namespace: "payments", Name: "reconciler", UID: "uid-1", Owner: "team-payments@example.com", ClientID: "c-1",
		}},
	}
}

func allowed() guard.Verdict {
	v := known(guard.ReasonAllowed)
	v.Decision.Scope = "ledger:write"
	v.Decision.Grant = policy.GrantEntry{Namespace: "payments", Name: "reconciler-ledger", Basis: v1alpha1.BasisApproved, ApprovedBy: "sam@example.com"}
	return v
}

func unknown(reason guard.Reason) guard.Verdict { return guard.Verdict{Reason: reason, Server: ledger} }

func TestALineSaysWhoMadeTheCallAndByWhoseGrant(t *testing.T) {
	t.Parallel()
	s := newSetup(t, nil)
	s.Record(call("post_entry"), allowed())
	stepUp := known("ScopeMissing")
	stepUp.Decision.StepUp = []string{"ledger:close"}
	s.Record(call("close_month"), stepUp)
	s.Record(call("post_entry"), unknown(guard.TokenExpired))
	of := func(kind audit.Type, verdict, reason, tool string) audit.CallEvent {
		return audit.CallEvent{Type: kind, Time: noon, Data: audit.CallData{
			Server: "finance/ledger", Resource: "https://ledger.example.com/mcp", AuthorizationServer: "corporate",
			Method: "tools/call", Tool: tool, RequestID: "7", Verdict: verdict, Reason: reason, TraceParent: trace,
		}}
	}
	identified := func(e audit.CallEvent) audit.CallEvent {
		e.Data.Issuer, e.Data.ClientID, e.Data.Subject, e.Data.TokenID = "https://login.example.com", "c-1", "jane", "t-1"
		e.Data.TokenExpiresAt = noon.Add(time.Minute)
		e.Data.Client, e.Data.RegistrationUID, e.Data.Owner = "payments/reconciler", "uid-1", "team-payments@example.com"
		return e
	}
	want := []audit.CallEvent{
		identified(of(audit.CallAllowed, "Allowed", "Allowed", "post_entry")),
		identified(of(audit.CallRefused, "Refused", "ScopeMissing", "close_month")),
		of(audit.CallRefused, "Refused", "TokenExpired", "post_entry"),
	}
	want[0].Data.Grant, want[0].Data.Basis, want[0].Data.ApprovedBy = "reconciler-ledger", "Approved", "sam@example.com"
	want[0].Data.Scope = "ledger:write"
	want[1].Data.StepUp = []string{"ledger:close"}
	if diff := cmp.Diff(want, s.kept.events); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestRefusalsOfStrangersAreBounded(t *testing.T) {
	t.Parallel()
	s := newSetup(t, nil)
	for range 150 {
		s.Record(call("post_entry"), unknown(guard.TokenMissing))
	}
	if n := len(s.kept.events); n != 100 {
		t.Errorf("%d lines, want 100", n)
	}
	s.Record(call("post_entry"), allowed())
	s.Record(call("post_entry"), known("Revoked"))
	if n := len(s.kept.events); n != 102 {
		t.Errorf("%d lines: who is known is not on record", n)
	}
	s.clock.SetTime(noon.Add(time.Second))
	for range 30 {
		s.Record(call("post_entry"), unknown(guard.TokenMissing))
	}
	if n := len(s.kept.events); n != 122 {
		t.Errorf("%d lines, want 20 more after a second", n)
	}
	for i, event := range s.kept.events {
		want := uint64(0)
		if i == 102 {
			want = 50
		}
		if event.Data.Omitted != want {
			t.Errorf("line %d says that %d were left out, want %d", i, event.Data.Omitted, want)
		}
	}
	if got := testutil.ToFloat64(s.metrics.omitted); got != 60 {
		t.Errorf("%v counted as left out, want 60", got)
	}
	if got := testutil.ToFloat64(s.metrics.calls.WithLabelValues("finance/ledger", "post_entry", "", "Refused", "TokenMissing")); got != 180 {
		t.Errorf("%v refusals counted, want 180", got)
	}
}

func TestWhatClientsSendIsNoLabel(t *testing.T) {
	t.Parallel()
	s := newSetup(t, nil)
	for n := range 500 {
		v := known("ToolUnknown")
		v.Status = 200 // It is the response to the request, and a refusal all the same.
		s.Record(call(fmt.Sprintf("tool-%d\xff", n)), v)
		s.Record(call(fmt.Sprintf("tool-%d", n)), unknown(guard.TokenMissing))
	}
	s.Record(call(""), allowed())
	want := `
# HELP mcp_guard_calls_total Decisions about requests, by server, tool, client, decision and reason.
# TYPE mcp_guard_calls_total counter
mcp_guard_calls_total{client="",decision="Refused",reason="TokenMissing",server="finance/ledger",tool="other"} 500
mcp_guard_calls_total{client="payments/reconciler",decision="Allowed",reason="Allowed",server="finance/ledger",tool=""} 1
mcp_guard_calls_total{client="payments/reconciler",decision="Refused",reason="ToolUnknown",server="finance/ledger",tool="other"} 500
`
	if err := testutil.GatherAndCompare(s.registry, strings.NewReader(want), "mcp_guard_calls_total"); err != nil {
		t.Error(err)
	}
	if got := s.kept.events[0].Data.Tool; got != "tool-0\xff" {
		t.Errorf("the line says the tool is %q", got)
	}
}

func TestOnlyATraceParentIsOne(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                     "",
		trace:                  trace,
		trace + "-more":        trace,
		trace + "more":         "",
		strings.ToUpper(trace): "",
		"Bearer " + trace:      "",
		trace[:54]:             "",
		trace + "\n":           "",
	} {
		if got := traceParent(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestTheRegisterAndWhatIsOpenAreMeasured(t *testing.T) {
	t.Parallel()
	complete := false
	s := newSetup(t, func(o *Options) {
		o.Stats = func() Stats {
			return Stats{Clients: 3, Grants: 5, Denials: 2, Misread: 1, Restarts: 4, Age: 1500 * time.Millisecond, Complete: complete}
		}
		o.Open = func() int { return 7 }
	})
	gathered := func() map[string]float64 {
		families, err := s.registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		found := map[string]float64{}
		for _, family := range families {
			if gauge := family.GetMetric()[0].GetGauge(); gauge != nil {
				found[family.GetName()] = gauge.GetValue()
			}
		}
		return found
	}
	want := map[string]float64{
		"mcp_guard_open_requests": 7, "mcp_guard_register_clients": 3, "mcp_guard_register_grants": 5, "mcp_guard_register_complete": 0,
		"mcp_guard_register_denials": 2, "mcp_guard_register_denials_misread": 1,
	}
	if diff := cmp.Diff(want, gathered()); diff != "" {
		t.Errorf("before everything was read (-want +got)\n%s", diff)
	}
	complete = true
	want["mcp_guard_register_complete"], want["mcp_guard_register_age_seconds"] = 1, 1.5
	if diff := cmp.Diff(want, gathered()); diff != "" {
		t.Errorf("after that (-want +got)\n%s", diff)
	}
}

func TestWhatIsAddedIsMeasured(t *testing.T) {
	t.Parallel()
	s := newSetup(t, nil)
	s.Added(guard.ServerName{Namespace: "finance", Name: "ledger"}, 300*time.Microsecond)
	families, err := s.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() != "mcp_guard_added_seconds" {
			continue
		}
		histogram := family.GetMetric()[0].GetHistogram()
		for _, bucket := range histogram.GetBucket() {
			if in := bucket.GetUpperBound() >= 0.0003; in != (bucket.GetCumulativeCount() == 1) {
				t.Errorf("the bucket %v has %d", bucket.GetUpperBound(), bucket.GetCumulativeCount())
			}
		}
		return
	}
	t.Error("nothing is measured")
}

func TestWithoutAStreamDecisionsAreCounted(t *testing.T) {
	t.Parallel()
	s := newSetup(t, func(o *Options) { o.Stream = nil })
	s.Record(call("post_entry"), allowed())
	if got := testutil.ToFloat64(s.metrics.calls.WithLabelValues("finance/ledger", "post_entry", "payments/reconciler", "Allowed", "Allowed")); got != 1 {
		t.Errorf("%v counted", got)
	}
}

func TestNewNeedsARegistererAndAClock(t *testing.T) {
	t.Parallel()
	clock, registry := clocktesting.NewFakePassiveClock(noon), prometheus.NewRegistry()
	for name, o := range map[string]Options{"no clock": {Registerer: registry}, "no registerer": {Clock: clock}} {
		if _, err := New(o); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	newSetup(t, func(o *Options) { o.Registerer = registry })
	if _, err := New(Options{Registerer: registry, Clock: clock}); err == nil {
		t.Error("registered twice without an error")
	}
}

func TestTheStreamOfAGuardVerifies(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	stream, err := audit.Open(audit.Options{Path: audit.Stdout, Stdout: &out, Source: "/clusters/test/guards/a", Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	s := newSetup(t, func(o *Options) { o.Stream = stream })
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			for range 20 {
				s.Record(call("post_entry"), allowed())
			}
		})
	}
	wg.Wait()
	if err := stream.Close(); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(out.String(), "very-secret") {
		t.Error("the token is on record")
	}
	last := out.String()[strings.LastIndex(strings.TrimSpace(out.String()), "\n")+1:]
	var line struct {
		Type, Subject string
		Data          map[string]any
	}
	if err := json.Unmarshal([]byte(last), &line); err != nil {
		t.Fatal(err)
	}
	if line.Type != string(audit.CallAllowed) || line.Subject != "MCPServer/finance/ledger" || line.Data["approvedBy"] != "sam@example.com" {
		t.Errorf("the last line is %s", last)
	}
	if report, err := audit.Verify(&out, audit.Expect{Sequence: 401}); err != nil || report.Events != 401 {
		t.Errorf("%+v, %v", report, err)
	}
}

// BenchmarkRecord is what the record costs each call.
func BenchmarkRecord(b *testing.B) {
	for _, c := range []struct {
		name  string
		calls int
	}{{"one by one", 1}, {"32 at a time", 32}} {
		b.Run(c.name, func(b *testing.B) {
			stream, err := audit.Open(audit.Options{
				Path: filepath.Join(b.TempDir(), "audit.jsonl"), Source: "/clusters/test/guards/a", Now: time.Now,
			})
			if err != nil {
				b.Fatal(err)
			}
			r, err := New(Options{Stream: stream, Registerer: prometheus.NewRegistry(), Clock: clocktesting.NewFakePassiveClock(noon)})
			if err != nil {
				b.Fatal(err)
			}
			request, verdict := call("post_entry"), allowed()
			b.ReportAllocs()
			b.SetParallelism(max(1, c.calls/2))
			if c.calls == 1 {
				for b.Loop() {
					r.Record(request, verdict)
				}
			} else {
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						r.Record(request, verdict)
					}
				})
			}
			if err := stream.Close(); err != nil {
				b.Fatal(err)
			}
		})
	}
}

// TestCountersOfSilentClientsGo: what was counted of a client goes a day after its
// last request, that of all others stays.
func TestCountersOfSilentClientsGo(t *testing.T) {
	t.Parallel()
	s := newSetup(t, nil)
	busy := allowed()
	busy.Decision.Client.Name = "busy"
	s.Record(call("post_entry"), allowed())
	s.Record(call("post_entry"), unknown(guard.TokenMissing))
	for hour := range 25 {
		s.clock.SetTime(noon.Add(time.Duration(hour) * time.Hour))
		s.Record(call("post_entry"), busy)
		want := map[string]float64{"": 1, "payments/busy": float64(hour + 1), "payments/reconciler": 1}
		if hour == 24 {
			delete(want, "payments/reconciler")
		}
		if got := s.counted(t); !maps.Equal(got, want) {
			t.Errorf("after %d hours %v are counted, want %v", hour, got, want)
		}
	}
	s.Record(call("post_entry"), allowed())
	if got := s.counted(t)["payments/reconciler"]; got != 1 {
		t.Errorf("%v counted of a client that came back, want it from the beginning", got)
	}
}

// counted is how many decisions are counted, by client.
func (s *setup) counted(t *testing.T) map[string]float64 {
	t.Helper()
	families, err := s.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	sums := map[string]float64{}
	for _, family := range families {
		if family.GetName() != "mcp_guard_calls_total" {
			continue
		}
		for _, metric := range family.GetMetric() {
			for _, label := range metric.GetLabel() {
				if label.GetName() == labelClient {
					sums[label.GetValue()] += metric.GetCounter().GetValue()
				}
			}
		}
	}
	return sums
}

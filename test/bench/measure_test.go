// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build bench

package bench

import (
	"context"

	"testing"
	"time"

	"github.com/mcp-registrar/mcp-registrar/test/devas"
	"github.com/mcp-registrar/mcp-registrar/test/operator"
)

var switchesOff devas.Switches

// metricWrites is what the manager calls its count of writes.
const metricWrites = "mcp_registrar_kubernetes_writes_total"

// usage is what had been used up at one moment.
type usage struct {
	writes map[string]float64
	reads  float64
	calls  devas.Counters
	cpu    map[string]time.Duration
	rss    int64
}

func (b *bench) usage(t *testing.T) usage {
	t.Helper()
	said, err := b.process.Metrics(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	u := usage{writes: said.By(metricWrites, "resource"), calls: b.AS.Counts()}
	u.reads = said.Sum("rest_client_requests_total", map[string]string{"method": "GET"})
	if u.rss, err = b.process.ResidentBytes(); err != nil {
		t.Fatal(err)
	}
	if u.cpu, err = processorTimes(); err != nil {
		t.Fatal(err)
	}
	return u
}

// since is what was written and called after another moment. Events are told
// apart: nothing waits for them.
func (u usage) since(before usage) (writes, events, calls map[string]float64, total float64) {
	writes, calls = map[string]float64{}, map[string]float64{}
	for resource, n := range u.writes {
		writes[resource] = n - before.writes[resource]
		total += writes[resource]
	}
	events = map[string]float64{"events": writes["events"]}
	total -= writes["events"]
	delete(writes, "events")
	for _, operation := range []devas.Operation{devas.Discovery, devas.Register, devas.Read, devas.Replace, devas.Delete, devas.Token} {
		calls[string(operation)] = float64(u.calls.Total(operation) - before.calls.Total(operation))
	}
	return writes, events, calls, total
}

// burst creates all objects at once and measures until the last is Ready.
func (b *bench) burst(t *testing.T, ceiling float64) {
	t.Helper()
	all := names("burst", *objects)
	before := b.usage(t)
	seen := b.watchReady(t, all)
	created := make([]time.Time, len(all))
	start := time.Now()
	each(t, all, func(ctx context.Context, i int) error {
		created[i] = time.Now()
		for _, object := range registration(all[i], start.Add(4*time.Hour)) {
			if err := b.Create(ctx, object); err != nil {
				return err
			}
		}
		return nil
	})
	creating := time.Since(start)
	seen.wait(t)
	took := time.Since(start)
	b.awaitIdle(t)
	after := b.usage(t)
	waits := make([]time.Duration, len(all))
	for i, name := range all {
		waits[i] = seen.at[name].Sub(created[i])
	}
	rate := float64(len(all)) / took.Seconds()
	writes, events, calls, total := after.since(before)
	say(t, "burst", "%d objects Ready in %s (created in %s): %.1f objects/s, %.0f %% of the bare loader", len(all),
		took.Round(time.Millisecond), creating.Round(time.Millisecond), rate, 100*rate/ceiling)
	say(t, "burst", "create → Ready %s", newSpread(waits))
	say(t, "burst", "Kubernetes writes per object %.3f (%s); beside them %s", total/float64(len(all)), perObject(writes, len(all)), perObject(events, len(all)))
	say(t, "burst", "Kubernetes reads per object %.3f", (after.reads-before.reads)/float64(len(all)))
	say(t, "burst", "calls per object: %s; at most %d at one time", perObject(calls, len(all)), b.AS.MaxInFlight())
	say(t, "burst", "RSS %.1f MiB before, %.1f MiB after: %.1f KiB per object", mib(before.rss), mib(after.rss), float64(after.rss-before.rss)/1024/float64(len(all)))
	say(t, "burst", "processor time per object: %s", shares(before.cpu, after.cpu, len(all)))
}

func mib(bytes int64) float64 { return float64(bytes) / (1 << 20) }

// oneByOne creates objects so slowly that none waits for another.
func (b *bench) oneByOne(t *testing.T) {
	t.Helper()
	const n, gap = 100, 100 * time.Millisecond
	all := names("single", n)
	seen := b.watchReady(t, all)
	created := make([]time.Time, n)
	ticker := time.NewTicker(gap)
	defer ticker.Stop()
	for i, name := range all {
		<-ticker.C
		created[i] = time.Now()
		b.create(t, registration(name, time.Now().Add(4*time.Hour)))
	}
	seen.wait(t)
	waits := make([]time.Duration, n)
	for i, name := range all {
		waits[i] = seen.at[name].Sub(created[i])
	}
	say(t, "one by one", "%d objects, one every %s: create → Ready %s", n, gap, newSpread(waits))
}

// restTicks is for how many looks nothing may happen: longer than the five
// seconds for which changes of clients are gathered before they are counted.
const restTicks = 140

// awaitIdle waits until the manager has nothing to do.
func (b *bench) awaitIdle(t *testing.T) {
	t.Helper()
	var last float64
	quiet := 0
	eventually(t, "waiting for the manager to come to rest", 2*time.Minute, func(ctx context.Context) (bool, error) {
		said, err := b.process.Metrics(ctx)
		if err != nil {
			return false, err
		}
		// Leases are renewed all the time: by the leader, and to see that the API server
		// was not put back. The end of the audit record is published once a minute.
		writes := said.Sum(metricWrites, nil) - said.By(metricWrites, "resource")["leases"] - said.By(metricWrites, "resource")["configmaps"]
		if quiet++; writes != last || busy(said) > 0 {
			quiet = 0
		}
		last = writes
		return quiet > restTicks, nil
	})
}

// busy is how much the manager has queued or in work.
func busy(said operator.Metrics) float64 {
	return said.Sum("workqueue_depth", nil) + said.Sum("controller_runtime_active_workers", nil)
}

// restart stops the manager and measures until another has looked at all
// objects; an object created meanwhile is measured too. At rest there is
// nothing to write.
func (b *bench) restart(t *testing.T) {
	t.Helper()
	b.awaitIdle(t)
	b.stop(t)
	b.AS.ResetCounts()
	b.start(t)
	started := b.process.Started
	var first, drained time.Duration
	var said operator.Metrics
	eventually(t, "waiting for the backlog to be drained", 2*time.Minute, func(ctx context.Context) (bool, error) {
		var err error
		if said, err = b.process.Metrics(ctx); err != nil {
			return false, nil //nolint:nilerr // it does not listen yet
		}
		done := said.Sum("controller_runtime_reconcile_total", map[string]string{"controller": "mcpclientregistration"})
		if done > 0 && first == 0 {
			first = time.Since(started)
		}
		grants := said.Sum("controller_runtime_reconcile_total", map[string]string{"controller": "scopegrant"})
		drained = time.Since(started)
		return min(done, grants) >= float64(*objects) && busy(said) == 0, nil
	})
	b.awaitIdle(t)
	after := b.usage(t)
	writes, _, calls, total := after.since(usage{})
	asWrites := calls[string(devas.Register)] + calls[string(devas.Replace)] + calls[string(devas.Delete)]
	say(t, "restart", "with %d Ready objects: first object looked at after %s, backlog drained after %s from the start of the process; %.0f Kubernetes writes, %.0f writes at the authorization server (calls: %v); RSS %.1f MiB",
		*objects, first.Round(time.Millisecond), drained.Round(time.Millisecond), total, asWrites, calls, mib(after.rss))
	if total != 0 || asWrites != 0 {
		t.Errorf("a restart wrote: %v, %v", writes, calls)
	}

}

// lateness lets registrations end within one second and compares the instants
// at which the authorization server deleted them with those at which it should
// have.
func (b *bench) lateness(t *testing.T, prefix string, n int) {
	t.Helper()
	late := b.expire(t, prefix, n, nil)
	if late[0] < 0 {
		t.Errorf("a client was deleted %s before it was due", -late[0])
	}
	say(t, "lateness", "%d expiries in one second: deleted at the authorization server %s late, earliest %s", n, late, late.at(0))
}

// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build bench

package bench

import (
	"flag"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/test/devas"
	"github.com/mcp-registrar/mcp-registrar/test/operator"
)

var (
	objects = flag.Int("objects", 1000, "how many registrations there are, each with one grant")
	manager = flag.String("manager", "", "measures this binary; empty builds it")
	latency = flag.String("latencies", "0,20", "latencies of the authorization server in milliseconds, with commas between; the first is also used for lateness and restart")
)

// writers is how many objects are created at one time, and the concurrency of
// the bare loader: that of the manager by default.
const writers = 64

// TestBench prints figures. It fails only where a figure could not be had, or
// where something happened that must never happen: a revocation before it was
// due, or a write after a restart.
func TestBench(t *testing.T) {
	ctrl.SetLogger(logr.Discard())
	slog.SetDefault(slog.New(slog.DiscardHandler))
	path := *manager
	if path == "" {
		var err error
		if path, err = operator.Build(t.Context(), t.TempDir()); err != nil {
			t.Fatal(err)
		}
	}
	ceiling := bareLoader(t, path)
	for i, millis := range strings.Split(*latency, ",") {
		t.Run(millis+"ms", func(t *testing.T) {
			var switches devas.Switches
			if _, err := fmt.Sscan(millis, &switches.LatencyMillis); err != nil {
				t.Fatal(err)
			}
			b := newBench(t, path, switches)
			b.burst(t, ceiling)
			b.oneByOne(t)
			if i == 0 {
				b.approvals(t, max(*objects/10, 1))
				b.restart(t)
				b.lateness(t, "few", max(*objects/20, 1))
				b.lateness(t, "all", *objects)
			}
		})
	}
	t.Logf("the same as a table:\n\n| run | measurement | figure |\n| --- | --- | --- |\n%s\n", strings.Join(rows, "\n"))
}

// rows are the figures of all measurements, as rows of a Markdown table.
var rows []string

// say prints a figure at once and keeps it for the table.
func say(t *testing.T, what, format string, args ...any) {
	t.Helper()
	figure := fmt.Sprintf(format, args...)
	t.Logf("BENCH %s: %s", what, figure)
	_, run, _ := strings.Cut(t.Name(), "/")
	rows = append(rows, fmt.Sprintf("| %s | %s | %s |", run, what, figure))
}

// bench is a stage with a manager that runs.
type bench struct {
	*operator.Stage
	process *operator.Process
}

func newStage(t *testing.T, path string, switches devas.Switches) *operator.Stage {
	t.Helper()
	return operator.NewStage(t, operator.StageOptions{
		Switches: switches, Admission: true, Manager: path,
		Servers: map[string][]v1alpha1.ScopeName{server: {scope}},
	})
}

// newBench starts a manager and returns when it has seen the authorization
// server.
func newBench(t *testing.T, path string, switches devas.Switches) *bench {
	t.Helper()
	b := &bench{Stage: newStage(t, path, switches)}
	b.Manager.Metrics = true
	b.start(t)
	t.Cleanup(func() { b.stop(t) })
	b.create(t, b.registration("warm-up", time.Now().Add(time.Hour)))
	b.awaitReady(t, []string{"warm-up"})
	return b
}

func (b *bench) start(t *testing.T) {
	t.Helper()
	var err error
	if b.process, err = operator.Start(t.Context(), b.Manager); err != nil {
		t.Fatal(err)
	}
}

func (b *bench) stop(t *testing.T) {
	t.Helper()
	if b.process == nil {
		return
	}
	if err := b.process.Stop(); err != nil && t.Context().Err() == nil {
		t.Error(err)
	}
	b.process = nil
}

// spread is the distribution of some durations.
type spread []time.Duration

func newSpread(durations []time.Duration) spread { return slices.Sorted(slices.Values(durations)) }

// at is the value below which this share of all lies.
func (s spread) at(share float64) time.Duration {
	if len(s) == 0 {
		return 0
	}
	return s[min(int(share*float64(len(s))), len(s)-1)].Round(time.Millisecond)
}

func (s spread) String() string {
	return fmt.Sprintf("p50 %s, p99 %s, max %s", s.at(0.5), s.at(0.99), s.at(1))
}

// perObject writes counts as shares of the number of objects.
func perObject(counts map[string]float64, n int) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		if counts[name] != 0 {
			parts = append(parts, fmt.Sprintf("%s %.3f", name, counts[name]/float64(n)))
		}
	}
	return strings.Join(parts, ", ")
}

// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/test/env"
)

func moduleRoot(t *testing.T) string {
	t.Helper()
	root, err := env.ModuleRoot()
	if err != nil {
		t.Fatal(err)
	}
	return root
}

func TestTheGeneratedFilesAreCurrent(t *testing.T) {
	t.Parallel()
	root := moduleRoot(t)
	files, err := generate(t.Context(), root)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range files {
		found, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Error(err)
			continue
		}
		if diff := cmp.Diff(string(found), string(want)); diff != "" {
			t.Errorf("%s is not current: run make generate (-found +want)\n%s", name, diff)
		}
	}
}

func TestTheVocabularyIsThatOfTheAPI(t *testing.T) {
	t.Parallel()
	words := vocabularyOf(t)
	for _, reason := range []string{v1alpha1.ReasonReady, v1alpha1.ReasonExpired, v1alpha1.ReasonRegistrationUnsupported} {
		if !slices.Contains(words.reasons, reason) {
			t.Errorf("the reason %s is missing", reason)
		}
	}
	for _, cause := range []v1alpha1.RevocationCause{v1alpha1.CauseDeleted, v1alpha1.CauseVanished} {
		if !slices.Contains(words.causes, string(cause)) {
			t.Errorf("the cause %s is missing", cause)
		}
	}
}

func vocabularyOf(t *testing.T) vocabulary {
	t.Helper()
	words, err := readVocabulary(filepath.Join(moduleRoot(t), "api", "v1alpha1"))
	if err != nil {
		t.Fatal(err)
	}
	return words
}

// TestTheMetricsAreNamedWell gathers one series of every metric.
func TestTheMetricsAreNamedWell(t *testing.T) {
	t.Parallel()
	var seen recorder
	if err := errors.Join(register(t.Context(), &seen), registerGuard(&seen)); err != nil {
		t.Fatal(err)
	}
	registry := prometheus.NewPedanticRegistry()
	var names []string
	for _, collector := range seen.collectors {
		described, err := describe(collector)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range described {
			names = append(names, m.Name)
		}
		labels := make([]string, len(described[0].Labels))
		switch vector := collector.(type) {
		case *prometheus.CounterVec:
			vector.WithLabelValues(labels...)
		case *prometheus.GaugeVec:
			vector.WithLabelValues(labels...)
		case *prometheus.HistogramVec:
			vector.WithLabelValues(labels...)
		}
		registry.MustRegister(collector)
	}
	families, err := registry.Gather()
	if err != nil || len(families) != len(names) {
		t.Fatalf("%d families of %d metrics: %v", len(families), len(names), err)
	}
	for _, name := range names {
		if !strings.HasPrefix(name, "mcp_registrar_") && !strings.HasPrefix(name, "mcp_guard_") {
			t.Errorf("%s does not say whose it is", name)
		}
	}
	problems, err := testutil.GatherAndLint(registry)
	if err != nil {
		t.Fatal(err)
	}
	for _, problem := range problems {
		t.Errorf("%s: %s", problem.Metric, problem.Text)
	}
}

func TestADescriptorIsReadBack(t *testing.T) {
	t.Parallel()
	for _, want := range []metric{
		{Name: "plain", Help: "No labels.", Labels: []string{}},
		{Name: "odd", Help: `Of "quotes", {braces} and a \ too.`, Labels: []string{"one", "two"}},
	} {
		got, err := parse(prometheus.NewDesc(want.Name, want.Help, want.Labels, nil))
		if err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
	}
}

func TestWhatThePageDoesNotExplainIsAnError(t *testing.T) {
	t.Parallel()
	words := vocabularyOf(t)
	own, err := ours(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	boundary, err := guards()
	if err != nil {
		t.Fatal(err)
	}
	coloured := metric{Name: "more", Type: "gauge", Labels: []string{"colour"}}
	for name, c := range map[string]struct {
		catalogue
		want string
	}{
		"a label that is not explained":       {catalogue{append(slices.Clone(own), coloured), boundary, libraries()}, "colour"},
		"a label that is gone":                {catalogue{own[:1], boundary, libraries()}, "no metric has the label"},
		"a label of the guard, not explained": {catalogue{own, append(slices.Clone(boundary), coloured), libraries()}, "the guard: labels that are not explained: colour"},
		"a label of the guard that is gone":   {catalogue{own, nil, libraries()}, "the guard: no metric has the label"},
		"a library's metric is gone":          {catalogue{own, boundary, nil}, "workqueue_depth"},
	} {
		if _, err := render(c.catalogue, words); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestEveryRowOfATableIsWhole(t *testing.T) {
	t.Parallel()
	files, err := generate(t.Context(), moduleRoot(t))
	if err != nil {
		t.Fatal(err)
	}
	columns, rows := 0, 0
	for line := range strings.Lines(string(files["docs/metrics.md"])) {
		if !strings.HasPrefix(line, "|") {
			columns = 0
			continue
		}
		rows++
		if columns == 0 {
			columns = strings.Count(line, "|")
		}
		if n := strings.Count(line, "|"); n != columns {
			t.Errorf("%d bars, want %d: %s", n, columns, line)
		}
	}
	if rows < 40 {
		t.Errorf("%d rows: the page is too short", rows)
	}
}

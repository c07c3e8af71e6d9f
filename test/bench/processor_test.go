// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build bench

package bench

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// tick is Linux' unit of processor time.
const tick = 10 * time.Millisecond

// processorTimes is the processor time used by this process and by those that
// it started, by the name of the program.
func processorTimes() (map[string]time.Duration, error) {
	paths, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, err
	}
	type process struct {
		name   string
		parent int
		used   time.Duration
	}
	processes := map[int]process{}
	for _, path := range paths {
		content, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended meanwhile
		}
		before, after, _ := strings.Cut(string(content), ") ")
		pid, name, _ := strings.Cut(before, " (")
		fields := strings.Fields(after)
		id, err := strconv.Atoi(pid)
		if err != nil || len(fields) < 13 {
			return nil, fmt.Errorf("reading %s: unknown format", path)
		}
		processes[id] = process{name, number(fields[1]), time.Duration(number(fields[11])+number(fields[12])) * tick}
	}
	times := map[string]time.Duration{}
	for id, p := range processes {
		for ancestor := id; ancestor > 1; ancestor = processes[ancestor].parent {
			if ancestor == os.Getpid() {
				times[p.name] += p.used
			}
		}
	}
	return times, nil
}

// number reads a field that Linux promises to be one.
func number(field string) int {
	n, err := strconv.Atoi(field)
	if err != nil {
		return 0
	}
	return n
}

// shares says how much of the processors each program used per object between
// two moments.
func shares(before, after map[string]time.Duration, n int) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(after)) {
		if used := (after[name] - before[name]).Seconds() * 1000 / float64(n); used >= 0.1 {
			parts = append(parts, fmt.Sprintf("%s %.1f ms", name, used))
		}
	}
	return strings.Join(parts, ", ")
}

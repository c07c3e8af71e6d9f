// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"log/slog"
	"math"
	"runtime/debug"

	"github.com/KimMachineGun/automemlimit/memlimit"
	"github.com/go-logr/logr"

	"github.com/mcp-registrar/mcp-registrar/internal/guard"
)

const (
	// shareOfMemory is how much of the memory of the container the runtime may use
	// before it collects garbage as often as it must.
	shareOfMemory = 0.8
	// shareOfBodies is how large a part of that bodies of requests may take.
	shareOfBodies = 6
)

// limitMemory has the runtime stay below what its container may use, unless GOMEMLIMIT
// says something else, and returns how many bytes bodies of requests may take together.
func limitMemory(log logr.Logger) int64 {
	_, err := memlimit.SetGoMemLimitWithOpts(
		memlimit.WithRatio(shareOfMemory), memlimit.WithProvider(memlimit.FromCgroup), memlimit.WithLogger(slog.New(slog.DiscardHandler)),
	)
	if err != nil && !errors.Is(err, memlimit.ErrNoLimit) && !errors.Is(err, memlimit.ErrNoCgroup) && !errors.Is(err, memlimit.ErrCgroupsNotSupported) {
		log.Info("The memory limit of the container cannot be read: set GOMEMLIMIT", "cause", err.Error())
	}
	limit := debug.SetMemoryLimit(-1)
	if limit == math.MaxInt64 {
		return guard.DefaultRoom
	}
	log.Info("Memory is limited", "bytes", limit)
	return min(guard.DefaultRoom, limit/shareOfBodies)
}

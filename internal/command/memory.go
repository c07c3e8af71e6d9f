// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"errors"
	"log/slog"
	"math"
	"runtime/debug"

	"github.com/KimMachineGun/automemlimit/memlimit"
	"github.com/go-logr/logr"
)

// shareOfMemory is how much of the memory of the container the runtime may use
// before it collects garbage as often as it must.
const shareOfMemory = 0.8

// LimitMemory has the Go runtime stay below what the container of the program may use,
// unless GOMEMLIMIT says something else. It returns how many bytes that are; limited
// is false where there is no limit.
func LimitMemory(log logr.Logger) (bytes int64, limited bool) {
	return limitMemory(memlimit.FromCgroup, log)
}

// limitMemory takes the limit of the container from a provider.
func limitMemory(container memlimit.Provider, log logr.Logger) (bytes int64, limited bool) {
	_, err := memlimit.SetGoMemLimitWithOpts(
		memlimit.WithRatio(shareOfMemory), memlimit.WithProvider(container), memlimit.WithLogger(slog.New(slog.DiscardHandler)),
	)
	if err != nil && !errors.Is(err, memlimit.ErrNoLimit) && !errors.Is(err, memlimit.ErrNoCgroup) && !errors.Is(err, memlimit.ErrCgroupsNotSupported) {
		log.Info("The memory limit of the container cannot be read: set GOMEMLIMIT", "cause", err.Error())
	}
	bytes = debug.SetMemoryLimit(-1)
	if bytes == math.MaxInt64 {
		return 0, false
	}
	log.Info("Memory is limited", "bytes", bytes)
	return bytes, true
}

// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"github.com/go-logr/logr"

	"github.com/mcp-registrar/mcp-registrar/internal/command"
	"github.com/mcp-registrar/mcp-registrar/internal/guard"
)

// shareOfBodies is how large a part of the memory that the guard may use bodies of
// requests may take.
const shareOfBodies = 6

// limitMemory has the guard stay below what its container may use, and returns how many
// bytes bodies of requests may take together.
func limitMemory(log logr.Logger) int64 {
	if bytes, limited := command.LimitMemory(log); limited {
		return min(guard.DefaultRoom, bytes/shareOfBodies)
	}
	return guard.DefaultRoom
}

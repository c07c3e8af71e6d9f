// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

// Command demo runs all of MCP Registrar on one machine, with no cluster: a
// control plane, the development authorization server, the operator as a process
// of its own under the RBAC of config/, the samples, and a guard in front of a
// sample MCP server, with a client that calls it. It knows how these fit together
// and how to tell a person what happens.
//
// It must never know how a decision is made, and leaves nothing behind: no
// process, no file outside bin/.
//
// Start reading at run in main.go; world.go starts and stops what runs,
// boundary.go calls tools through the guard, follow.go puts changes into words.
package main

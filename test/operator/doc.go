// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

// Package operator runs the manager as users run it: as a process of its own,
// beside a control plane and a development authorization server, seen only from
// outside. It is for tests that kill the process or measure it. It knows the
// manager's flags, its metrics endpoint, and which objects an administrator
// makes before the teams come.
//
// It must never import what the manager is made of: what it starts is the
// binary that is shipped.
//
// Start reading at NewStage in stage.go; process.go starts and ends a manager,
// metrics.go reads what one says of itself.
package operator

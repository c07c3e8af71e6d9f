// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

// Package pages knows the commands that README, docs and the other pages tell people
// to run, and the table that says of each who runs it, in which state of the world,
// and what it shows. A command that the table does not have, and a row that no page has
// any more, fail the tests of this package.
//
// It must never know a cluster: TestPages in test/e2e runs the commands, as the people
// that the table names.
//
// Start reading at Command in commands.go; commands.yaml is the table, in the order in
// which its rows are run.
package pages

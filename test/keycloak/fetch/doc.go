// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

// Command fetch puts the Keycloak that tests start into bin/keycloak: the
// distribution archive of a pinned version, which Maven brings and whose digest
// is compared, unpacked and prepared for quick starts. It does nothing when it
// is there and up to date.
//
// It must never start a server, and never take a version that is not pinned in
// this folder. It needs Maven and Java 17 or later.
//
// Start reading at run in main.go; archive.go fetches and unpacks.
package main

// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

// Command pause does nothing until it is told to end. It is the only program of
// the image that the test node gives each pod as its first container, which keeps
// the pod's namespaces.
//
// It must never need a file or a library: its image has none.
//
// Start reading at main.go, there is no more.
package main

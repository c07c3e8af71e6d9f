// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

// Package chart tests what is installed: the Helm chart in charts/mcp-registrar
// and the kustomize folders in config. It knows how both are rendered, what they
// may grant, and how an API server takes them.
//
// It must never know what the manager does once it runs: that is for test/e2e.
//
// Start reading at golden_test.go: it compares rendered charts with files in
// testdata. To write those anew: go test ./test/chart -update.
package chart

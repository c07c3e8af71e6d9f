// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

// Package hack holds tests of what people read: that the README's map of the
// tree is whole, and that the pages in docs name every condition and reason.
//
// It must never hold code that something else uses: what helps to build, check
// and show the product has a folder or a script of its own here.
//
// Start reading at docs_test.go. The demo is in demo, the pinned tools in tools.
package hack

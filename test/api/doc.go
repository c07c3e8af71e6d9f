// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

// Package api tests what the API server itself makes of the five kinds: which
// objects the schemas admit, with which words they refuse the others, what an
// object looks like before the operator saw it, and how kubectl prints it.
//
// It must never know a controller or an authorization server: what needs the
// operator is tested elsewhere.
//
// Start reading at check in rules_test.go, then at any table that it is given.
package api

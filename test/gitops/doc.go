// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

// Package gitops tests what Argo CD and Flux make of the product's objects: the
// files in config/gitops are run as those tools run them.
//
// It knows the objects in testdata, which the real reconcilers produce (see
// TestReasons in controllers), and what the tools do with a script or an
// expression. It must never know the rules that lead to an object's state: that
// would be testing the product against itself.
//
// Start reading at argocd_test.go; fixtures_test.go says what is expected of
// every object.
package gitops

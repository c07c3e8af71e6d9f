// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

// Package e2e holds the end-to-end tests, built with the tag e2e: the manager's
// binary as a process of its own, with the arguments and the ServiceAccount that
// the chart gives it, against a real control plane and real authorization
// servers. They know what users see: objects, Secrets, the OAuth endpoints, the
// metrics.
//
// They must never know how the operator works inside, and they import nothing of
// it but the API types.
//
// Start reading at TestAcceptance in acceptance_test.go; world_test.go starts
// what all tests stand on, venue_test.go says at which authorization servers
// clients live, and oidcprovider/ is the certified one, a program for Node.js.
// real_test.go puts real servers behind the proxy of between_test.go, which answers
// in their place. The guard's tests begin at TestGuard in guard_test.go; mcpclients/
// holds the MCP clients and servers that are programs for Node.js, fastmcp/ one that
// is a program for Python. TestMatrix in matrix_test.go has the clients that people use
// log in: loginclients/ and loginpython/ hold them. TestConformance in
// conformance_test.go compares servers with the guard and without, by the official
// suite, which is in conformance/ with an Envoy and the page that a browser opens.
// TestLongCalls in longcalls_test.go has clients make calls that outlive their tokens, and
// TestIdleUpstreams in idleupstreams_test.go has the servers of idleupstreams/ end the
// connections that the guard keeps. TestPages in pages_test.go runs the commands of the
// pages, by the table in test/pages.
package e2e

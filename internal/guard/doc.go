// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

// Package guard decides, for each request to an MCP server, whether the client
// that a token was issued to may make it now: who it is, whether the register
// knows it, and by whose grant. It also closes what was allowed when that ends.
//
// It knows tokens once they are verified, messages once they are parsed, and the
// register's entries; the rules about them are policy.Call's. It must never
// know HTTP bodies, gRPC or Kubernetes: the packages below it do (message, token,
// register, proxy, extauthz, record), each by one of the interfaces here. It must
// never hand a token on to anything but Tokens.
//
// Start reading at Engine.Decide; ports.go says what it needs.
package guard

// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

// Package extauthz answers Envoy's external authorization checks (gRPC,
// envoy.service.auth.v3) with the guard's decisions, for gateways that are built
// on Envoy.
//
// It knows how Envoy describes a request and how it wants to be answered. It must
// never decide anything itself, keep a token, or answer a check with an error:
// what it cannot read is refused. It sees no answers of servers, so it can
// neither filter a list of tools nor close a stream. Nor does it know to whom a
// session is given, nor for how long a request is under way.
//
// Start reading at Service.Check; intake.go says when a check is received.
package extauthz

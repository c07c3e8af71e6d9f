// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

// Package proxy stands in front of MCP servers: it has each request decided
// about, hands what is allowed to the server that the route names, and what the
// server answers to the client, lists of tools cut down to what the client may
// call.
//
// It knows HTTP, server-sent events and where each server is. It must never know
// Kubernetes or decide who may do what: guard.Engine does. It must never build an
// upstream's address out of a request, hand a token on unless told to, or pass an
// answer that it had to filter and could not.
//
// Start reading at Proxy.ServeHTTP; Options says what it is made of.
package proxy

// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

// Package connect hands out connections to authorization servers: the adapter,
// measured, together with the gate that all users of one server share.
//
// It knows the adapters and how they are put together. It must never know
// Kubernetes, and it keeps no clients, tokens or metadata itself.
//
// Start reading at Connector.Connect.
package connect

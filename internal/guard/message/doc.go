// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

// Package message reads what a request asks of an MCP server: its JSON-RPC
// message, and the headers that repeat parts of it. What two parsers might read
// differently it refuses, because the server behind the guard has another one.
//
// It knows JSON-RPC 2.0 and the streamable HTTP transport. It must never know
// tokens, clients or tools, wait for anything, or keep anything.
//
// Start reading at Parse; ParseHeaders is for who has no body. Members and Check
// read JSON without decoding it.
package message

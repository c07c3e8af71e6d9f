// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

// Package gate bounds what is under way at one authorization server: it is
// the authserver.Gate that the connections share.
//
// It knows places, urgency and an instant until which the server is to be left
// alone. It must never know what the places are used for. Whoever finds no place is
// told when to come back; only the urgent wait a moment, and only where places become
// free, so that a server that answers nobody holds nobody.
//
// Start reading at Gate.Enter.
package gate

// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

// Package contract is the suite that every authserver.Server must pass: the
// fake and each adapter behave alike, faults included.
//
// It knows the port and how to describe a fault in the words of the wire. It
// must never know how a particular server is disturbed: that is what Subject
// is for.
//
// Start reading at Run.
package contract

// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

// Package contract is the suite that every authserver.Server must pass: the
// fake and each adapter behave alike, faults included, as far as their traits
// promise the same.
//
// It knows the port, its traits and how to describe a fault in the words of the wire. It
// must never know how a particular server is disturbed: that is what Subject
// is for.
//
// Start reading at Run, then at Subject; For says what wishes are made of.
package contract

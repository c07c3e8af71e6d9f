// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

// Package dialguard builds HTTP clients that talk to one origin and dial only
// addresses of allowed classes, judged after name resolution: the address that
// was checked is the address that is dialled.
//
// It knows addresses, origins, TLS and limits of size and time. It must never
// know what is asked for or who asks, reads no environment, follows no
// redirect and offers no way to switch certificate verification off.
//
// Start reading at NewClient; Rules.Check in address.go is the judgement.
package dialguard

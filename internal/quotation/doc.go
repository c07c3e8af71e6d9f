// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

// Package quotation cleans what another server said of a request, so that it can be
// shown to those whom the request was for.
//
// It knows what a secret, an address and a code look like in a text; it must never know
// who speaks or what about.
//
// Start reading at Clean.
package quotation

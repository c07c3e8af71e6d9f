// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

// Package dcr speaks OAuth 2.0 Dynamic Client Registration (RFC 7591) and its
// management protocol (RFC 7592) to an authorization server that chooses the
// client ids. A registration cannot be found again without its answer: the
// caller stores a pending mark before Register and the answer right after it.
//
// It knows HTTP, JSON and the RFCs. It must never know Kubernetes or policy,
// never contact another origin than the issuer's, never follow a redirect and
// never put an answer's text, a URL's query or a secret into an error.
//
// Start reading at New; package exchange is the only place that sends and that
// judges a status, witness.go proves absence where the management endpoint
// cannot.
package dcr

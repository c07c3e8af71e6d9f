// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

// Package dcr speaks OAuth 2.0 Dynamic Client Registration (RFC 7591) and its
// management protocol (RFC 7592) to an authorization server that chooses the
// client ids. A registration cannot be found again without its answer: the
// caller stores a pending mark before Register and the answer right after it.
//
// It knows HTTP, JSON and the RFCs. It must never know Kubernetes or policy,
// never contact another origin than the issuer's, never follow a redirect and
// never put an answer's text, a URL's query or a secret into an error's text.
//
// A server that has RFC 7591 alone names neither management URI nor token when it
// registers a client: Register returns the client without them, and every later
// call says CodeManagementUnsupported, as for a server whose management endpoint
// answers 405 or 501, or 404 for a client that its token endpoint knows. That is
// the server's nature and not the client's: the next client would be as
// unremovable. A 404 or 401 alone is about this client, and has another code.
//
// What an answer says beside what is needed never holds a deletion back: DELETE is
// sent without a look before, by management URI and token. An answer that cannot
// be used names the client all the same. A secret that is read is tried at the
// token endpoint before it counts (secret.go).
//
// Start reading at New; package exchange is the only place that sends and that
// judges a status, witness.go proves absence where the management endpoint
// cannot.
package dcr

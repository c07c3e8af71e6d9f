// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

// Package metadatadocument manages clients by serving OAuth Client ID Metadata
// Documents (draft-ietf-oauth-client-id-metadata-document): the client id is
// the URL of a document, which the authorization server fetches. The operator
// picks the id, nothing is sent to the authorization server, and a create has
// nothing to repeat.
//
// It knows the document, HTTP, and through authserver.Documents what is on
// record. It must never know Kubernetes, never put anything secret or personal
// into a document, and never serve what it cannot know to be unrevoked.
//
// Start reading at Host.ServeHTTP in host.go, then Server in server.go.
package metadatadocument

// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package authserver

import (
	"context"
	"strings"
	"time"
)

// Document is what is on record of a client whose id is the URL of a document
// that the register itself serves.
type Document struct {
	// ID is the client id: the URL of the document.
	ID string
	// Registered is what the client is registered as.
	Registered ClientMetadata
	// Pending says that the registration was about to be asked for.
	Pending bool
	// Held says that the document must not be served, although the client is
	// not revoked: its revocation began, or nobody wishes it any more.
	Held bool
	// Until is when the document must no longer be served; zero means never.
	Until time.Time
	// CopySeconds is for how many seconds a copy may be used.
	CopySeconds int
}

// Documents tells what is on record. Every method is safe for concurrent use.
type Documents interface {
	// Document looks a document up by the path of its URL, exactly as it is
	// written there. found is false also for a client that was revoked.
	Document(ctx context.Context, path string) (document Document, found bool, err error)
	// Current says that what Document tells is known to be no older than a
	// bound. While it is false nothing may be served: it could be revoked.
	Current() bool
}

// DocumentPath is the path of a document's URL as it is written there; empty
// for what is not an https URL with a path.
func DocumentPath(id string) string {
	rest, secure := strings.CutPrefix(id, "https://")
	slash := strings.IndexByte(rest, '/')
	if !secure || slash < 1 {
		return ""
	}
	return rest[slash:]
}

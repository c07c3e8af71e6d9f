// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package metadatadocument

import (
	"sync"
	"time"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
)

// actLife is for how long what an adapter did goes before what is on record.
// It is longer than the record may be behind while the host serves, so that
// neither a revoked client nor a replaced document comes back.
const actLife = 3 * time.Minute

// actAhead is for how long a client is served of which nothing is on record.
const actAhead = 5 * time.Second

// act is the last thing that an adapter did to a document.
type act struct {
	document  authserver.Document
	withdrawn bool
	at        time.Time
}

// acts are what adapters of this process did, by the path of the document.
type acts struct {
	mu     sync.Mutex
	byPath map[string]act
	// order holds the paths with the oldest act first; a path that was acted
	// on again is in it again.
	order []dated
}

type dated struct {
	path string
	at   time.Time
}

// of returns the last act on a document; one that is too old only where it
// counts for good.
func (a *acts) of(path string, now time.Time, passing bool) (act, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	found, ok := a.byPath[path]
	if passing && now.Sub(found.at) >= actLife {
		return act{}, false
	}
	return found, ok
}

// put notes an act, and forgets those that are too old if they count only for a
// while.
func (a *acts) put(path string, next act, passing bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.byPath == nil {
		a.byPath = map[string]act{}
	}
	a.byPath[path] = next
	if !passing {
		return
	}
	a.order = append(a.order, dated{path: path, at: next.at})
	for len(a.order) > 0 && next.at.Sub(a.order[0].at) >= actLife {
		if oldest := a.order[0]; a.byPath[oldest.path].at.Equal(oldest.at) {
			delete(a.byPath, oldest.path)
		}
		a.order = a.order[1:]
	}
}

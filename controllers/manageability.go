// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"sync"
	"time"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

// Manageability holds what registrations learnt of servers until the condition
// Manageable says it. Until it is known that clients of a server can be deleted
// again they are registered one at a time: a server without that must not be left
// with one of each registration that is worked on. A nil Manageability knows
// nothing and bounds nothing.
type Manageability struct {
	mu sync.Mutex
	// known says, by the digest of a server, whether its clients can be managed.
	known map[string]bool
	// trying are the servers at which a registration is under way.
	trying map[string]bool
}

// firstDelay is how soon a registration is tried again that waits for the first.
const firstDelay = 300 * time.Millisecond

// errFirst says that another registration finds out about the server.
func errFirst() error {
	return &authserver.Error{Kind: authserver.Unavailable, Op: "waiting for the first registration", Unsent: true, RetryAfter: firstDelay}
}

// Refused reports whether a server, as it is, was just shown to give no way to
// manage clients.
func (m *Manageability) Refused(as *v1alpha1.AuthorizationServer) bool {
	if m == nil || as == nil {
		return false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	manageable, known := m.known[policy.ServerDigest(as)]
	return known && !manageable
}

// Enter lets a registration begin, or says that another is finding out. The
// caller calls leave with what was learnt.
func (m *Manageability) Enter(as *v1alpha1.AuthorizationServer) (leave func(policy.Knowledge), err error) {
	if m == nil || as == nil || policy.Manageable(as) == policy.Present {
		return func(policy.Knowledge) {}, nil
	}
	digest := policy.ServerDigest(as)
	m.mu.Lock()
	defer m.mu.Unlock()
	switch manageable, known := m.known[digest]; {
	case manageable:
		return func(policy.Knowledge) {}, nil
	case known, m.trying[digest]:
		// It was learnt since the decision, or is about to be.
		return nil, errFirst()
	}
	if m.trying == nil {
		m.trying, m.known = map[string]bool{}, map[string]bool{}
	}
	m.trying[digest] = true
	return func(learnt policy.Knowledge) { m.leave(digest, learnt) }, nil
}

func (m *Manageability) leave(digest string, learnt policy.Knowledge) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.trying, digest)
	if learnt != policy.Unknown {
		m.known[digest] = learnt == policy.Present
	}
}

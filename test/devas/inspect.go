// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package devas

// Clients are the live clients, oldest first.
func (s *Server) Clients() []Client { return s.registry.list() }

// Deleted are the ids of deleted clients, in the order of their deletion.
func (s *Server) Deleted() []string { return s.registry.deletedIDs() }

// Remove deletes a client as an administrator would, behind its owner's back.
func (s *Server) Remove(clientID string) error {
	if err := s.registry.override(clientID, func(*record) (*record, error) { return gone, nil }); err != nil {
		return err
	}
	s.grants.forget(clientID)
	return nil
}

// Amend replaces some metadata of a client as an administrator would, behind
// its owner's back. Its secret and its registration access token stay.
func (s *Server) Amend(clientID string, fields map[string]any) error {
	return s.registry.override(clientID, func(rec *record) (*record, error) {
		body, err := rec.patched(fields)
		if err != nil {
			return nil, err
		}
		if rec.hydra != nil {
			return rec.amended(body)
		}
		m, err := parseMetadata(body, s.options.ScopesSupported)
		if err != nil {
			return nil, err
		}
		return rec.replaced(m, Switches{}), nil
	})
}

// Counts are the requests served since the start or the last ResetCounts.
// Whoever has received an answer finds its request counted.
func (s *Server) Counts() Counters { return s.journal.snapshot() }

// MaxInFlight is the highest number of requests that were in work at once.
func (s *Server) MaxInFlight() int { return s.journal.maxInFlight() }

// Log is the last requests, oldest first, at most 100,000.
func (s *Server) Log() []Entry { return s.journal.entries() }

// ResetCounts forgets counters, log and the highest number in flight.
func (s *Server) ResetCounts() { s.journal.reset() }

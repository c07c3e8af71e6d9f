// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package audit

import "fmt"

// seals hold what the keys of the lines so far have shown.
type seals struct {
	// newest is the place of the newest key so far among the keys, and at the
	// number of its first line. at 0: no line had a key that is known.
	newest, at int
	// fault is what was wrong with the line before, and of those before it in the
	// same way. Empty: nothing.
	fault string
	// place is that of its damage, and more how many lines followed that one.
	place, more int
}

// authenticate holds a line to the keys. Lines one after the other that fail in
// the same way are one damage.
func (v *verifier) authenticate(l line) {
	if l.keyID != "" {
		v.report.Keyed++
	}
	if v.expect.Keys.IsZero() {
		return
	}
	fault, advice := v.forged(l)
	s := &v.seals
	switch {
	case fault == "":
		v.report.Authentic++
	case fault == s.fault:
		s.more++
		if s.place < len(v.damages) {
			v.damages[s.place].What = fmt.Sprintf("%s; so with %d after it", fault, s.more)
		}
	default:
		s.place, s.more = len(v.damages), 0
		v.damage(v.number, fault, advice)
	}
	s.fault = fault
}

// forged says why a line is not taken as written by who has the keys, or nothing.
func (v *verifier) forged(l line) (fault, advice string) {
	keys, s := v.expect.Keys, &v.seals
	at, known := keys.find(l.keyID)
	switch {
	case l.keyID == "":
		return "the line bears no key: it was written by somebody who has none", adviseUnkeyed
	case !known:
		return "the line bears key " + l.keyID + ", which is not among those given: it was written with another key", adviseKeys
	case !keys.wrote(l):
		return "the line claims key " + l.keyID + " and was not sealed with it: it was written by somebody who does not have the key", adviseKey
	case s.at > 0 && at > s.newest:
		return fmt.Sprintf("the line bears key %s, which key %s replaced in line %d", l.keyID, keys.keys[s.newest].id, s.at), adviseKey
	case s.at == 0 || at < s.newest:
		s.newest, s.at = at, v.number
	}
	return "", ""
}

// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package token

import (
	"testing"
	"time"

	"github.com/mcp-registrar/mcp-registrar/internal/guard"
)

// The agreed time may turn out to have been ahead, where an API server had a wrong clock:
// what was learnt meanwhile does not hold until then.
func TestWhatWasLearntInALaterTimeIsOld(t *testing.T) {
	const ahead = 48 * time.Hour
	later := map[string]any{"exp": noon.Add(2 * ahead).Unix()}

	w := newWorld(t, introspecting(Introspection{}))
	w.serve(askPath, says(w.standingOf(later)))
	w.after(ahead)
	w.expect("active, a day later", "opaque", guard.ReasonAllowed)
	w.clock.SetTime(noon)
	w.serve(askPath, says(w.standingOf(map[string]any{"active": false})))
	w.expect("revoked, by the right time", "opaque", guard.TokenInactive)

	w = newWorld(t, nil)
	raw := w.good(later)
	w.after(ahead)
	w.expect("a good token, a day later", raw, guard.ReasonAllowed)
	w.clock.SetTime(noon)
	w.serve(keySetPath, says(setOf(public("k2", ecKey(t)))))
	w.expect("a token of a key that was removed", raw, guard.TokenSignature)
	w.serve(keySetPath, says(setOf(public("k1", w.key))))
	w.after(holdOff)
	w.expect("a token of a key that is new", raw, guard.ReasonAllowed)
}

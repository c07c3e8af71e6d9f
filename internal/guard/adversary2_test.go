// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"testing"
	"time"
)

// The agreed time may be put back: what is under way is asked about then, and not only when
// the time comes again that was noted.
func TestWhatIsHeldIsCheckedWhenTheTimeIsPutBack(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.client.EndsAt = testNow.Add(time.Hour)
	w.clock.Step(30 * time.Minute)
	w.token.ExpiresAt, w.token.CheckAt = time.Time{}, w.clock.Now().Add(5*time.Second)
	e := w.engine()
	held, release := e.Hold(t.Context(), listen, e.Decide(t.Context(), listen))
	defer release()
	w.mu.Lock()
	w.refused = TokenInactive
	w.mu.Unlock()
	e.changed(Change{})
	goesOn(t, held, "before it is time")
	w.clock.SetTime(testNow)
	e.changed(Change{})
	w.ends(t, e, held, listen, TokenInactive)
}

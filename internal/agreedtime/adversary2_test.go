// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package agreedtime

import (
	"testing"
	"time"

	clocktesting "k8s.io/utils/clock/testing"
)

// Whoever holds up an answer of the API server, on its way there or back, moves nobody's
// time by that; what an answer proves, however slow, still does.
func TestAnAnswerThatIsHeldUpMovesNoTime(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		date, sent time.Duration
		moved      bool
	}{
		"on its way there":              {0, -time.Minute, false},
		"on its way back":               {-time.Minute, -time.Minute, false},
		"a little":                      {-6 * time.Second, -6 * time.Second, false},
		"a machine that is behind":      {time.Hour, -time.Minute, true},
		"a machine that is ahead":       {-time.Hour, -time.Minute, true},
		"a machine that is ahead a bit": {-10 * time.Second, -5 * time.Second, true},
	} {
		clock := newClock(clocktesting.NewFakeClock(noon))
		clock.observe(noon.Add(c.date), noon.Add(c.sent), noon)
		_, apart, _ := clock.Offset()
		if by := clock.Now().Sub(noon); apart != c.moved || (by != 0) != c.moved {
			t.Errorf("%s: the time is moved by %s, apart %t", name, by, apart)
		}
	}
}

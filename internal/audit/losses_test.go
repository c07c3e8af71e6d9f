// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"testing"
	"time"
)

func TestLossesAreToldFromTheFirstToTheLast(t *testing.T) {
	at := func(hour int) time.Time { return time.Date(2026, 8, 1, hour, 0, 0, 0, time.UTC) }
	var l losses
	for _, hour := range []int{11, 10, 13, 12} {
		l.add(at(hour))
	}
	if got, want := l.telling(), (loss{4, at(10), at(13)}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	l.add(at(9))
	if got := l.count(); got != 5 {
		t.Errorf("%d lost", got)
	}
	// The first attempt to tell failed.
	if got, want := l.telling(), (loss{5, at(9), at(13)}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	l.add(at(14))
	l.told()
	if got, want := l.telling(), (loss{1, at(14), at(14)}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

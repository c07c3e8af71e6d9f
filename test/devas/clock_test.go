// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package devas_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/mcp-registrar/mcp-registrar/test/devas"
)

func TestClockOfTheDateHeader(t *testing.T) {
	f := start(t, devas.Options{})
	for _, ahead := range []time.Duration{0, 5 * time.Minute, -5 * time.Minute} {
		f.set(devas.Switches{ClockAheadSeconds: int(ahead / time.Second)})
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, f.server.Issuer()+oauthPath, nil)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		if err := answer.Body.Close(); err != nil {
			t.Fatal(err)
		}
		date, err := http.ParseTime(answer.Header.Get("Date"))
		if err != nil {
			t.Fatal(err)
		}
		if off := time.Until(date) - ahead; off.Abs() > 2*time.Second {
			t.Errorf("%s ahead: the header says %s, which is %s off", ahead, date, off)
		}
	}
}

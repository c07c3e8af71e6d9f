// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package exchange

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func TestRetryAfterInBothForms(t *testing.T) {
	for value, want := range map[string]time.Duration{
		"": 0, "0": 0, "7": 7 * time.Second, " 7 ": 7 * time.Second, "3600": time.Hour, "3601": time.Hour,
		"99999999999999999999999": time.Hour, "-1": 0, "1.5": 0, "soon": 0, "7s": 0, "٧": 0,
		"Sun, 22 Nov 2026 12:00:30 GMT":    30 * time.Second,
		"Sunday, 22-Nov-26 12:00:30 GMT":   30 * time.Second,
		"Sun Nov 22 12:00:30 2026":         30 * time.Second,
		"Sun, 22 Nov 2026 11:59:59 GMT":    0,
		"Mon, 22 Nov 2027 12:00:00 GMT":    time.Hour,
		"Sun, 22 Nov 2026 12:00:30 +0100":  0,
		"Sun, 22 Nov 2026 12:00:30 GMT, 7": 0,
	} {
		if got := retryAfter(value, noon); got != want {
			t.Errorf("%q: %s, want %s", value, got, want)
		}
	}
}

func FuzzRetryAfter(f *testing.F) {
	for _, seed := range []string{"7", "-1", "99999999999999999999", "Sun, 22 Nov 2026 12:00:30 GMT", "Sun, 22 Nov 0000 12:00:30 GMT", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		if got := retryAfter(value, noon); got < 0 || got > longestRetryAfter {
			t.Errorf("%q: %s", value, got)
		}
	})
}

// FuzzErrorCode holds that an error never repeats what a server wrote.
func FuzzErrorCode(f *testing.F) {
	f.Add([]byte("{\"error\":\"invalid_grant\"}"), 400)
	f.Add([]byte("{\"error\":\"The client is not known\",\"error_description\":\"x\"}"), 401)
	f.Add([]byte("{\"error\":[\"invalid_grant\"]}"), 400)
	f.Add([]byte("<html>"), 502)
	f.Add([]byte(strings.Repeat("[", 100000)), 400)
	to := &Exchange{options: Options{Now: func() time.Time { return noon }}}
	f.Fuzz(func(t *testing.T, body []byte, status int) {
		a := Answer{Status: status, Header: http.Header{"Retry-After": {string(body)}}, Body: body}
		failure := to.Classify(Call{Op: "testing", Effect: true}, a)
		allowed := failure.Code == "" || failure.Code == CodeRedirectRefused || failure.Code == CodeNotTheServer
		for _, code := range knownCodes {
			allowed = allowed || failure.Code == code
		}
		if !allowed || failure.Err != nil || failure.RetryAfter < 0 || failure.RetryAfter > longestRetryAfter {
			t.Errorf("%+v", failure)
		}
	})
}

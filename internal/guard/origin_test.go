// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"net/url"
	"testing"
)

func TestOriginsAreReadAsBrowsersSendThem(t *testing.T) {
	t.Parallel()
	for text, ok := range map[string]bool{
		"https://app.example.com": true, "http://localhost:5173": true, "http://[::1]:8080": true, "https://10.0.0.1": true,
		"chrome-extension://abcdefgh": true, "https://app.example.com:8443": true,
		"": false, "*": false, "https://*.example.com": false, "null": false, "app.example.com": false, "localhost:5173": false,
		"https://app.example.com/": false, "https://app.example.com/x": false, "https://app.example.com?x": false, "https://app.example.com#x": false,
		"https://u@app.example.com": false, "https://APP.example.com": false, "HTTPS://app.example.com": false,
		"https://app.example.com:443": false, "http://app.example.com:80": false, "https://": false, "https://app.example.com ": false, "https://a,https://b": false,
	} {
		if got, err := ParseOrigin(text); (err == nil) != ok || ok && got != text {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
}

// What is read is an origin: nothing of it is lost when it is written again.
func FuzzParseOrigin(f *testing.F) {
	for _, seed := range []string{"https://app.example.com", "http://[::1]:8080", "null", "https://a:443", "x://y", "https://a%2fb", "https://[::1%25eth0]"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		origin, err := ParseOrigin(text)
		if err != nil {
			return
		}
		parsed, err := url.Parse(origin)
		if err != nil || origin != text || originOf(parsed) != origin || parsed.Path != "" || parsed.User != nil || parsed.RawQuery != "" || parsed.Fragment != "" {
			t.Errorf("%q was taken: %v", text, err)
		}
	})
}

// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"strings"
	"testing"
)

// Whatever a request says, a token that is presented is one word of the one header, by a
// scheme that is known, and a bearer token only where nothing else is shown.
func FuzzPresented(f *testing.F) {
	for _, one := range [][4]string{
		{"Bearer abc", "", "https://mcp.example.com/mcp", ""}, {"dPoP abc", "", "", "e30"}, {"Bearer  a", "x", "http://h/?ACCESS%5FTOKEN=1", ""},
		{"Bearer a,b", "", "http://h?/x?access_token", ""}, {"\tBearer\ta", "", "h", ""}, {"Bearer a\tb", "", "h", ""},
	} {
		f.Add(one[0], one[1], one[2], one[3])
	}
	f.Fuzz(func(t *testing.T, first, second, url, proof string) {
		r := Request{Authorization: []string{first}, Method: "POST", URL: url}
		if second != "" {
			r.Authorization = append(r.Authorization, second)
		}
		if proof != "" {
			r.Proof = []string{proof}
		}
		shown, refused := r.presented()
		if refused != "" {
			if shown.Token != "" || refused.status() < 400 || texts[refused] == "" {
				t.Errorf("refused by %s, with %+v", refused, shown)
			}
			return
		}
		word := strings.TrimLeft(strings.TrimPrefix(first, first[:len(shown.Scheme)]), " ")
		if second != "" || shown.Token != word || shown.Token == "" || strings.ContainsAny(shown.Token, " ,\t") || strings.Contains(strings.ToLower(url), "?access_token") {
			t.Errorf("%q, %q at %q: %+v", first, second, url, shown)
		}
		raw, err := shown.Bearer()
		if (err == nil) != (strings.EqualFold(shown.Scheme, SchemeBearer) && proof == "" && url != "") || err == nil && raw != shown.Token {
			t.Errorf("%+v: %q, %v", shown, raw, err)
		}
	})
}

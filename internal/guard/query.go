// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"net/url"
	"strings"
)

// tokenInQuery says that a query, or a text that one begins somewhere in, has a parameter that any server might read as
// access_token (RFC 6750 §2.3): in other letters, in escapes, in escapes of escapes, with a
// separator that some read as an underscore, or as a member of an array.
func tokenInQuery(query string) bool {
	for query != "" {
		var pair string
		pair, query = cutAny(query, "&;?")
		name, _, _ := strings.Cut(pair, "=")
		for range 3 {
			name = unescape(name)
		}
		name = spellings.Replace(strings.ToLower(strings.TrimSpace(name)))
		if strings.HasPrefix(name, "access_token") {
			return true
		}
	}
	return false
}

var spellings = strings.NewReplacer(" ", "_", ".", "_", "-", "_", "[", "_", "\x00", "")

func cutAny(text, separators string) (before, after string) {
	if at := strings.IndexAny(text, separators); at >= 0 {
		return text[:at], text[at+1:]
	}
	return text, ""
}

// unescape decodes the escapes that are valid and leaves the others, as lenient
// servers do.
func unescape(text string) string {
	var decoded strings.Builder
	for at := 0; at < len(text); at++ {
		if text[at] == '%' && at+2 < len(text) {
			if char, err := url.QueryUnescape(text[at : at+3]); err == nil {
				decoded.WriteString(char)
				at += 2
				continue
			}
		}
		if text[at] == '+' {
			decoded.WriteByte(' ')
			continue
		}
		decoded.WriteByte(text[at])
	}
	return decoded.String()
}

// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package audit

import "bytes"

// marks are in every line of a stream.
var marks = [][]byte{[]byte(`"specversion":"1.0"`), []byte(`,"chain":"`), []byte(`,"previoushash":"`), []byte(sealStart)}

// foreign says whether a line is of another origin. A line with two marks of
// the stream is not, so that no small change of a line makes it one.
func foreign(raw []byte) bool {
	found := 0
	for _, mark := range marks {
		if bytes.Contains(raw, mark) {
			found++
		}
	}
	return found < 2
}

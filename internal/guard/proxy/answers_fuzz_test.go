// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"encoding/json"
	"slices"
	"testing"

	guardmessage "github.com/mcp-registrar/mcp-registrar/internal/guard/message"
)

// FuzzAnswers holds that a message is taken for the answer to a request exactly where it
// is a response with its id, or a batch with one; and the beginning of one wherever the
// whole is.
func FuzzAnswers(f *testing.F) {
	for _, message := range []string{
		`{"jsonrpc":"2.0","id":"q-1","result":{}}`, `[{"id":3,"result":{}},{"id":"q-1","error":{}}]`, ` {"result":{},"id":"q\u002d1"}`,
		`{"method":"x","id":"q-1","result":1}`, `{"error":1,"id":2}`, `{"result":{}0`, `{"result":null}`, `null`, `[`, "\ufeff{}", `{"id":"q-1","result":{"a":"b`,
	} {
		f.Add([]byte(message), len(message)/2)
	}
	const id = `"q-1"`
	f.Fuzz(func(t *testing.T, message []byte, end int) {
		got := answers(message, id, false)
		if want := plainly(message); guardmessage.CheckNames(message, 1000) == nil && got != want {
			t.Errorf("%q answers: %t, want %t", message, got, want)
		}
		if got && !json.Valid(message) && message[0] == '[' {
			t.Errorf("%q answers", message)
		}
		var only map[string]json.RawMessage
		if json.Unmarshal(message, &only) != nil || !got || end < 0 || end > len(message) {
			return
		}
		// What has said result may be the answer.
		begun := answers(message[:end], id, true)
		var has struct{ Result, Error json.RawMessage }
		if json.Unmarshal(append(slices.Clone(message[:end]), '}'), &has) == nil && (has.Result != nil || has.Error != nil) && !begun {
			t.Errorf("%q does not answer, and %q does", message[:end], message)
		}
	})
}

// plainly is answers for what is JSON, by another reader.
func plainly(message []byte) bool {
	var batch []json.RawMessage
	if json.Unmarshal(message, &batch) == nil && batch != nil {
		return slices.ContainsFunc(batch, func(one json.RawMessage) bool { return plainly(one) })
	}
	var one map[string]json.RawMessage
	if json.Unmarshal(message, &one) != nil || one == nil {
		return false
	}
	_, method := one["method"]
	_, result := one["result"]
	_, failure := one["error"]
	identity, identified := one["id"]
	return !method && (result || failure) && (!identified || sameID(identity, `"q-1"`))
}

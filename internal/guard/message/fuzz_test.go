// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package message_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/mcp-registrar/mcp-registrar/internal/guard"
	"github.com/mcp-registrar/mcp-registrar/internal/guard/message"
)

// FuzzParse holds Parse against the decoder of the standard library: what Parse
// decides on is what another parser reads, the first or the last of everything.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		call("tools/call", `{"name":"add","arguments":{"a":[1,-2.5e3,true,null,"x"]}}`),
		call("tools/list", `{"_meta":{"traceparent":"`+trace+`"}}`),
		`{"jsonrpc":"2.0","id":"\ud83d\ude00","result":{"tools":[]}}`,
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","Method":"ping","params":{"name":"a","name":"b"}}`,
		`[{"jsonrpc":"2.0","id":1,"method":"ping"}]`, `{"a":{}}`, `{"":"\\"}`, ` {} `, `{`, `"\ud800"`, "\xff", `{"jsonrpc":"2.0","id":-0,"method":"m"}`,
	} {
		f.Add([]byte(seed), "tools/call", "add", modern)
		f.Add([]byte(seed), "", wrapped("add"), old)
	}
	f.Fuzz(func(t *testing.T, body []byte, method, name, revision string) {
		before := bytes.Clone(body)
		got, _ := message.Parse(header("Mcp-Method", method, "Mcp-Name", name, "Mcp-Protocol-Version", revision), http.MethodPost, body)
		plain, _ := message.Parse(header(), http.MethodPost, body)
		if !bytes.Equal(before, body) {
			t.Fatal("the body was changed")
		}
		if (got.Kind == guard.Unreadable) != (got.Fault != nil) {
			t.Fatalf("a fault and a kind: %+v", got)
		}
		if got.Fault == nil && got != plain {
			t.Fatalf("headers changed what was read: %+v, %+v", got, plain)
		}
		if got.Kind == guard.Call && method != got.Method {
			t.Fatalf("the header said %q: %+v", method, got)
		}
		if plain.Fault == nil {
			holdAgainstStandard(t, body, plain)
		}
	})
}

func holdAgainstStandard(t *testing.T, body []byte, got guard.Message) {
	t.Helper()
	var read struct {
		ID     json.RawMessage
		Method string
		Params json.RawMessage
	}
	if err := json.Unmarshal(body, &read); err != nil {
		t.Fatalf("%+v was read of what is no message: %v", got, err)
	}
	if read.Method != got.Method || string(read.ID) != got.ID {
		t.Fatalf("read %+v, the standard library %+v", got, read)
	}
	if got.Method != "tools/call" {
		return
	}
	var params struct{ Name string }
	if err := json.Unmarshal(read.Params, &params); err != nil || params.Name != got.Tool || strings.TrimSpace(got.Method) != got.Method {
		t.Fatalf("read %+v, the standard library %+v, %v", got, params, err)
	}
}

// FuzzMembers holds Members against the decoder of the standard library.
func FuzzMembers(f *testing.F) {
	for _, seed := range []string{`{}`, `{"a":1}`, ` { "a" : [1,{"b":"}"}] , "b\"" : "\\" } `, `{"a":-1.5e-3,"b":true}`, `[1,[2],"3"]`, `null`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		whole, names := message.Check(raw, 100), message.CheckNames(raw, 100)
		if whole == nil != json.Valid(raw) && !errors.Is(whole, message.ErrDepth) && !errors.Is(whole, message.ErrSurrogate) && utf8.Valid(raw) {
			t.Fatalf("%v, which the standard library takes for JSON: %t", whole, json.Valid(raw))
		}
		if names == nil && whole != nil || names != nil && whole == nil && !errors.Is(names, message.ErrAmbiguous) && !errors.Is(names, message.ErrMembers) {
			t.Fatalf("%v without regard to names, %v with", whole, names)
		}
		if whole != nil {
			return
		}
		var list []json.RawMessage
		elements, isArray := message.Elements(raw)
		if err := json.Unmarshal(raw, &list); isArray && (err != nil || len(list) != len(elements)) {
			t.Fatalf("%d elements, the standard library %d, %v", len(elements), len(list), err)
		}
		members, err := message.Members(raw)
		if err != nil {
			return
		}
		var object map[string]json.RawMessage
		if err := json.Unmarshal(raw, &object); err != nil || len(object) != len(members) {
			t.Fatalf("%d members, the standard library %d, %v", len(members), len(object), err)
		}
		for _, member := range members {
			if !bytes.Equal(object[member.Name], member.Value) || !bytes.HasPrefix(raw[member.Start:], member.Value) {
				t.Fatalf("%q: %s, the standard library %s", member.Name, member.Value, object[member.Name])
			}
		}
	})
}

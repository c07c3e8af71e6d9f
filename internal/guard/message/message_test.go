// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package message_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mcp-registrar/mcp-registrar/internal/guard"
	"github.com/mcp-registrar/mcp-registrar/internal/guard/message"
)

const trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

// header is a request's header: pairs of names and values.
func header(pairs ...string) http.Header {
	h := http.Header{"Content-Type": {"application/json"}}
	for i := 0; i < len(pairs); i += 2 {
		h.Add(pairs[i], pairs[i+1])
	}
	return h
}

func call(method, params string) string {
	return `{"jsonrpc":"2.0","id":1,"method":"` + method + `","params":` + params + `}`
}

func TestMessagesAreRead(t *testing.T) {
	cases := map[string]struct {
		body string
		want guard.Message
	}{
		"a tool is called":               {call("tools/call", `{"name":"add","arguments":{"a":[1,{"name":"other"}]}}`), guard.Message{Kind: guard.Call, Method: "tools/call", ID: "1", Tool: "add"}},
		"the order is free":              {`{"params":{"arguments":{},"name":"add"},"method":"tools/call","id":"x","jsonrpc":"2.0"}`, guard.Message{Kind: guard.Call, Method: "tools/call", ID: `"x"`, Tool: "add"}},
		"space is free":                  {" {\n\"jsonrpc\" : \"2.0\" ,\t\"id\" : -1.50e3 , \"method\" : \"ping\"\r\n} \n", guard.Message{Kind: guard.Call, Method: "ping", ID: "-1.50e3"}},
		"escapes are decoded":            {call(`tools\/call`, `{"name":"\u0061dd"}`), guard.Message{Kind: guard.Call, Method: "tools/call", ID: "1", Tool: "add"}},
		"a whole pair is a character":    {call("tools/call", `{"name":"\ud83d\ude00"}`), guard.Message{Kind: guard.Call, Method: "tools/call", ID: "1", Tool: "😀"}},
		"an escaped backslash is no \\u": {call("tools/call", `{"name":"\\ud800"}`), guard.Message{Kind: guard.Call, Method: "tools/call", ID: "1", Tool: `\ud800`}},
		"a notification has no id":       {`{"jsonrpc":"2.0","method":"notifications/initialized"}`, guard.Message{Kind: guard.Call, Method: "notifications/initialized"}},
		"params may be null":             {call("ping", "null"), guard.Message{Kind: guard.Call, Method: "ping", ID: "1"}},
		"a result is an answer":          {`{"jsonrpc":"2.0","id":7,"result":{"name":"x","Name":"y"}}`, guard.Message{Kind: guard.Answer, ID: "7"}},
		"an error is an answer":          {`{"jsonrpc":"2.0","id":"7","error":{"code":1,"message":"m"}}`, guard.Message{Kind: guard.Answer, ID: `"7"`}},
		"arguments are the tool's":       {call("tools/call", `{"name":"add","arguments":{"Name":"a","name":"b","__proto__":1}}`), guard.Message{Kind: guard.Call, Method: "tools/call", ID: "1", Tool: "add"}},
		"64 levels are not too deep":     {call("ping", `{"a":`+strings.Repeat("[", 62)+strings.Repeat("]", 62)+`}`), guard.Message{Kind: guard.Call, Method: "ping", ID: "1"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got, _ := message.Parse(header(), http.MethodPost, []byte(c.body))
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestWhatParsersReadDifferentlyIsMalformed(t *testing.T) {
	cases := map[string]struct {
		body string
		code int
	}{
		"nothing":                     {"", -32700},
		"no JSON":                     {"tools/call", -32700},
		"trailing data":               {call("ping", "{}") + "{}", -32700},
		"a byte order mark":           {"\ufeff" + call("ping", "{}"), -32700},
		"UTF-16":                      {"{\x00}\x00", -32700},
		"invalid UTF-8":               {call("tools/call", "{\"name\":\"a\xff\"}"), -32700},
		"NaN":                         {call("ping", `{"a":NaN}`), -32700},
		"a comment":                   {call("ping", `{}/**/`), -32700},
		"a control character":         {call("tools/call", "{\"name\":\"a\nb\"}"), -32700},
		"65 levels":                   {call("ping", `{"a":`+strings.Repeat("[", 63)+strings.Repeat("]", 63)+`}`), -32600},
		"half a pair":                 {call("tools/call", `{"name":"\ud800"}`), -32600},
		"a pair the wrong way round":  {call("tools/call", `{"name":"\ude00\ud83d"}`), -32600},
		"half a pair before a letter": {call("tools/call", `{"name":"\ud83dx\ude00"}`), -32600},
		"a string":                    {`"ping"`, -32600},
		"null":                        {"null", -32600},
		"no jsonrpc":                  {`{"id":1,"method":"ping"}`, -32600},
		"jsonrpc 1.0":                 {`{"jsonrpc":"1.0","id":1,"method":"ping"}`, -32600},
		"jsonrpc as a number":         {`{"jsonrpc":2.0,"id":1,"method":"ping"}`, -32600},
		"method twice":                {`{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/call"}`, -32600},
		"method twice, once escaped":  {`{"jsonrpc":"2.0","id":1,"method":"ping","\u006dethod":"tools/call"}`, -32600},
		"Method":                      {`{"jsonrpc":"2.0","id":1,"Method":"ping"}`, -32600},
		"method and METHOD":           {`{"jsonrpc":"2.0","id":1,"method":"ping","METHOD":"tools/call"}`, -32600},
		"params with a long s":        {`{"jsonrpc":"2.0","id":1,"method":"ping","param\u017f":{}}`, -32600},
		"params twice":                {`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a"},"params":{"name":"b"}}`, -32600},
		"an unknown member twice":     {`{"jsonrpc":"2.0","id":1,"method":"ping","x":1,"x":2}`, -32600},
		"name twice":                  {call("tools/call", `{"name":"a","name":"b"}`), -32600},
		"name and Name":               {call("tools/call", `{"name":"a","Name":"b"}`), -32600},
		"uri and URI":                 {call("resources/read", `{"uri":"a","URI":"b"}`), -32600},
		"_meta and _Meta":             {call("ping", `{"_meta":{},"_Meta":{}}`), -32600},
		"a member of _meta twice":     {call("ping", `{"_meta":{"a":1,"a":2}}`), -32600},
		"an argument twice":           {call("tools/call", `{"name":"a","arguments":{"to":"a","to":"b"}}`), -32600},
		"an argument twice, escaped":  {call("tools/call", `{"name":"a","arguments":{"to":"a","\u0074o":"b"}}`), -32600},
		"an argument twice, deep":     {call("tools/call", `{"name":"a","arguments":{"x":[[{"y":{"to":1,"to":2}}]]}}`), -32600},
		"a name twice in a result":    {`{"jsonrpc":"2.0","id":1,"result":{"x":[{"a":1,"a":2}]}}`, -32600},
		"__proto__":                   {call("tools/call", `{"name":"a","__proto__":{"name":"b"}}`), -32600},
		"__proto__ at the top":        {`{"jsonrpc":"2.0","id":1,"result":{},"__proto__":{"method":"tools/call"}}`, -32600},
		"id null":                     {`{"jsonrpc":"2.0","id":null,"method":"ping"}`, -32600},
		"id an object":                {`{"jsonrpc":"2.0","id":{},"method":"ping"}`, -32600},
		"id true":                     {`{"jsonrpc":"2.0","id":true,"method":"ping"}`, -32600},
		"a long id":                   {`{"jsonrpc":"2.0","id":"` + strings.Repeat("x", 256) + `","method":"ping"}`, -32600},
		"method a number":             {`{"jsonrpc":"2.0","id":1,"method":1}`, -32600},
		"method empty":                {`{"jsonrpc":"2.0","id":1,"method":""}`, -32600},
		"a long method":               {`{"jsonrpc":"2.0","id":1,"method":"` + strings.Repeat("x", 257) + `"}`, -32600},
		"method and result":           {`{"jsonrpc":"2.0","id":1,"method":"ping","result":{}}`, -32600},
		"method and error":            {`{"jsonrpc":"2.0","id":1,"method":"ping","error":null}`, -32600},
		"result and error":            {`{"jsonrpc":"2.0","id":1,"result":{},"error":{}}`, -32600},
		"an answer without id":        {`{"jsonrpc":"2.0","result":{}}`, -32600},
		"neither":                     {`{"jsonrpc":"2.0","id":1}`, -32600},
		"params an array":             {call("tools/call", `["add"]`), -32600},
		"no name":                     {call("tools/call", `{}`), -32600},
		"no params":                   {`{"jsonrpc":"2.0","id":1,"method":"tools/call"}`, -32600},
		"a name that is no string":    {call("tools/call", `{"name":["add"]}`), -32600},
		"an empty name":               {call("tools/call", `{"name":""}`), -32600},
		"a long name":                 {call("tools/call", `{"name":"`+strings.Repeat("x", 257)+`"}`), -32600},
		"_meta an array":              {call("ping", `{"_meta":[]}`), -32600},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got, _ := message.Parse(header(), http.MethodPost, []byte(c.body))
			if got.Kind != guard.Unreadable || got.Fault == nil {
				t.Fatalf("read as %+v", got)
			}
			fault := *got.Fault
			fault.Text = ""
			want := guard.Fault{Status: http.StatusBadRequest, Code: c.code, Reason: guard.RequestMalformed}
			if diff := cmp.Diff(want, fault); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Comparing names takes many times the memory that they do. What is open at one time is
// counted together, and lists of small objects may be as long as they like.
func TestMembersOfOneObjectAreBounded(t *testing.T) {
	object := func(members int, last string) string {
		var text strings.Builder
		text.WriteString("{")
		for i := range members {
			fmt.Fprintf(&text, `"%d":0,`, i)
		}
		return text.String() + `"last":` + last + "}"
	}
	for name, c := range map[string]struct {
		arguments string
		refused   bool
	}{
		"as many as may be":                {object(16000, "0"), false},
		"too many":                         {object(16700, "0"), true},
		"in one that is within others":     {object(6000, object(6000, object(6000, "0"))), true},
		"in one after the other":           {`{"a":` + object(6000, "0") + `,"b":` + object(6000, "0") + `,"c":` + object(6000, "0") + `}`, false},
		"in each of a list":                {`{"list":[` + strings.TrimSuffix(strings.Repeat(object(300, "0")+",", 100), ",") + `]}`, false},
		"no members but a long list":       {`{"list":[` + strings.Repeat("1,", 500_000) + `1]}`, false},
		"as text, in which there are none": {`{"text":"` + strings.Repeat("a:1,", 100_000) + `"}`, false},
	} {
		got, _ := message.Parse(header(), http.MethodPost, []byte(call("tools/call", `{"name":"a","arguments":`+c.arguments+`}`)))
		if refused := got.Fault != nil; refused != c.refused || refused && (got.Fault.Reason != guard.RequestTooLarge || got.Fault.Status != http.StatusRequestEntityTooLarge) {
			t.Errorf("%s: %+v", name, got.Fault)
		}
	}
}

func TestBatchesAreRefused(t *testing.T) {
	for _, body := range []string{"[]", "[" + call("ping", "{}") + "," + call("tools/call", `{"name":"forbidden"}`) + "]"} {
		got, _ := message.Parse(header(), http.MethodPost, []byte(body))
		if got.Kind != guard.Unreadable || got.Fault.Reason != guard.RequestBatch || got.Fault.Code != -32600 || got.Fault.Status != http.StatusBadRequest {
			t.Errorf("%s: %+v", body, got)
		}
	}
}

func TestHTTPMethods(t *testing.T) {
	cases := map[string]struct {
		want   guard.Kind
		status int
	}{
		http.MethodGet: {want: guard.Listen}, http.MethodDelete: {want: guard.End},
		http.MethodPut: {status: 405}, http.MethodHead: {status: 405}, "post": {status: 405}, http.MethodOptions: {status: 405},
	}
	for method, c := range cases {
		got, _ := message.Parse(header(), method, []byte(call("ping", "{}")))
		status := 0
		if got.Fault != nil {
			status = got.Fault.Status
		}
		if got.Kind != c.want || status != c.status {
			t.Errorf("%s: %+v", method, got)
		}
	}
}

func TestMediaTypes(t *testing.T) {
	cases := map[string]bool{
		"application/json": true, "Application/JSON; charset=UTF-8": true,
		"": false, "text/plain": false, "application/json; charset=utf-16": false, "application/x-www-form-urlencoded": false, "application/json;;=": false,
	}
	for media, accepted := range cases {
		got, _ := message.Parse(http.Header{"Content-Type": {media}}, http.MethodPost, []byte(call("ping", "{}")))
		if accepted != (got.Kind == guard.Call) || !accepted && got.Fault.Status != http.StatusUnsupportedMediaType {
			t.Errorf("%q: %+v", media, got)
		}
	}
	twice := header("Content-Type", "text/plain")
	if got, _ := message.Parse(twice, http.MethodPost, []byte(call("ping", "{}"))); got.Kind != guard.Unreadable {
		t.Error("two media types were accepted")
	}
	if got, _ := message.Parse(header("Content-Encoding", "br"), http.MethodPost, []byte(call("ping", "{}"))); got.Kind != guard.Unreadable {
		t.Error("an encoded body was accepted")
	}
}

func wrapped(name string) string {
	return "=?base64?" + base64.StdEncoding.EncodeToString([]byte(name)) + "?="
}

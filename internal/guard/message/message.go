// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package message

import (
	"bytes"
	"errors"
	"mime"
	"net/http"
	"strings"

	"github.com/mcp-registrar/mcp-registrar/internal/guard"
)

// Header is what is needed of a request's header: http.Header has it.
type Header interface {
	// Values are all values of a field, by its name in any case.
	Values(name string) []string
}

// maxDepth is how deeply a message may nest.
const maxDepth = 64

// maxName is how long a method, a tool's name or an id may be, in bytes: all
// three go on record.
const maxName = 256

// The members that matter, of a message and of its params.
var (
	ofMessage = []string{"jsonrpc", "id", "method", "params", "result", "error"}
	ofParams  = []string{"name", "uri", "taskId", "_meta"}
)

// Parse reads a request to an MCP server, and the traceparent of its header or,
// where that has none, of its body. What cannot be decided about safely is
// guard.Unreadable and says why. body is that of a POST; of others it is not
// looked at.
func Parse(header Header, method string, body []byte) (guard.Message, string) {
	trace := TraceParent(header)
	if fault := plain(header); fault != nil {
		return guard.Message{Fault: fault}, trace
	}
	switch method {
	case http.MethodGet:
		return guard.Message{Kind: guard.Listen}, trace
	case http.MethodDelete:
		return guard.Message{Kind: guard.End}, trace
	case http.MethodPost:
		if fault := media(header); fault != nil {
			return guard.Message{Fault: fault}, trace
		}
		return parseBody(header, body, trace)
	}
	return guard.Message{Fault: unsupported(http.StatusMethodNotAllowed, "MCP has the HTTP methods POST, GET and DELETE only")}, trace
}

func parseBody(header Header, body []byte, trace string) (guard.Message, string) {
	read, fault := readBody(body)
	if fault == nil {
		fault = read.agrees(header)
	}
	if trace == "" {
		trace = read.trace()
	}
	if fault != nil {
		return guard.Message{Method: read.Method, ID: read.ID, Tool: read.Tool, Fault: fault}, trace
	}
	return read.Message, trace
}

// envelope is a message with what is needed of its params.
type envelope struct {
	guard.Message
	params, meta []Member
}

// readBody reads the one message of a body. After a fault the envelope holds
// what was certain before it.
func readBody(body []byte) (envelope, *guard.Fault) {
	var read envelope
	switch err := CheckNames(body, maxDepth); {
	case errors.Is(err, ErrSyntax):
		return read, malformed(codeParse, "the body is not one JSON text in UTF-8")
	case errors.Is(err, ErrMembers):
		return read, &guard.Fault{
			Status: http.StatusRequestEntityTooLarge, Code: codeInvalid, Reason: guard.RequestTooLarge,
			Text: "the body is " + err.Error() + ": send fewer, or a list",
		}
	case err != nil:
		return read, malformed(codeInvalid, "the body is "+err.Error())
	}
	if bytes.TrimLeft(body, " \t\r\n")[0] == '[' {
		return read, &guard.Fault{
			Status: http.StatusBadRequest, Code: codeInvalid, Reason: guard.RequestBatch,
			Text: "the body is a batch: send each message in a request of its own",
		}
	}
	members, err := Members(body, ofMessage...)
	if err != nil {
		return read, malformed(codeInvalid, "the body is "+err.Error())
	}
	if version, _ := Text(Find(members, "jsonrpc")); version != "2.0" {
		return read, malformed(codeInvalid, `the member jsonrpc is not "2.0"`)
	}
	if fault := read.identify(members); fault != nil {
		return read, fault
	}
	return read, read.classify(members)
}

// identify reads the id.
func (e *envelope) identify(members []Member) *guard.Fault {
	id := Find(members, "id")
	if id == nil {
		return nil
	}
	if len(id) > maxName || id[0] != '"' && id[0] != '-' && (id[0] < '0' || id[0] > '9') {
		return malformed(codeInvalid, "the member id is not a short string or a number")
	}
	e.ID = string(id)
	return nil
}

// classify tells calls from answers. What could be taken for both is neither.
func (e *envelope) classify(members []Member) *guard.Fault {
	method, result, failure := Find(members, "method"), Find(members, "result"), Find(members, "error")
	if method == nil {
		if (result == nil) == (failure == nil) || e.ID == "" {
			return malformed(codeInvalid, "the body is neither a request nor a response: it needs method, or id with result or error")
		}
		e.Kind = guard.Answer
		return nil
	}
	if result != nil || failure != nil {
		return malformed(codeInvalid, "the body has method beside result or error")
	}
	name, ok := Text(method)
	if !ok || name == "" || len(name) > maxName {
		return malformed(codeInvalid, "the member method is not a short string")
	}
	if spelled := strings.ToLower(strings.TrimSpace(name)); spelled == "tools/call" && name != spelled {
		return malformed(codeInvalid, "the member method is a misspelt tools/call")
	}
	e.Kind, e.Method = guard.Call, name
	return e.readParams(Find(members, "params"))
}

// readParams reads what is needed of params, and the tool's name.
func (e *envelope) readParams(params []byte) *guard.Fault {
	var err error
	if params != nil && string(params) != "null" {
		if e.params, err = Members(params, ofParams...); err != nil {
			return malformed(codeInvalid, "the member params is "+err.Error())
		}
	}
	if meta := Find(e.params, "_meta"); meta != nil && string(meta) != "null" {
		if e.meta, err = Members(meta); err != nil {
			return malformed(codeInvalid, "the member params._meta is "+err.Error())
		}
	}
	if e.Method != "tools/call" {
		return nil
	}
	tool, ok := Text(Find(e.params, "name"))
	if !ok || tool == "" || len(tool) > maxName {
		return malformed(codeInvalid, "the member params.name of tools/call is not a short string")
	}
	e.Tool = tool
	return nil
}

// media refuses what is not a plain JSON body.
func media(header Header) *guard.Fault {
	types := header.Values("Content-Type")
	if len(types) != 1 {
		return unsupported(http.StatusUnsupportedMediaType, "one Content-Type header is needed: application/json")
	}
	media, params, err := mime.ParseMediaType(types[0])
	charset, declared := params["charset"]
	if err != nil || media != "application/json" || declared && !strings.EqualFold(charset, "utf-8") {
		return unsupported(http.StatusUnsupportedMediaType, "the Content-Type of a message is application/json, in UTF-8")
	}
	for _, coding := range header.Values("Content-Encoding") {
		if !strings.EqualFold(coding, "identity") {
			return unsupported(http.StatusUnsupportedMediaType, "a message is sent without Content-Encoding")
		}
	}
	return nil
}

// JSON-RPC error codes of faults; the last is MCP's HeaderMismatch.
const (
	codeParse    = -32700
	codeInvalid  = -32600
	codeMismatch = -32020
)

func malformed(code int, text string) *guard.Fault {
	return &guard.Fault{Status: http.StatusBadRequest, Code: code, Reason: guard.RequestMalformed, Text: text}
}

func mismatch(text string) *guard.Fault {
	return &guard.Fault{Status: http.StatusBadRequest, Code: codeMismatch, Reason: guard.RequestHeaderMismatch, Text: text}
}

func unsupported(status int, text string) *guard.Fault {
	return &guard.Fault{Status: status, Code: codeInvalid, Reason: guard.RequestUnsupported, Text: text}
}

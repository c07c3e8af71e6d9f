// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package message

import (
	"encoding/base64"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/mcp-registrar/mcp-registrar/internal/guard"
)

// Headers of the transport.
const (
	headerMethod   = "Mcp-Method"
	headerName     = "Mcp-Name"
	headerRevision = "Mcp-Protocol-Version"
	headerSession  = "Mcp-Session-Id"
	headerTrace    = "Traceparent"
	headerReplay   = "Last-Event-Id"
)

// guaranteed is the first revision whose servers refuse headers that do not
// match the body. Revisions are ISO dates, so they compare as text.
const guaranteed = "2026-07-28"

// metaRevision is where the body repeats the revision.
const metaRevision = "io.modelcontextprotocol/protocolVersion"

// named are the methods that must have the header Mcp-Name, with the member of
// params that it repeats.
var named = map[string]string{"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}

// ParseHeaders reads a request whose body is not at hand. It decides only by
// headers that the server must compare with the body; where it need not, the
// message is guard.Unreadable.
func ParseHeaders(header Header, method string) (guard.Message, string) {
	if method != http.MethodPost {
		return Parse(header, method, nil)
	}
	trace := TraceParent(header)
	fault := plain(header)
	if fault == nil {
		fault = media(header)
	}
	if fault == nil {
		fault = relied(header)
	}
	if fault != nil {
		return guard.Message{Fault: fault}, trace
	}
	return readHeaders(header), trace
}

// relied refuses to decide by headers that nobody compares with the body.
func relied(header Header) *guard.Fault {
	if revision := value(header, headerRevision); date.MatchString(revision) && revision >= guaranteed {
		return nil
	}
	return unsupported(http.StatusBadRequest,
		"the guard is not sent the body, and MCP guarantees the headers Mcp-Method and Mcp-Name only from MCP-Protocol-Version "+
			guaranteed+" on: have the gateway send it the body")
}

func readHeaders(header Header) guard.Message {
	read := guard.Message{Method: value(header, headerMethod)}
	if !word.MatchString(read.Method) {
		return guard.Message{Fault: mismatch("the header Mcp-Method is missing or not a method")}
	}
	name, ok := decode(value(header, headerName))
	_, needed := named[read.Method]
	switch {
	case !ok || len(name) > maxName:
		read.Fault = mismatch("the header Mcp-Name cannot be decoded, or is too long")
		return read
	case needed && name == "":
		read.Fault = mismatch("the header Mcp-Name is missing")
		return read
	case read.Method == "tools/call":
		read.Tool = name
	}
	read.Kind = guard.Call
	return read
}

var (
	date = regexp.MustCompile(`^\d{4}-\d{2}-\d{2}$`)
	word = regexp.MustCompile(`^[A-Za-z0-9_$./-]{1,256}$`)
)

// plain refuses a change of the protocol, headers that are there more than once, since who
// reads the first and who reads the last would not agree, and a session's id of other than
// visible ASCII, about which those who cut off white space or decode would not.
func plain(header Header) *guard.Fault {
	if fault := upgrade(header); fault != nil {
		return fault
	}
	if fault := dropped(header); fault != nil {
		return fault
	}
	for _, name := range decisive {
		if len(header.Values(name)) > 1 {
			return mismatch("the header " + name + " is there more than once")
		}
	}
	if strings.ContainsFunc(value(header, headerSession), func(r rune) bool { return r <= ' ' || r > '~' }) {
		return mismatch("the header " + headerSession + " has characters that the id of a session cannot have")
	}
	return nil
}

// decisive are the headers that are decided by.
var decisive = []string{headerMethod, headerName, headerRevision, headerSession, headerReplay}

// dropped refuses a request that declares one of decisive a matter of this connection (RFC
// 9110 §7.6.1): the server would not get it, and answer for something else than was decided
// about.
func dropped(header Header) *guard.Fault {
	for _, value := range header.Values("Connection") {
		for named := range strings.SplitSeq(value, ",") {
			named = strings.TrimSpace(named)
			if slices.ContainsFunc(decisive, func(name string) bool { return strings.EqualFold(name, named) }) {
				return mismatch("the header Connection names a header of MCP, which is for the server")
			}
		}
	}
	return nil
}

// upgrade refuses to change the protocol. An offer of HTTP/2 is only an offer:
// some clients make it with their first request, and it is passed over.
func upgrade(header Header) *guard.Fault {
	for _, value := range header.Values("Upgrade") {
		for protocol := range strings.SplitSeq(value, ",") {
			if !strings.EqualFold(strings.TrimSpace(protocol), "h2c") {
				return unsupported(http.StatusBadRequest, "the guard passes no upgrade to another protocol")
			}
		}
	}
	return nil
}

func value(header Header, name string) string {
	if values := header.Values(name); len(values) > 0 {
		return values[0]
	}
	return ""
}

// agrees refuses headers that say other than the body, or that are missing
// where the revision demands them. The revision demands none of notifications
// and answers.
func (e *envelope) agrees(header Header) *guard.Fault {
	revision := value(header, headerRevision)
	if repeated, ok := Text(Find(e.meta, metaRevision)); ok && repeated != revision {
		return mismatch("the header MCP-Protocol-Version and the body do not say the same")
	}
	needed := e.Kind == guard.Call && e.ID != "" && revision >= guaranteed
	if fault := e.agreesOnMethod(header, needed); fault != nil {
		return fault
	}
	member, has := named[e.Method]
	return e.agreesOnName(header, member, needed && has)
}

func (e *envelope) agreesOnMethod(header Header, needed bool) *guard.Fault {
	switch values := header.Values(headerMethod); {
	case len(values) == 0 && needed:
		return mismatch("the header Mcp-Method is missing")
	case len(values) > 0 && values[0] != e.Method:
		return mismatch("the header Mcp-Method and the body do not say the same")
	}
	return nil
}

// agreesOnName compares Mcp-Name with the member of params that it repeats.
func (e *envelope) agreesOnName(header Header, member string, needed bool) *guard.Fault {
	values := header.Values(headerName)
	if len(values) == 0 {
		if needed {
			return mismatch("the header Mcp-Name is missing")
		}
		return nil
	}
	name, ok := decode(values[0])
	if !ok {
		return mismatch("the header Mcp-Name cannot be decoded")
	}
	if inBody, there := e.name(member); !there || inBody != name {
		return mismatch("the header Mcp-Name and the body do not say the same")
	}
	return nil
}

// name is what Mcp-Name repeats: of methods that the revision does not list, the
// first there is of name, uri and, for tasks, taskId.
func (e *envelope) name(member string) (string, bool) {
	candidates := []string{member}
	if member == "" {
		candidates = ofParams[:2]
		if strings.HasPrefix(e.Method, "tasks/") {
			candidates = []string{"taskId"}
		}
	}
	for _, candidate := range candidates {
		if raw := Find(e.params, candidate); raw != nil {
			return Text(raw)
		}
	}
	return "", false
}

// decode undoes the Base64 form of a header's value.
func decode(header string) (string, bool) {
	for _, char := range []byte(header) {
		if char < ' ' && char != '\t' || char > '~' {
			return "", false
		}
	}
	wrapped, marked := strings.CutPrefix(header, "=?base64?")
	if !marked {
		return header, true
	}
	encoded, whole := strings.CutSuffix(wrapped, "?=")
	if !whole {
		return header, true
	}
	decoded, err := base64.StdEncoding.Strict().DecodeString(encoded)
	if err != nil || !utf8.Valid(decoded) {
		return "", false
	}
	return string(decoded), true
}

// TraceParent is the traceparent of the header; empty unless it is there once and
// valid.
func TraceParent(header Header) string {
	if values := header.Values(headerTrace); len(values) == 1 && validTrace(values[0]) {
		return values[0]
	}
	return ""
}

// trace is the valid traceparent of params._meta.
func (e *envelope) trace() string {
	if trace, ok := Text(Find(e.meta, "traceparent")); ok && validTrace(trace) {
		return trace
	}
	return ""
}

var traceForm = regexp.MustCompile(`^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$`)

// validTrace says that a traceparent has the form of W3C Trace Context §3.2.
func validTrace(trace string) bool {
	return traceForm.MatchString(trace) && !strings.HasPrefix(trace, "ff") &&
		trace[3:35] != strings.Repeat("0", 32) && trace[36:52] != strings.Repeat("0", 16)
}

// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package extauthz

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"

	"github.com/mcp-registrar/mcp-registrar/internal/guard"
	"github.com/mcp-registrar/mcp-registrar/internal/guard/message"
)

// partialBody is the header by which Envoy says whether the body is cut off.
const partialBody = "X-Envoy-Auth-Partial-Body"

// read reads what a request asks for.
func (s *Service) read(request *guard.Request, header http.Header, method string, body []byte) {
	switch {
	case cutOff(header, body):
		request.Message.Fault = tooLarge("the gateway sends the guard only the beginning of the body: raise max_request_bytes of with_request_body, or send less")
	case int64(len(body)) > s.options.MaxBody:
		request.Message.Fault = tooLarge("the body is larger than the guard reads")
	case method != http.MethodPost && len(body) > 0:
		request.Message.Fault = malformed("only a POST has a body in MCP")
	case method != http.MethodPost || len(body) > 0:
		request.Message, request.TraceParent = message.Parse(header, method, body)
	case s.options.HeadersOnly(request.Server):
		request.Message, request.TraceParent = message.ParseHeaders(header, method)
	default:
		request.Message.Fault = malformed("the guard was sent no body: if the request has one, the gateway needs with_request_body")
	}
}

func tooLarge(text string) *guard.Fault {
	return &guard.Fault{Status: http.StatusRequestEntityTooLarge, Code: codeInvalid, Reason: guard.RequestTooLarge, Text: text}
}

func malformed(text string) *guard.Fault {
	return &guard.Fault{Status: http.StatusBadRequest, Code: codeInvalid, Reason: guard.RequestMalformed, Text: text}
}

// unread is a request whose body was not looked at.
func unread(name guard.ServerName, asked *authv3.AttributeContext_HttpRequest, header http.Header, received time.Time) guard.Request {
	return guard.Request{
		Server: name, Origin: header["Origin"], Host: asked.GetHost(), ReceivedAt: received, TraceParent: message.TraceParent(header),
		Authorization: header.Values("Authorization"), Proof: header["Dpop"], Method: asked.GetMethod(), URL: urlOf(asked),
		Session: header.Get("Mcp-Session-Id"), Check: true,
	}
}

// bodyOf is as much of the body as the gateway sent.
func bodyOf(asked *authv3.AttributeContext_HttpRequest) []byte {
	if body := asked.GetRawBody(); len(body) > 0 {
		return body
	}
	return []byte(asked.GetBody())
}

// codeInvalid is Invalid Request of JSON-RPC.
const codeInvalid = -32600

// headerOf is the request's header: as Envoy received it where it is configured
// to say that, or else with the values of each field joined by commas.
func headerOf(asked *authv3.AttributeContext_HttpRequest) http.Header {
	header := http.Header{}
	for _, field := range asked.GetHeaderMap().GetHeaders() {
		value := field.GetValue()
		if raw := field.GetRawValue(); len(raw) > 0 {
			value = string(raw)
		}
		header.Add(field.GetKey(), value)
	}
	for key, value := range asked.GetHeaders() {
		header.Add(key, value)
	}
	keys := unjoined
	if asked.GetHeaderMap() == nil {
		keys = append(slices.Clone(keys), "Mcp-Session-Id")
	}
	for _, key := range keys {
		header[key] = split(header[key])
		if len(header[key]) == 0 {
			delete(header, key)
		}
	}
	return header
}

// unjoined are the fields whose values have no comma, so that one means that
// there were several. The names are in the form of http.Header. The id of a session may
// have one, and is only taken apart where nobody knows who joined it.
var unjoined = []string{"Authorization", "Content-Type", "Mcp-Method", "Mcp-Protocol-Version", "Origin", partialBody}

// split undoes the joining of values.
func split(values []string) []string {
	var found []string
	for _, value := range values {
		for one := range strings.SplitSeq(value, ",") {
			found = append(found, strings.TrimSpace(one))
		}
	}
	return found
}

// cutOff says that the body is not the whole one: Envoy says so, or it is
// shorter or longer than the client said.
func cutOff(header http.Header, body []byte) bool {
	for _, value := range header[partialBody] {
		if value != "false" {
			return true
		}
	}
	length, err := strconv.Atoi(header.Get("Content-Length"))
	return err == nil && len(body) > 0 && length != len(body)
}

// urlOf is the URL of the request as the client wrote it. Envoy says the query with the
// path; what it says of it elsewhere is not lost.
func urlOf(asked *authv3.AttributeContext_HttpRequest) string {
	text := asked.GetScheme() + "://" + asked.GetHost() + asked.GetPath()
	if query := asked.GetQuery(); query != "" {
		separator := "?"
		if strings.Contains(asked.GetPath(), "?") {
			separator = "&"
		}
		text += separator + query
	}
	return text
}

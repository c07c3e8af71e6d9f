// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/mcp-registrar/mcp-registrar/internal/guard"
)

// JSON-RPC error codes of the proxy's own answers.
const (
	codeInvalid  = -32600
	codeInternal = -32603
)

// refuse answers a request that may not pass.
func (p *Proxy) refuse(w http.ResponseWriter, request guard.Request, verdict guard.Verdict) {
	header := w.Header()
	if verdict.Challenge != "" {
		header.Set("WWW-Authenticate", verdict.Challenge)
	}
	if verdict.Status == http.StatusMethodNotAllowed {
		header.Set("Allow", "POST, GET, DELETE")
	}
	body := verdict.Body(request.Message.ID)
	header.Set("Content-Length", strconv.Itoa(len(body)))
	prepare(header, verdict.Status)
	w.WriteHeader(verdict.Status)
	p.send(w, body)
}

// prepare sets what all of the guard's own answers have.
func prepare(header http.Header, status int) {
	header.Set("Content-Type", "application/json")
	header.Set("Cache-Control", "no-store")
	if status == http.StatusServiceUnavailable {
		header.Set("Retry-After", "1")
	}
}

// send writes a body. A client that left does not need it.
func (p *Proxy) send(w http.ResponseWriter, body []byte) {
	if _, err := bytes.NewReader(body).WriteTo(w); err != nil {
		p.log.V(1).Info("The client left before its answer", "cause", err.Error())
	}
}

// failure is a JSON-RPC error response about something other than a decision.
type failure struct {
	Version string          `json:"jsonrpc"`
	ID      json.RawMessage `json:"id,omitempty"`
	Error   failureError    `json:"error"`
}

type failureError struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
}

// writeFailure answers that a request cannot be served. id is the request's as
// it was written; empty for none.
func writeFailure(w http.ResponseWriter, status int, id, text string) {
	code := codeInvalid
	if status >= http.StatusInternalServerError {
		code = codeInternal
	}
	prepare(w.Header(), status)
	w.WriteHeader(status)
	// Nobody is left to tell of a client that left.
	_, _ = w.Write(append(failureBody(code, id, text), '\n'))
}

// failureBody is the response itself.
func failureBody(code int, id, text string) []byte {
	body := failure{Version: "2.0", Error: failureError{Code: code, Message: text}}
	if id != "" {
		body.ID = json.RawMessage(id)
	}
	encoded, err := json.Marshal(body)
	if err != nil {
		return []byte(`{"jsonrpc":"2.0","error":{"code":-32603,"message":"the failure cannot be written"}}`)
	}
	return encoded
}

// writeNoRoute answers a request for which match found no route.
func writeNoRoute(w http.ResponseWriter, status int) {
	text := "there is no MCP server at this host and path"
	switch status {
	case http.StatusMisdirectedRequest:
		text = "more than one MCPServer has this host and path: give their routes hosts"
	case http.StatusServiceUnavailable:
		text = "the register does not know where the MCP server is: try again later"
	}
	writeFailure(w, status, "", text)
}

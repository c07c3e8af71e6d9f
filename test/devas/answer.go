// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package devas

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/http"
	"strconv"
)

// largePadding makes an answer larger than any reader should accept.
const largePadding = 5 << 20

// answer is a response held back until it has been counted and, if ordered,
// spoilt. It is an http.ResponseWriter for the handlers that fill it.
type answer struct {
	status int
	header http.Header
	body   []byte
	// missing is how many bytes are announced and not sent.
	missing int
	hang    bool
}

func newAnswer() *answer {
	return &answer{status: http.StatusOK, header: http.Header{}}
}

// Header implements http.ResponseWriter.
func (a *answer) Header() http.Header { return a.header }

// WriteHeader implements http.ResponseWriter.
func (a *answer) WriteHeader(status int) { a.status = status }

// Write implements http.ResponseWriter.
func (a *answer) Write(p []byte) (int, error) {
	a.body = append(a.body, p...)
	return len(p), nil
}

// send writes the answer out. Errors mean that the client has gone, and
// nobody is left to tell.
func (a *answer) send(w http.ResponseWriter) {
	if a.status == NoAnswer {
		hangUp(w)
		return
	}
	maps.Copy(w.Header(), a.header)
	if a.status != http.StatusNoContent && a.status != http.StatusNotModified {
		w.Header().Set("Content-Length", strconv.Itoa(len(a.body)+a.missing))
	}
	w.WriteHeader(a.status)
	if _, err := w.Write(a.body); err != nil {
		return
	}
}

// hangUp closes the connection without an answer.
func hangUp(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	if err := conn.Close(); err != nil {
		return
	}
}

// spoil turns the answer into what the fault orders.
func (a *answer) spoil(f Fault, o Operation) {
	switch f.Kind {
	case FaultStatus:
		a.refuse(f, o)
	case FaultClose:
		a.status = NoAnswer
	case FaultHang:
		a.status, a.hang = NoAnswer, true
	case FaultTruncate:
		a.ensureJSON()
		a.missing = len(a.body) - len(a.body)/2
		a.body = a.body[:len(a.body)/2]
	case FaultLarge:
		a.ensureJSON()
		a.pad()
	case FaultPage:
		a.status, a.body = f.Status, []byte("<!doctype html><title>Maintenance</title>")
		a.header = http.Header{"Content-Type": {"text/html; charset=utf-8"}}
	case FaultRedirect:
		a.status, a.body = f.Status, nil
		a.header = http.Header{"Location": {f.Location}}
	case FaultLatency:
	}
}

func (a *answer) refuse(f Fault, o Operation) {
	a.header = http.Header{}
	code := f.Error
	if code == "" {
		code = errorFor(f.Status, o)
	}
	if f.RetryAfter != "" {
		a.header.Set("Retry-After", f.RetryAfter)
	}
	a.body = nil
	writeError(a, f.Status, &protocolError{Code: code, Description: "ordered fault"})
}

// errorFor is the error code servers commonly send with a status.
func errorFor(status int, o Operation) string {
	switch {
	case status == http.StatusUnauthorized && (o == Token || o == Introspect || o == Revoke):
		return "invalid_client"
	case status == http.StatusUnauthorized:
		return "invalid_token"
	case status == http.StatusForbidden:
		return "access_denied"
	case status == http.StatusTooManyRequests, status == http.StatusServiceUnavailable:
		return "temporarily_unavailable"
	case status >= http.StatusInternalServerError:
		return "server_error"
	default:
		return "invalid_request"
	}
}

// ensureJSON gives an answer without content a JSON object to spoil.
func (a *answer) ensureJSON() {
	if len(a.body) > 0 {
		return
	}
	a.status, a.body = http.StatusOK, []byte("{}")
	a.header.Set("Content-Type", "application/json")
}

// pad puts a field of 5 MiB at the front of the JSON object, which stays
// valid. A body that is not a JSON object is replaced by one.
func (a *answer) pad() {
	rest, ok := bytes.CutPrefix(bytes.TrimSpace(a.body), []byte("{"))
	if !ok {
		rest = []byte("}")
	}
	padded := append([]byte(`{"padding":"`), bytes.Repeat([]byte("x"), largePadding)...)
	padded = append(padded, '"')
	if len(rest) > 1 {
		padded = append(padded, ',')
	}
	a.body = append(padded, rest...)
}

// writeError sends an OAuth error answer, and the challenge a 401 must carry.
func writeError(w http.ResponseWriter, status int, e *protocolError) {
	if status == http.StatusUnauthorized && e.Code == "invalid_client" {
		w.Header().Set("WWW-Authenticate", `Basic realm="devas"`)
	} else if status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer error="`+e.Code+`"`)
	}
	w.Header().Set("Cache-Control", "no-store")
	writeJSON(w, status, e)
}

func writeJSON(w http.ResponseWriter, status int, value any) {
	body, err := json.Marshal(value)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if _, err := w.Write(body); err != nil {
		return
	}
}

// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package guard

import "encoding/json"

// refusal is a JSON-RPC error response (JSON-RPC 2.0 §5). Without an id it
// answers no request in particular, which is what MCP asks of an HTTP error.
type refusal struct {
	Version string          `json:"jsonrpc"`
	ID      json.RawMessage `json:"id,omitempty"`
	Error   refusalError    `json:"error"`
}

type refusalError struct {
	Code    int         `json:"code"`
	Message string      `json:"message"`
	Data    refusalData `json:"data"`
}

// refusalData says for programs what the message says for people.
type refusalData struct {
	Reason Reason `json:"reason"`
	// Scopes are those that would help: to ask for, or to have granted.
	Scopes []string `json:"scopes,omitempty"`
}

// Body is the body of the answer to a refused request: a JSON-RPC error. id is
// the request's as it was written; what is no string or number is left out.
func (v Verdict) Body(id string) []byte {
	body := refusal{
		Version: "2.0",
		Error:   refusalError{Code: v.Code, Message: v.Text, Data: refusalData{Reason: v.Reason, Scopes: v.Decision.StepUp}},
	}
	if isID(id) {
		body.ID = json.RawMessage(id)
	}
	encoded, err := json.Marshal(body)
	if err != nil {
		return []byte(`{"jsonrpc":"2.0","error":{"code":-32603,"message":"the refusal cannot be written"}}`)
	}
	return encoded
}

// isID says whether a text is a JSON-RPC id: a JSON string or number.
func isID(text string) bool {
	if text == "" || !json.Valid([]byte(text)) {
		return false
	}
	first := text[0]
	return first == '"' || first == '-' || first >= '0' && first <= '9'
}

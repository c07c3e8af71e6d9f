// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
)

// The revisions that are spoken: the last one with sessions, and the one without.
const (
	sessionful = "2025-11-25"
	stateless  = "2026-07-28"
)

// Methods of MCP.
const (
	methodInitialize  = "initialize"
	methodInitialized = "notifications/initialized"
	methodTools       = "tools/list"
)

const (
	sessionHeader = "Mcp-Session-Id"
	jsonType      = "application/json"
	streamType    = "text/event-stream"
)

// longestLine bounds a line of a stream, as the client bounds the whole answer.
const longestLine = 1 << 20

// codeNoMethod is JSON-RPC's code for a method that is not there.
const codeNoMethod = -32601

var errNoMessage = errors.New("the answer holds no response")

// call is one message to the server.
type call struct {
	method   string
	revision string
	// session is that of the revision with sessions, once there is one.
	session string
	// cursor is where to go on in a list.
	cursor string
	token  authserver.Secret
	// notification says that no response is expected.
	notification bool
}

// reply is an answer of the server. Its message is read only where one is
// expected.
type reply struct {
	status int
	header http.Header
	// stream says that the answer is a stream of events.
	stream bool
	// message is the response, where one was found.
	message *response
	// err says why there is none.
	err error
}

// response is a JSON-RPC response.
type response struct {
	ID     json.RawMessage `json:"id"`
	Result json.RawMessage `json:"result"`
	Error  *struct {
		Code int64 `json:"code"`
	} `json:"error"`
}

func (r reply) succeeded() bool { return r.status >= 200 && r.status < 300 }

// gave says that the reply holds a result.
func (r reply) gave() bool { return r.succeeded() && r.message != nil && len(r.message.Result) > 0 }

// lacksMethod says that the server does not know the method.
func (r reply) lacksMethod() bool {
	return r.message != nil && r.message.Error != nil && r.message.Error.Code == codeNoMethod
}

// passing says that the server is not able to answer at present.
func (r reply) passing() bool {
	return r.status == http.StatusRequestTimeout || r.status == http.StatusTooManyRequests || r.status >= 500
}

// refusing says that the server refuses the token.
func (r reply) refusing() bool {
	return r.status == http.StatusUnauthorized || r.status == http.StatusForbidden
}

// body is the message of a call.
func (m call) body() ([]byte, error) {
	params := map[string]any{}
	client := map[string]any{"name": "mcp-registrar-probe", "version": "1"}
	switch {
	case m.method == methodInitialize:
		params = map[string]any{"protocolVersion": m.revision, "capabilities": map[string]any{}, "clientInfo": client}
	case m.revision == stateless:
		params["_meta"] = map[string]any{
			"io.modelcontextprotocol/protocolVersion":    m.revision,
			"io.modelcontextprotocol/clientInfo":         client,
			"io.modelcontextprotocol/clientCapabilities": map[string]any{},
		}
	}
	if m.cursor != "" {
		params["cursor"] = m.cursor
	}
	message := map[string]any{"jsonrpc": "2.0", "method": m.method}
	if len(params) > 0 {
		message["params"] = params
	}
	if !m.notification {
		message["id"] = 1
	}
	return json.Marshal(message)
}

// send sends a call. read says that a response is wanted, not only its kind.
func (c *conversation) send(ctx context.Context, m call, read bool) (reply, error) {
	body, err := m.body()
	if err != nil {
		return reply{}, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.resource, bytes.NewReader(body))
	if err != nil {
		return reply{}, err
	}
	req.Header.Set("Content-Type", jsonType)
	req.Header.Set("Accept", jsonType+", "+streamType)
	if m.method != methodInitialize {
		req.Header.Set("Mcp-Protocol-Version", m.revision)
	}
	if m.revision == stateless {
		req.Header.Set("Mcp-Method", m.method)
	}
	m.introduce(req)
	answer, err := c.client.Do(req)
	if err != nil {
		return reply{}, err
	}
	defer answer.Body.Close()
	return readReply(answer, read), nil
}

// introduce adds the session and the token.
func (m call) introduce(req *http.Request) {
	if m.session != "" {
		req.Header.Set(sessionHeader, m.session)
	}
	if !m.token.IsZero() {
		req.Header.Set("Authorization", "Bearer "+m.token.Reveal())
	}
}

// end ends a session. Whether the server knows how to is its affair.
func (c *conversation) end(ctx context.Context, session string, token authserver.Secret) {
	if session == "" {
		return
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodDelete, c.resource, http.NoBody)
	if err != nil {
		return
	}
	req.Header.Set("Mcp-Protocol-Version", sessionful)
	call{session: session, token: token}.introduce(req)
	if answer, err := c.client.Do(req); err == nil {
		_ = answer.Body.Close() // nothing of the answer is of interest
	}
}

func readReply(answer *http.Response, read bool) reply {
	kind, _, err := mime.ParseMediaType(answer.Header.Get("Content-Type"))
	if err != nil {
		kind = ""
	}
	r := reply{status: answer.StatusCode, header: answer.Header, stream: kind == streamType}
	switch {
	case r.stream && read && r.succeeded():
		r.message, r.err = readStream(answer.Body)
	case kind == jsonType && (read || r.succeeded()):
		r.message, r.err = readMessage(answer.Body)
	}
	return r
}

func readMessage(body io.Reader) (*response, error) {
	raw, err := io.ReadAll(body)
	if err != nil {
		return nil, err
	}
	return asResponse(raw)
}

// asResponse reads a response. Anything else, a batch too, is none.
func asResponse(raw []byte) (*response, error) {
	var message response
	if err := json.Unmarshal(raw, &message); err != nil || (len(message.Result) == 0 && message.Error == nil) {
		return nil, errNoMessage
	}
	return &message, nil
}

// readStream reads events until one is a response. Others are requests and
// notifications of the server, which nobody answers.
func readStream(body io.Reader) (*response, error) {
	lines := bufio.NewScanner(body)
	lines.Buffer(nil, longestLine)
	var data []string
	for lines.Scan() {
		line := lines.Text()
		if value, is := strings.CutPrefix(line, "data:"); is {
			data = append(data, strings.TrimPrefix(value, " "))
			continue
		}
		if line != "" || len(data) == 0 {
			continue
		}
		if message, err := asResponse([]byte(strings.Join(data, "\n"))); err == nil {
			return message, nil
		}
		data = nil
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	return nil, errNoMessage
}

// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package proxy_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcp-registrar/mcp-registrar/internal/guard"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

// lastWord takes the event that refuses the request q-1 from the end of a stream,
// and returns its reason; empty where there is none.
func lastWord(t *testing.T, a *answer) string {
	t.Helper()
	const begin = "event: message\ndata: "
	at := strings.LastIndex(a.body, begin)
	if at < 0 || !strings.HasSuffix(a.body, "}\n\n") {
		return ""
	}
	var said struct {
		Version string          `json:"jsonrpc"`
		ID      string          `json:"id"`
		Result  json.RawMessage `json:"result"`
		Error   struct {
			Code    int
			Message string
			Data    struct{ Reason string }
		}
	}
	data := strings.TrimSuffix(a.body[at+len(begin):], "\n\n")
	if err := json.Unmarshal([]byte(data), &said); err != nil || said.Error.Data.Reason == "" {
		return ""
	}
	if said.Version != "2.0" || said.ID != "q-1" || said.Result != nil || said.Error.Code == 0 || said.Error.Message == "" || strings.Contains(data, "\n") {
		t.Errorf("the last word is %q", data)
	}
	a.body = a.body[:at]
	return said.Error.Data.Reason
}

// A stream that is cut says to its client what was refused, once, between two
// events.
func TestAStreamThatIsCutHasALastWord(t *testing.T) {
	const (
		revoked  = "Revoked"
		progress = `data: {"jsonrpc":"2.0","method":"notifications/progress","params":{"error":"q-1","result":1}}` + "\n\n"
		result   = "event: message\r\nid: 7\r\ndata: {\"jsonrpc\":\"2.0\",\r\ndata: \"id\":\"q-1\",\"result\":{}}\r\n\r\n"
	)
	large := strings.Repeat("x", 5<<20)
	ofServer := `data: {"jsonrpc":"2.0","id":"q-1","method":"ping","params":{"error":{}}}` + "\n\n"
	for name, c := range map[string]struct {
		body, early, begun, want string
	}{
		"after its header":                    {addCall, "", "", revoked},
		"after a comment":                     {addCall, ": working\n\n", "", revoked},
		"after an event":                      {addCall, progress, "", revoked},
		"after an event with other ends":      {addCall, "data: 1\r\r", "", revoked},
		"in an event":                         {addCall, progress, "data: {\"unfin", revoked},
		"in the end of an event":              {addCall, progress, "data: {}\n", revoked},
		"a list, filtered":                    {listCall, progress, "data: {\"unfin", revoked},
		"after a request of the server's":     {addCall, ofServer, "", revoked},
		"after a null for an id":              {addCall, `data: {"jsonrpc":"2.0","id":null,"error":{"code":1}}` + "\n\n", "", revoked},
		"after another's answer":              {addCall, `data: {"jsonrpc":"2.0","id":1,"result":{}}` + "\n\n", "", revoked},
		"after what is no message":            {addCall, "data: \"result\"\n\ndata: {\"error\"\n\n", "", revoked},
		"after a large event":                 {addCall, `data: {"method":"x","params":"` + large + "\"}\n\n", "", revoked},
		"after a large event and another":     {addCall, `data: {"method":"x","params":"` + large + "\"}\r\n\r\n" + progress, "data: unfin", revoked},
		"after the answer":                    {addCall, progress + result, "", ""},
		"after the answer and more":           {addCall, result + progress + ofServer, "data: unfin", ""},
		"after an answer in another spelling": {addCall, `data: {"result":{},"id":"q\u002d1"}` + "\n\n", "", ""},
		"after an answer in a batch":          {addCall, `data: [{"id":3,"result":{}},{"id":"q-1","error":{}}]` + "\n\n", "", ""},
		"after a large answer":                {addCall, `data: {"jsonrpc":"2.0","id":"q-1","result":"` + large + "\"}\n\n", "", ""},
		"a notification":                      {`{"jsonrpc":"2.0","method":"notifications/x"}`, ": hi\n\n", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLasting(t, mediaStream, false)
			early := c.early
			if early == "" {
				early = ":\n\n"
			}
			answered := l.asks(http.MethodPost, c.body, early)
			l.says <- c.begun
			l.register.revoke("reader")
			got := get(t, answered)
			if said := lastWord(t, &got); said != c.want || got.status != http.StatusOK || got.body != early {
				t.Errorf("last %q after %d: %.300q", said, got.status, got.body)
			}
			if last := l.records.last(); c.want != "" && last != guard.Reason(policy.RefusedRevoked) {
				t.Errorf("on record is %s", last)
			}
		})
	}
}

// What a client has of a large event cannot be taken back: the connection ends, so
// that it takes nothing for whole.
func TestAStreamIsBrokenOffInALargeEvent(t *testing.T) {
	l := newLasting(t, mediaStream, false)
	answered := l.asks(http.MethodPost, addCall, "data: "+strings.Repeat("x", 4<<20+64<<10-len("data: ")))
	l.register.revoke("reader")
	if got := get(t, answered); got.status != 0 {
		t.Errorf("taken for whole: %d bytes, %.100q", len(got.body), got.body[max(0, len(got.body)-300):])
	}
}

// A list that cannot be read is refused in the stream that it came by, where that
// has begun.
func TestAListThatCannotBeReadInAStreamThatBegan(t *testing.T) {
	for name, list := range map[string]string{
		"broken": "data: " + fullList[:60] + "\n\n", "too large": "data: {\"x\":\"" + strings.Repeat("x", 4<<20) + "\"}\n\n",
	} {
		l := newLasting(t, mediaStream, false)
		answered := l.asks(http.MethodPost, listCall, ": hi\n\n")
		l.says <- list
		close(l.says)
		got := get(t, answered)
		if rest, ok := strings.CutPrefix(got.body, ": hi\n\nevent: message\ndata: {"); !ok || !strings.Contains(rest, `"id":"q-1"`) || !strings.Contains(rest, "-32603") || strings.Contains(rest, "erase") || !strings.HasSuffix(rest, "\n\n") {
			t.Errorf("%s: %d %.300q", name, got.status, got.body)
		}
	}
}

// The register that is not heard of ends streams too, by whoever sees it first.
func TestAStreamIsCutWhenTheRegisterIsTooOld(t *testing.T) {
	l := newLasting(t, mediaStream, false)
	answered := l.asks(http.MethodPost, addCall, ": hi\n\n")
	l.register.mu.Lock()
	l.register.stale = true
	l.register.mu.Unlock()
	l.says <- "data: 2\n\n"
	got := get(t, answered)
	if said := lastWord(t, &got); said != "RegisterStale" || got.body != ": hi\n\n" {
		t.Errorf("last %q after %q", said, got.body)
	}
}

// The official client does not wait for the answer to a call that was refused while
// it was under way.
func TestTheOfficialSDKHearsTheLastWord(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	w, server := sdkWorld(t, &mcp.StreamableHTTPOptions{})
	begun := make(chan struct{})
	server.AddTool(&mcp.Tool{Name: "add", InputSchema: map[string]any{"type": "object"}}, func(ctx context.Context, r *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		err := r.Session.NotifyProgress(ctx, &mcp.ProgressNotificationParams{ProgressToken: r.Params.GetProgressToken(), Progress: 1})
		close(begun)
		select {
		case <-ctx.Done():
		case <-t.Context().Done():
		}
		return nil, err
	})
	progress := make(chan struct{}, 1)
	client := mcp.NewClient(&mcp.Implementation{Name: "client", Version: "1"}, &mcp.ClientOptions{
		ProgressNotificationHandler: func(context.Context, *mcp.ProgressNotificationClientRequest) { progress <- struct{}{} },
	})
	session, err := client.Connect(ctx, &mcp.StreamableClientTransport{
		Endpoint: w.front.URL + "/mcp", HTTPClient: &http.Client{Transport: bearer("token-of-reader")}, DisableStandaloneSSE: true,
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	// It is ended by the guard.
	t.Cleanup(func() { _ = session.Close() })
	params := &mcp.CallToolParams{Name: "add"}
	params.SetProgressToken("p")
	failed := make(chan error, 1)
	go func() {
		_, err := session.CallTool(ctx, params)
		failed <- err
	}()
	<-begun
	<-progress
	w.register.revoke("reader")
	select {
	case err := <-failed:
		if err == nil || !strings.Contains(err.Error(), "the client was revoked") {
			t.Errorf("the client says %v", err)
		}
	case <-ctx.Done():
		t.Fatal("the client waits")
	}
}

// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package metadatadocument

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// listen serves the host on a port of its own.
func (w *world) listen(t *testing.T) (address string) {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := NewHTTPServer(w.host)
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	t.Cleanup(func() {
		if err := errors.Join(server.Close(), <-ended); !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	return listener.Addr().String()
}

// say sends bytes as they are and returns the status line and all that follows.
func say(t *testing.T, address, text string) (status int, head http.Header, body string) {
	t.Helper()
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("%q: %v", text[:min(len(text), 80)], err)
	}
	defer func() { _ = response.Body.Close() }()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, response.Header, string(content)
}

func TestTheListenerServesDocumentsAndNothingElse(t *testing.T) {
	w := newWorld(t)
	w.register(t, wish(mine))
	address := w.listen(t)
	request := func(line string) string {
		return line + "\r\nHost: anything.example\r\nConnection: close\r\n\r\n"
	}
	status, head, body := say(t, address, request("GET "+myPath+" HTTP/1.1"))
	if status != http.StatusOK || !strings.Contains(body, mine) || head.Get("Set-Cookie") != "" || head.Get("Vary") != "" || head.Get("Server") != "" {
		t.Errorf("%d %v %s", status, head, body)
	}
	_, want, wantBody := say(t, address, request("GET /never HTTP/1.1"))
	want.Del("Date")
	for _, line := range []string{
		"GET //mcp/mcpr-one HTTP/1.1", "GET /mcp//mcpr-one HTTP/1.1", "GET /mcp/mcpr-one/ HTTP/1.1", "GET /mcp/mcpr-one? HTTP/1.1",
		"GET /mcp/%6dcpr-one HTTP/1.1", "GET /mcp/x/../mcpr-one HTTP/1.1", "GET /mcp/%2e/mcpr-one HTTP/1.1",
		"GET https://clients.example.com/mcp/mcpr-one HTTP/1.1", "OPTIONS * HTTP/1.1", "OPTIONS /mcp/mcpr-one HTTP/1.1",
		"POST /mcp/mcpr-one HTTP/1.1", "TRACE /mcp/mcpr-one HTTP/1.1", "PRI * HTTP/1.1", "GET / HTTP/1.0",
	} {
		status, head, body := say(t, address, request(line))
		head.Del("Date")
		if status != http.StatusNotFound || body != wantBody || len(head) != len(want) || head.Get("Location") != "" || head.Get("Allow") != "" {
			t.Errorf("%s: %d %v %q", line, status, head, body)
		}
	}
	status, _, _ = say(t, address, "GET "+myPath+" HTTP/1.1\r\nHost: a\r\nX: "+strings.Repeat("x", 64<<10)+"\r\n\r\n")
	if status != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("64 KiB of header: %d", status)
	}
}

// TestASlowRequestIsGivenUp: the server has a bound for each thing it waits for.
func TestASlowRequestIsGivenUp(t *testing.T) {
	server := NewHTTPServer(newWorld(t).host)
	for name, bound := range map[string]time.Duration{
		"header": server.ReadHeaderTimeout, "body": server.ReadTimeout, "answer": server.WriteTimeout, "idle": server.IdleTimeout,
	} {
		if bound <= 0 || bound > 2*time.Minute {
			t.Errorf("%s: %s", name, bound)
		}
	}
	w := newWorld(t)
	server = NewHTTPServer(w.host)
	server.ReadHeaderTimeout = 50 * time.Millisecond
	near, far := net.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(&one{conn: far}) }()
	if _, err := io.WriteString(near, "GET / HTTP/1.1\r\nHost"); err != nil {
		t.Fatal(err)
	}
	if err := near.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(near); err != nil {
		t.Errorf("the connection stays open: %v", err)
	}
	if err := server.Close(); err != nil {
		t.Error(err)
	}
	<-ended
}

// one is a listener with one connection.
type one struct {
	conn net.Conn
	done chan struct{}
}

func (o *one) Accept() (net.Conn, error) {
	if conn := o.conn; conn != nil {
		o.conn, o.done = nil, make(chan struct{})
		return conn, nil
	}
	<-o.done
	return nil, net.ErrClosed
}

func (o *one) Close() error   { close(o.done); return nil }
func (o *one) Addr() net.Addr { return &net.TCPAddr{} }

// FuzzPath holds that one spelling of the path alone leads to the document, on
// the wire and below it.
func FuzzPath(f *testing.F) {
	for _, seed := range []string{
		myPath, myPath + "/", myPath + "?", "/mcp/%6dcpr-one", "//mcp/mcpr-one", "*", "", "/mcp/mcpr-one#", "/mcp/mcpr-one\x00",
		"https://clients.example.com" + myPath, "/mcp/./mcpr-one", "/MCP/mcpr-one", "/mcp/mcpr-one;v=1", "/mcp\\mcpr-one",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, target string) {
		w := newWorld(t).withRecord()
		w.record.put(recorded(mine))
		got := w.ask(t, http.MethodGet, target)
		if (got.Code == http.StatusOK) != (target == myPath) || got.Code != http.StatusOK && got.Code != http.StatusNotFound {
			t.Errorf("%q: %d", target, got.Code)
		}
		if got.Code == http.StatusNotFound && got.Body.String() != "Not Found\n" {
			t.Errorf("%q: %s", target, got.Body)
		}
	})
}

// FuzzPublicKeys holds that nothing private is ever published, whatever a key
// set looks like.
func FuzzPublicKeys(f *testing.F) {
	for _, seed := range []string{
		`{"keys":[{"kty":"EC","crv":"P-256","x":"a","y":"b"}]}`, `{"keys":[{"kty":"EC","d":"c"}]}`, `{"keys":[{"kty":"oct","k":"a"}]}`,
		`{"keys":[{"kty":"RSA","n":"a","e":"AQAB","Oth":[]}]}`, `{"keys":[{"kty":"OKP","x":"a"}],"d":"x"}`, `{"Keys":[{"kty":"EC","\u0064":"c"}]}`,
		`{"keys":[{"kty":"EC"},{"kty":"EC","p":1}]}`, `{"keys":{}}`, `[]`, `{`, ``,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, jwks string) {
		m := wish(mine)
		m.AuthMethod, m.JWKS = methodPrivateKey, jwks
		body, code := write(mine, m)
		if code != "" {
			return
		}
		var document struct {
			JWKS map[string][]map[string]any `json:"jwks"`
		}
		if err := json.Unmarshal(body, &document); err != nil || len(document.JWKS) != 1 || len(body) > Largest {
			t.Fatalf("%q became %s: %v", jwks, body, err)
		}
		for _, key := range document.JWKS["keys"] {
			for member := range key {
				if slices.Contains([]string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"}, strings.ToLower(member)) {
					t.Errorf("%q: %s is published", jwks, member)
				}
			}
		}
	})
}

// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package proxy_test

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mcp-registrar/mcp-registrar/internal/guard"
	"github.com/mcp-registrar/mcp-registrar/internal/guard/proxy"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

func TestAnAllowedCallPasses(t *testing.T) {
	w := newWorld(t, fine)
	body := " " + addCall + "\n"
	begun := time.Now()
	got := w.post(body, "Cookie", "a=b", "Mcp-Param-Region", "eu", "Mcp-Param-My_key", "k", "Mcp_Name", "erase", "Mcp_Param-X", "x", "X-Forwarded-For", "1.2.3.4", "Forwarded", "for=1.2.3.4",
		"X-Original-Url", "/admin", "X-Http-Method-Override", "DELETE", "Accept-Encoding", "gzip", "Connection", "X-Hop", "X-Hop", "1")
	if got.status != http.StatusOK || got.body != `{"jsonrpc":"2.0","id":"q-1","result":{}}` || w.records.last() != guard.ReasonAllowed {
		t.Fatalf("%+v for %s", got, w.records.last())
	}
	at := w.passed()[0]
	if at.body != body || at.target != "/inner" || at.method != http.MethodPost || !strings.HasPrefix(at.host, "127.0.0.1:") {
		t.Errorf("the upstream had %+v", at)
	}
	for name, want := range map[string]string{
		"Authorization": "", "Cookie": "a=b", "Mcp-Param-Region": "eu", "Mcp-Param-My_key": "k", "Mcp_name": "", "Mcp_param-X": "", "X-Forwarded-For": "127.0.0.1", "X-Forwarded-Proto": "http",
		"X-Forwarded-Host": strings.TrimPrefix(w.front.URL, "http://"), "Forwarded": "", "X-Original-Url": "", "X-Http-Method-Override": "",
		"Accept-Encoding": "identity", "X-Hop": "", "Content-Type": "application/json",
	} {
		if have := strings.Join(at.header[name], "|"); have != want {
			t.Errorf("%s is %q, want %q", name, have, want)
		}
	}
	w.observed(time.Since(begun))
}

func TestTokensAreTakenFromOneHeaderOnly(t *testing.T) {
	for name, query := range map[string]string{
		"plain": "access_token=x", "escaped": "access%5Ftoken=x", "escaped twice": "access%255Ftoken=x", "in capitals": "Access_Token=x",
		"behind a semicolon": "a=b;access_token=x", "without value": "a=b&access_token", "as an array": "access_token[]=x", "with a dot": "access.token=x",
		"all escaped": "%61%63%63%65%73%73%5f%74%6f%6b%65%6e=x", "beside a broken escape": "%zz=1&access_token=x", "with a space": "+access_token=x",
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, fine)
			w.refused(w.do(w.request(http.MethodPost, "/mcp?"+query, addCall)), http.StatusBadRequest, guard.TokenAmbiguous)
		})
	}
	t.Run("two headers", func(t *testing.T) {
		w := newWorld(t, fine)
		r := w.request(http.MethodPost, "/mcp", addCall)
		r.Header.Add("Authorization", "Bearer token-of-other")
		w.refused(w.do(r), http.StatusBadRequest, guard.TokenAmbiguous)
	})
	t.Run("none", func(t *testing.T) {
		w := newWorld(t, fine)
		got := w.post(addCall, "Authorization", "")
		w.refused(got, http.StatusUnauthorized, guard.TokenMissing)
		want := `Bearer resource_metadata="https://mcp.example.com/.well-known/oauth-protected-resource/mcp", scope="calc:enter"`
		if challenge := got.header.Get("Www-Authenticate"); challenge != want || !strings.Contains(got.body, `"id":"q-1"`) {
			t.Errorf("%s\n%s", challenge, got.body)
		}
	})
	t.Run("none, with a body that is not read", func(t *testing.T) {
		w := newWorld(t, fine)
		r := w.request(http.MethodPost, "/mcp", addCall)
		r.Header.Del("Authorization")
		r.ContentLength, r.Body = -1, io.NopCloser(io.MultiReader(strings.NewReader(addCall), strings.NewReader(strings.Repeat(" ", 2<<20))))
		got := w.do(r)
		w.refused(got, http.StatusUnauthorized, guard.TokenMissing)
		if strings.Contains(got.body, `"id"`) {
			t.Errorf("the body was read: %s", got.body)
		}
	})
	t.Run("another query passes", func(t *testing.T) {
		w := newWorld(t, fine)
		if got := w.do(w.request(http.MethodPost, "/mcp?a=access_token", addCall)); got.status != http.StatusOK || w.passed()[0].target != "/inner?a=access_token" {
			t.Errorf("%+v", got)
		}
	})
	t.Run("the upstream's query is the only one", func(t *testing.T) {
		w := newWorld(t, fine, func(o *proxy.Options) { o.Routes[0].Upstream.RawQuery = "key=own" })
		if got := w.do(w.request(http.MethodPost, "/mcp?key=client", addCall)); got.status != http.StatusOK || w.passed()[0].target != "/inner?key=own" {
			t.Errorf("%+v %+v", got, w.passed())
		}
	})
}

func TestWhatIsNotGrantedIsRefused(t *testing.T) {
	w := newWorld(t, fine)
	// No token helps: these are answers, and were 403 once.
	w.refusedInAnswer(w.post(eraseCall), guard.Reason(policy.RefusedNoGrant))
	w.refusedInAnswer(w.post(call("resources/read", `{"uri":"file:///etc/passwd"}`)), guard.Reason(policy.RefusedNoGrant))
	w.refusedInAnswer(w.post(call("tools/call", `{"name":"drop"}`)), guard.Reason(policy.RefusedToolUnknown))
	w.register.change(guard.Change{}, func() {
		server := w.register.servers[calc]
		server.WithholdChanged = true
		w.register.servers[calc] = server
		for i := range w.register.grants {
			w.register.grants[i].ChangedTools = []string{"add"}
		}
	})
	w.refusedInAnswer(w.post(addCall), guard.Reason(policy.RefusedReviewRequired))
	// Where nobody waits for an answer there is a status, and no challenge.
	for name, r := range map[string]*http.Request{
		"a notification":    w.request(http.MethodPost, "/mcp", `{"jsonrpc":"2.0","method":"resources/x"}`),
		"a call without id": w.request(http.MethodPost, "/mcp", `{"jsonrpc":"2.0","method":"tools/call","params":{"name":"erase"}}`),
	} {
		got := w.do(r)
		w.refused(got, http.StatusForbidden, guard.Reason(policy.RefusedNoGrant))
		if got.header.Get("Www-Authenticate") != "" {
			t.Errorf("%s: %+v", name, got)
		}
	}
	w.register.change(guard.Change{}, func() { w.register.grants = nil })
	for name, r := range map[string]*http.Request{
		"a stream": w.request(http.MethodGet, "/mcp", ""), "the end of a session": w.request(http.MethodDelete, "/mcp", ""),
		"an answer to the server": w.request(http.MethodPost, "/mcp", `{"jsonrpc":"2.0","id":1,"result":{}}`),
	} {
		got := w.do(r)
		w.refused(got, http.StatusForbidden, guard.Reason(policy.RefusedNoGrant))
		if got.header.Get("Www-Authenticate") != "" {
			t.Errorf("%s: %+v", name, got)
		}
	}
	w.register.change(guard.Change{}, func() { w.register.stale = true })
	got := w.post(addCall)
	w.refused(got, http.StatusServiceUnavailable, guard.RegisterStale)
	if got.header.Get("Retry-After") != "1" {
		t.Error("nothing says when to try again")
	}
}

func TestHeadersThatLieAreRefused(t *testing.T) {
	wrap := func(name string) string { return "=?base64?" + base64.StdEncoding.EncodeToString([]byte(name)) + "?=" }
	modern := []string{"Mcp-Protocol-Version", "2026-07-28", "Mcp-Method", "tools/call", "Mcp-Name"}
	for name, c := range map[string]struct {
		header  []string
		refused bool
	}{
		"another tool":               {[]string{"Mcp-Name", "add"}, true},
		"another method":             {[]string{"Mcp-Method", "tools/list"}, true},
		"another tool in Base64":     {append(modern, wrap("add")), true},
		"broken Base64":              {append(modern, "=?base64?ZXJhc2U!?="), true},
		"the tool in Base64":         {append(modern, wrap("erase")), false},
		"the tool":                   {append(modern, "erase"), false},
		"no name, from 2026-07-28":   {modern[:4], true},
		"no method, from 2026-07-28": {modern[:2], true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, fine)
			got := w.post(eraseCall, append(c.header, "Authorization", "Bearer token-of-third")...)
			if !c.refused {
				if got.status != http.StatusOK {
					t.Errorf("%+v", got)
				}
				return
			}
			w.refused(got, http.StatusBadRequest, guard.RequestHeaderMismatch)
			if got.code() != -32020 {
				t.Error(got.body)
			}
		})
	}
}

func TestBatchesAreRefused(t *testing.T) {
	w := newWorld(t, fine)
	got := w.post("[" + addCall + "," + eraseCall + "]")
	w.refused(got, http.StatusBadRequest, guard.RequestBatch)
	if got.code() != -32600 {
		t.Error(got.body)
	}
}

func TestOversizedBodiesAreRefused(t *testing.T) {
	small := func(o *proxy.Options) { o.MaxBody = 200 }
	large := call("tools/call", `{"name":"add","arguments":"`+strings.Repeat("x", 300)+`"}`)
	t.Run("declared", func(t *testing.T) {
		w := newWorld(t, fine, small)
		w.refused(w.post(large), http.StatusRequestEntityTooLarge, guard.RequestTooLarge)
	})
	t.Run("chunked", func(t *testing.T) {
		w := newWorld(t, fine, small)
		r := w.request(http.MethodPost, "/mcp", "")
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader(large)), -1
		w.refused(w.do(r), http.StatusRequestEntityTooLarge, guard.RequestTooLarge)
	})
	t.Run("as large as allowed", func(t *testing.T) {
		w := newWorld(t, fine, func(o *proxy.Options) { o.MaxBody = int64(len(large)) })
		if got := w.post(large); got.status != http.StatusOK {
			t.Errorf("%+v", got)
		}
	})
}

func TestOnlyTheExactPathIsServed(t *testing.T) {
	for _, target := range []string{
		"/mcp/../x", "//mcp", "/mcp/", "/mcp/.", "/./mcp", "/%2e/mcp", "/mcp%2f..%2fx", "/%6dcp", "/mcp%00", "/MCP", "/mcp;a=b", "/mcp/..;/x", "/", "/mcp#x", "/inner", `/mcp\..\x`,
	} {
		w := newWorld(t, fine)
		if got := w.raw("POST "+target+" HTTP/1.1", "Content-Type: application/json", addCall); got.StatusCode != http.StatusNotFound && got.StatusCode != http.StatusBadRequest || len(w.passed()) > 0 {
			t.Errorf("%s: %d, %+v", target, got.StatusCode, w.passed())
		}
	}
	w := newWorld(t, fine)
	if got := w.raw("POST /mcp HTTP/1.1", "Content-Type: application/json", addCall); got.StatusCode != http.StatusOK {
		t.Errorf("the path itself: %d", got.StatusCode)
	}
}

func TestTargetsThatAreNoPathsAreNotServed(t *testing.T) {
	for _, line := range []string{"POST http://internal.example/mcp HTTP/1.1", "CONNECT 127.0.0.1:1 HTTP/1.1", "OPTIONS * HTTP/1.1"} {
		w := newWorld(t, fine)
		if got := w.raw(line, "Content-Type: application/json", addCall); got.StatusCode != http.StatusNotFound || len(w.passed()) > 0 {
			t.Errorf("%s: %d, %+v", line, got.StatusCode, w.passed())
		}
	}
}

func TestLineBreaksInHeadersAreRefused(t *testing.T) {
	for _, header := range []string{"Mcp-Name: add\rX-Evil: 1", "Mcp-Name: add\x00", "Mcp-Name: add\n X-Evil: 1", "Mcp-Name : add", "Mcp-Name: add\x0bX-Evil: 1"} {
		w := newWorld(t, fine)
		got := w.raw("POST /mcp HTTP/1.1", "Content-Type: application/json\r\n"+header, addCall)
		if got.StatusCode != http.StatusBadRequest || len(w.passed()) > 0 {
			t.Errorf("%q: %d, %+v", header, got.StatusCode, w.passed())
		}
	}
	w := newWorld(t, fine)
	got := w.raw("POST /mcp HTTP/1.1", "Content-Type: application/json\r\nTransfer-Encoding: chunked", addCall+"\r\n")
	if got.StatusCode != http.StatusBadRequest || len(w.passed()) > 0 {
		t.Errorf("two lengths of a body: %d, %+v", got.StatusCode, w.passed())
	}
}

// raw sends a request as it is written, by the connection.
func (w *world) raw(line, header, body string) *http.Response {
	w.t.Helper()
	var dialer net.Dialer
	conn, err := dialer.DialContext(w.t.Context(), "tcp", w.front.Listener.Addr().String())
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		w.t.Fatal(err)
	}
	fmt.Fprintf(conn, "%s\r\nHost: mcp.example.com\r\nAuthorization: Bearer token-of-reader\r\n%s\r\nContent-Length: %d\r\n\r\n%s", line, header, len(body), body)
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		w.t.Fatalf("%s, %q: %v", line, header, err)
	}
	response.Body.Close()
	return response
}

func TestUpgradesAreRefused(t *testing.T) {
	w := newWorld(t, fine)
	w.refused(w.do(w.request(http.MethodGet, "/mcp", "", "Connection", "Upgrade", "Upgrade", "websocket")), http.StatusBadRequest, guard.RequestUnsupported)
	if got := w.post(addCall, "Connection", "Upgrade, HTTP2-Settings", "Upgrade", "h2c", "Http2-Settings", "AAMAAABkAAQAAP__"); got.status != http.StatusOK {
		t.Errorf("an offer of HTTP/2: %+v", got)
	}
	if at := w.passed()[0]; at.header.Get("Upgrade") != "" || at.header.Get("Http2-Settings") != "" || at.header.Get("Connection") != "" {
		t.Errorf("the offer was handed on: %+v", at)
	}
}

func TestOtherMethodsAndMediaAreRefused(t *testing.T) {
	w := newWorld(t, fine)
	got := w.do(w.request(http.MethodPut, "/mcp", addCall))
	w.refused(got, http.StatusMethodNotAllowed, guard.RequestUnsupported)
	if got.header.Get("Allow") != "POST, GET, DELETE" {
		t.Error(got.header)
	}
	w.refused(w.post(addCall, "Content-Type", "text/plain"), http.StatusUnsupportedMediaType, guard.RequestUnsupported)
	w.refused(w.post(addCall, "Content-Encoding", "gzip"), http.StatusUnsupportedMediaType, guard.RequestUnsupported)
}

func TestTheTokenIsPassedOnlyWhereConfigured(t *testing.T) {
	upstream := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("WWW-Authenticate", "Bearer realm=inner")
		w.Header().Set("Alt-Svc", `h2="inner:1"`)
		w.WriteHeader(http.StatusForbidden)
	}
	for _, passed := range []bool{false, true} {
		w := newWorld(t, upstream, func(o *proxy.Options) { o.Routes[0].PassToken = passed })
		got := w.post(addCall)
		want := map[bool]int{true: http.StatusForbidden, false: http.StatusBadGateway}[passed]
		if got.status != want || got.header.Get("Alt-Svc") != "" {
			t.Errorf("%+v", got)
		}
		if (got.header.Get("WWW-Authenticate") != "") != passed || (w.passed()[0].header.Get("Authorization") == "Bearer token-of-reader") != passed {
			t.Errorf("passed %v: %+v, %+v", passed, got, w.passed()[0].header)
		}
	}
}

// A client that writes all of its request before it reads has a refusal that did not wait
// for that too: closing at once resets the connection, and the answer is lost.
func TestARefusedBodyIsReadOn(t *testing.T) {
	w := newWorld(t, fine, func(o *proxy.Options) { o.MaxBody = 4 << 20 })
	const token, closes = "Authorization: Bearer token-of-reader\r\n", "Connection: close\r\n"
	for name, c := range map[string]struct {
		header      string
		size, sends int
		chunked     bool
		status      int
	}{
		"said how long":                 {"", 3 << 20, 3 << 20, false, http.StatusUnauthorized},
		"said how long, and closes":     {closes, 3 << 20, 3 << 20, false, http.StatusUnauthorized},
		"in chunks, and closes":         {closes, 3 << 20, 3 << 20, true, http.StatusUnauthorized},
		"too large, without a token":    {closes, 6 << 20, 6 << 20, false, http.StatusUnauthorized},
		"too large, and closes":         {token + closes, 6 << 20, 6 << 20, false, http.StatusRequestEntityTooLarge},
		"too large in chunks":           {token + closes, 6 << 20, 6 << 20, true, http.StatusRequestEntityTooLarge},
		"waits to be asked for it":      {"Expect: 100-continue\r\n", 3 << 20, 0, false, http.StatusUnauthorized},
		"never sends it, and listens":   {"", 3 << 20, 0, false, http.StatusUnauthorized},
		"sends a part, and then closes": {closes, 3 << 20, 1 << 20, false, http.StatusUnauthorized},
	} {
		t.Run(name, func(t *testing.T) {
			head := "POST /mcp HTTP/1.1\r\nHost: guard\r\nContent-Type: application/json\r\n" + c.header
			body := strings.Repeat(" ", c.sends)
			if c.chunked {
				head, body = head+"Transfer-Encoding: chunked\r\n\r\n", fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", c.size, body)
			} else {
				head += fmt.Sprintf("Content-Length: %d\r\n\r\n", c.size)
			}
			for range 5 {
				w.answersWriter(t, head+body, c.status)
			}
		})
	}
	if n := len(w.passed()); n > 0 {
		t.Errorf("%d passed", n)
	}
}

// Refused bodies are read on no faster than so many bytes a second together, however many
// there are: calls of others are decided about meanwhile. All of their clients have their
// answers nevertheless.
func TestRefusedBodiesAreReadOnAtAPace(t *testing.T) {
	const clients, size, pace = 16, 2 << 20, 32 << 20
	w := newWorld(t, fine)
	proxy.ReadOn(w.front.Config.Handler, pace)
	request := fmt.Sprintf("POST /mcp HTTP/1.1\r\nHost: guard\r\nContent-Length: %d\r\n\r\n", size) + strings.Repeat(" ", size)
	began := time.Now()
	var all sync.WaitGroup
	for range clients {
		all.Go(func() { w.answersWriter(t, request, http.StatusUnauthorized) })
	}
	all.Wait()
	// Closing waits until the last of them was read on.
	w.front.Config.SetKeepAlivesEnabled(false)
	if err := w.front.Config.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	// What is read in the first moment is a small part.
	if took, least := time.Since(began), time.Second*clients*size/pace*3/4; took < least {
		t.Errorf("%d MiB were read on in %s, want at least %s", clients*size>>20, took, least)
	}
}

// Who sends nothing of a refused body keeps nobody from having theirs read on.
func TestARefusedBodyWaitsForNoOther(t *testing.T) {
	w := newWorld(t, fine)
	const silent, size = 64, 3 << 20
	head := fmt.Sprintf("POST /mcp HTTP/1.1\r\nHost: guard\r\nContent-Length: %d\r\n\r\n", size)
	var ended atomic.Int32
	var all sync.WaitGroup
	defer all.Wait()
	for range silent {
		connection, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(w.front.URL, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer connection.Close()
		if _, err := io.WriteString(connection, head); err != nil {
			t.Fatal(err)
		}
		reader := bufio.NewReader(connection)
		response, err := http.ReadResponse(reader, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		all.Go(func() {
			_, _ = io.Copy(io.Discard, reader)
			ended.Add(1)
		})
	}
	for range 8 {
		w.answersWriter(t, head+strings.Repeat(" ", size), http.StatusUnauthorized)
	}
	if n := ended.Load(); n > 0 {
		t.Errorf("the answers came after %d of those who sent nothing were given up", n)
	}
}

// answersWriter holds that who writes a whole request before it reads has an answer.
func (w *world) answersWriter(t *testing.T, request string, status int) {
	t.Helper()
	connection, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(w.front.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	if _, err := io.WriteString(connection, request); err != nil {
		t.Fatalf("writing the request: %v", err)
	}
	response, err := http.ReadResponse(bufio.NewReader(connection), nil)
	if err != nil {
		t.Fatalf("reading the answer: %v", err)
	}
	defer response.Body.Close()
	said, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != status || !json.Valid(said) {
		t.Errorf("%d: %s, %v", response.StatusCode, said, err)
	}
}

// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package proxy_test

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mcp-registrar/mcp-registrar/internal/guard/proxy"
)

// executions counts how often each call was carried out.
type executions struct {
	mu  sync.Mutex
	all map[string]int
}

func (e *executions) add(call string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.all == nil {
		e.all = map[string]int{}
	}
	e.all[call]++
}

func (e *executions) of(call string) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.all[call]
}

// listen has a function serve each connection of an upstream, and returns where
// that is.
func listen(t *testing.T, scheme string, serve func(net.Conn)) *url.URL {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var served sync.WaitGroup
	t.Cleanup(func() { listener.Close(); served.Wait() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			served.Go(func() {
				defer conn.Close()
				_ = conn.SetDeadline(time.Now().Add(time.Minute))
				serve(conn)
			})
		}
	}()
	return &url.URL{Scheme: scheme, Host: listener.Addr().String(), Path: "/mcp"}
}

func at(upstream *url.URL) func(*proxy.Options) {
	return func(o *proxy.Options) { o.Routes[0].Upstream = upstream }
}

// numbered is a call that the upstream can tell from others.
func numbered(n int) string {
	return call("tools/call", fmt.Sprintf(`{"name":"add","arguments":{"a":"call-%d"}}`, n))
}

const fineAnswer = `{"jsonrpc":"2.0","id":"q-1","result":{}}`

// A call that the upstream may have carried out is not sent again, whatever the
// connection does, and whatever headers the client sends.
func TestNoCallIsCarriedOutTwice(t *testing.T) {
	reset := func(conn net.Conn) { _ = conn.(*net.TCPConn).SetLinger(0) }
	for name, end := range map[string]struct {
		read func(*bufio.Reader) (*http.Request, error)
		act  func(net.Conn)
		may  int
	}{
		"ended after the call":     {http.ReadRequest, func(net.Conn) {}, 1},
		"reset after the call":     {http.ReadRequest, reset, 1},
		"ended before the call":    {func(*bufio.Reader) (*http.Request, error) { return nil, io.EOF }, func(net.Conn) {}, 0},
		"reset before the call":    {func(*bufio.Reader) (*http.Request, error) { return nil, io.EOF }, reset, 0},
		"ended in the midst of it": {func(r *bufio.Reader) (*http.Request, error) { _, err := r.ReadByte(); return nil, err }, func(net.Conn) {}, 0},
		"a part of an answer":      {http.ReadRequest, func(conn net.Conn) { _, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-L") }, 1},
		"a timeout of the idle client": {http.ReadRequest, func(conn net.Conn) {
			_, _ = io.WriteString(conn, "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
		}, 1},
	} {
		for _, header := range []string{"X-Nothing", "Idempotency-Key", "X-Idempotency-Key"} {
			t.Run(name+", "+header, func(t *testing.T) {
				var done executions
				w := newWorld(t, fine, at(listen(t, "http", func(conn net.Conn) {
					reader := bufio.NewReader(conn)
					for first := true; ; first = false {
						read := http.ReadRequest
						if !first {
							read = end.read
						}
						request, err := read(reader)
						if err == nil && request != nil {
							body, _ := io.ReadAll(request.Body)
							done.add(string(body))
							if !strings.EqualFold(request.Header.Get(header), "key") {
								t.Errorf("%s was not handed on", header)
							}
						}
						if !first || err != nil {
							end.act(conn)
							return
						}
						fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(fineAnswer), fineAnswer)
					}
				})))
				for n := range 10 {
					got := w.post(numbered(n), header, "key")
					times := done.of(numbered(n))
					if times > 1 || got.status == http.StatusOK && times != 1 {
						t.Fatalf("call %d was carried out %d times: %+v", n, times, got)
					}
					if got.status != http.StatusOK && got.status != http.StatusRequestTimeout && (got.status != http.StatusBadGateway || !strings.Contains(got.body, "may have been carried out")) {
						t.Errorf("call %d: %+v", n, got)
					}
				}
			})
		}
	}
}

// An upstream that resets a call with PROTOCOL_ERROR has had it.
func TestNoCallIsCarriedOutTwiceByHTTP2(t *testing.T) {
	var done executions
	w := newWorld(t, fine, at(listen(t, "h2c", func(conn net.Conn) {
		const data, headers, rst, settings = 0, 1, 3, 4
		write := func(kind, flags byte, stream uint32, payload ...byte) {
			frame := append([]byte{0, 0, byte(len(payload)), kind, flags}, binary.BigEndian.AppendUint32(nil, stream)...)
			_, _ = conn.Write(append(frame, payload...))
		}
		if _, err := io.ReadFull(conn, make([]byte, len("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"))); err != nil {
			return
		}
		write(settings, 0, 0)
		head := make([]byte, 9)
		for {
			if _, err := io.ReadFull(conn, head); err != nil {
				return
			}
			payload := make([]byte, int(head[0])<<16|int(head[1])<<8|int(head[2]))
			if _, err := io.ReadFull(conn, payload); err != nil {
				return
			}
			switch stream := binary.BigEndian.Uint32(head[5:]); {
			case head[3] == settings && head[4] == 0:
				write(settings, 1, 0)
			case head[3] == data && len(payload) > 0:
				done.add(string(payload))
				write(rst, 0, stream, 0, 0, 0, 1)
			case head[3] == headers:
			}
		}
	})))
	if got := w.post(numbered(1)); got.status != http.StatusBadGateway || done.of(numbered(1)) != 1 {
		t.Errorf("carried out %d times: %+v", done.of(numbered(1)), got)
	}
}

func TestAnUpstreamOfHTTP2WithoutTLS(t *testing.T) {
	var protocol string
	back := &http.Server{Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { protocol = r.Proto; fine(rw, r) }), ReadHeaderTimeout: time.Minute, Protocols: new(http.Protocols)}
	back.Protocols.SetUnencryptedHTTP2(true)
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = back.Serve(listener) }()
	t.Cleanup(func() { back.Close() })
	for scheme, want := range map[string]int{"h2c": http.StatusOK, "http": http.StatusBadGateway} {
		w := newWorld(t, fine, at(&url.URL{Scheme: scheme, Host: listener.Addr().String(), Path: "/mcp"}))
		if got := w.post(addCall); got.status != want {
			t.Errorf("%s: %+v", scheme, got)
		}
	}
	if protocol != "HTTP/2.0" {
		t.Errorf("the upstream was spoken to by %s", protocol)
	}
}

// nodeServer answers calls and ends connections that are idle for so many
// milliseconds. It writes its port, and then each call that it carries out. It is
// busy half of the time, as servers are: it then ends a connection that was idle for
// too long before it looks whether there is a call by now.
const nodeServer = `
const server = require('node:http').createServer((request, response) => {
  let body = '';
  request.on('data', part => body += part);
  request.on('end', () => {
    console.log(JSON.stringify(body));
    response.setHeader('Content-Type', 'application/json');
    // Some releases add a second to keepAliveTimeout.
    response.on('finish', () => setImmediate(() => request.socket.setTimeout(Number(process.argv[1]))));
    response.end('{"jsonrpc":"2.0","id":"q-1","result":{}}');
  });
});
setInterval(() => { for (const end = Date.now() + 50; Date.now() < end;); }, 100);
server.keepAliveTimeout = 60000;
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
`

// A connection that Node is about to end is not used any more.
func TestNodeEndsIdleConnections(t *testing.T) {
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("there is no node")
	}
	const kept, used = 475 * time.Millisecond, 200 * time.Millisecond
	command := exec.CommandContext(t.Context(), node, "-e", nodeServer, strconv.Itoa(int(kept.Milliseconds())))
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	if !lines.Scan() {
		t.Fatal("node does not listen")
	}
	port := lines.Text()
	var done executions
	over := make(chan struct{})
	go func() {
		defer close(over)
		for lines.Scan() {
			if body, err := strconv.Unquote(lines.Text()); err == nil {
				done.add(body)
			}
		}
	}()
	const lanes, calls = 8, 16
	var all sync.WaitGroup
	for lane := range lanes {
		// Each has a guard of its own, so that no other call refreshes its connection.
		w := newWorld(t, fine, at(&url.URL{Scheme: "http", Host: "127.0.0.1:" + port, Path: "/mcp"}), func(o *proxy.Options) { o.IdleTimeout = used })
		all.Go(func() {
			for n := range calls {
				// Around the time for which the guard keeps a connection, and that for
				// which Node does.
				pause := used + time.Duration(lane-lanes/2)*time.Millisecond
				if n%2 == 1 {
					pause = kept + time.Duration(lane-lanes/2)*10*time.Millisecond
				}
				<-time.After(pause)
				if got := w.post(numbered(lane*calls + n)); got.status != http.StatusOK {
					t.Errorf("after a pause of %s: %+v", pause, got)
				}
			}
		})
	}
	all.Wait()
	_ = command.Process.Kill()
	<-over
	_ = command.Wait()
	for n := range lanes * calls {
		if times := done.of(numbered(n)); times != 1 {
			t.Errorf("call %d was carried out %d times", n, times)
		}
	}
}

// A connection is used for the next call while it is fresh.
func TestConnectionsAreKept(t *testing.T) {
	for idle, want := range map[time.Duration]int{4 * time.Second: 1, 0: 3} {
		var seen sync.Map
		w := newWorld(t, func(rw http.ResponseWriter, r *http.Request) {
			seen.Store(r.RemoteAddr, true)
			fine(rw, r)
		}, func(o *proxy.Options) { o.IdleTimeout = idle })
		for range 3 {
			w.post(addCall)
		}
		var peers bytes.Buffer
		count := 0
		seen.Range(func(peer, _ any) bool { count++; fmt.Fprintln(&peers, peer); return true })
		if count != want {
			t.Errorf("kept for %s: %d connections, want %d\n%s", idle, count, want, &peers)
		}
	}
}

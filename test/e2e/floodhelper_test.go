// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// floodRole says which helper of TestGuardFlood a process of this binary is: what sends, what
// refuses and what measures have a process each, as they would have elsewhere.
const (
	floodRole   = "E2E_FLOOD_ROLE"
	roleRefuser = "refuser"
	roleFlooder = "flooder"
)

// floodOrder is whom a flood is for; that for nobody ends one.
type floodOrder struct{ Address, Path, Token string }

// flooded counts the bodies of a flood: those whose sender was told that it may do nothing,
// those whose sender had no answer, and those that were answered otherwise.
type flooded struct{ Refused, Unheard, Otherwise int }

func (f flooded) plus(more flooded) flooded {
	return flooded{f.Refused + more.Refused, f.Unheard + more.Unheard, f.Otherwise + more.Otherwise}
}

func (f flooded) all() int { return f.Refused + f.Unheard + f.Otherwise }

// TestFloodHelper is what a helper runs, until its input ends.
func TestFloodHelper(t *testing.T) {
	switch os.Getenv(floodRole) {
	case roleRefuser:
		refuser := httptest.NewServer(http.HandlerFunc(refuseAtOnce))
		defer refuser.Close()
		say("AT", strings.TrimPrefix(refuser.URL, "http://"))
		_, _ = io.Copy(io.Discard, os.Stdin)
	case roleFlooder:
		say("AT", "")
		orders := json.NewDecoder(os.Stdin)
		for order := (floodOrder{}); orders.Decode(&order) == nil; {
			said, err := json.Marshal(pour(t.Context(), order, orders))
			if err != nil {
				t.Fatal(err)
			}
			say("SAID", string(said))
		}
	default:
		t.Skip("only run by TestGuardFlood")
	}
}

func say(word, text string) { fmt.Fprintln(os.Stdout, word, text) }

// refuseAtOnce reads a body and says what the guard says of a revoked client: less cannot be
// done for those who write all before they read.
func refuseAtOnce(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	w.Header().Set("Connection", "close")
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusUnauthorized)
	_, _ = io.WriteString(w, `{"jsonrpc":"2.0","error":{"code":-32001,"message":"the client was revoked","data":{"reason":"Revoked"}}}`)
}

// pour sends the largest bodies, so many side by side, until there is another order.
func pour(ctx context.Context, order floodOrder, orders *json.Decoder) flooded {
	body := []byte(strings.Repeat("x", 4*mebibyte-1024))
	head := fmt.Sprintf("POST %s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\n"+
		"Accept: application/json, text/event-stream\r\nMcp-Protocol-Version: 2025-11-25\r\nContent-Length: %d\r\n\r\n", order.Path, order.Address, order.Token, len(body))
	var mu sync.Mutex
	var said flooded
	var over atomic.Bool
	var senders sync.WaitGroup
	for range atOnce {
		senders.Go(func() {
			for !over.Load() {
				came := cameOf(throw(ctx, order.Address, head, body))
				mu.Lock()
				said = said.plus(came)
				mu.Unlock()
			}
		})
	}
	var end floodOrder
	// Without another order it ends as well.
	_ = orders.Decode(&end)
	over.Store(true)
	senders.Wait()
	return said
}

func cameOf(status int, err error) flooded {
	switch {
	case err != nil:
		return flooded{Unheard: 1}
	case status == http.StatusUnauthorized:
		return flooded{Refused: 1}
	}
	return flooded{Otherwise: 1}
}

// throw sends a request as those do that write all before they read.
func throw(ctx context.Context, address, head string, body []byte) (status int, err error) {
	connection, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return 0, err
	}
	defer connection.Close()
	if err := connection.SetDeadline(time.Now().Add(patience)); err != nil {
		return 0, err
	}
	if _, err := connection.Write(append([]byte(head), body...)); err != nil {
		return 0, err
	}
	response, err := http.ReadResponse(bufio.NewReader(connection), nil)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	_, err = io.Copy(io.Discard, response.Body)
	return response.StatusCode, err
}

// helper is another process of this binary.
type helper struct {
	cmd   *exec.Cmd
	in    io.WriteCloser
	lines *bufio.Scanner
	// address is where it listens; empty where it does not.
	address string
}

func startHelper(t *testing.T, role string) *helper {
	t.Helper()
	h := &helper{cmd: exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestFloodHelper$")}
	h.cmd.Env = append(os.Environ(), floodRole+"="+role)
	h.cmd.Stderr = os.Stderr
	out, err := h.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if h.in, err = h.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := h.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = h.in.Close()
		// It may have been ended by the end of the test's context.
		_ = h.cmd.Wait()
	})
	h.lines = bufio.NewScanner(out)
	h.address = h.next(t, "AT")
	return h
}

// next is what the next line says that begins with a word.
func (h *helper) next(t *testing.T, word string) string {
	t.Helper()
	for h.lines.Scan() {
		if rest, ok := strings.CutPrefix(h.lines.Text(), word+" "); ok {
			return rest
		}
	}
	t.Fatalf("a helper ended and did not say %s: %v", word, h.lines.Err())
	return ""
}

// begin has a flooder begin.
func (h *helper) begin(t *testing.T, order floodOrder) {
	t.Helper()
	if err := json.NewEncoder(h.in).Encode(order); err != nil {
		t.Fatal(err)
	}
}

// end has a flooder end, and returns what came of it.
func (h *helper) end(t *testing.T) flooded {
	t.Helper()
	h.begin(t, floodOrder{})
	var said flooded
	if err := json.Unmarshal([]byte(h.next(t, "SAID")), &said); err != nil {
		t.Fatal(err)
	}
	return said
}

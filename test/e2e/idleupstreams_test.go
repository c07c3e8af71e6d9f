// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/test/mcpserver"
)

const (
	// idleFolder holds the servers that end connections which are idle.
	idleFolder = "idleupstreams"
	// idleLanes call side by side, each idleRounds times after a pause: 1,000 calls.
	idleLanes, idleRounds = 250, 4
	// idleSpread is how far a pause is from the time for which a server keeps a
	// connection, at most. Calls that are made within twice of it are under way together.
	idleSpread = 200 * time.Millisecond
)

// TestIdleUpstreams calls servers through the guard whenever they are about to end the
// connections that were left from before: all calls are answered, and none is carried out
// twice.
func TestIdleUpstreams(t *testing.T) {
	python := pythonFor(t, pythonFolder)
	w := startWorld(t)
	b := newBoundary(t, w)
	commands := map[string][]string{"node": {"node", "server.js"}}
	if uvicorn := python(); uvicorn != "" {
		commands["uvicorn"] = []string{uvicorn, "server.py"}
	}
	all := map[string]*idleUpstream{}
	var targets []string
	for name, command := range commands {
		all[name] = &idleUpstream{boundary: b, name: name, address: w.startProgram(t, idleFolder, nil, command...)}
		tools := map[v1alpha1.ScopeName][]string{scopeLooks: {mcpserver.ToolRead}}
		w.create(t, newGuardedServer(b.namespace, name, b.as, b.guard.resource(name), tools))
		targets = append(targets, b.behind(name, all[name].address+mcpserver.Path))
	}
	b.guard.start(t, w, b.kubeconfig, targets)
	for name, u := range all {
		t.Run(name, func(t *testing.T) { t.Parallel(); u.test(t) })
	}
}

// idleUpstream is such a server.
type idleUpstream struct {
	*boundary
	name, address string
}

// idleSaid is what it says of itself.
type idleSaid struct {
	Connections int
	// Executions are how often each call was carried out.
	Executions map[string]int
}

func (u *idleUpstream) says(t *testing.T) idleSaid {
	t.Helper()
	var said idleSaid
	getJSON(t.Context(), t, u.address, &said)
	return said
}

// keeps measures for how long the server keeps a connection that is idle: Node.js gives it
// more time than it promises.
func (u *idleUpstream) keeps(t *testing.T) (kept time.Duration) {
	t.Helper()
	connection, err := new(net.Dialer).DialContext(t.Context(), "tcp", hostOf(t, u.address))
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	reader := bufio.NewReader(connection)
	_, err = io.WriteString(connection, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
	if err := errors.Join(err, connection.SetDeadline(time.Now().Add(patience))); err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(reader, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.Copy(io.Discard, response.Body)
	began := time.Now()
	if _, ended := reader.ReadByte(); err != nil || !errors.Is(ended, io.EOF) {
		t.Fatalf("the server does not end an idle connection: %v, %v", err, ended)
	}
	return time.Since(began)
}

func (u *idleUpstream) test(t *testing.T) {
	reg := u.newRegistration(u.name, v1alpha1.AuthMethodClientSecretBasic)
	u.create(t, reg, u.grantAt(u.name, u.name, u.name, scopeLooks))
	token := u.accessToken(t, u.readyAtGuard(t, reg, scopeLooks), u.guard.resource(u.name), scopeLooks)
	warm := &caller{guard: u.guard, path: "/" + u.name}
	warm.awaitAnswer(t, "warm", token)
	transport := &http.Transport{MaxIdleConnsPerHost: idleLanes}
	t.Cleanup(transport.CloseIdleConnections)
	c := &caller{guard: u.guard, path: warm.path, http: &http.Client{Transport: transport}}
	kept, before := u.keeps(t), u.says(t)
	answered := u.callsAfterPauses(t, c, token, kept)
	after := u.says(t)
	calls := 0
	for number, times := range after.Executions {
		if number == "warm" {
			continue
		}
		calls += times
		if times != 1 || !answered[number] {
			t.Errorf("call %s was carried out %d times; answered: %t", number, times, answered[number])
		}
	}
	if made := idleLanes * (idleRounds + 1); calls != made || len(answered) != made {
		t.Errorf("of %d calls %d were carried out, and %d answered", made, calls, len(answered))
	}
	t.Logf("%d calls by %d connections, which the server keeps for %s", calls, after.Connections-before.Connections, kept)
}

// awaitAnswer waits until the guard lets a call pass.
func (c *caller) awaitAnswer(t *testing.T, number, token string) {
	t.Helper()
	for until := time.Now().Add(patience); ; <-time.After(often) {
		answer := c.call(t, mcpserver.ToolRead, map[string]any{"number": number}, token)
		if answer.status == http.StatusOK {
			return
		}
		if time.Now().After(until) {
			t.Fatalf("the guard does not let a call pass: %d %s", answer.status, answer.body)
		}
	}
}

// callsAfterPauses makes a call on each lane, and further ones after pauses of about the
// time for which the server keeps a connection. It returns which were answered.
func (u *idleUpstream) callsAfterPauses(t *testing.T, c *caller, token string, kept time.Duration) map[string]bool {
	t.Helper()
	answered := map[string]bool{}
	statuses := map[int]int{}
	var mu sync.Mutex
	var all sync.WaitGroup
	for lane := range idleLanes {
		var requests []*http.Request
		for round := range idleRounds + 1 {
			body := callOf(t, mcpserver.ToolRead, map[string]any{"number": fmt.Sprintf("%d-%d", lane, round)})
			requests = append(requests, c.request(t, body, token))
		}
		// Every second pause is as much too long as the one before was too short, so that
		// lanes stay together.
		off := idleSpread * time.Duration(2*lane-idleLanes) / idleLanes
		all.Go(func() {
			for round, request := range requests {
				if round > 0 {
					<-time.After(kept + off)
					off = -off
				}
				answer, err := c.try(request)
				mu.Lock()
				if err != nil {
					t.Errorf("call %d-%d: %v", lane, round, err)
				}
				statuses[answer.status]++
				if answer.status == http.StatusOK {
					answered[fmt.Sprintf("%d-%d", lane, round)] = true
				}
				mu.Unlock()
			}
		})
	}
	all.Wait()
	for _, status := range slices.Sorted(maps.Keys(statuses)) {
		if status != http.StatusOK {
			t.Errorf("%d calls were answered with %d", statuses[status], status)
		}
	}
	return answered
}

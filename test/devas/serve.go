// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package devas

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// maxBody bounds the body of a request.
const maxBody = 1 << 20

// incarnation is the issuer between one Start and the next Stop.
type incarnation struct {
	server *Server
	doors  []*http.Server
	down   chan struct{}
	// serving is done once every listener is closed.
	serving sync.WaitGroup
	// gate is held for reading by every request, and taken for good by stop.
	gate sync.RWMutex
}

func newIncarnation(s *Server) *incarnation {
	return &incarnation{server: s, down: make(chan struct{})}
}

// door is one listener of an incarnation and what is behind it.
type door struct {
	run      *incarnation
	classify func(r *http.Request) (o Operation, clientID string)
	routes   http.Handler
}

// open begins to serve at a listener.
func (run *incarnation) open(listener net.Listener, d door) {
	d.run = run
	server := &http.Server{Handler: front{run.server, d}, ReadHeaderTimeout: headerTimeout}
	run.doors = append(run.doors, server)
	run.serving.Go(func() { serveHTTP(server, listener) })
}

// stop returns when nobody listens and no request is in work any more.
func (run *incarnation) stop() error {
	close(run.down)
	var err error
	for _, server := range run.doors {
		err = errors.Join(err, server.Close())
	}
	run.serving.Wait()
	run.gate.Lock()
	defer run.gate.Unlock()
	return err
}

func (run *incarnation) stopped() bool {
	select {
	case <-run.down:
		return true
	default:
		return false
	}
}

// sleep waits, but not beyond the end of the incarnation.
func (run *incarnation) sleep(millis int) {
	if millis <= 0 {
		return
	}
	timer := time.NewTimer(time.Duration(millis) * time.Millisecond)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-run.down:
	}
}

// call is one request on its way through the server.
type call struct {
	operation Operation
	clientID  string
}

type callKey struct{}

// noteClient tells the log which client a request turned out to concern.
func noteClient(ctx context.Context, clientID string) {
	if c, ok := ctx.Value(callKey{}).(*call); ok {
		c.clientID = clientID
	}
}

// ServeHTTP counts, spoils and answers one request. It is counted before
// its answer goes out, and has left the count of those in flight by then.
func (d door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	run := d.run
	run.gate.RLock()
	defer run.gate.RUnlock()
	if run.stopped() {
		hangUp(w)
		return
	}
	journal := run.server.journal
	journal.enter()
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	c := newCall(r, d.classify)
	a := run.perform(r.WithContext(context.WithValue(r.Context(), callKey{}, c)), c, d.routes)
	journal.record(c.operation, c.clientID, a.status)
	if a.hang {
		run.hang(r)
	}
	journal.leave()
	a.send(w)
}

func newCall(r *http.Request, classify func(*http.Request) (Operation, string)) *call {
	operation, clientID := classify(r)
	c := &call{operation: operation, clientID: clientID}
	if clientID != "" {
		return c
	}
	if id, _, ok := r.BasicAuth(); ok {
		c.clientID = unescaped(id)
	} else if operation == Authorize || strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
		c.clientID = r.FormValue("client_id")
	}
	return c
}

func unescaped(id string) string {
	if plain, err := url.QueryUnescape(id); err == nil {
		return plain
	}
	return id
}

// perform does the work of a request, or spoils it, or both.
func (run *incarnation) perform(r *http.Request, c *call, routes http.Handler) *answer {
	s := run.server
	fault, spoilt := s.faults.take(c.operation, c.clientID)
	before, after := fault.delays()
	run.sleep(s.Switches().LatencyMillis + before)
	if run.stopped() {
		return &answer{status: NoAnswer}
	}
	a := newAnswer()
	if !spoilt || fault.works() {
		routes.ServeHTTP(a, r)
	}
	run.sleep(after)
	if spoilt {
		a.spoil(fault, c.operation)
	}
	if ahead := s.Switches().ClockAheadSeconds; ahead != 0 {
		a.header.Set("Date", s.clock.Now().Add(time.Duration(ahead)*time.Second).UTC().Format(http.TimeFormat))
	}
	return a
}

// hang waits until the client gives up or the server is stopped. The end of
// a connection is seen only once the body has been read.
func (run *incarnation) hang(r *http.Request) {
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		return
	}
	select {
	case <-r.Context().Done():
	case <-run.down:
	}
}

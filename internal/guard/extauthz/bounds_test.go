// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package extauthz

import (
	"context"
	"strings"
	"testing"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/mcp-registrar/mcp-registrar/internal/guard"
)

// waiting is a record that keeps checks of a client until they may go on.
type waiting struct {
	*decisions
	client    string
	came, end chan struct{}
}

func newWaiting(client string) *waiting {
	return &waiting{&decisions{}, client, make(chan struct{}, 16), make(chan struct{})}
}

func (w *waiting) Record(r guard.Request, v guard.Verdict) {
	if v.Token.ClientID == w.client {
		w.came <- struct{}{}
		<-w.end
	}
	w.decisions.Record(r, v)
}

// sized is a call with a body of some size.
func sized(raw string, size int) *authv3.AttributeContext_HttpRequest {
	asked := post(raw, "balance")
	asked.RawBody = []byte(strings.Replace(string(asked.RawBody), "{}", `{"x":"`+strings.Repeat("x", size)+`"}`, 1))
	return asked
}

// inBackground asks a check, whose answer comes when it is over.
func (s *setup) inBackground(t *testing.T, asked *authv3.AttributeContext_HttpRequest) <-chan *authv3.CheckResponse {
	answers := make(chan *authv3.CheckResponse, 1)
	go func() { answers <- s.ask(t, asked, nil) }()
	return answers
}

// A client has its share of the room for bodies. What is more is refused at once: it is
// in memory already.
func TestBodiesOfAClientTakeItsShare(t *testing.T) {
	t.Parallel()
	w := newWaiting("c-agent")
	s := newSetupBy(t, func(o *guard.Options) { o.Recorder, o.Room = w, 80<<10 }, nil)
	first := s.inBackground(t, sized("good", 15<<10))
	<-w.came
	if got := refusalOf(t, s.ask(t, sized("lapsed", 15<<10), nil)); got.reason != "NoGrant" {
		t.Errorf("another client: %+v", got)
	}
	begun, second := time.Now(), s.inBackground(t, sized("good", 10<<10))
	<-w.came
	close(w.end)
	if got := refusalOf(t, <-second); got.status != 429 || got.reason != string(guard.ClientBusy) || time.Since(begun) > 4*time.Second {
		t.Errorf("%+v after %s", got, time.Since(begun))
	}
	if got := <-first; got.GetOkResponse() == nil {
		t.Errorf("the first one: %v", got)
	}
	if got := s.ask(t, sized("good", 15<<10), nil); got.GetOkResponse() == nil {
		t.Errorf("afterwards: %v", got)
	}
}

// What the client may not send is not parsed, and no error of gRPC.
func TestALargerBodyThanTheGuardReads(t *testing.T) {
	t.Parallel()
	s := newSetup(t, func(o *Options) { o.MaxBody = 20 << 10 })
	if got := s.ask(t, sized("good", 19<<10), nil); got.GetOkResponse() == nil {
		t.Errorf("refused: %v", got)
	}
	for _, size := range []int{20 << 10, 4 << 20} {
		if got := refusalOf(t, s.ask(t, sized("good", size), nil)); got.status != 413 || got.reason != string(guard.RequestTooLarge) || got.id != "" {
			t.Errorf("%d bytes: %+v", size, got)
		}
	}
	if got := refusalOf(t, s.ask(t, sized("revoked", 20<<10), nil)); got.reason != "Revoked" {
		t.Errorf("a revoked client: %+v", got)
	}
}

// Checks take so much memory together, and are received in turn, whoever sends them.
func TestChecksAreReceivedInTurn(t *testing.T) {
	t.Parallel()
	const body = 60 << 10
	w := newWaiting("c-agent")
	most := newIntake(0, guard.DefaultMaxBody, nil).most
	s := newSetupBy(t, func(o *guard.Options) { o.Recorder = w }, func(o *Options) { o.Room = most + body + body/2 })
	first, second := s.inBackground(t, sized("good", body)), s.inBackground(t, sized("good", body))
	<-w.came
	<-w.came
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	late := &authv3.CheckRequest{Attributes: &authv3.AttributeContext{Request: &authv3.AttributeContext_Request{Http: post("revoked", "balance")}}}
	if answer, err := s.check.Check(ctx, late); status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("one more is received: %v, %v", answer, err)
	}
	close(w.end)
	for _, answers := range []<-chan *authv3.CheckResponse{first, second} {
		if got := <-answers; got.GetOkResponse() == nil {
			t.Errorf("refused: %v", got)
		}
	}
	if got := s.ask(t, post("good", "balance"), nil); got.GetOkResponse() == nil {
		t.Errorf("afterwards: %v", got)
	}
}

// A check that is begun and never sent takes its turn no longer than Envoy waits for it.
func TestACheckThatIsNotSent(t *testing.T) {
	t.Parallel()
	s := newSetup(t, func(o *Options) { o.Room = 1 })
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	stream, err := s.conn.NewStream(ctx, &description.Streams[0], "/"+description.ServiceName+"/Check")
	if err != nil {
		t.Fatal(err)
	}
	if got := s.ask(t, post("good", "balance"), nil); got.GetOkResponse() == nil {
		t.Errorf("refused: %v", got)
	}
	if err := stream.RecvMsg(&authv3.CheckResponse{}); status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("it ended with %v", err)
	}
}

// Large bodies for one of several servers leave room for those of the others.
func TestAServerHasItsShareOfTheRoom(t *testing.T) {
	t.Parallel()
	const maxBody = 32 << 10
	w := newWaiting("c-agent")
	other := guard.ServerName{Namespace: "finance", Name: "other"}
	most := newIntake(0, maxBody, nil).most
	s := newSetupBy(t, func(o *guard.Options) { o.Recorder = w }, func(o *Options) {
		o.MaxBody, o.Room, o.Servers = maxBody, most, append(o.Servers, other)
	})
	// A share is as large as one message.
	here := newIntake(most, maxBody, []guard.ServerName{other, {}})
	leave, ok := here.share(other, int(most/2))
	if !ok {
		t.Fatal("the largest finds no room")
	}
	if _, ok := here.share(other, 1); ok {
		t.Error("there is more in a share than there is")
	}
	if _, ok := here.share(guard.ServerName{}, int(most/2)); !ok {
		t.Error("another server has no share")
	}
	leave()
	if _, ok := here.share(other, 1); !ok {
		t.Error("a share is not given back")
	}
	named := map[string]string{"mcp-server": "finance/ledger"}
	if got := s.ask(t, sized("lapsed", 20<<10), named); refusalOf(t, got).reason != "NoGrant" {
		t.Errorf("%v", got)
	}
	served := New(Options{Engine: s.engine, Register: s.register, MaxBody: maxBody, Servers: []guard.ServerName{{Namespace: "finance", Name: "ledger"}, other}})
	served.intake.shares[guard.ServerName{Namespace: "finance", Name: "ledger"}].TryAcquire(guard.DefaultRoom / 2)
	answer, err := served.Check(t.Context(), &authv3.CheckRequest{Attributes: &authv3.AttributeContext{
		Request: &authv3.AttributeContext_Request{Http: sized("lapsed", 20<<10)}, ContextExtensions: named,
	}})
	if got := refusalOf(t, answer); err != nil || got.status != 429 || got.reason != string(guard.ClientBusy) {
		t.Errorf("a share that is taken: %+v, %v", got, err)
	}
	if _, v := w.last(t); v.Reason != guard.ClientBusy {
		t.Errorf("on record is %s", v.Reason)
	}
}

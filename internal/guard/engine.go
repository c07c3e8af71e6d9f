// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"k8s.io/utils/clock"

	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

// Engine decides about requests. It may be used by several goroutines.
type Engine struct {
	register     Register
	tokens       Tokens
	recorder     Recorder
	clock        clock.WithTicker
	maxStaleness time.Duration
	namespace    string
	origins      []string
	maxRequests  int
	held         held
	room         *room
	sessions     *sessions
	// changes counts the changes of the register, from 1.
	changes atomic.Uint64
}

// Options are what an Engine is made of. All are required but Origins and MaxRequests.
type Options struct {
	Register Register
	Tokens   Tokens
	Recorder Recorder
	// Clock tells the time by which tokens, clients, grants and denials end.
	Clock clock.WithTicker
	// MaxStaleness is for how long the register is relied on without word of the
	// API server. After it everything is refused.
	MaxStaleness time.Duration
	// MaxRequests is how many requests one subject may have under way by one client,
	// and as many streams; 0 means DefaultMaxRequests.
	MaxRequests int
	// Room is how many bytes the bodies of requests may take together; 0 means
	// DefaultRoom. LargestBody is how large one may be.
	Room, LargestBody int64
	// Namespace is where the guard keeps its Lease; empty where it keeps none.
	Namespace string
	// Origins are those whose pages may call the servers, in the form of
	// ParseOrigin.
	Origins []string
}

// New returns an Engine.
func New(o Options) *Engine {
	e := &Engine{register: o.Register, tokens: o.Tokens, recorder: o.Recorder, clock: o.Clock, maxStaleness: o.MaxStaleness, namespace: o.Namespace, origins: o.Origins}
	e.maxRequests = cmp.Or(o.MaxRequests, DefaultMaxRequests)
	e.changes.Store(1)
	e.sessions = newSessions(maxSessions)
	e.room = newRoom(cmp.Or(o.Room, DefaultRoom), o.LargestBody, mostPersons*e.maxRequests)
	o.Register.OnChange(e.changed)
	return e
}

// Decide answers a request and puts the answer on record.
func (e *Engine) Decide(ctx context.Context, r Request) Verdict {
	changes := e.changes.Load()
	v := e.judge(ctx, r)
	v.changes = changes
	e.recorder.Record(r, v)
	return v
}

// Admit answers as much of a request as needs no message: whether anything may
// be relied on, whose the token is, whether that client may call anything, and whether
// there is room for a body of some bytes, which it takes until release is called. Room that
// others have is waited for, unless the body is in memory already: waiting would keep it
// there. It keeps others from having their messages read. A refusal is put on
// record; what is admitted is still to be decided about.
func (e *Engine) Admit(ctx context.Context, r Request, size int64) (v Verdict, release func()) {
	v = e.admit(ctx, r)
	if v.Allowed() {
		if release = e.room.enter(ctx, holder(v), size, !r.Check); release != nil {
			return v, release
		}
		v.Reason = ClientBusy
		v = e.refuse(v.Server, r, v)
	}
	e.recorder.Record(r, v)
	return v, func() {}
}

// Busy refuses a request of which nothing was looked at, for want of room, and puts that on
// record.
func (e *Engine) Busy(r Request) Verdict {
	server, v, ok := e.server(r.Server)
	if ok {
		v = e.refuse(server, r, Verdict{Reason: ClientBusy})
	}
	e.recorder.Record(r, v)
	return v
}

func (e *Engine) admit(ctx context.Context, r Request) Verdict {
	server, token, v := e.identify(ctx, r)
	if !v.Allowed() {
		return v
	}
	v.Decision = policy.Caller(e.who(server, token), e.clock.Now())
	if v.Decision.Refusal != "" {
		v.Reason = Reason(v.Decision.Refusal)
		return e.refuse(server, r, v)
	}
	return e.crowded(server, r, v)
}

// crowded refuses who has as many requests under way as may be.
func (e *Engine) crowded(server Server, r Request, v Verdict) Verdict {
	if !e.held.full(person{holder(v), v.Token.Subject}, r.Message.Endless(), e.maxRequests) {
		return v
	}
	v.Reason = ClientBusy
	return e.refuse(server, r, v)
}

// Fresh says that the register may be relied on.
func (e *Engine) Fresh() bool {
	age, complete := e.register.Age()
	return complete && age <= e.maxStaleness
}

// identify asks the first questions: may the page call, may anything be relied
// on, and who calls.
func (e *Engine) identify(ctx context.Context, r Request) (Server, Token, Verdict) {
	if r.Origin != nil && !e.Welcome(r.Server, r.Origin, r.Host) {
		return Server{}, Token{}, foreign()
	}
	server, verdict, ok := e.server(r.Server)
	if !ok {
		return server, Token{}, verdict
	}
	shown, reason := r.presented()
	if reason != "" {
		return server, Token{}, e.refuse(server, r, Verdict{Reason: reason})
	}
	token, err := e.tokens.Verify(ctx, shown, server.question())
	if err != nil {
		return server, Token{}, e.refuse(server, r, Verdict{Reason: reasonOf(err), said: expired(err)})
	}
	return server, token, Verdict{Reason: ReasonAllowed, Token: token, Server: server}
}

// judge asks the questions in their order: may anything be relied on, who
// calls, for what, and may they.
func (e *Engine) judge(ctx context.Context, r Request) Verdict {
	server, token, v := e.identify(ctx, r)
	if !v.Allowed() {
		return v
	}
	if fault := r.Message.Fault; fault != nil {
		return Verdict{Reason: fault.Reason, Status: fault.Status, Code: fault.Code, Text: fault.Text, Token: token, Server: server}
	}
	v = e.weigh(server, r, token)
	if !v.Allowed() {
		return v
	}
	return e.inSession(server, r, e.crowded(server, r, v))
}

// inSession takes that an allowed request is made in its session, if there is one.
func (e *Engine) inSession(server Server, r Request, v Verdict) Verdict {
	switch {
	case !v.Allowed() || r.Session == "":
	case !r.Check:
		e.sessions.note(r.session(), v)
	case !e.sessions.claim(r.session(), v):
		v.Reason = SessionForeign
		return e.refuse(server, r, v)
	}
	return v
}

// Answered takes that the server has answered an allowed request, and not by an error, and
// which sessions it gave with the answer. A session that it knows and the guard does not is
// then of who used it.
func (e *Engine) Answered(r Request, v Verdict, given []string) {
	if r.Message.Kind == End {
		e.sessions.forget(r.session())
		return
	}
	for _, id := range slices.Concat(given, []string{r.Session}) {
		if id != "" {
			e.sessions.claim(sessionKey(r.Server, id), v)
		}
	}
}

const (
	// DefaultMaxRequests is how many requests one user of a client may have under way,
	// and as many streams beside them: the guard serves others too.
	DefaultMaxRequests = 256
	// mostPersons is how many times as many all users of a client may have.
	mostPersons = 16
)

// holder is the client of a verdict.
func holder(v Verdict) Change {
	return Change{AuthorizationServer: v.Server.AuthorizationServer, ClientID: v.Token.ClientID}
}

// server finds the server, unless nothing may be relied on.
func (e *Engine) server(name ServerName) (Server, Verdict, bool) {
	if !e.Fresh() {
		return Server{}, stale(), false
	}
	server, known := e.register.Server(name)
	if !known {
		return Server{}, Verdict{
			Reason: ServerUnknown, Status: ServerUnknown.status(), Code: ServerUnknown.Code(),
			Text: "the MCPServer " + name.String() + ", or its AuthorizationServer, is not on the register: ask its owners",
		}, false
	}
	if from := server.GuardedFrom; len(from) > 0 && !slices.Contains(from, e.namespace) {
		return Server{}, Verdict{
			Reason: GuardNotNamed, Status: GuardNotNamed.status(), Code: GuardNotNamed.Code(),
			Text: "the MCPServer " + name.String() + " has the boundary Guarded and does not name the namespace of this guard's Lease: add it to spec.guardNamespaces",
		}, false
	}
	return server, Verdict{}, true
}

// stale is the verdict while nothing may be relied on.
func stale() Verdict {
	return Verdict{
		Reason: RegisterStale, Status: RegisterStale.status(), Code: RegisterStale.Code(),
		Text: "the guard has had no word of the register for too long and lets nothing pass: try again later",
	}
}

// weigh asks the register about a verified token.
func (e *Engine) weigh(server Server, r Request, token Token) Verdict {
	m := r.Message
	v := Verdict{Reason: ReasonAllowed, Token: token, Server: server}
	facts := e.facts(server, token)
	facts.Tool, facts.Untied = m.Tool, m.Kind == Call && untied(m.Method)
	v.Decision = policy.Call(facts, e.clock.Now())
	if v.Decision.Refusal != "" {
		v.Reason = Reason(v.Decision.Refusal)
		return e.refuse(server, r, v)
	}
	if r.Session != "" && e.sessions.foreign(r.session(), token) {
		v.Reason = SessionForeign
		return e.refuse(server, r, v)
	}
	v.SeesAll = server.Prober != "" && v.Decision.Client.Name == server.Prober && v.Decision.Client.Namespace == server.Namespace
	return v
}

// facts are what the register knows of a token's client at a server.
func (e *Engine) facts(server Server, token Token) policy.CallFacts {
	facts := e.who(server, token)
	if len(facts.Clients) == 1 {
		facts.Grants = e.register.Grants(facts.Clients[0])
	}
	return facts
}

// who are the facts but for the grants.
func (e *Engine) who(server Server, token Token) policy.CallFacts {
	facts := policy.CallFacts{Server: server.ServerEntry, Scopes: token.Scopes}
	facts.Clients = e.register.Clients(server.AuthorizationServer, token.ClientID)
	facts.Denials = e.register.Denials(server, token.ClientID)
	return facts
}

// Callable returns the filter of a list of tools: whether it shows one to the client
// of an allowed request now.
func (e *Engine) Callable(v Verdict) func(tool string) bool {
	facts, now := e.facts(v.Server, v.Token), e.clock.Now()
	return func(tool string) bool {
		if v.SeesAll {
			return true
		}
		asked := facts
		asked.Tool = tool
		return policy.Listed(asked, now)
	}
}

func reasonOf(err error) Reason {
	if failure, ok := errors.AsType[*TokenError](err); ok {
		return failure.Reason
	}
	return TokenUnverifiable
}

// expired is what a token says that is not accepted because it has expired, and for no
// other reason.
func expired(err error) Token {
	if failure, ok := errors.AsType[*TokenError](err); ok {
		return failure.Said
	}
	return Token{}
}

// tied are the methods that need any scope, because they are how a client gets
// to tools and follows them.
var tied = map[string]bool{
	"initialize": true, "ping": true, "server/discover": true, "logging/setLevel": true,
	"tools/list": true, "tools/call": true, "subscriptions/listen": true,
}

// untied says that a method needs a scope that is not tied to tools.
func untied(method string) bool {
	return !tied[method] && !strings.HasPrefix(method, "notifications/") && !strings.HasPrefix(method, "tasks/")
}

// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

// ServerName names an MCPServer.
type ServerName struct{ Namespace, Name string }

// String is "namespace/name".
func (n ServerName) String() string { return n.Namespace + "/" + n.Name }

// Server is an MCPServer with the issuer of its authorization server.
type Server struct {
	policy.ServerEntry
	// Issuer is the issuer identifier (RFC 8414 §2).
	Issuer string
	// Tokens is how tokens of that issuer are read.
	Tokens policy.TokenReading
}

// question is what is asked about tokens for the server.
func (s Server) question() TokenQuestion {
	return TokenQuestion{Issuer: s.Issuer, Audience: s.TokenAudience(), Reading: s.Tokens}
}

// Register is what is known of servers, clients and grants. It answers from
// memory, may be used by several goroutines, and returns entries that nobody
// changes.
type Register interface {
	// Server returns a server; known is false where there is none, or where its
	// authorization server is not known.
	Server(name ServerName) (server Server, known bool)
	Entries
	// FirstScopes are those that clients of a server are told to ask for before it is
	// known who they are; none where there is none that all of them have.
	FirstScopes(server Server) []string
	// Age is for how long nothing was heard of the API server; complete is false
	// before everything was read once.
	Age() (age time.Duration, complete bool)
	// OnChange has a function called after each change, from the goroutine that
	// made it: it must return at once. It is called before the change counts as
	// seen.
	OnChange(changed func(Change))
}

// Entries are what is known of clients.
type Entries interface {
	// Clients returns the registrations with a client id at an authorization
	// server: one, unless something is wrong.
	Clients(authorizationServer, clientID string) []policy.ClientEntry
	// Denials returns the denials that name a client of the issuer of a server, or
	// a registration that has it; also those that have ended.
	Denials(server Server, clientID string) []policy.DenialEntry
	// Grants returns the grants of a client at the servers that are guarded here, of
	// those by which it has scopes: no other gives it anything, and there may be many.
	Grants(client policy.ClientEntry) []policy.GrantEntry
}

// Change says what changed in the register.
type Change struct {
	// AuthorizationServer and ClientID name the client that it is about; both
	// empty where it may be about any.
	AuthorizationServer, ClientID string
}

// Tokens verifies access tokens. Every error is a *TokenError.
type Tokens interface {
	// Verify answers for a request that begins. It returns what the token says once it
	// was shown as it must be, and issuer, audience, signature and times are right, or
	// the server that issued it says that it is active.
	Verify(ctx context.Context, shown Presentation, q TokenQuestion) (Token, error)
	// StillGood answers for a request that is under way: whether Verify, which returned
	// known for the token, would find the token itself right now. Nobody shows it again,
	// so how it was shown is not asked. What it returns is of the same client and subject.
	StillGood(ctx context.Context, known Token, token string, q TokenQuestion) (Token, error)
}

// TokenQuestion is what a token must be right for.
type TokenQuestion struct {
	// Issuer is the one that the token must come from.
	Issuer string
	// Audience is what the token must be for: the resource identifier (RFC
	// 8707), unless the server has another.
	Audience string
	// Reading says which claims say what.
	Reading policy.TokenReading
}

// Token is a verified access token.
type Token struct {
	// Issuer is iss; ClientID is what the reading has name the client: client_id
	// (RFC 9068 §2.2) or azp, unless it says otherwise; Subject is sub; ID is jti.
	Issuer, ClientID, Subject, ID string
	// Scopes is scope (RFC 9068 §2.2.3), or what the reading has in its place.
	Scopes []string
	// ExpiresAt is exp; zero only where introspection does not say.
	ExpiresAt time.Time
	// CheckAt is when the token must be verified again, although it has not
	// expired; zero means never. Nothing that is under way then goes on without.
	CheckAt time.Time
}

// TokenError says why a token is not accepted.
type TokenError struct {
	// Reason is one of the reasons of tokens.
	Reason Reason
	// Err is the cause, free of the token; nil where the reason says it all.
	Err error
	// Said is what the token says, where nothing is wrong with it but that it has
	// expired; its zero value otherwise.
	Said Token
}

// Error implements error.
func (e *TokenError) Error() string {
	if e.Err == nil {
		return "token: " + string(e.Reason)
	}
	return fmt.Sprintf("token: %s: %v", e.Reason, e.Err)
}

// Unwrap returns the cause.
func (e *TokenError) Unwrap() error { return e.Err }

// Recorder puts decisions on record and counts them. It never fails its caller.
type Recorder interface {
	Record(r Request, v Verdict)
}

// Kind is what a request carries.
type Kind int

// The values of Kind.
const (
	// Unreadable: nothing that could be understood. Always refused.
	Unreadable Kind = iota
	// Call is a JSON-RPC request or notification.
	Call
	// Answer is a JSON-RPC response of the client to the server.
	Answer
	// Listen opens a stream (GET).
	Listen
	// End ends a session (DELETE).
	End
)

// Message is what a request asks of an MCP server.
type Message struct {
	Kind Kind
	// Method is the JSON-RPC method of a Call.
	Method string
	// ID is the JSON-RPC id as it was written; empty for a notification.
	ID string
	// Tool is the tool of tools/call.
	Tool string
	// Fault says why the request is Unreadable.
	Fault *Fault
}

// Endless says that what answers the message has no end of its own: a stream that
// is not the answer to a request, and a subscription, however a server reads its
// name.
func (m Message) Endless() bool {
	return m.Kind == Listen || m.Kind == Call && strings.EqualFold(strings.TrimSpace(m.Method), "subscriptions/listen")
}

// answerable says that somebody waits for a response to the message: it is a
// request, with an id.
func (m Message) answerable() bool { return m.Kind == Call && isID(m.ID) }

// Fault is why a request cannot be decided about.
type Fault struct {
	// Status is the HTTP status (RFC 9110 §15).
	Status int
	// Code is the JSON-RPC error code.
	Code int
	// Reason is one of the reasons of requests.
	Reason Reason
	// Text says it to a developer, in a sentence, without anything of the
	// request but names of headers and members.
	Text string
}

// Request is one request to an MCP server, as the front end understood it.
type Request struct {
	Server ServerName
	// Origin holds every value of the header Origin, which browsers send; nil for
	// none. Host is what the client called, and needed with Origin only.
	Origin []string
	Host   string
	// Authorization holds every value of the Authorization header.
	Authorization []string
	// Proof holds every value of the header DPoP (RFC 9449 §4.1); nil for none.
	Proof []string
	// Method and URL are the request's, with the scheme and the host by which the client
	// came, as far as the front end knows them, and path and query as they were written.
	// access_token in the query (RFC 6750 §2.3) is refused.
	Method, URL string
	Message     Message
	// TraceParent is the traceparent (W3C Trace Context) of the header or, where
	// that has none, of params._meta.
	TraceParent string
	// Session is the session that the request is made in; empty for none.
	Session string
	// Check says that the front end only answers whether the request may pass. It has all
	// of it in memory then, and does not see what the server answers: a session is of who
	// uses it first, since nobody sees to whom it is given.
	Check bool
	// ReceivedAt is when the request came.
	ReceivedAt time.Time
}

// session stands for the session of the request.
func (r Request) session() digest { return sessionKey(r.Server, r.Session) }

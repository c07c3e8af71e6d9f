// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package fake

import (
	"context"
	"slices"
	"time"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
)

// Fault is an error to return once.
type Fault struct {
	Operation Operation
	// AfterWork says that the work is done all the same and only its answer
	// is lost.
	AfterWork bool
	// Err is returned as it is.
	Err *authserver.Error
	// Named returns beside Err, after the work of Register, Find or Replace,
	// what such an answer still names: the client's id, management URI, token
	// and secret, as far as the answer would have held them.
	Named bool
}

// Stand is who answers in the server's place.
type Stand int

// Who answers.
const (
	// Itself is the server.
	Itself Stand = iota
	// Page is an intermediary whose answers are nobody's: nothing reaches the
	// server, and every call is Unavailable.
	Page
	// Accepting is a Page, but for that deletions are answered with success,
	// which nobody can tell from the server's. None is carried out.
	Accepting
	// Hiding is a Page behind which the server does its work.
	Hiding
	// Patient is a Page that asks for patience (429): nothing was done.
	Patient
)

// Switches change how the server answers. The zero value is a server that does
// as it is told.
type Switches struct {
	// RotateTokens replaces the management token with every Find and Replace.
	RotateTokens bool
	// Alter turns a wish into what is registered; nil registers the wish.
	Alter func(authserver.ClientMetadata) authserver.ClientMetadata
	// DropMark forgets software_id and software_version, as many servers do.
	DropMark bool
	// SecretForPublic issues a secret to public clients too.
	SecretForPublic bool
	// SecretExpiresAt is answered with every secret; zero means never.
	SecretExpiresAt time.Time
	// NoManagement answers registrations without management URI and token.
	NoManagement bool
	// PKCE is the answer of ChallengeRequired; nil means Yes.
	PKCE *authserver.Answer
	// Token turns the facts of a canary token into what is answered.
	Token func(authserver.TokenFacts) authserver.TokenFacts
	// KeepKeys goes on with the keys of before when a replacement changes them,
	// until the next replacement that does not: a request was under way that
	// had read the client before (authserver.KeyCacheRace).
	KeepKeys bool
	// Mask is shown by every Find and Replace in place of a client's secret;
	// empty shows the secret.
	Mask string
	// Stand is who answers.
	Stand Stand
	// PageSize is how many clients a page of List holds; 0 means 100.
	PageSize int
	// HideScopes has List say nothing of who has which scopes.
	HideScopes bool
	// OnCall runs at the start of every call, without locks held. A test can
	// look at the world at that moment, or block until it wants to go on.
	OnCall func(ctx context.Context, op Operation)
}

// Narrow returns an Alter that drops scopes.
func Narrow(scopes ...string) func(authserver.ClientMetadata) authserver.ClientMetadata {
	return func(wish authserver.ClientMetadata) authserver.ClientMetadata {
		wish.Scopes = slices.DeleteFunc(slices.Clone(wish.Scopes), func(scope string) bool {
			return slices.Contains(scopes, scope)
		})
		return wish
	}
}

// Widen returns an Alter that adds scopes.
func Widen(scopes ...string) func(authserver.ClientMetadata) authserver.ClientMetadata {
	return func(wish authserver.ClientMetadata) authserver.ClientMetadata {
		wish.Scopes = append(slices.Clone(wish.Scopes), scopes...)
		return wish
	}
}

// Fail orders faults: each call of an operation takes the oldest one ordered
// for it.
func (s *Server) Fail(faults ...Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, faults...)
}

// Switch changes the switches.
func (s *Server) Switch(change func(*Switches)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.switches)
}

// ending is what becomes of a call after its work.
type ending struct{ fault Fault }

// lost is the error in place of the answer; nil where nothing was ordered.
func (e ending) lost() error {
	if e.fault.Err == nil {
		return nil
	}
	return e.fault.Err
}

// left is what of an answer that cannot be used is enough to delete the client,
// and what it replaced.
func (e ending) left(client authserver.Client) authserver.Client {
	if !e.fault.Named {
		return authserver.Client{}
	}
	return authserver.Client{
		ID: client.ID, ManagementURI: client.ManagementURI, ManagementToken: client.ManagementToken, Secret: client.Secret,
	}
}

// begin counts a call and returns the fault that stands before its work. The
// fault that stands after its work is in the ending.
func (s *Server) begin(ctx context.Context, op Operation) (ending, error) {
	fault, onCall := s.take(op)
	if onCall != nil {
		onCall(ctx, op)
	}
	if ctx.Err() != nil {
		return ending{}, &authserver.Error{Kind: authserver.Unavailable, Op: string(op), Err: ctx.Err()}
	}
	if stand := s.stand(); stand != Itself && (stand != Accepting || op != Revoke) {
		fault = Fault{AfterWork: stand == Hiding, Err: s.inPlace(op, stand)}
	}
	if fault.Err != nil && !fault.AfterWork && !fault.Named {
		return ending{}, fault.Err
	}
	return ending{fault: fault}, nil
}

func (s *Server) stand() Stand {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.switches.Stand
}

// inPlace is the error for an answer that is not the server's.
func (s *Server) inPlace(op Operation, stand Stand) *authserver.Error {
	if stand == Patient {
		return &authserver.Error{Kind: authserver.Unavailable, Op: string(op), Status: 429}
	}
	lasting := op != Discover && op != List && op != Tidy && op != Access && (op != Find || !s.traits.OwnClientID)
	return &authserver.Error{Kind: authserver.Unavailable, Op: string(op), Code: "not_the_server", MaybeApplied: lasting}
}

func (s *Server) take(op Operation) (fault Fault, onCall func(context.Context, Operation)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls[op]++
	at := slices.IndexFunc(s.faults, func(fault Fault) bool { return fault.Operation == op })
	if at >= 0 {
		fault = s.faults[at]
		s.faults = slices.Delete(s.faults, at, at+1)
	}
	return fault, s.switches.OnCall
}

// register turns a wish into what is registered.
func (s *Server) register(wish authserver.ClientMetadata) authserver.ClientMetadata {
	registered := clone(wish)
	if s.switches.Alter != nil {
		registered = clone(s.switches.Alter(registered))
	}
	if s.switches.DropMark {
		registered.SoftwareID, registered.SoftwareVersion = "", ""
	}
	if !s.traits.OwnClientID {
		registered.ID = ""
	}
	if !s.traits.Audiences {
		registered.Audiences, registered.TokenLifetime = nil, 0
	}
	return registered
}

func clone(metadata authserver.ClientMetadata) authserver.ClientMetadata {
	metadata.GrantTypes = slices.Clone(metadata.GrantTypes)
	metadata.ResponseTypes = slices.Clone(metadata.ResponseTypes)
	metadata.RedirectURIs = slices.Clone(metadata.RedirectURIs)
	metadata.Scopes = slices.Clone(metadata.Scopes)
	metadata.Contacts = slices.Clone(metadata.Contacts)
	metadata.Audiences = slices.Clone(metadata.Audiences)
	metadata.Secret = authserver.Secret{}
	return metadata
}

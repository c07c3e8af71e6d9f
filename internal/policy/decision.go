// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"time"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
)

// Action is what is to be done at the authorization server. The zero value is
// nothing.
type Action int

// The values of Action.
const (
	// Nothing: leave everything as it is.
	Nothing Action = iota
	// Keep: the client is as wished; its credentials are kept in place.
	Keep
	// Register: create a client.
	Register
	// Replace: make the client equal to the wish.
	Replace
	// Disable: make the client useless until it is replaced.
	Disable
	// Rotate: begin to replace the client's key or secret.
	Rotate
	// Revoke: no client may exist, or a revocation that began is finished. What is
	// done next about it, until nothing is left, is for internal/lifecycle.
	Revoke
)

// String returns the name of the action.
func (a Action) String() string {
	return [...]string{"Nothing", "Keep", "Register", "Replace", "Disable", "Rotate", "Revoke"}[a]
}

// Standing says what a verdict means for the client.
type Standing int

// The values of Standing. The zero value gives nothing.
const (
	// Refused: no client may exist; what exists is revoked.
	Refused Standing = iota
	// Frozen: what exists is kept as it is; nothing new is given.
	Frozen
	// Undecided: a fact is unknown; what exists is kept.
	Undecided
	// Allowed: the wish is carried out.
	Allowed
)

// Verdict is the answer of the rules.
type Verdict struct {
	Standing Standing
	// Reason and Message are those of the Accepted condition.
	Reason  string
	Message string
	// Waiting says that nobody needs to act on this object.
	Waiting bool
	// Cause and DueAt say why and since when a client may not exist.
	Cause v1alpha1.RevocationCause
	DueAt time.Time
}

// RegistrationDecision is the decision about an MCPClientRegistration.
type RegistrationDecision struct {
	Action  Action
	Verdict Verdict
	// Wish is what is to be registered, without its mark.
	Wish authserver.ClientMetadata
	// AuthMethods are the authentication methods that the server may register in
	// place of the wish's: the wish's, and one that is as good.
	AuthMethods []string
	// Adopt is the client id of a client that is taken over instead of
	// registering a new one; empty for none.
	Adopt string
	// MakeKey says that a new key pair is needed for the wish.
	MakeKey bool
	// ForceReleased says that a person answers for the client and may do so: its
	// revocation ends without a proof.
	ForceReleased bool
	// Repeatable says that the instant from which the client must not exist stands
	// in the objects, and will be read there again after a crash.
	Repeatable bool
	// Resend says that the wish is what is registered, sent again so that its
	// keys settle.
	Resend bool
	// Scopes are those in force, with their grants.
	Scopes []v1alpha1.EffectiveScope
	// Grants are those in force, by name, for the audit record.
	Grants []GrantInForce
	// Resources are the identifiers of the servers the scopes belong to, and
	// Audiences what their tokens are for.
	Resources, Audiences []string
	// Term is the accepted term, if any.
	Term *v1alpha1.Term
	// ExpiresAt is the effective end; zero when there is none.
	ExpiresAt time.Time
	// TokenLifetime is the longest access-token lifetime in force.
	TokenLifetime time.Duration
	// TokenBound is the shortest access-token lifetime in force: no token may
	// live longer.
	TokenBound time.Duration
	// Connection is how to reach the authorization server, without secrets.
	Connection authserver.Config
	// TokenEndpoint and Issuer go into the credentials.
	TokenEndpoint string
	// Next is the first instant at which the answer can change with no event;
	// zero means never.
	Next time.Time
	// TakesAwayAt is the first deadline that may take something away; zero means that
	// there is none.
	TakesAwayAt time.Time
}

// GrantDecision is the decision about a ScopeGrant.
type GrantDecision struct {
	// InForce says that the scopes may be used.
	InForce bool
	// Undecided says that a fact is unknown.
	Undecided bool
	Verdict   Verdict
	// Basis says by whose word, while in force.
	Basis v1alpha1.GrantBasis
	// ExpiresAt is the effective end: that of the annotation, or an earlier
	// one that the server sets; zero when there is none.
	ExpiresAt time.Time
	// EndedAt is when a grant that is not in force ended, if it did so by
	// time; zero otherwise.
	EndedAt time.Time
	// Term is the accepted term, if any.
	Term *v1alpha1.Term
	// AcceptableAt is when time alone may change the answer otherwise: it ends the
	// refusal of a new end date, or a decision of an owner of the server.
	AcceptableAt time.Time
	// Approval is the decision of an owner of the server that counts: one that
	// denies the grant, or that holds; nil where there is none.
	Approval *v1alpha1.ScopeGrantApproval
	// Asked says that nothing but the word of the owners of the server was open.
	Asked bool
	// Void says why an approval of the grant does not hold; empty where none was
	// given, or one holds.
	Void string
	// Resource is the server's resource identifier, and Audience what its tokens
	// are for, while in force.
	Resource, Audience string
	// TokenLifetime is the server's bound, while in force.
	TokenLifetime time.Duration
}

// GrantInForce is a grant that a client rests on.
type GrantInForce struct {
	Grant *v1alpha1.ScopeGrant
	Basis v1alpha1.GrantBasis
	// Approval is the decision of an owner of the server that counts; nil where
	// there is none.
	Approval *v1alpha1.ScopeGrantApproval
}

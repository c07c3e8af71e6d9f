// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package authserver

import (
	"context"
	"time"
)

// Server is an authorization server as the register uses it. Every method is
// safe for concurrent use; calls for one client must not overlap, because a
// server may replace the management token with every answer.
//
// Every error is an *Error. After an error with MaybeApplied the caller must
// assume neither that the work was done nor that it was not.
//
// Only the server's own words count. What somebody answers in its place (a
// page, a redirect, a challenge of another realm, a list where an object was
// asked for) is Unavailable at every method: neither a success nor a refusal,
// and never absence.
type Server interface { //nolint:interfacebloat // what is done with a client, and what a server says of itself
	// Traits says what this server can do. It never changes and costs nothing.
	Traits() Traits

	// Discover reads the server's metadata (RFC 8414, or OpenID Connect
	// Discovery where that is absent, or both where the first lacks what is
	// needed) and checks that its issuer is identical to the configured one.
	// Rejected: the metadata is unusable as it is.
	Discover(ctx context.Context) (Metadata, error)

	// CheckAccess asks whether the server takes the register's own credential, as
	// it is now, and lets it change clients. It changes nothing. Unauthorized: the
	// server refuses the credential, or gives it too few rights; Rejected: what the
	// register is configured to use is not there. Code says which. Rejected
	// without Traits.ChecksAccess.
	CheckAccess(ctx context.Context) error

	// Register creates a client. It is NOT idempotent where the server
	// chooses the client id: the caller stores a pending mark first. With
	// Traits.OwnClientID the client has the id wish.ID; Conflict: there is
	// a client of that id already, whoever's it is. It MUST send every field
	// of wish explicitly, scope above all. The answer holds
	// what the server says it registered, which may differ from the wish.
	// The answer must be stored before anything else is done.
	//
	// A client that is Named beside an error exists, and cannot be used
	// otherwise: the caller stores it and has it deleted at once. What else it
	// holds is what could be read.
	Register(ctx context.Context, wish ClientMetadata) (Client, error)

	// Find reads the client of a handle. found is false only when absence is
	// proven; a failure to look is an error. Unauthorized: the server refuses
	// the management token and the client was not proven to be gone. A
	// replaced management token, management URI or secret in the answer must be
	// stored before anything else is done, also those of a client beside an
	// error: they are in force although the rest of the answer cannot be used.
	// A proof depends on nothing but the client id or management URI, its
	// token, and the mark, with what the handle has for a witness.
	Find(ctx context.Context, handle Handle) (client Client, found bool, err error)

	// Replace makes the client's metadata equal to wish (RFC 7592 §2.2: the
	// submitted values replace, they do not augment). The client id stays. A
	// replaced management token, management URI or secret in the answer must be
	// stored before anything else is done, also beside an error. Where the server can disable a client it is
	// enabled again. With Traits.OwnSecret a wish.Secret takes the place of
	// the client's secret.
	Replace(ctx context.Context, handle Handle, wish ClientMetadata) (Client, error)

	// Disable makes the client useless until it is replaced: no token is
	// issued to it, and its sessions and refresh tokens end. It is idempotent;
	// nil also where the client is proven to be gone. Rejected without
	// Traits.Disables.
	Disable(ctx context.Context, handle Handle) error

	// Revoke deletes the client. It is idempotent: nil means that the server
	// accepted the deletion, now or before, or that the client is proven to
	// be gone. nil is not yet proof: a later Find is. Unauthorized: the server
	// refuses the management token and the client is, or may be, alive. It
	// depends on nothing but the client id or management URI, its token, and the
	// mark: no other member of any answer, whatever its form or length, holds a
	// deletion back. A handle with management URI and token needs no client id.
	Revoke(ctx context.Context, handle Handle) error

	// List reads one page of all clients of the server, whoever's they are;
	// the empty cursor begins, Page.Next goes on. A client that is there from
	// the first page to the last is in one of them. Rejected without
	// Traits.Lists.
	List(ctx context.Context, cursor string) (Page, error)

	// Tidy deletes scopes that the register made at the server and that no client has,
	// as many as a few seconds allow; more says that there are others. One that a call
	// of this connection gives to a client, or gave since t.Since, stays, and so does
	// what somebody else made or made something of. Rejected without Traits.Tidies.
	Tidy(ctx context.Context, t Tidying) (more bool, err error)
}

// Tidying says which scopes are to go.
type Tidying struct {
	// Owner is what the ownership marks (ClientMetadata.SoftwareID) of all clients of
	// the register begin with, up to the last slash. What another register made at
	// the same server stays.
	Owner string
	// Used says that a client has a scope, whoever's it is, as all pages of a list
	// showed (Page.Scopes).
	Used func(scope string) bool
	// Since is when that list was begun.
	Since time.Time
}

// Listed is a client in a list.
type Listed struct {
	ID string
	// Name is client_name.
	Name string
	// SoftwareID and SoftwareVersion are the ownership mark; empty where the
	// client carries none.
	SoftwareID      string
	SoftwareVersion string
}

// Page is a part of a list.
type Page struct {
	Clients []Listed
	// Next is the cursor of the next page; empty on the last.
	Next string
	// Scopes are those that any of the clients has; nil where that is not known of
	// each. Only with Traits.Tidies.
	Scopes []string
}

// Metadata is server metadata (RFC 8414 §2), as far as it is used.
type Metadata struct {
	Issuer                   string
	AuthorizationEndpoint    string
	TokenEndpoint            string
	RegistrationEndpoint     string
	JWKSURI                  string
	RevocationEndpoint       string
	IntrospectionEndpoint    string
	CodeChallengeMethods     []string
	GrantTypes               []string
	TokenEndpointAuthMethods []string
	Scopes                   []string
	ClientIDMetadataDocument bool
	IssuerInResponse         bool
	// OpenIDImplied says that every client may ask for the scope openid, and that none
	// can be registered with it, although Scopes has it.
	OpenIDImplied bool
	// ClockSkew is by how much the server's clock was ahead of the register's
	// when it answered (the Date header); nil where it did not say.
	ClockSkew *time.Duration
}

// ClientMetadata is client metadata (RFC 7591 §2). Values are spelled as on
// the wire: "authorization_code", "client_secret_basic", "native".
type ClientMetadata struct {
	// Name is client_name.
	Name string
	// SoftwareID and SoftwareVersion carry the ownership mark.
	SoftwareID      string
	SoftwareVersion string
	// ApplicationType is "native" or "web".
	ApplicationType string
	GrantTypes      []string
	ResponseTypes   []string
	RedirectURIs    []string
	// Scopes is scope, one element per scope token. It is always sent.
	Scopes     []string
	AuthMethod string
	// JWKS is the public JWK set as JSON text, or empty.
	JWKS string
	// JWKSURI is jwks_uri, or empty.
	JWKSURI string
	// Assertion says whose tokens are the client's assertions, in place of
	// ones that it signs with a key of its own: then AuthMethod is
	// private_key_jwt and there is no key set. The zero value is none. Only with
	// Traits.AssertionIssuer.
	Assertion Assertion `json:",omitzero"`
	// Contacts names who answers for the client.
	Contacts []string
	// ID is the client id that the register chose; empty where the server
	// chooses it.
	ID string `json:",omitempty"`
	// Secret is the client secret that the register chose, to be set; empty
	// where the server chooses it, or the one there is stays. It is never
	// part of Client.Registered.
	Secret Secret `json:"-"`
	// Audiences are the resource identifiers (RFC 8707 §2) that tokens of the
	// client are for. Only with Traits.Audiences.
	Audiences []string `json:",omitempty"`
	// TokenLifetime is the longest life of an access token; 0 leaves it to the
	// server. Only with Traits.Audiences.
	TokenLifetime time.Duration `json:",omitempty"`
}

// Assertion names the tokens of another issuer that a server takes as the
// assertions by which a client authenticates (RFC 7523 §2.2, RFC 7521 §4.2).
type Assertion struct {
	// Issuer is what the server calls the issuer: Traits.AssertionIssuer.
	Issuer string
	// Subject is the claim sub of the tokens. One subject is one client.
	Subject string
}

// Client is a client as the server says it is registered.
type Client struct {
	ID string
	// Secret is client_secret; empty when the answer held none. One that was
	// read takes the place of the handle's only if the server accepted it at its
	// token endpoint: servers show masked or hashed ones. What is neither the
	// handle's nor accepted is left out.
	Secret Secret
	// SecretDoubtful says that the server was not seen to accept the handle's
	// secret, nor the one that it showed: from then on the secret at hand is
	// worth nothing as a witness, and the caller stores that for
	// Handle.Uncertain. It is over with the next Secret.
	SecretDoubtful bool
	// SecretExpiresAt is client_secret_expires_at; zero means never.
	SecretExpiresAt time.Time
	// ManagementURI is registration_client_uri; empty when the answer held
	// none.
	ManagementURI string
	// ManagementToken is registration_access_token; empty when the answer
	// held none, which means that the one in use stays valid.
	ManagementToken Secret
	// Disabled says that the client is disabled.
	Disabled bool
	// Registered is what the server registered.
	Registered ClientMetadata
}

// Named says that the client can be deleted: by its id, or by its management
// URI and token.
func (c Client) Named() bool {
	return c.ID != "" || c.ManagementURI != "" && !c.ManagementToken.IsZero()
}

// Handle is everything that is needed to find, replace, revoke and prove the
// absence of one client, with no other object at hand.
type Handle struct {
	ClientID string
	// Owner is the software_id of the ownership mark. With
	// Traits.OwnClientID a client that does not carry it is another's: it is
	// not touched, and the error is Conflict.
	Owner string
	// Adopting says that the client may be another's, and becomes the
	// register's with Replace.
	Adopting        bool
	ManagementURI   string
	ManagementToken Secret
	TokenEndpoint   string
	AuthMethod      string
	// ClientSecret is the last secret the server issued, if any.
	ClientSecret Secret
	// PrivateKey is the client's PEM private key, if it is at hand: only with
	// it can a private_key_jwt client witness its own absence.
	PrivateKey Secret
	KeyID      string
	// RedirectURI is one registered redirect URI, if any.
	RedirectURI string
	// Deleted says that the server answered a deletion with success: from
	// then on a refused management token is proof of absence.
	Deleted bool
	// TokenDoubtful says that the management token may be an old one, because the
	// answer to an update was lost: that it is refused proves nothing, also after a
	// deletion that was accepted.
	TokenDoubtful bool
	// Uncertain says that the answer to an update was lost, or that the server
	// was not seen to accept the secret (Client.SecretDoubtful): secrets at hand
	// may be outdated, so that their refusal proves nothing.
	Uncertain bool
}

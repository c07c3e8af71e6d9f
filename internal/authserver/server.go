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
type Server interface {
	// Discover reads the server's metadata (RFC 8414, or OpenID Connect
	// Discovery where that is absent) and checks that its issuer is identical
	// to the configured one. Rejected: the metadata is unusable as it is.
	Discover(ctx context.Context) (Metadata, error)

	// Register creates a client. It is NOT idempotent where the server
	// chooses the client id: the caller stores a pending mark first. It MUST
	// send every field of wish explicitly, scope above all. The answer holds
	// what the server says it registered, which may differ from the wish.
	// The answer must be stored before anything else is done.
	Register(ctx context.Context, wish ClientMetadata) (Client, error)

	// Find reads the client of a handle. found is false only when absence is
	// proven; a failure to look is an error. Unauthorized: the server refuses
	// the management token and the client was not proven to be gone. A
	// replaced management token or secret in the answer must be stored before
	// anything else is done.
	Find(ctx context.Context, handle Handle) (client Client, found bool, err error)

	// Replace makes the client's metadata equal to wish (RFC 7592 §2.2: the
	// submitted values replace, they do not augment). The client id stays. A
	// replaced management token or secret in the answer must be stored before
	// anything else is done.
	Replace(ctx context.Context, handle Handle, wish ClientMetadata) (Client, error)

	// Revoke deletes the client. It is idempotent: nil means that the server
	// accepted the deletion, now or before, or that the client is proven to
	// be gone. nil is not yet proof: a later Find is. Unauthorized: the server
	// refuses the management token and the client is, or may be, alive.
	Revoke(ctx context.Context, handle Handle) error
}

// Config is what it takes to talk to one authorization server.
type Config struct {
	// Name identifies the connection; limits are kept per name.
	Name string
	// Issuer is the issuer identifier (RFC 8414 §2).
	Issuer string
	// CABundle holds PEM certificates to trust in place of the system's.
	CABundle []byte
	// InitialAccessToken is sent to the registration endpoint only (RFC 7591
	// §3).
	InitialAccessToken Secret
	// RequestsPerSecond bounds the rate of requests; 0 means no bound.
	RequestsPerSecond int
	// MaxInFlight bounds the requests under way at one time.
	MaxInFlight int
}

// Urgency ranks calls for a place at a busy server.
type Urgency int

// The values of Urgency.
const (
	// Routine is for what adds or looks: a part of the places is closed to it.
	Routine Urgency = iota
	// Urgent is for revocations: they overtake everything else.
	Urgent
)

// Gate bounds what is under way at one authorization server.
type Gate interface {
	// Enter takes a place, or says at once that there is none: an *Error with
	// Unavailable, Unsent and RetryAfter set. It never waits. The caller must
	// call leave once.
	Enter(urgency Urgency) (leave func(), err error)
}

// Connector hands out connections. The same name gives the same Gate, and the
// same config the same Server.
type Connector interface {
	Connect(config Config) (Server, Gate, error)
}

// Metadata is server metadata (RFC 8414 §2), as far as it is used.
type Metadata struct {
	Issuer                   string
	AuthorizationEndpoint    string
	TokenEndpoint            string
	RegistrationEndpoint     string
	RevocationEndpoint       string
	IntrospectionEndpoint    string
	CodeChallengeMethods     []string
	GrantTypes               []string
	TokenEndpointAuthMethods []string
	Scopes                   []string
	ClientIDMetadataDocument bool
	IssuerInResponse         bool
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
	// Contacts names who answers for the client.
	Contacts []string
}

// Client is a client as the server says it is registered.
type Client struct {
	ID string
	// Secret is client_secret; empty when the answer held none.
	Secret Secret
	// SecretExpiresAt is client_secret_expires_at; zero means never.
	SecretExpiresAt time.Time
	// ManagementURI is registration_client_uri; empty when the answer held
	// none.
	ManagementURI string
	// ManagementToken is registration_access_token; empty when the answer
	// held none, which means that the one in use stays valid.
	ManagementToken Secret
	// Registered is what the server registered.
	Registered ClientMetadata
}

// Handle is everything that is needed to find, replace, revoke and prove the
// absence of one client, with no other object at hand.
type Handle struct {
	ClientID        string
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
	// Uncertain says that the answer to an update was lost: secrets at hand
	// may be outdated, so that their refusal proves nothing.
	Uncertain bool
}

// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package authserver

// Config is what it takes to talk to one authorization server.
type Config struct {
	// Name identifies the connection; limits are kept per name.
	Name string
	// Issuer is the issuer identifier (RFC 8414 §2).
	Issuer string
	// Method is how clients are managed there; empty means
	// DynamicRegistration.
	Method Method
	// BaseURL is where they are managed: the root of Keycloak (without
	// /admin or /realms), Hydra's admin API, or where metadata documents are
	// served. Empty with DynamicRegistration.
	BaseURL string
	// Realm is Keycloak's realm.
	Realm string
	// AssertionIssuer is Traits.AssertionIssuer: with Keycloak the alias of an
	// identity provider of the realm.
	AssertionIssuer string
	// CopySeconds is for how many seconds a metadata document may be cached.
	CopySeconds int
	// AdminSecret names the Secret that AdminID and AdminPassword come
	// from; empty where none is needed.
	AdminSecret string
	// AdminID and AdminPassword are the client id and secret by which the
	// register gets a token for the admin API (RFC 6749 §4.4).
	AdminID       string
	AdminPassword Secret
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
	// Enter takes a place, or says that there is none: an *Error with Unavailable,
	// Unsent and RetryAfter set. The urgent may wait a moment for one, no longer than
	// 25 ms. The caller must call leave once.
	Enter(urgency Urgency) (leave func(), err error)
}

// Connector hands out connections. The same name gives the same Gate, and the
// same config the same Server.
type Connector interface {
	Connect(config Config) (Server, Gate, error)
	// Traits are those of a server of this config; nothing is contacted.
	Traits(config Config) Traits
	// Examine returns the examiner of a server; it shares the Gate of
	// Connect.
	Examine(config Config) (Examiner, error)
}

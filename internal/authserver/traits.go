// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package authserver

import "time"

// Method is a way to manage clients.
type Method string

// The methods.
const (
	// DynamicRegistration is RFC 7591 with RFC 7592.
	DynamicRegistration Method = "DynamicRegistration"
	// Keycloak is Keycloak's Admin REST API.
	Keycloak Method = "Keycloak"
	// Hydra is the admin API of Ory Hydra.
	Hydra Method = "Hydra"
	// MetadataDocument serves OAuth Client ID Metadata Documents.
	MetadataDocument Method = "MetadataDocument"
)

// Traits is what callers may rely on at a server. They ask for a trait, never
// for the method.
type Traits struct {
	// OwnClientID says that the register chooses the client id (wish.ID) and
	// that a client is found, replaced and revoked by its id alone: Register
	// may be repeated after a lost answer.
	OwnClientID bool
	// IDPrefix is what every client id of the register begins with there.
	IDPrefix string
	// OwnSecret says that the register chooses client secrets (wish.Secret).
	OwnSecret bool
	// TwoKeys says that a client's JWK set may hold two keys at one time.
	TwoKeys bool
	// Audiences says that wish.Audiences and wish.TokenLifetime are
	// registered.
	Audiences bool
	// Disables says that Disable works.
	Disables bool
	// Lists says that List works.
	Lists bool
	// Tidies says that scopes are objects of their own at the server, which Register
	// and Replace make, that List says who has which, and that Tidy works.
	Tidies bool
	// ChecksAccess says that CheckAccess works. Where it does not, whether the
	// register may act is seen in the answers to what it asks for, and not before.
	ChecksAccess bool
	// SharedSecretUnsupported says that no client may have a secret.
	SharedSecretUnsupported bool
	// AssertionIssuer is what the server calls the issuer of the cluster's
	// ServiceAccount tokens, which it takes as assertions of clients
	// (ClientMetadata.Assertion); empty where it takes none.
	AssertionIssuer string
	// OpenIDImplied says that every client may ask for the scope openid, and that none
	// can be registered with it.
	OpenIDImplied bool
	// CopyLifetime is for how long the authorization server may go on using
	// a copy of a client that is gone; 0 where there are no copies.
	CopyLifetime time.Duration
	// KeysLinger is for how long after a change of a client's keys a request
	// that was under way may still have the server take up the keys of before,
	// for good: the same replacement is to be sent again after it. 0 where
	// what replaces keys is enough.
	KeysLinger time.Duration
}

// KeyCacheRace is KeysLinger of a server that may keep the keys of its clients
// in a cache, as Keycloak does: a replacement empties it, but a request that had
// read the client before fills it again with what it had read. Then the new key
// is refused for as long as the server does not look again, and a key that was
// taken away is accepted for as long as nobody presents an unknown one. It is
// longer than a request lasts between the two.
const KeyCacheRace = 5 * time.Second

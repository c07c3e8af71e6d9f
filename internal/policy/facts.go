// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"slices"
	"time"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
)

// Knowledge says what is known of something. The zero value is Unknown.
type Knowledge int

// The values of Knowledge.
const (
	// Unknown: it could not be learnt.
	Unknown Knowledge = iota
	// Absent: it was looked for and is not there.
	Absent
	// Present: it is there.
	Present
)

// ServerFact is an MCPServer as it was found.
type ServerFact struct {
	Is     Knowledge
	Object *v1alpha1.MCPServer
	// Unwatched says that it is Unknown because the operator does not watch
	// its namespace.
	Unwatched bool
}

// entryScope is the scope that every client with a grant at the server has; empty
// where there is none.
func (f ServerFact) entryScope() v1alpha1.ScopeName {
	if f.Object == nil {
		return ""
	}
	return f.Object.Spec.EntryScope
}

// AuthorizationServerFact is an AuthorizationServer as it was found.
type AuthorizationServerFact struct {
	Is     Knowledge
	Object *v1alpha1.AuthorizationServer
}

// NamespaceFact is a namespace as it was found.
type NamespaceFact struct {
	Is     Knowledge
	Name   string
	Labels map[string]string
	// Terminating says that the namespace is being deleted.
	Terminating bool
}

// GrantFacts are what the decision about a ScopeGrant rests on.
type GrantFacts struct {
	Grant *v1alpha1.ScopeGrant
	// RegistrationIs says whether the registration was found, and Registration
	// is it.
	RegistrationIs Knowledge
	Registration   *v1alpha1.MCPClientRegistration
	// Carried are the scopes that the registration carries by its status, for a
	// grant that is decided on by itself: it must find room beside them.
	Carried []v1alpha1.EffectiveScope
	// Server is the MCPServer that the grant names.
	Server ServerFact
	// ServerNamespace is the namespace of that server.
	ServerNamespace NamespaceFact
	// ServerClaims are the servers that name its resource.
	ServerClaims ClaimsFact
	// ServerRoom is what the MCPServers of the namespace of that server share, and Room
	// what the grants of the namespace of this grant do.
	ServerRoom, Room *Room
	// AuthorizationServer is that of the registration.
	AuthorizationServer AuthorizationServerFact
	// Namespace is that of the grant.
	Namespace NamespaceFact
	// ApprovalsAre says whether the decisions could be listed that owners of the
	// server made, and Approvals are those about the grant or its client.
	ApprovalsAre Knowledge
	Approvals    []*v1alpha1.ScopeGrantApproval
	// AdmissionIs says whether the admission policies are in force that note who
	// decides, and AdmissionSince since when.
	AdmissionIs    Knowledge
	AdmissionSince time.Time
}

// CredentialsFact is the credentials Secret as it was found.
type CredentialsFact struct {
	Is Knowledge
	// Foreign says that the Secret is not the operator's for this object.
	Foreign bool
	// PrivateKey is the key that the Secret holds, with the public JWK set
	// that goes with it, and its id; empty where there is none.
	PrivateKey authserver.Secret
	KeyID      string
	PublicJWKS string
	// Digest is the digest of the Secret's data, labels and annotations.
	Digest string
}

// Observation is what the authorization server was seen to hold just now.
type Observation struct {
	// Looked says that the question was asked and answered, Tried that it was asked and
	// there was no answer.
	Looked, Tried bool
	// Is says what was found: Absent only when it is proven.
	Is     Knowledge
	Client authserver.Client
}

// RegistrationFacts are what the decision about an MCPClientRegistration rests
// on.
type RegistrationFacts struct {
	Registration        *v1alpha1.MCPClientRegistration
	AuthorizationServer AuthorizationServerFact
	Namespace           NamespaceFact
	// GrantsAre says whether the grants could be listed.
	GrantsAre Knowledge
	Grants    []GrantFacts
	// RecordIs says whether the record could be read.
	RecordIs    Knowledge
	Record      Record
	Credentials CredentialsFact
	Observed    Observation
	// PlacesAre says whether PlacesTaken could be counted, which is how many
	// other registrations of the namespace have a client at the authorization
	// server, or are about to have one.
	PlacesAre   Knowledge
	PlacesTaken int
	// AccountIs says whether another registration has a client at the
	// authorization server, or is about to have one, that authenticates by the
	// same ServiceAccount.
	AccountIs Knowledge
	// Traits are those of the authorization server.
	Traits authserver.Traits
	// Unmanageable says that another registration just learnt that the server, as
	// it is, gives no way to manage clients.
	Unmanageable bool
	// DriftCheckAt is the next instant at which the client is to be compared
	// with what the authorization server holds; zero means not at all.
	DriftCheckAt time.Time
}

// RecordState says how far a client is known to have got.
type RecordState string

// The values of RecordState. The zero value means that there is no client.
const (
	// RecordPending: a registration request was about to be sent.
	RecordPending RecordState = "Pending"
	// RecordRegistered: there is a client.
	RecordRegistered RecordState = "Registered"
	// RecordDeleted: the server accepted the deletion; proof is outstanding.
	RecordDeleted RecordState = "Deleted"
	// RecordRevoked: the client is proven to be gone, or was released.
	RecordRevoked RecordState = "Revoked"
	// RecordRefused: the last wish was refused; the same one is not asked
	// again for a while.
	RecordRefused RecordState = "Refused"
)

// HoldsPlace says that there is a client, or may be one soon: it counts against
// the quota of its namespace.
//
// A state that nobody knows is that of a client that may live.
func (s RecordState) HoldsPlace() bool {
	switch s {
	case "", RecordRevoked, RecordRefused:
		return false
	case RecordPending, RecordRegistered, RecordDeleted:
	}
	return true
}

// known reports whether a state is one of ours.
func (s RecordState) known() bool {
	switch s {
	case "", RecordPending, RecordRegistered, RecordDeleted, RecordRevoked, RecordRefused:
		return true
	}
	return false
}

// Record is what the operator stores about one client, in its own namespace:
// everything that a revocation needs when all other objects are gone.
type Record struct {
	State RecordState
	// Mark is unique to one registration request and was sent with it.
	Mark string
	// Orphans are marks of requests whose outcome was never learnt.
	Orphans []string
	// Unanswered is how many requests in a row had no answer that could be used.
	Unanswered int

	// Owner is the software_id of the ownership mark that was sent.
	Owner string

	// Connection is where the client is registered.
	Connection authserver.Config
	// Client is what the server answered, with its secrets.
	Client authserver.Client
	// ServiceAccount is that of the registration's namespace whose tokens are
	// the client's assertions; empty for none.
	ServiceAccount string
	// TokenEndpoint is where the second witness is heard.
	TokenEndpoint string
	// WishDigest is the digest of what was last asked for.
	WishDigest string
	// WitnessKey is the private key, with its id, that a client about to be
	// deleted was given so that its absence can be witnessed; only where no
	// other key of it is at hand.
	WitnessKey   authserver.Secret
	WitnessKeyID string
	// SecretDoubtful says that the server was not seen to accept the secret at
	// hand: that it refuses it proves nothing.
	SecretDoubtful bool
	// TokenDoubtful says that an update was sent, and that no answer since has shown
	// which management token is good.
	TokenDoubtful bool
	// Replacing says that an update was sent and its answer not yet stored.
	Replacing bool
	// KeptKeys are the thumbprints (RFC 7638) of the client's keys that are registered
	// whatever came of updates without an answer. They mean nothing without Replacing.
	KeptKeys []string
	// Disabled says that the server accepted that the client is disabled, and
	// that nothing was sent since that enables it.
	Disabled bool
	// Adopting says that the pending client was somebody else's.
	Adopting bool
	// KeysSent is the KeysDigest of what was last sent and accepted.
	KeysSent string
	// KeysChangedAt is when the server accepted a change of the client's keys,
	// and KeysSettleAt when it is to be sent it again; both are zero once the
	// server has no other keys than those registered.
	KeysChangedAt time.Time
	KeysSettleAt  time.Time
	// Rotation is the replacement of the client's key or secret.
	Rotation Rotation
	// Excess lists what the server registered beyond the wish.
	Excess []string
	// Missing lists what the server left out of the wish.
	Missing []string
	// TokenLifetime is the longest access-token lifetime that may have been
	// issued.
	TokenLifetime time.Duration
	RegisteredAt  time.Time
	// Reached are the MCPServers that the client has had scopes of, as
	// namespace/name.
	Reached []string

	// Cause and DueAt say why and since when the client should be gone.
	Cause v1alpha1.RevocationCause
	DueAt time.Time
	// DeletedAt is when the server accepted the deletion.
	DeletedAt time.Time
	// VerifiedAt is when the absence was proven.
	VerifiedAt time.Time
	// Released is what the human wrote who let go of the client.
	Released string

	// RefusedReason and RefusedCode say why the wish of RefusedDigest was
	// refused, and RefusedAt when.
	RefusedReason string
	RefusedCode   string
	// RefusedQuote is what the server said about it.
	RefusedQuote  string
	RefusedDigest string
	RefusedAt     time.Time
	// RefusedServer is the ServerDigest of the server that gave no way to manage
	// a client: until it changes nothing is asked of it again.
	RefusedServer string

	// Damage is what the record lost to another hand. It is not stored.
	Damage Damage
	// Version is the stored version that this is; empty when none is stored.
	Version string
}

// Damage is what a stored record lost to somebody else.
type Damage int

// The values of Damage.
const (
	// Undamaged: it is as it was written.
	Undamaged Damage = iota
	// Unmarked: its content is whole, and it lost the label by which the admission
	// policies guard it.
	Unmarked
	// Altered: a part of its content cannot be read any more.
	Altered
)

// Findable says that a registration request was about to be sent for a client
// id that the register chose: whether it was carried out can be looked up.
func (r Record) Findable() bool { return r.State == RecordPending && r.Client.ID != "" }

// empty says that the record tells of nothing: not even that a person let go.
func (r Record) empty() bool {
	return r.State == "" && r.Mark == "" && len(r.Orphans) == 0 && r.Connection.Issuer == "" && r.Released == ""
}

// NeedsWitnessKey says that the absence of the client could not be witnessed:
// it authenticates by a key, and none that the server knows is at hand.
func (r Record) NeedsWitnessKey(c CredentialsFact) bool {
	return r.Client.Registered.AuthMethod == wirePrivateKeyJWT && r.Handle(c, time.Time{}).PrivateKey.IsZero()
}

// knows says that a key set is the one that is registered. A key that the
// server does not know is refused like a client that it does not know.
func (r Record) knows(public string) bool {
	ours, readable := thumbprints(public)
	theirs, _ := thumbprints(r.Client.Registered.JWKS)
	return readable && len(ours) == 1 && slices.Contains(theirs, ours[0])
}

// KnowsNextKey says that the key that follows may be used. Where the client has
// no other, it cannot be too early.
func (r Record) KnowsNextKey(now time.Time) bool {
	settled := r.KeysSettleAt.IsZero() || r.Rotation.OldJWKS == ""
	return r.Rotation.KeyWaits() && r.knows(r.Rotation.NextJWKS) && settled && !now.Before(r.Rotation.NextFrom)
}

// keyReload is for how long a server that keeps keys in a cache may refuse a new
// one: Keycloak looks again ten seconds after it looked last.
const keyReload = authserver.KeyCacheRace + 15*time.Second

// KeysLag is for how much longer the server may not know the client's key: that
// it refuses it proves nothing. It is not positive once it must know it.
func (r Record) KeysLag(now time.Time) time.Duration {
	if r.KeysChangedAt.IsZero() {
		return 0
	}
	return r.KeysChangedAt.Add(keyReload).Sub(now)
}

// KeysSettle says that the replacement that changed the client's keys is to be
// sent again now.
func (r Record) KeysSettle(now time.Time) bool {
	return !r.KeysSettleAt.IsZero() && expired(now, r.KeysSettleAt)
}

// lateRequest is for how long a registration request without an answer may
// still be carried out: longer than it is waited for.
const lateRequest = 30 * time.Second

// Ended reports whether the server accepted the deletion of the client, or it is
// over in another way.
func (r Record) Ended() bool { return r.State == RecordDeleted || r.State == RecordRevoked }

// Unconfirmed reports whether so many answers were lost that no more is asked for.
func (r Record) Unconfirmed() bool { return r.Unanswered >= maxUnanswered }

// MayComeLate says that the absence of a client proves nothing yet: the request
// for it had no answer, and may be carried out after its deletion.
func (r Record) MayComeLate(now time.Time) bool {
	return r.Findable() ||
		(r.State == RecordDeleted && r.RegisteredAt.IsZero() && r.Owner != "" && now.Before(r.DeletedAt.Add(lateRequest)))
}

// occupied says that something at the authorization server is still to be
// dealt with.
func (r Record) occupied() bool {
	if r.State == RecordPending {
		return r.Findable()
	}
	return r.State.HoldsPlace()
}

// At is a record as it is stored under a version.
func (r Record) At(version string) Record {
	r.Version = version
	return r
}

// keyAtHand is a private key of the client, with its id.
type keyAtHand struct {
	private authserver.Secret
	id      string
}

// keysAtHand are those of the registered keys that the operator has.
func (r Record) keysAtHand(c CredentialsFact) []keyAtHand {
	registered, _ := thumbprints(r.Client.Registered.JWKS)
	var keys []keyAtHand
	if r.WitnessKeyID != "" && slices.Contains(registered, r.WitnessKeyID) {
		keys = append(keys, keyAtHand{r.WitnessKey, r.WitnessKeyID})
	}
	if r.knows(c.PublicJWKS) {
		keys = append(keys, keyAtHand{c.PrivateKey, c.KeyID})
	}
	if r.Rotation.KeyWaits() && slices.Contains(registered, r.Rotation.NextKeyID) {
		// The server has it, and the team not yet.
		keys = append(keys, keyAtHand{r.Rotation.NextKey, r.Rotation.NextKeyID})
	}
	return keys
}

// keeps says that the client is known by the key of a handle, whatever came of updates
// without an answer.
func (r Record) keeps(handle authserver.Handle) bool {
	return handle.AuthMethod == wirePrivateKeyJWT && slices.Contains(r.KeptKeys, handle.KeyID)
}

// Keeping is what KeptKeys are when an update is about to be sent.
func (r Record) Keeping(wish authserver.ClientMetadata) []string {
	registered := r.Client.Registered
	if wish.AuthMethod != registered.AuthMethod {
		return nil
	}
	kept, _ := thumbprints(registered.JWKS)
	if r.Replacing {
		kept = slices.Clone(r.KeptKeys)
	}
	sent, _ := thumbprints(wish.JWKS)
	return slices.DeleteFunc(kept, func(key string) bool { return !slices.Contains(sent, key) })
}

// Exists reports whether the record speaks of a client that was registered, and is
// not known to be gone.
func (r Record) Exists() bool { return r.State.HoldsPlace() && r.State != RecordPending }

// Legible reports whether all of the record can be read, and is understood.
func (r Record) Legible() bool { return r.Damage != Altered && r.State.known() }

// HoldsPlace reports whether there is a client, or may be one soon: it counts against
// the quota of its namespace.
func (r Record) HoldsPlace() bool { return r.State.HoldsPlace() }

// Pending reports whether it is not known that there is a client, and one is asked
// for.
func (r Record) Pending() bool { return r.State == RecordPending }

// Published reports whether the client's metadata document is to be read: the client
// is asked for, or there.
func (r Record) Published() bool { return r.Pending() || r.Live() }

// Live says that a client may exist that is known by its id.
func (r Record) Live() bool { return r.State == RecordRegistered }

// Handle returns what the port needs to work on the client. The private key,
// if it is at hand, comes from the credentials Secret. A secret that expires
// proves nothing: the server refuses it while the client lives on. Nor does a
// key that the server may not know yet.
func (r Record) Handle(c CredentialsFact, now time.Time) authserver.Handle {
	handle := authserver.Handle{
		ClientID:        r.Client.ID,
		Owner:           r.Owner,
		Adopting:        r.Adopting,
		ManagementURI:   r.Client.ManagementURI,
		ManagementToken: r.Client.ManagementToken,
		TokenEndpoint:   r.TokenEndpoint,
		AuthMethod:      r.Client.Registered.AuthMethod,
		ClientSecret:    r.Client.Secret,
		Deleted:         r.State == RecordDeleted,
		TokenDoubtful:   r.TokenDoubtful,
	}
	keys := r.keysAtHand(c)
	if i := slices.IndexFunc(keys, func(key keyAtHand) bool { return slices.Contains(r.KeptKeys, key.id) }); r.Replacing && i > 0 {
		keys = keys[i:]
	}
	if len(keys) > 0 {
		handle.PrivateKey, handle.KeyID = keys[0].private, keys[0].id
	}
	handle.Uncertain = r.Replacing && !r.keeps(handle) || r.SecretDoubtful || !r.Client.SecretExpiresAt.IsZero() || r.KeysLag(now) > 0
	if len(r.Client.Registered.RedirectURIs) > 0 {
		handle.RedirectURI = r.Client.Registered.RedirectURIs[0]
	}
	return handle
}

// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"encoding/json"
	"hash/fnv"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
)

// defaultOverlap is for how long the old key stays valid where the
// registration does not say.
const defaultOverlap = 300 * time.Second

// Rotation is the replacement of a key or secret that the operator made. The
// new one is stored before the authorization server hears of it; the old one is
// taken away after the team has the new one.
type Rotation struct {
	// MadeAt is when the present key or secret was made; zero means with the
	// client.
	MadeAt time.Time
	// Request is the value of the rotate annotation that was last honoured.
	Request string
	// NextKey is the private key that follows, with its id and public JWK set,
	// until the team has it.
	NextKey   authserver.Secret
	NextKeyID string
	NextJWKS  string
	// NextSecret is the client secret that follows, until the server has
	// accepted it.
	NextSecret authserver.Secret
	// OldJWKS is the public JWK set of the key before: still registered until
	// OldUntil, and for as long as that is zero.
	OldJWKS  string
	OldUntil time.Time
	// NextFrom is from when the next key may be used: the server has accepted
	// it, and copies of the client without it have had their time.
	NextFrom time.Time
}

// KeyWaits says that a new key was made and the team does not have it yet.
func (r Rotation) KeyWaits() bool { return !r.NextKey.IsZero() }

// SecretWaits says that a new secret was made and the server may not have
// accepted it yet.
func (r Rotation) SecretWaits() bool { return !r.NextSecret.IsZero() }

// Waits says that a rotation is under way.
func (r Rotation) Waits() bool { return r.KeyWaits() || r.SecretWaits() }

// OldEnded says that the key before is valid no more.
func (r Rotation) OldEnded(now time.Time) bool {
	return r.OldJWKS == "" || (!r.OldUntil.IsZero() && expired(now, r.OldUntil))
}

// Keys is the key set to be registered: the present key, the next one, and the
// one before while it is valid. A single key is given as it is written. Where
// there is no room for two, the next key takes the place of the present one.
func (r Rotation) Keys(present string, twoKeys bool, now time.Time) string {
	if !twoKeys && r.NextJWKS != "" {
		return r.NextJWKS
	}
	sets := []string{present}
	if r.NextJWKS != "" {
		sets = append(sets, r.NextJWKS)
	}
	if !r.OldEnded(now) {
		sets = append(sets, r.OldJWKS)
	}
	return union(sets)
}

// union joins JWK sets: each key once, by key id.
func union(sets []string) string {
	sets = slices.DeleteFunc(sets, func(set string) bool { return set == "" })
	slices.Sort(sets)
	sets = slices.Compact(sets)
	if len(sets) < 2 {
		return strings.Join(sets, "")
	}
	var all jose.JSONWebKeySet
	for _, set := range sets {
		var one jose.JSONWebKeySet
		if err := json.Unmarshal([]byte(set), &one); err != nil {
			continue
		}
		for _, key := range one.Keys {
			if len(all.Key(key.KeyID)) == 0 {
				all.Keys = append(all.Keys, key)
			}
		}
	}
	slices.SortFunc(all.Keys, func(a, b jose.JSONWebKey) int { return strings.Compare(a.KeyID, b.KeyID) })
	encoded, err := json.Marshal(all)
	if err != nil {
		return sets[0]
	}
	return string(encoded)
}

// Holds says that a JWK set holds a key of another.
func Holds(set, other string) bool { return lessKeys(set, other) != set || set == other }

// lessKeys is a JWK set less the keys of another; the set itself where nothing
// would be left.
func lessKeys(set, less string) string {
	var all, gone jose.JSONWebKeySet
	if json.Unmarshal([]byte(set), &all) != nil || json.Unmarshal([]byte(less), &gone) != nil {
		return set
	}
	left := slices.DeleteFunc(slices.Clone(all.Keys), func(key jose.JSONWebKey) bool { return len(gone.Key(key.KeyID)) > 0 })
	encoded, err := json.Marshal(jose.JSONWebKeySet{Keys: left})
	if err != nil || len(left) == 0 || len(left) == len(all.Keys) {
		return set
	}
	return string(encoded)
}

// Rotatable says that the operator can replace the credentials of a
// registration without a new client.
func Rotatable(spec v1alpha1.MCPClientRegistrationSpec, traits authserver.Traits) bool {
	if HasSecret(spec.TokenEndpointAuthMethod) {
		return traits.OwnSecret
	}
	return NeedsOwnKey(spec)
}

// rotationDue says that a new key or secret is to be made now. A rotation
// under way is finished first, its overlap included.
func (q *inquiry) rotationDue() bool {
	r := q.Record.Rotation
	if !q.Record.Live() || !Rotatable(q.Registration.Spec, q.Traits) || r.Waits() || !r.OldEnded(q.now) || Paused(q.AuthorizationServer.Object) {
		return false
	}
	if asked := RotationRequest(q.Registration); asked != "" && asked != r.Request {
		return true
	}
	at := q.rotationAt()
	return !at.IsZero() && expired(q.now, at)
}

// rotationAt is when the age of the key or secret alone asks for a new one;
// zero means never. It comes up to a tenth earlier than asked for, for each
// registration by a share of its own: what was made together is not replaced
// together.
func (q *inquiry) rotationAt() time.Time {
	c := q.Registration.Spec.Credentials
	if c == nil || c.RotateAfterSeconds == nil || !q.Record.Live() || !Rotatable(q.Registration.Spec, q.Traits) {
		return time.Time{}
	}
	made := q.Record.Rotation.MadeAt
	if made.IsZero() {
		made = q.Record.RegisteredAt
	}
	after := time.Duration(*c.RotateAfterSeconds) * time.Second
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(q.Registration.UID))
	share := float64(hash.Sum32()) / (1 << 32)
	return made.Add(after - time.Duration(share*float64(after)/10))
}

// Overlap is for how long the old key stays valid beside the new one. Without
// room for two keys there is none.
func Overlap(spec v1alpha1.MCPClientRegistrationSpec, traits authserver.Traits) time.Duration {
	if !traits.TwoKeys {
		return 0
	}
	if c := spec.Credentials; c != nil && c.RotationOverlapSeconds != nil {
		return time.Duration(*c.RotationOverlapSeconds) * time.Second
	}
	return defaultOverlap
}

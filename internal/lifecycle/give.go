// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package lifecycle

import (
	"slices"
	"time"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

// Wanted are what is known of a client that may exist, and what the rules ask for.
type Wanted struct {
	// Action is what the rules ask for. Only those that give are meant here: Keep,
	// Register, Replace, Disable and Rotate.
	Action policy.Action
	// Record is what is stored about it.
	Record policy.Record
	// Observed is what was seen of it in this turn.
	Observed policy.Observation
	// Credentials are what the team has.
	Credentials policy.CredentialsFact
	// Capabilities are those of the authorization server.
	Capabilities authserver.Traits
	// Cluster and UID go into the ownership mark.
	Cluster, UID string
	// Server is the policy.ServerDigest of the authorization server, and Paused
	// says that it is asked nothing that can wait.
	Server string
	Paused bool
	// Connection and TokenEndpoint are where the client is, or will be.
	Connection    authserver.Config
	TokenEndpoint string
	// Wish is what is to be registered, without its mark.
	Wish authserver.ClientMetadata
	// AuthMethods are the authentication methods that an answer may have in place of
	// the wish's.
	AuthMethods []string
	// Adopt is the id of a client that is taken over in place of a new one.
	Adopt string
	// MakeKey says that the wish needs a new key pair.
	MakeKey bool
	// Resend says that the wish is what is registered, sent again so that its keys
	// settle.
	Resend bool
	// Final says that nothing is held back of what was asked for.
	Final bool
	// Grants are those in force, and TokenLifetime is the longest that they allow.
	Grants        []policy.GrantInForce
	TokenLifetime time.Duration
	// ServiceAccount is the one whose tokens are the client's assertions.
	ServiceAccount string
	// ChoosesSecret says that the register makes the client's secret.
	ChoosesSecret bool
	// RotationRequest is the rotation that was asked for last, and Overlap is for
	// how long the key before stays valid.
	RotationRequest string
	Overlap         time.Duration
	// RetryAfter is when what the server refused is asked for again.
	RetryAfter time.Duration
	// Made is what was made at random for this turn, in case it is needed.
	Made Made
	// handing says that the server just took Made, or what was there before.
	handing bool
}

// Made is what only chance can make.
type Made struct {
	// Mark is of one registration request.
	Mark string
	// ClientID is for a client whose id the register chooses.
	ClientID string
	// Secret is for a client whose secret the register chooses.
	Secret authserver.Secret
	// Key is for a client that authenticates by a key of the operator's.
	Key KeyPair
}

// Give says what is done next about a client that may exist. Its outcomes say
// whether the credentials can be handed over: then that is next.
func Give(w Wanted, now time.Time) Plan {
	switch w.Action {
	case policy.Register:
		if w.Adopt != "" {
			return w.adopt()
		}
		return w.register()
	case policy.Replace:
		return w.replace(now)
	case policy.Disable:
		return Plan{Intent: w.Record, Call: Disable, Urgent: true, After: w.disabled}
	case policy.Rotate:
		rotating := w.rotating()
		return Plan{Intent: rotating, After: again(rotating)}
	case policy.Keep:
		return w.keep(now)
	case policy.Nothing, policy.Revoke:
	}
	return Plan{Intent: w.Record}
}

// Handing is what is known after the server took what was asked for: the
// credentials are next.
func (w Wanted) Handing(record policy.Record) Wanted {
	w.Record, w.Credentials, w.Action, w.handing = record, w.handed(), policy.Keep, true
	return w
}

// handed are the credentials that go with what was sent.
func (w Wanted) handed() policy.CredentialsFact {
	c, key := w.Credentials, w.key()
	c.PrivateKey, c.KeyID, c.PublicJWKS = key.Private, key.ID, key.JWKS
	return c
}

// key is the client's key as it is sent: the team's, or a new one. One that was
// made before is what the authorization server may know.
func (w Wanted) key() KeyPair {
	switch r := w.Record.Rotation; {
	case !w.MakeKey:
		return KeyPair{Private: w.Credentials.PrivateKey, ID: w.Credentials.KeyID, JWKS: w.Credentials.PublicJWKS}
	case r.KeyWaits():
		return KeyPair{Private: r.NextKey, ID: r.NextKeyID, JWKS: r.NextJWKS}
	}
	return w.Made.Key
}

// asked is the wish with the key that belongs to it.
func (w Wanted) asked() authserver.ClientMetadata {
	wish := w.Wish
	if w.MakeKey {
		wish.JWKS = w.key().JWKS
	}
	return wish
}

// taken is a wish as the server took it: it may have chosen another authentication
// method, where the rules leave that open.
func (w Wanted) taken(wish authserver.ClientMetadata, answer authserver.Client) authserver.ClientMetadata {
	if method := answer.Registered.AuthMethod; slices.Contains(w.AuthMethods, wish.AuthMethod) && slices.Contains(w.AuthMethods, method) {
		wish.AuthMethod = method
	}
	return wish
}

// request is a wish as it is sent: with the client id that the register chose, the
// ownership mark, and the secret that is to be set.
func (w Wanted) request(wish authserver.ClientMetadata, record policy.Record, secret authserver.Secret) authserver.ClientMetadata {
	if w.Capabilities.OwnClientID {
		wish.ID = record.Client.ID
	}
	wish = policy.Marked(wish, w.Cluster, w.UID, record.Mark)
	wish.Secret = secret
	return wish
}

// again is an outcome after which the rules are asked once more at once.
func again(record policy.Record) func(Answer, time.Time) Outcome {
	return func(Answer, time.Time) Outcome { return Outcome{Record: record, Wait: AtOnce} }
}

// register plans a request for a client. A pending record is stored before it (RFC
// 7591 registration cannot be repeated).
func (w Wanted) register() Plan {
	wish := w.asked()
	intent := w.pending(w.Record, wish)
	if !w.Capabilities.OwnClientID {
		// The absence of the client could not be shown without its key.
		intent.WitnessKey, intent.WitnessKeyID = w.key().Private, w.key().ID
	}
	plan := Plan{
		Intent: intent, Call: Register, Request: w.request(wish, intent, intent.Client.Secret), Unsent: w.unsent(intent),
		// A request is repeated that may leave a client nobody knows each time: a
		// gateway with no server behind it gives no metadata either.
		MetadataFirst: w.Record.State == policy.RecordPending && !w.Record.Findable(),
		After:         func(a Answer, now time.Time) Outcome { return w.registered(intent, wish, a, now) },
	}
	if w.Record.Live() {
		plan.Events = append(plan.Events, Event{Kind: ClientVanished, Record: w.Record})
	}
	if w.Record.State == policy.RecordPending && !w.Record.Findable() {
		plan.Events = append(plan.Events, Event{Kind: UnconfirmedRegistration, Record: w.Record})
	}
	return plan
}

// pending is the record of a request about to be sent. A request that was pending
// before ended without an answer: its mark may live on as an orphan, unless the
// register chose the client id: then it is the same request again, and whatever
// becomes of both is one client.
func (w Wanted) pending(old policy.Record, wish authserver.ClientMetadata) policy.Record {
	record := policy.Record{
		State: policy.RecordPending, Version: old.Version, Orphans: slices.Clone(old.Orphans), Unanswered: old.Unanswered,
		Connection: w.Connection, TokenEndpoint: w.TokenEndpoint, Owner: policy.Owner(w.Cluster, w.UID),
		WishDigest: policy.Digest(wish), TokenLifetime: w.TokenLifetime,
		Reached:        policy.Reached(nil, w.Grants),
		ServiceAccount: w.ServiceAccount, KeysSent: policy.KeysDigest(wish),
	}
	record.Rotation.Request = w.RotationRequest
	if old.Findable() && !old.Adopting {
		record.Mark, record.Client = old.Mark, old.Client
		record.Reached = policy.Reached(old.Reached, w.Grants)
		return record
	}
	if old.State == policy.RecordPending && !old.Findable() {
		record.Orphans = append(record.Orphans, old.Mark)
	}
	record.Mark = w.Made.Mark
	if w.Capabilities.OwnClientID {
		record.Client.ID = w.Made.ClientID
	}
	if w.Capabilities.OwnClientID && w.ChoosesSecret {
		record.Client.Secret = w.Made.Secret
	}
	return record
}

// unsent is a pending record whose request was not sent after all. Where one for
// the same client was sent before, that may have come into being.
func (w Wanted) unsent(intent policy.Record) policy.Record {
	if w.Record.Findable() {
		return intent
	}
	intent.State, intent.Client, intent.Adopting = "", authserver.Client{}, false
	return intent
}

// adopt plans to take over a client of somebody else: it is stored as pending, and
// found and replaced like a client whose registration had no answer.
func (w Wanted) adopt() Plan {
	intent := w.pending(policy.Record{Version: w.Record.Version, Orphans: w.Record.Orphans}, w.Wish)
	intent.Client.ID, intent.Adopting = w.Adopt, true
	// Whoever had the client before may have had it use any server.
	intent.Reached = policy.Reached([]string{policy.Anywhere}, w.Grants)
	return Plan{Intent: intent, Unsent: w.unsent(intent), After: again(intent)}
}

// replace plans to make the client equal to the wish. That an answer is outstanding
// is stored first: if it is lost, secrets at hand prove nothing any more.
func (w Wanted) replace(now time.Time) Plan {
	wish, key := w.asked(), w.key()
	intent := w.Record
	// What is sent enables the client: from now on it may be.
	intent.Replacing, intent.KeptKeys, intent.Disabled = true, w.Record.Keeping(wish), false
	intent.TokenDoubtful = !w.Capabilities.OwnClientID
	intent.ServiceAccount = w.ServiceAccount
	intent.TokenLifetime = max(intent.TokenLifetime, w.TokenLifetime)
	if intent.Live() && len(intent.Reached) == 0 {
		// It was registered before this was noted.
		intent.Reached = []string{policy.Anywhere}
	}
	intent.Reached = policy.Reached(intent.Reached, w.Grants)
	if w.MakeKey {
		// The key must outlive a crash; the team gets it when it is accepted.
		intent.Rotation.NextKey, intent.Rotation.NextKeyID, intent.Rotation.NextJWKS = key.Private, key.ID, key.JWKS
		intent.Rotation.OldJWKS, intent.Rotation.OldUntil = "", time.Time{}
	}
	sent := replacement{intent: intent, wish: wish, secret: w.nextSecret(), settles: intent.KeysSettle(now)}
	sent.excess, _ = policy.Compare(w.Wish, w.Record.Client)
	return Plan{
		Intent: intent, Call: Replace, Request: w.request(wish, intent, sent.secret), Urgent: len(sent.excess) > 0,
		After: func(a Answer, now time.Time) Outcome { return w.replaced(sent, a, now) },
	}
}

// replacement is an update that was sent.
type replacement struct {
	// intent is what was stored before it.
	intent policy.Record
	wish   authserver.ClientMetadata
	// secret is the one that it sets; zero for none.
	secret authserver.Secret
	// settles says that it was sent when the keys of before could not come back any
	// more.
	settles bool
	// excess is what the client was known to have beyond the wish.
	excess []string
}

// nextSecret is the secret that a replacement sets: that of a rotation, or the
// chosen one of a client whose registration is not known to be done.
func (w Wanted) nextSecret() authserver.Secret {
	switch {
	case w.Record.Rotation.SecretWaits():
		return w.Record.Rotation.NextSecret
	case w.Record.State == policy.RecordPending && w.ChoosesSecret:
		return w.Record.Client.Secret
	}
	return authserver.Secret{}
}

// keep plans what is left to do about a client that is as wished: what it may reach
// is noted before anything else, and the team is given its credentials.
func (w Wanted) keep(now time.Time) Plan {
	noted := w.noted()
	plan := Plan{Intent: noted, After: func(Answer, time.Time) Outcome { return Outcome{Record: noted} }}
	c := w.Credentials
	switch {
	case c.Foreign && w.handing:
		return plan.giving(KeyPair{})
	case c.Foreign, c.Is == policy.Unknown && !w.handing:
		return plan
	case noted.KnowsNextKey(now):
		r := noted.Rotation
		plan.After = func(_ Answer, now time.Time) Outcome { return w.handedOver(noted, now) }
		return plan.giving(KeyPair{Private: r.NextKey, ID: r.NextKeyID, JWKS: r.NextJWKS})
	}
	return plan.giving(KeyPair{Private: c.PrivateKey, ID: c.KeyID, JWKS: c.PublicJWKS})
}

// giving adds to a plan that the team is given its credentials, with a key.
func (p Plan) giving(key KeyPair) Plan {
	p.GiveCredentials, p.Key = true, key
	return p
}

// noted is the record with all that the client may reach by now, and how long its
// tokens may live.
func (w Wanted) noted() policy.Record {
	r, before := w.Record, w.Record.Reached
	if len(before) == 0 {
		// It was registered before this was noted.
		before = []string{policy.Anywhere}
	}
	reached := policy.Reached(before, w.Grants)
	if w.TokenLifetime <= r.TokenLifetime && w.Connection.CopySeconds <= r.Connection.CopySeconds && len(reached) <= len(r.Reached) {
		return r
	}
	r.Reached = reached
	r.TokenLifetime = max(r.TokenLifetime, w.TokenLifetime)
	r.Connection.CopySeconds = max(r.Connection.CopySeconds, w.Connection.CopySeconds)
	return r
}

// rotating is the record of a rotation that begins. It has four steps, and a crash
// between two of them repeats the later one: the new key or secret is stored in the
// record; the authorization server accepts it, a key beside the old one; the team
// gets it; after the overlap the old key is taken away, as any other reduction.
// Where keys linger (authserver.Traits), what changes them is sent twice before it
// counts.
func (w Wanted) rotating() policy.Record {
	r := w.Record
	r.Rotation.Request = w.RotationRequest
	if w.ChoosesSecret {
		r.Rotation.NextSecret = w.Made.Secret
		return r
	}
	r.Rotation.NextKey, r.Rotation.NextKeyID, r.Rotation.NextJWKS = w.Made.Key.Private, w.Made.Key.ID, w.Made.Key.JWKS
	r.Rotation.OldJWKS, r.Rotation.OldUntil = w.Credentials.PublicJWKS, time.Time{}
	return r
}

// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package lifecycle

import (
	"errors"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

var start = time.Date(2026, time.September, 1, 12, 0, 0, 0, time.UTC)

// late is for how long a request without an answer may be carried out: less than
// what the record allows for.
const late = 20 * time.Second

// truth is one client at an authorization server, as it is.
type truth struct {
	r *rand.Rand
	// exists says that the client is there; foreign that it is somebody else's.
	exists, foreign bool
	// token is the management token that is good; every use may replace it.
	token   int
	rotates bool
	// comes is when a request that is under way is carried out; zero for none.
	comes time.Time
	// lies says that somebody may answer in the server's place.
	lies bool
}

func pick[T any](r *rand.Rand, values ...T) T { return values[r.IntN(len(values))] }

func failure(kind authserver.Kind, applied bool) error {
	return &authserver.Error{Kind: kind, Op: "asking", MaybeApplied: applied}
}

// settle lets come what is under way.
func (s *truth) settle(now time.Time) {
	if !s.comes.IsZero() && !now.Before(s.comes) {
		s.exists, s.comes = true, time.Time{}
	}
}

// renewed is the token that an answer brings.
func (s *truth) renewed() authserver.Client {
	if s.rotates {
		s.token++
	}
	return authserver.Client{ManagementToken: authserver.NewSecret(strconv.Itoa(s.token))}
}

// knows says that the server takes the token of a record. With an admin API there
// is none.
func (s *truth) knows(f Facts) bool {
	return f.Capabilities.OwnClientID || f.Record.Client.ManagementToken.Reveal() == strconv.Itoa(s.token)
}

// revoke answers a deletion. An intermediary may answer 204 for nothing; an answer
// may be lost; the token may be another.
func (s *truth) revoke(f Facts, now time.Time) Answer {
	s.settle(now)
	if s.exists && s.foreign {
		return Answer{Err: failure(authserver.Conflict, false)}
	}
	a := Answer{}
	if f.Capabilities.Disables && s.exists && s.r.IntN(2) == 0 {
		a.DisabledAt = now
	}
	if s.lies {
		switch s.r.IntN(6) {
		case 0:
			return a
		case 1:
			a.Err = failure(authserver.Unavailable, true)
			return a
		case 2:
			a.Err = errors.New("no error of the port")
			return a
		case 3:
			a.Err = failure(pick(s.r, authserver.Unauthorized, authserver.Rejected), false)
			return a
		case 4:
			if s.knows(f) {
				s.exists = false
			}
			a.Err = failure(authserver.Unavailable, true)
			return a
		}
	}
	if s.exists && !s.knows(f) {
		a.Err = failure(authserver.Unauthorized, false)
		return a
	}
	s.exists = false
	return a
}

// prove answers a question after a client, as the port's contract has it: found is
// false only where that is so.
func (s *truth) prove(f Facts, now time.Time) Answer {
	s.settle(now)
	if s.lies && s.r.IntN(3) == 0 {
		a := Answer{Err: failure(pick(s.r, authserver.Unavailable, authserver.Unauthorized, authserver.Rejected), false)}
		if s.exists && s.knows(f) && s.r.IntN(2) == 0 {
			// It can be read as far as the token.
			a.Client = s.renewed()
		}
		return a
	}
	if !s.exists {
		return Answer{}
	}
	if !s.knows(f) {
		return Answer{Err: failure(authserver.Unauthorized, false)}
	}
	return Answer{Found: true, Client: s.renewed()}
}

// giveKey answers a replacement of the key set.
func (s *truth) giveKey(f Facts) Answer {
	if s.lies && s.r.IntN(2) == 0 {
		return Answer{Err: failure(pick(s.r, authserver.Unavailable, authserver.Unauthorized, authserver.Rejected), s.r.IntN(2) == 0)}
	}
	if !s.exists || !s.knows(f) {
		return Answer{Err: failure(authserver.Unauthorized, false)}
	}
	return Answer{Client: s.renewed()}
}

func (s *truth) ask(call Call, f Facts, now time.Time) Answer {
	switch call {
	case None, Register, Replace, Disable:
	case Look:
		return s.look(f, now)
	case GiveProbeKey:
		return s.giveKey(f)
	case Revoke:
		return s.revoke(f, now)
	case Prove:
		return s.prove(f, now)
	}
	return Answer{}
}

// probeKey is a key of ours.
var probeKey = KeyPair{
	Private: authserver.NewSecret("key"), ID: "kid",
	JWKS: `{"keys":[{"kty":"EC","crv":"P-256","kid":"kid","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}`,
}

// look answers a question after a client whose token may be an old one.
func (s *truth) look(f Facts, now time.Time) Answer {
	s.settle(now)
	switch {
	case s.lies && s.r.IntN(3) == 0:
		return Answer{Err: failure(pick(s.r, authserver.Unavailable, authserver.Unauthorized, authserver.Rejected), false)}
	case !s.exists, !s.knows(f):
		return Answer{Err: failure(authserver.Unauthorized, false)}
	}
	return Answer{Found: true, Client: s.renewed()}
}

var causes = []v1alpha1.RevocationCause{
	v1alpha1.CauseDeleted, v1alpha1.CauseExpired, v1alpha1.CauseOwnerMissing, v1alpha1.CauseSuspended,
	v1alpha1.CauseNoGrantInForce, v1alpha1.CauseWidened, v1alpha1.CauseUnusable,
}

// randomRecord is whatever storage can return of a client, in any state.
func randomRecord(r *rand.Rand) policy.Record {
	record := policy.Record{
		State: pick(r, policy.RecordPending, policy.RecordRegistered, policy.RecordRegistered, policy.RecordDeleted,
			policy.RecordRevoked, policy.RecordRefused, "", "Rotating"),
		Mark: "mark", Orphans: make([]string, r.IntN(3)), Owner: "mcp-registrar/cluster/uid", Version: "1",
		Connection: authserver.Config{Name: "main", Issuer: "https://as.example.com"},
		Replacing:  r.IntN(4) == 0, TokenDoubtful: r.IntN(4) == 0, Disabled: r.IntN(8) == 0, WishDigest: pick(r, "", "digest"),
		TokenLifetime: time.Hour, Reached: []string{"invoices/invoices"},
	}
	record.Client = authserver.Client{
		ID: pick(r, "client", "client", "client", ""), ManagementURI: pick(r, "https://as.example.com/register/client", ""),
		ManagementToken: authserver.NewSecret(pick(r, "0", "0", "0", "stale", "")), Secret: authserver.NewSecret(pick(r, "secret", "")),
		Registered: authserver.ClientMetadata{
			AuthMethod: pick(r, "none", "client_secret_basic", "client_secret_post", "private_key_jwt"), Contacts: []string{pick(r, "a@example.com", "a\n", "")},
			JWKS: pick(r, "", "{", `{"keys":[]}`), Scopes: make([]string, r.IntN(300)),
		},
	}
	if r.IntN(3) == 0 {
		record.Cause, record.DueAt = pick(r, causes...), start.Add(-time.Minute)
	}
	if record.State != policy.RecordPending && r.IntN(2) == 0 {
		record.RegisteredAt = start.Add(-time.Hour)
	}
	if record.State == policy.RecordDeleted {
		record.DeletedAt = start.Add(-time.Duration(r.IntN(60)) * time.Second)
	}
	record.Adopting = record.State == policy.RecordPending && r.IntN(4) == 0
	return record
}

// randomFacts are facts about a client that must not exist.
func randomFacts(r *rand.Rand) Facts {
	f := Facts{
		Record: randomRecord(r), Cause: pick(r, causes...), DueAt: start.Add(-time.Second),
		Last: r.IntN(2) == 0, Alone: r.IntN(4) == 0, Repeatable: r.IntN(2) == 0, DesiredDigest: "digest",
		ProbeKey: probeKey,
	}
	if r.IntN(2) == 0 {
		f.Capabilities = authserver.Traits{OwnClientID: true, OwnSecret: true, Disables: r.IntN(2) == 0}
	}
	return f
}

// randomTruth is a client as it may be where the record of facts is what it is. It
// notes in the facts what was seen of it.
func randomTruth(r *rand.Rand, f *Facts) *truth {
	s := &truth{r: r, rotates: r.IntN(2) == 0, lies: r.IntN(4) > 0}
	switch standing := StandingOf(f.Record); standing {
	case Gone:
	case Alive, Deleted, Unconfirmed:
		s.exists = r.IntN(4) > 0
		s.foreign = f.Record.Adopting && r.IntN(2) == 0
	}
	if f.Record.MayComeLate(start) && !s.exists && !s.foreign && r.IntN(2) == 0 {
		s.comes = start.Add(time.Duration(r.IntN(int(late))))
		if !f.Record.DeletedAt.IsZero() {
			s.comes = f.Record.DeletedAt.Add(late)
		}
	}
	f.SeenAbsent = !s.exists && r.IntN(4) == 0
	return s
}

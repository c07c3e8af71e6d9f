// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
)

// testJWKS is a key set of one key.
const testJWKS = `{"keys":[{"kty":"EC","crv":"P-256","kid":"a","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}`

func rotating(after, overlap int32) func(*RegistrationFacts) {
	return func(f *RegistrationFacts) {
		f.Traits = adminTraits
		f.Record.RegisteredAt = now.Add(-day)
		f.Registration.Spec.Credentials = &v1alpha1.Credentials{RotateAfterSeconds: &after, RotationOverlapSeconds: &overlap}
		// What is registered is what the present facts ask for.
		f.Record.WishDigest = Digest(Registration(*f, now).Wish)
	}
}

// A secret is replaced when it is old enough, up to a tenth earlier.
func TestRotationByAge(t *testing.T) {
	const week = 7 * 24 * 3600
	f := liveFacts(rotating(week, 60))
	made := f.Record.RegisteredAt
	at := (&inquiry{RegistrationFacts: f, now: now}).rotationAt()
	if at.Before(made.Add(week*time.Second*9/10)) || at.After(made.Add(week*time.Second)) {
		t.Errorf("due %s after it was made", at.Sub(made))
	}
	equal(t, "before", Keep, decideAt(f, at.Add(-time.Nanosecond)))
	equal(t, "then", Rotate, decideAt(f, at))
	f.Record.Rotation.MadeAt = now
	equal(t, "made anew", Keep, decideAt(f, at))
	f.Traits.OwnSecret = false
	f.Record.Rotation.MadeAt = time.Time{}
	equal(t, "the server chooses secrets", Keep, decideAt(f, at))
}

// decideAt keeps the end of the facts' objects away from the instant.
func decideAt(f RegistrationFacts, at time.Time) Action {
	setEnd(f.Registration, at.Add(day))
	for _, g := range f.Grants {
		setEnd(g.Grant, at.Add(day))
	}
	return Registration(f, at).Action
}

// Those made together are not replaced together, and each always at its own
// instant.
func TestRotationIsSpread(t *testing.T) {
	seen := map[time.Time]bool{}
	for i := range 50 {
		f := liveFacts(rotating(100_000, 60))
		f.Registration.UID = types.UID(fmt.Sprintf("uid-%d", i))
		q := &inquiry{RegistrationFacts: f, now: now}
		seen[q.rotationAt()] = true
		equal(t, "again", q.rotationAt(), q.rotationAt())
	}
	if len(seen) < 45 {
		t.Errorf("%d instants for 50 registrations", len(seen))
	}
}

// Each new value of the annotation asks once; what is under way is finished
// first.
func TestRotationOnDemand(t *testing.T) {
	f := liveFacts(rotating(315360000, 60))
	annotate(f.Registration, v1alpha1.AnnotationRotate, "today")
	equal(t, "asked", Rotate, Registration(f, now).Action)
	f.Record.Rotation.NextSecret = authserver.NewSecret("next")
	equal(t, "under way", Replace, Registration(f, now).Action)
	f.Record.Rotation.NextSecret, f.Record.Rotation.Request = authserver.Secret{}, "today"
	equal(t, "done", Keep, Registration(f, now).Action)
	annotate(f.Registration, v1alpha1.AnnotationRotate, "tomorrow")
	f.Record.Rotation.OldJWKS, f.Record.Rotation.OldUntil = testJWKS, now.Add(time.Minute)
	equal(t, "overlapping", Keep, Registration(f, now).Action)
	f.Record.Rotation.OldUntil = now
	equal(t, "asked again", Rotate, Registration(f, now).Action)
	refuse(&f)
	equal(t, "to be revoked", Revoke, Registration(f, now).Action)
}

// Both keys are registered while both are valid, in one order, and the old one
// goes at its end: also while nothing may be given.
func TestRotationOverlap(t *testing.T) {
	const present, next = `{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"b","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}`, testJWKS
	r := Rotation{OldJWKS: present}
	both := r.Keys(next, true, now)
	r = Rotation{OldJWKS: present, NextJWKS: next}
	equal(t, "the team has the old one", both, r.Keys(present, true, now))
	equal(t, "the team has the new one", both, r.Keys(next, true, now))
	if strings.Count(both, `"kid"`)+strings.Count(both, `"kty"`) < 3 {
		t.Errorf("two keys: %s", both)
	}
	r = Rotation{OldJWKS: present, OldUntil: now.Add(time.Second)}
	equal(t, "before the end", both, r.Keys(next, true, now))
	equal(t, "at the end", next, r.Keys(next, true, now.Add(time.Second)))
	equal(t, "no room for two", next, Rotation{OldJWKS: present, NextJWKS: next}.Keys(present, false, now))
	equal(t, "no rotation", present, Rotation{}.Keys(present, true, now))
}

// What changed keys is sent again when they should have settled, also while
// nothing may be given; until then no key is handed out that has one before it.
func TestKeysSettle(t *testing.T) {
	f := liveFacts(rotating(315360000, 60))
	f.Record.KeysSettleAt = now.Add(time.Second)
	before := Registration(f, now)
	equal(t, "before", Keep, before.Action)
	equal(t, "looked at again", f.Record.KeysSettleAt, before.Next)
	f.Record.KeysSettleAt = now
	equal(t, "then", Replace, Registration(f, now).Action)
	freeze(&f)
	equal(t, "frozen", Replace, Registration(f, now).Action)
	refuse(&f)
	equal(t, "to be revoked", Revoke, Registration(f, now).Action)

	r := Record{Client: authserver.Client{Registered: authserver.ClientMetadata{JWKS: testJWKS}}}
	r.Rotation = Rotation{NextKey: authserver.NewSecret("key"), NextJWKS: testJWKS, OldJWKS: `{"keys":[]}`}
	equal(t, "settled", true, r.KnowsNextKey(now))
	r.KeysSettleAt = now
	equal(t, "not settled", false, r.KnowsNextKey(now))
	r.Rotation.OldJWKS = ""
	equal(t, "the only key", true, r.KnowsNextKey(now))
}

func TestKeysDigest(t *testing.T) {
	const a, b = `{"kty":"OKP","crv":"Ed25519","kid":"b","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`,
		`{"kty":"EC","crv":"P-256","kid":"a","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}`
	digest := func(jwks, uri string) string { return KeysDigest(authserver.ClientMetadata{JWKS: jwks, JWKSURI: uri}) }
	set := func(keys ...string) string { return `{"keys":[` + strings.Join(keys, ", ") + `]}` }
	equal(t, "no keys", "", digest("", ""))
	equal(t, "another order", digest(set(a, b), ""), digest(set(b, a), ""))
	different := map[string]bool{}
	for _, d := range []string{digest("", ""), digest(set(a), ""), digest(set(b), ""), digest(set(a, b), ""), digest("", "https://a"), digest("", "https://b"), digest("?", "")} {
		different[d] = true
	}
	equal(t, "different digests", 7, len(different))
}

// A disabled client is left so by what only takes away: also while nothing may
// be given, and whatever there is to take away.
func TestNothingThatTakesAwayEnables(t *testing.T) {
	for name, change := range map[string]func(*RegistrationFacts){
		"an old key":       func(f *RegistrationFacts) { f.Record.Rotation.OldJWKS, f.Record.Rotation.OldUntil = testJWKS, now },
		"keys that settle": func(f *RegistrationFacts) { f.Record.KeysSettleAt = now },
		"a lost answer":    func(f *RegistrationFacts) { f.Record.Replacing = true },
		"a scope": func(f *RegistrationFacts) {
			f.Record.Client.Registered.Scopes = append(slices.Clone(f.Record.Client.Registered.Scopes), "invoices:all")
		},
	} {
		f := liveFacts(rotating(315360000, 60))
		f.Record.Client.Registered.JWKS = strings.Replace(testJWKS, `{"keys":[`, `{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"b","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},`, 1)
		change(&f)
		freeze(&f)
		equal(t, name, Replace, Registration(f, now).Action)
		f.Record.Disabled = true
		equal(t, name+", disabled", Keep, Registration(f, now).Action)
		f.Observed = Observation{Looked: true, Is: Present, Client: f.Record.Client}
		equal(t, name+", disabled, and enabled by somebody", Disable, Registration(f, now).Action)
	}
}

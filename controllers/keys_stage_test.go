// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/audit"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/fake"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

// Two key sets of a team.
const (
	firstKeys  = `{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"first","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}`
	secondKeys = `{"keys":[{"kty":"EC","crv":"P-256","kid":"second","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}`
)

// tape collects the audit stream.
type tape struct{ events []audit.Event }

func (t *tape) Record(e audit.Event) { t.events = append(t.events, e) }

// keyStage is one registration that authenticates by keys, at a server that
// goes on with the keys of before when a replacement changes them.
type keyStage struct {
	*stage

	audit tape
}

// newKeyStage leaves out the keys if they are to be the operator's.
func newKeyStage(t *testing.T, keys string) *keyStage {
	s := &keyStage{stage: newStage(t, "keyed")}
	s.manageOtherwise()
	s.as.Server = fake.NewWith(s.issuer.Spec.Issuer, authserver.Traits{
		OwnClientID: true, OwnSecret: true, TwoKeys: true, Audiences: true, Disables: true, Lists: true, KeysLinger: authserver.KeyCacheRace,
	})
	s.as.Switch(func(w *fake.Switches) { w.KeepKeys = true })
	s.registrations.Audit = &s.audit
	s.reg.Spec.TokenEndpointAuthMethod, s.reg.Spec.JWKS = v1alpha1.AuthMethodPrivateKeyJWT, keys
	return s
}

// rest has the registration reconciled as the queue would with no event, for a
// while, and returns how many replacements that took.
func (s *keyStage) rest(d time.Duration) int {
	s.t.Helper()
	before, end := s.as.Calls(fake.Replace), s.clock.Now().Add(d)
	for range 200 {
		result, err := s.registrations.Reconcile(s.t.Context(), s.registration())
		after := result.RequeueAfter
		if err != nil {
			after = 100 * time.Millisecond
		}
		if after == 0 || s.clock.Now().Add(after).After(end) {
			s.clock.SetTime(end)
			return s.as.Calls(fake.Replace) - before
		}
		s.clock.SetTime(s.clock.Now().Add(after))
	}
	s.t.Fatalf("no rest, %d replacements in %s", s.as.Calls(fake.Replace)-before, d)
	return 0
}

func (s *keyStage) refuseReplacements(kind authserver.Kind) {
	for range 300 {
		s.as.Fail(fake.Fault{Operation: fake.Replace, Err: &authserver.Error{Kind: kind, Op: "replacing client"}})
	}
}

// wantSettled holds that the keys in force are those of the record.
func (s *keyStage) wantSettled() {
	s.t.Helper()
	record := s.stored()
	digest := func(keys string) string { return policy.KeysDigest(authserver.ClientMetadata{JWKS: keys}) }
	inForce := s.as.KeysInForce(record.Client.ID)
	if !record.KeysSettleAt.IsZero() || digest(inForce) != digest(record.Client.Registered.JWKS) {
		s.t.Errorf("to be sent again at %s; in force are %s", record.KeysSettleAt, inForce)
	}
}

func ownKeys(keys string) func(*v1alpha1.MCPClientRegistration) {
	return func(reg *v1alpha1.MCPClientRegistration) { reg.Spec.JWKS = keys }
}

func pause(as *v1alpha1.AuthorizationServer) {
	as.Annotations = map[string]string{v1alpha1.AnnotationPaused: "true"}
}

func askRotation(reg *v1alpha1.MCPClientRegistration) {
	reg.Annotations[v1alpha1.AnnotationRotate] = "now"
}

// Whoever changed the keys, the change is sent twice, and that needs no event.
func TestKeysSettle(t *testing.T) {
	for name, c := range map[string]struct {
		keys   string
		change func(*keyStage)
		rest   time.Duration
		calls  int
	}{
		"the team":   {firstKeys, func(s *keyStage) { editOnce(s.stage, s.reg, ownKeys(secondKeys)) }, time.Minute, 2},
		"a rotation": {"", func(s *keyStage) { editOnce(s.stage, s.reg, askRotation) }, 10 * time.Minute, 4},
		"somebody else": {
			firstKeys,
			func(s *keyStage) { s.as.Edit(s.live().ID, func(m *authserver.ClientMetadata) { m.JWKS = secondKeys }) },
			70 * time.Minute, 2,
		},
		"nobody, but the scopes": {
			firstKeys,
			func(s *keyStage) {
				editOnce(s.stage, s.grant, func(g *v1alpha1.ScopeGrant) { g.Spec.Scopes = []v1alpha1.ScopeName{"invoices:export"} })
				s.settle()
			},
			time.Hour, 0,
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newKeyStage(t, c.keys)
			s.begin()
			c.change(s)
			if calls := s.rest(c.rest); calls != c.calls {
				t.Errorf("%d replacements, want %d", calls, c.calls)
			}
			s.wantSettled()
			if s.stored().Rotation.OldJWKS != "" {
				t.Error("the old key is not gone")
			}
		})
	}
}

// The old key is said to be good for as long as it could come back.
func TestOldKeyIsToldUntilItSettled(t *testing.T) {
	s := newKeyStage(t, "")
	s.begin()
	first := string(s.credentials()[v1alpha1.SecretKeyKeyID])
	editOnce(s.stage, s.reg, askRotation)
	s.rest(time.Minute)
	s.rest(s.stored().Rotation.OldUntil.Sub(s.clock.Now()))
	s.rest(time.Second)
	record := s.stored()
	if record.KeysSettleAt.IsZero() || strings.Contains(record.Client.Registered.JWKS, first) {
		t.Fatalf("the old key is not taken away just now: %+v", record.Rotation)
	}
	if !strings.Contains(s.as.KeysInForce(record.Client.ID), first) || s.registration().Status.OldKeyUntil == nil {
		t.Error("status.oldKeyUntil is gone, and the key is not")
	}
	s.rest(time.Minute)
	if strings.Contains(s.as.KeysInForce(record.Client.ID), first) || s.registration().Status.OldKeyUntil != nil {
		t.Error("the key is not gone, or status.oldKeyUntil is not")
	}
}

// A client that is taken over had other keys before.
func TestKeysOfAnAdoptedClientSettle(t *testing.T) {
	s := newKeyStage(t, secondKeys)
	if _, err := s.as.Register(t.Context(), authserver.ClientMetadata{
		ID: "old-client", Name: "old", AuthMethod: "private_key_jwt", JWKS: firstKeys, GrantTypes: []string{"client_credentials"},
	}); err != nil {
		t.Fatal(err)
	}
	s.issuer.Spec.Adoptions = []v1alpha1.Adoption{{ClientID: "old-client", Namespace: clientsPlace, Name: "keyed"}}
	s.reg.Annotations[v1alpha1.AnnotationAdopt] = "old-client"
	s.begin()
	s.rest(time.Minute)
	s.wantSettled()
}

// A server that does not repeat jwks_uri gives no reason to go on.
func TestKeysThatAreNotRepeatedSettle(t *testing.T) {
	s := newKeyStage(t, "")
	s.as.Switch(func(w *fake.Switches) {
		w.Alter = func(m authserver.ClientMetadata) authserver.ClientMetadata { m.JWKSURI = ""; return m }
	})
	s.issuer.Spec.Policy.JWKSURIPatterns = []string{".*"}
	s.reg.Spec.JWKSURI = "https://app.example.com/a.json"
	s.begin()
	editOnce(s.stage, s.reg, func(reg *v1alpha1.MCPClientRegistration) { reg.Spec.JWKSURI = "https://app.example.com/b.json" })
	if calls := s.rest(24 * time.Hour); calls != 2 {
		t.Errorf("%d replacements in a day, want 2", calls)
	}
}

// A second sending that is refused is tried again as late as what was refused
// before, and a change that is refused does not keep it up.
func TestRefusedSettling(t *testing.T) {
	for name, c := range map[string]struct {
		keys  string
		begin func(*keyStage)
		kind  authserver.Kind
		most  int
	}{
		"the second sending": {firstKeys, func(s *keyStage) { edit(s.stage, s.reg, ownKeys(secondKeys)) }, authserver.Rejected, 3},
		"another change": {
			firstKeys,
			func(s *keyStage) {
				edit(s.stage, s.reg, ownKeys(secondKeys))
				editOnce(s.stage, s.reg, func(reg *v1alpha1.MCPClientRegistration) { reg.Spec.ClientName = "other" })
			},
			authserver.Rejected, 3,
		},
		"a rotation": {"", func(s *keyStage) { edit(s.stage, s.reg, askRotation) }, authserver.Conflict, 3},
		"the client itself": {
			firstKeys,
			func(s *keyStage) {
				edit(s.stage, s.reg, ownKeys(secondKeys))
				editOnce(s.stage, s.issuer, pause)
			},
			authserver.Unauthorized, int(10 * time.Minute / blockedDelay),
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newKeyStage(t, c.keys)
			s.begin()
			c.begin(s)
			s.refuseReplacements(c.kind)
			if calls := s.rest(10 * time.Minute); calls == 0 || calls > c.most {
				t.Errorf("%d replacements in ten minutes", calls)
			}
		})
	}
}

// A disabled client is not enabled by what only repeats the last replacement.
func TestKeysSettleInNoDisabledClient(t *testing.T) {
	s := newKeyStage(t, firstKeys)
	s.begin()
	edit(s.stage, s.reg, ownKeys(secondKeys))
	edit(s.stage, s.reg, func(reg *v1alpha1.MCPClientRegistration) { reg.Spec.State = v1alpha1.StateSuspended })
	s.later(time.Minute)
	edit(s.stage, s.issuer, pause)
	edit(s.stage, s.reg, func(reg *v1alpha1.MCPClientRegistration) { reg.Spec.State = v1alpha1.StateActive })
	s.later(time.Minute)
	if !s.live().Disabled {
		t.Error("the client is enabled while its authorization server is paused")
	}
	told := len(s.audit.events)
	edit(s.stage, s.issuer, func(as *v1alpha1.AuthorizationServer) { as.Annotations = nil })
	if s.live().Disabled || len(s.audit.events) == told {
		t.Error("the client is not enabled again, or that is not on record")
	}
	s.wantSettled()
}

// What only repeats a replacement is no event; what comes with it is.
func TestSettlingOnRecord(t *testing.T) {
	for name, c := range map[string]struct {
		before func(*keyStage)
		events int
	}{
		"it repeats":    {func(*keyStage) {}, 0},
		"it gives more": {func(s *keyStage) { s.as.Switch(func(w *fake.Switches) { w.Alter = nil }) }, 1},
	} {
		t.Run(name, func(t *testing.T) {
			s := newKeyStage(t, firstKeys)
			s.grant.Spec.Scopes = []v1alpha1.ScopeName{"invoices:read", "invoices:export"}
			s.as.Switch(func(w *fake.Switches) { w.Alter = fake.Narrow("invoices:export") })
			s.begin()
			edit(s.stage, s.reg, ownKeys(secondKeys))
			c.before(s)
			told := len(s.audit.events)
			s.later(authserver.KeyCacheRace)
			s.wantSettled()
			if events := len(s.audit.events) - told; events != c.events {
				t.Errorf("%d events, want %d", events, c.events)
			}
		})
	}
}

// The answer to the second sending was lost: the next key is not handed out,
// whatever else cannot be read.
func TestNoKeyIsHandedOutUnsettled(t *testing.T) {
	s := newKeyStage(t, "")
	s.begin()
	before := string(s.credentials()[v1alpha1.SecretKeyKeyID])
	edit(s.stage, s.reg, askRotation)
	s.as.Fail(fake.Fault{Operation: fake.Replace, Err: &authserver.Error{Kind: authserver.Unavailable, Op: "replacing client", MaybeApplied: true}})
	s.clock.SetTime(s.clock.Now().Add(authserver.KeyCacheRace))
	if _, err := s.registrations.Reconcile(t.Context(), s.registration()); err == nil {
		t.Fatal("the answer was not lost")
	}
	whole, ok := s.Client.(client.WithWatch)
	if !ok {
		t.Fatal("the client does not watch")
	}
	s.registrations.Client = interceptor.NewClient(whole, interceptor.Funcs{
		List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, options ...client.ListOption) error {
			if _, grants := list.(*v1alpha1.ScopeGrantList); grants {
				return context.DeadlineExceeded
			}
			return c.List(ctx, list, options...)
		},
	})
	if _, err := s.registrations.Reconcile(t.Context(), s.registration()); err == nil {
		t.Fatal("the grants were read")
	}
	now := string(s.credentials()[v1alpha1.SecretKeyKeyID])
	if now != before && !strings.Contains(s.as.KeysInForce(s.live().ID), now) {
		t.Error("a key was handed out that is not in force")
	}
}

// What is sent again is what is registered: not a name that may be refused, nor
// the keys of a wish that waits, and what was told of the client stays.
func TestSettlingSendsWhatIsRegistered(t *testing.T) {
	s := newKeyStage(t, "")
	s.issuer.Spec.Policy.JWKSURIPatterns = []string{".*"}
	s.reg.Spec.JWKSURI = "https://app.example.com/a.json"
	s.grant.Spec.Scopes = []v1alpha1.ScopeName{"invoices:read", "invoices:export"}
	s.as.Switch(func(w *fake.Switches) { w.Alter = fake.Narrow("invoices:export") })
	s.begin()
	edit(s.stage, s.reg, func(reg *v1alpha1.MCPClientRegistration) { reg.Spec.JWKSURI = "https://app.example.com/b.json" })
	before := s.stored()
	editOnce(s.stage, s.issuer, pause)
	edit(s.stage, s.reg, func(reg *v1alpha1.MCPClientRegistration) {
		reg.Spec.JWKSURI, reg.Spec.JWKS, reg.Spec.ClientName = "", firstKeys, "other"
	})
	s.later(authserver.KeyCacheRace)
	s.wantSettled()
	sent, after := s.live().Registered, s.stored()
	if sent.JWKS != "" || sent.JWKSURI != "https://app.example.com/b.json" || sent.Name != before.Client.Registered.Name {
		t.Errorf("sent %+v", sent)
	}
	if after.WishDigest != before.WishDigest || len(before.Missing) == 0 || len(after.Missing) != len(before.Missing) {
		t.Errorf("before %v missing, after it %v", before.Missing, after.Missing)
	}
}

// While a new key may not be known yet, that it is refused proves nothing, and
// nobody is asked to act.
func TestAbsenceWithinTheLag(t *testing.T) {
	s := newKeyStage(t, firstKeys)
	s.begin()
	edit(s.stage, s.reg, ownKeys(secondKeys))
	record := s.stored()
	lost := &authserver.Error{Kind: authserver.Unauthorized, Op: "finding client", Status: 401}
	var tooSoon *authserver.Error
	if err := early(record, lost, s.clock.Now()); !errors.As(err, &tooSoon) || tooSoon.Kind != authserver.Unavailable || tooSoon.RetryAfter <= 0 {
		t.Errorf("within the lag: %v", err)
	}
	if !record.Handle(policy.CredentialsFact{}, s.clock.Now()).Uncertain {
		t.Error("a refusal would be proof")
	}
	s.later(authserver.KeyCacheRace)
	record = s.stored()
	if err := early(record, lost, s.clock.Now()); !errors.Is(err, lost) || errors.As(err, &tooSoon) && tooSoon.Kind == authserver.Unavailable || record.Handle(policy.CredentialsFact{}, s.clock.Now()).Uncertain {
		t.Errorf("settled: %v", err)
	}
}

// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"testing"
	"time"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
)

// observations are what can be seen at the authorization server, in the order
// of the columns below.
var observations = []struct {
	name     string
	observed func(f RegistrationFacts) Observation
}{
	{"not looked", func(RegistrationFacts) Observation { return Observation{Is: Absent} }},
	{"present", func(f RegistrationFacts) Observation {
		return Observation{Looked: true, Is: Present, Client: f.Record.Client}
	}},
	{"absent", func(RegistrationFacts) Observation { return Observation{Looked: true, Is: Absent} }},
	{"unknown", func(RegistrationFacts) Observation { return Observation{Looked: true} }},
}

var worlds = []struct {
	standing Standing
	enter    func(*RegistrationFacts)
}{{Allowed, allow}, {Frozen, freeze}, {Undecided, blind}, {Refused, refuse}}

// row gives the actions of one standing: not looked, present, absent, unknown.
type row [4]Action

func all(a Action) row { return row{a, a, a, a} }

// matrix is every action, by what is recorded and by what the rules say.
var matrix = map[RecordState]struct {
	allowed, held, refused, deleting row
}{
	"":               {all(Register), all(Nothing), all(Nothing), all(Revoke)},
	RecordPending:    {all(Register), all(Nothing), all(Revoke), all(Revoke)},
	RecordRegistered: {row{Keep, Keep, Register, Keep}, row{Keep, Keep, Revoke, Keep}, all(Revoke), all(Revoke)},
	RecordDeleted:    {all(Revoke), all(Revoke), all(Revoke), all(Revoke)},
	RecordRevoked:    {all(Register), all(Nothing), all(Nothing), all(Revoke)},
	RecordRefused:    {all(Register), all(Nothing), all(Nothing), all(Revoke)},
}

// factsIn are the facts about a client that got as far as state.
func factsIn(state RecordState) RegistrationFacts {
	f := liveFacts()
	f.Record.State = state
	switch state {
	case RecordRegistered, RecordDeleted:
	case RecordPending, RecordRevoked, RecordRefused:
		f.Record.Client, f.Registration.Status.ClientID = authserver.Client{}, ""
	default:
		f.RecordIs, f.Record, f.Registration.Status.ClientID = Absent, Record{}, ""
	}
	return f
}

func TestActionMatrix(t *testing.T) {
	for state, want := range matrix {
		for _, world := range worlds {
			rows := map[Standing]row{Allowed: want.allowed, Frozen: want.held, Undecided: want.held, Refused: want.refused}
			checkRow(t, state, world.enter, false, world.standing, rows[world.standing])
			checkRow(t, state, world.enter, true, Refused, want.deleting)
		}
	}
}

func checkRow(t *testing.T, state RecordState, enter func(*RegistrationFacts), gone bool, standing Standing, want row) {
	t.Helper()
	for i, observation := range observations {
		f := factsIn(state)
		f.Observed = observation.observed(f)
		enter(&f)
		if gone {
			deleting(f.Registration)
		}
		where := fmt.Sprintf("record %q, standing %d, deleting %v, %s", state, standing, gone, observation.name)
		d := Registration(f, now)
		equal(t, where, want[i], d.Action)
		equal(t, where+": standing", standing, d.Verdict.Standing)
		for _, violation := range violations(f, now, d) {
			t.Errorf("%s: %s", where, violation)
		}
		f.RecordIs = Unknown
		equal(t, where+", record unknown", Nothing, Registration(f, now).Action)
		f.RecordIs, f.Record.Released = Present, "admin: gone"
		for _, violation := range violations(f, now, Registration(f, now)) {
			t.Errorf("%s, released: %s", where, violation)
		}
	}
}

func TestZeroValuesGiveNothing(t *testing.T) {
	equal(t, "action", Nothing, RegistrationDecision{}.Action)
	equal(t, "standing", Refused, Verdict{}.Standing)
	equal(t, "grant", false, GrantDecision{}.InForce)
	d := Registration(RegistrationFacts{Registration: &v1alpha1.MCPClientRegistration{}}, now)
	equal(t, "decision about an empty object", Nothing, d.Action)
	equal(t, "standing of an object whose record is unknown", Undecided, d.Verdict.Standing)
	for action, name := range map[Action]string{
		Nothing: "Nothing", Keep: "Keep", Register: "Register", Replace: "Replace", Disable: "Disable", Rotate: "Rotate", Revoke: "Revoke",
	} {
		equal(t, "name", name, action.String())
	}
}

// A person who let go of a client ends the wait for its proof, once a
// revocation was tried: a word given early does not spare the client.
func TestForceReleased(t *testing.T) {
	for _, state := range []RecordState{RecordRegistered, RecordDeleted} {
		f := factsIn(state)
		refuse(&f)
		f.Registration.Status.Revocation = &v1alpha1.Revocation{ClientID: f.Record.Client.ID}
		equal(t, string(state)+", nobody let go", false, Registration(f, now).ForceReleased)
		f.Record.Released, f.Registration.Status.Revocation = "admin: the server is gone for good", nil
		equal(t, string(state)+", not tried", false, Registration(f, now).ForceReleased)
		f.Registration.Status.Revocation = &v1alpha1.Revocation{ClientID: "another"}
		equal(t, string(state)+", another client's", false, Registration(f, now).ForceReleased)
		f.Registration.Status.Revocation.ClientID = f.Record.Client.ID
		equal(t, string(state)+", tried by the status", true, Registration(f, now).ForceReleased)
		f.Registration.Status.Revocation, f.Record.Cause = nil, v1alpha1.CauseOwnerMissing
		equal(t, string(state)+", tried by the record", true, Registration(f, now).ForceReleased)
	}
}

// What takes a client away needs no other fact.
func TestRevokedWhileAllElseIsUnknown(t *testing.T) {
	for name, change := range map[string]func(*RegistrationFacts){
		"deleting":       func(f *RegistrationFacts) { deleting(f.Registration) },
		"no owner":       refuse,
		"no end":         func(f *RegistrationFacts) { remove(f.Registration, v1alpha1.AnnotationExpiresAt) },
		"unreadable end": func(f *RegistrationFacts) { annotate(f.Registration, v1alpha1.AnnotationExpiresAt, "x") },
		"expired":        func(f *RegistrationFacts) { setEnd(f.Registration, now) },
		"suspended":      func(f *RegistrationFacts) { f.Registration.Spec.State = v1alpha1.StateSuspended },
	} {
		t.Run(name, func(t *testing.T) {
			f := liveFacts(change)
			f.AuthorizationServer, f.Namespace = AuthorizationServerFact{}, NamespaceFact{}
			f.GrantsAre, f.Grants, f.Credentials = Unknown, nil, CredentialsFact{}
			d := Registration(f, now)
			equal(t, "action", Revoke, d.Action)
			equal(t, "connection", f.Record.Connection, d.Connection)
			f.Observed = Observation{Looked: true, Is: Unknown}
			equal(t, "action when the look was in vain", Revoke, Registration(f, now).Action)
			f.Observed.Is = Absent
			equal(t, "action when it is proven to be gone", Revoke, Registration(f, now).Action)
		})
	}
}

func TestReplace(t *testing.T) {
	cases := []struct {
		name   string
		change func(f *RegistrationFacts)
		want   Action
	}{
		{"nothing changed", func(*RegistrationFacts) {}, Keep},
		{"the name changed", func(f *RegistrationFacts) { f.Registration.Spec.ClientName = "Other" }, Replace},
		{"the owner changed", func(f *RegistrationFacts) { annotate(f.Registration, v1alpha1.AnnotationOwner, "other@example.com") }, Replace},
		{"the end moved", func(f *RegistrationFacts) { setEnd(f.Registration, now.Add(99*day)) }, Keep},
		{"a grant came", withGrants(grant(), grant(giving("exporter", "invoices:export"))), Replace},
		{"another grant of the same scope came", withGrants(grant(), grant(giving("again", "invoices:read"))), Keep},
		{"the answer to an update was lost", func(f *RegistrationFacts) { f.Record.Replacing = true }, Replace},
		{"the client was changed", func(f *RegistrationFacts) {
			f.Observed = Observation{Looked: true, Is: Present, Client: f.Record.Client}
			f.Observed.Client.Registered.Scopes = []string{"invoices:read", "admin"}
		}, Replace},
		{"the client was narrowed afterwards", func(f *RegistrationFacts) {
			f.Observed = Observation{Looked: true, Is: Present, Client: f.Record.Client}
			f.Observed.Client.Registered.Scopes = []string{}
		}, Replace},
		{"the server did not say which scopes there are", func(f *RegistrationFacts) {
			f.Observed = Observation{Looked: true, Is: Present, Client: f.Record.Client}
			f.Observed.Client.Registered.Scopes = nil
		}, Keep},
		{"the client was seen as it is recorded", func(f *RegistrationFacts) {
			f.Observed = Observation{Looked: true, Is: Present, Client: f.Record.Client}
		}, Keep},
		{"a key is to be made", func(f *RegistrationFacts) { privateKeyJWT(f.Registration) }, Replace},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			f := liveFacts(c.change)
			d := Registration(f, now)
			equal(t, "action", c.want, d.Action)
			equal(t, "scopes", scopeNames(d.Scopes...), d.Wish.Scopes)
		})
	}
}

func TestEffectiveScopes(t *testing.T) {
	short := now.Add(time.Hour)
	one := grant(giving("one", "invoices:read", "invoices:export"))
	two := grant(giving("two", "invoices:read"), endingAt(short))
	want := []v1alpha1.EffectiveScope{
		{Name: "invoices:export", Grants: []string{"one"}},
		{Name: "invoices:read", Grants: []string{"one", "two"}},
	}
	equal(t, "union", want, Registration(facts(withGrants(one, two)), now).Scopes)
	equal(t, "union in another order", want, Registration(facts(withGrants(two, one)), now).Scopes)
	equal(t, "after the end of one", []v1alpha1.EffectiveScope{
		{Name: "invoices:export", Grants: []string{"one"}},
		{Name: "invoices:read", Grants: []string{"one"}},
	}, Registration(facts(withGrants(one, two)), short).Scopes)
	refused := grant(giving("three", "invoices:void"))
	equal(t, "a grant that is refused adds nothing", want, Registration(facts(withGrants(refused, two, one)), now).Scopes)
}

func TestResourcesAndTokenLifetime(t *testing.T) {
	f := facts(withGrants(grant(giving("one", "invoices:read")), grant(giving("two", "invoices:read")), grant(giving("three", "invoices:export"))))
	f.Grants[1].Server.Object.Spec.Resource = "https://mcp.example.com/accounts"
	f.Grants[1].Server.Object.Spec.AccessTokenLifetimeSeconds = new(int32(3600))
	d := Registration(f, now)
	equal(t, "resources", []string{"https://mcp.example.com/accounts", "https://mcp.example.com/invoices"}, d.Resources)
	equal(t, "token lifetime", time.Hour, d.TokenLifetime)
	f.Grants[1].Server.Object.Spec.Audience = "api://accounts"
	d = Registration(f, now)
	equal(t, "resources with another audience", []string{"https://mcp.example.com/accounts", "https://mcp.example.com/invoices"}, d.Resources)
	equal(t, "audiences", []string{"api://accounts", "https://mcp.example.com/invoices"}, d.Audiences)
	f.Traits = adminTraits
	equal(t, "audiences to be registered", d.Audiences, Registration(f, now).Wish.Audiences)
	f.Traits = authserver.Traits{}
	setEnd(f.Grants[1].Grant, now)
	d = Registration(f, now)
	equal(t, "resources after an end", []string{"https://mcp.example.com/invoices"}, d.Resources)
	equal(t, "token lifetime after an end", defaultTokenLifetime, d.TokenLifetime)
}

// Whatever froze the rest, a client never keeps a scope whose grant is known
// to have ended, and never gets one.
func TestHeldClientsAreReduced(t *testing.T) {
	reader, exporter := grant(), grant(giving("exporter", "invoices:export"))
	for name, hold := range map[string]func(*RegistrationFacts){
		"frozen": freeze, "undecided": blind,
		"secret conflict": func(f *RegistrationFacts) { f.Credentials.Foreign = true },
		"refused renewal": func(f *RegistrationFacts) {
			f.change(maximum(day))
			f.Registration.Status.Term = termOf(now.Add(-time.Hour), now.Add(time.Hour))
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := facts(withGrants(reader.DeepCopy(), exporter.DeepCopy()), live, hold)
			equal(t, "both in force", Keep, Registration(f, now).Action)

			setEnd(f.Grants[1].Grant, now)
			d := Registration(f, now)
			equal(t, "one ended", Replace, d.Action)
			want := f.Record.Client.Registered
			want.Scopes = []string{"invoices:read"}
			equal(t, "wish", want, d.Wish)

			setEnd(f.Grants[0].Grant, now)
			d = Registration(f, now)
			equal(t, "both ended", Revoke, d.Action)
			equal(t, "cause", v1alpha1.CauseNoGrantInForce, d.Verdict.Cause)

			f.GrantsAre, f.Grants = Unknown, nil
			equal(t, "grants unknown", Keep, Registration(f, now).Action)

			more := facts(withGrants(reader.DeepCopy()), live, withGrants(reader.DeepCopy(), exporter.DeepCopy()), hold)
			equal(t, "a grant came", Keep, Registration(more, now).Action)
		})
	}
}

// A grant of which too little is known neither gives nor takes.
func TestUndecidedGrantFreezes(t *testing.T) {
	reader, exporter := grant(), grant(giving("exporter", "invoices:export"))
	lost := func(f *RegistrationFacts) { f.Grants[1].Server = ServerFact{} }
	f := facts(withGrants(reader.DeepCopy(), exporter.DeepCopy()), live, lost)
	equal(t, "its scope is kept", Keep, Registration(f, now).Action)
	setEnd(f.Grants[0].Grant, now)
	d := Registration(f, now)
	equal(t, "the other one ended", Replace, d.Action)
	equal(t, "wish", []string{"invoices:export"}, d.Wish.Scopes)
	fresh := facts(withGrants(reader.DeepCopy(), exporter.DeepCopy()), lost)
	equal(t, "nothing is registered", Nothing, Registration(fresh, now).Action)
}

// The client stays with the server it was registered at.
func TestConnectionOfTheAction(t *testing.T) {
	f := liveFacts(func(f *RegistrationFacts) {
		f.change(func(as *v1alpha1.AuthorizationServer) { as.Spec.Issuer = "https://other.example.com" })
	})
	equal(t, "revoked where it is", testIssuer, Registration(f, now).Connection.Issuer)
	f.Record.State = RecordDeleted
	equal(t, "proven where it was", testIssuer, Registration(f, now).Connection.Issuer)
	f.Record.State, f.Registration.Status.ClientID = RecordRevoked, ""
	d := Registration(f, now)
	equal(t, "then registered anew", Register, d.Action)
	equal(t, "at the new one", "https://other.example.com", d.Connection.Issuer)
	same := liveFacts(func(f *RegistrationFacts) {
		f.change(func(as *v1alpha1.AuthorizationServer) { as.Spec.CABundle = []byte("new") })
	})
	equal(t, "settings of the object at the same issuer", []byte("new"), Registration(same, now).Connection.CABundle)
}

func TestDueAt(t *testing.T) {
	owed := now.Add(-time.Hour)
	carrying := func(f *RegistrationFacts) {
		f.Registration.Status.Scopes = []v1alpha1.EffectiveScope{{Name: "invoices:export", Grants: []string{"exporter"}}, {Name: "invoices:read", Grants: []string{"reader"}}}
	}
	revoking := func(cause v1alpha1.RevocationCause, client string) func(*RegistrationFacts) {
		return func(f *RegistrationFacts) {
			f.Registration.Status.Revocation = &v1alpha1.Revocation{Cause: cause, ClientID: client, DueAt: *timePtr(owed)}
		}
	}
	ended := withGrants(grant(endingAt(now.Add(-time.Minute))), grant(giving("exporter", "invoices:export"), endingAt(now.Add(-2*time.Minute))))
	cases := []struct {
		name   string
		change []func(*RegistrationFacts)
		want   time.Time
	}{
		{"first seen now", []func(*RegistrationFacts){refuse}, now},
		{"seen before", []func(*RegistrationFacts){refuse, revoking(v1alpha1.CauseOwnerMissing, "client-1")}, owed},
		{"seen before for another cause", []func(*RegistrationFacts){refuse, revoking(v1alpha1.CauseSuspended, "client-1")}, now},
		{"seen before for another client", []func(*RegistrationFacts){refuse, revoking(v1alpha1.CauseOwnerMissing, "client-0")}, now},
		{"seen before and verified", []func(*RegistrationFacts){refuse, revoking(v1alpha1.CauseOwnerMissing, "client-1"), func(f *RegistrationFacts) {
			f.Registration.Status.Revocation.VerifiedAt = timePtr(now)
		}}, now},
		{"deleted and recorded", []func(*RegistrationFacts){refuse, func(f *RegistrationFacts) {
			f.Record.State, f.Record.Cause, f.Record.DueAt = RecordDeleted, v1alpha1.CauseOwnerMissing, owed
		}}, owed},
		{"deletion asked for", []func(*RegistrationFacts){func(f *RegistrationFacts) { deleting(f.Registration) }}, now.Add(-time.Minute)},
		{"the last grant of all ended", []func(*RegistrationFacts){ended, carrying}, now.Add(-time.Minute)},
		{"a grant was refused before its end", []func(*RegistrationFacts){ended, carrying, func(f *RegistrationFacts) {
			setEnd(f.Grants[1].Grant, now.Add(day))
			deleting(f.Grants[1].Grant)
		}}, now},
		{"a grant went in another way", []func(*RegistrationFacts){ended, carrying, func(f *RegistrationFacts) { f.Grants = f.Grants[:1] }}, now},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			d := Registration(liveFacts(c.change...), now)
			equal(t, "standing", Refused, d.Verdict.Standing)
			equal(t, "due at", c.want, d.Verdict.DueAt)
		})
	}
}

func TestNext(t *testing.T) {
	cases := []struct {
		name      string
		change    func(f *RegistrationFacts)
		want      time.Time
		takesAway bool
	}{
		{"the grant", func(*RegistrationFacts) {}, now.Add(10 * day), true},
		{"the registration", func(f *RegistrationFacts) { setEnd(f.Registration, now.Add(time.Hour)) }, now.Add(time.Hour), true},
		{"the drift check", func(f *RegistrationFacts) { f.DriftCheckAt = now.Add(time.Minute) }, now.Add(time.Minute), false},
		{"a drift check at the instant of an end", func(f *RegistrationFacts) { f.DriftCheckAt = now.Add(10 * day) }, now.Add(10 * day), true},
		{"a drift check that is overdue", func(f *RegistrationFacts) { f.DriftCheckAt = now }, now.Add(10 * day), true},
		{"the secret", func(f *RegistrationFacts) { f.Record.Client.SecretExpiresAt = now.Add(time.Second) }, now.Add(time.Second), true},
		{"nothing", func(f *RegistrationFacts) { setEnd(f.Registration, now); setEnd(f.Grants[0].Grant, now) }, time.Time{}, false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			d := Registration(liveFacts(c.change), now)
			equal(t, "next", c.want, d.Next)
			equal(t, "takes away", c.takesAway, nextTakesAway(d))
		})
	}
}

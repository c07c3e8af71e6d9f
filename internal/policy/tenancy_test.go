// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"testing"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
)

// paused pauses the AuthorizationServer of the facts.
func paused(f *RegistrationFacts) {
	f.change(func(as *v1alpha1.AuthorizationServer) {
		as.Annotations = map[string]string{v1alpha1.AnnotationPaused: "true"}
	})
}

var waitingForPause = waitingFor(Frozen, v1alpha1.ReasonPaused, "")

var pauseValues = map[string]bool{
	"": false, "false": false,
	"true": true, "yes": true, "False": true, "0": true, " ": true, "olga: moving the database until noon": true,
}

func TestPaused(t *testing.T) {
	equal(t, "no object", false, Paused(nil))
	equal(t, "no annotation", false, Paused(authorizationServer()))
	for value, want := range pauseValues {
		as := authorizationServer(func(as *v1alpha1.AuthorizationServer) {
			as.Annotations = map[string]string{v1alpha1.AnnotationPaused: value}
		})
		equal(t, fmt.Sprintf("%q", value), want, Paused(as))
		want := map[bool]Action{false: Register, true: Nothing}[want]
		equal(t, fmt.Sprintf("%q: action", value), want, Registration(facts(func(f *RegistrationFacts) { f.use(found(as)) }), now).Action)
	}
}

// While paused nothing is given, whatever was there before.
func TestPausedGivesNothing(t *testing.T) {
	for _, state := range []RecordState{"", RecordPending, RecordRevoked, RecordRefused} {
		f := factsIn(state)
		paused(&f)
		d := Registration(f, now)
		equal(t, string(state), Nothing, d.Action)
		equal(t, string(state), waitingForPause, brief(d.Verdict))
		mentions(t, d.Verdict.Message, "paused")
	}
}

// While paused a client that is as it should be stays ready, another is kept,
// and what is to be taken away is taken away.
func TestPausedClient(t *testing.T) {
	ready := verdict{Standing: Allowed, Reason: v1alpha1.ReasonAccepted}
	sees := func(change func(*Observation)) func(*RegistrationFacts) {
		return func(f *RegistrationFacts) {
			f.Observed = Observation{Looked: true, Is: Present, Client: f.Record.Client}
			change(&f.Observed)
		}
	}
	cases := []struct {
		name   string
		change func(*RegistrationFacts)
		action Action
		want   verdict
		scopes []string
	}{
		{"as wished", allow, Keep, ready, nil},
		{"as wished, and seen so", sees(func(*Observation) {}), Keep, ready, nil},
		{"as wished, and the look was in vain", sees(func(o *Observation) { o.Is = Unknown }), Keep, ready, nil},
		{"its name changed", func(f *RegistrationFacts) { f.Registration.Spec.ClientName = "Other" }, Keep, waitingForPause, nil},
		{"a grant came", withGrants(grant(), grant(giving("exporter", "invoices:export")), grant(giving("lister", "invoices:read"))), Keep, waitingForPause, nil},
		{"a key is to be made", privateKey, Keep, waitingForPause, nil},
		{"an update was lost", func(f *RegistrationFacts) { f.Record.Replacing = true }, Replace, waitingForPause, []string{"invoices:read"}},
		{"it was seen with more", sees(func(o *Observation) { o.Client.Registered.Scopes = []string{"admin", "invoices:read"} }), Replace, waitingForPause, []string{"invoices:read"}},
		{"it was seen with less", sees(func(o *Observation) { o.Client.Registered.Scopes = []string{} }), Keep, waitingForPause, nil},
		{"it was seen to be gone", sees(func(o *Observation) { o.Is = Absent }), Revoke,
			waitingFor(Frozen, v1alpha1.ReasonPaused, v1alpha1.CauseVanished), nil},
		{"a renewal is refused", func(f *RegistrationFacts) {
			f.change(maximum(day))
			f.Registration.Status.Term = termOf(now.Add(-1), now.Add(day/2))
		}, Keep, verdict{Standing: Frozen, Reason: v1alpha1.ReasonLifetimeTooLong, Cause: v1alpha1.CauseNotAllowed}, nil},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			d := Registration(liveFacts(paused, c.change), now)
			equal(t, "action", c.action, d.Action)
			equal(t, "verdict", c.want, brief(d.Verdict))
			if c.action == Replace {
				equal(t, "scopes", c.scopes, d.Wish.Scopes)
			}
		})
	}
}

func privateKey(f *RegistrationFacts) { privateKeyJWT(f.Registration) }

// A key pair that is missing is a wish that is not carried out, whatever the
// record says of it.
func TestPausedClientWithoutItsKey(t *testing.T) {
	d := Registration(facts(privateKey, live, paused), now)
	equal(t, "action", Keep, d.Action)
	equal(t, "verdict", waitingForPause, brief(d.Verdict))
}

// A client that loses one grant of two while a name was changed is reduced,
// and does not get what else was wished.
func TestPausedClientIsReduced(t *testing.T) {
	f := facts(withGrants(grant(), grant(giving("exporter", "invoices:export"))), live, paused, withGrants(
		grant(), grant(giving("exporter", "invoices:export"), endingAt(now)), grant(giving("payer", "invoices:pay")),
	))
	f.Registration.Spec.GrantTypes = append(f.Registration.Spec.GrantTypes, v1alpha1.GrantTokenExchange)
	d := Registration(f, now)
	equal(t, "action", Replace, d.Action)
	equal(t, "scopes", []string{"invoices:read"}, d.Wish.Scopes)
	equal(t, "grant types", []string{"client_credentials"}, d.Wish.GrantTypes)
	equal(t, "verdict", waitingForPause, brief(d.Verdict))
}

// A pause stops no revocation.
func TestPausedRevokes(t *testing.T) {
	for name, change := range map[string]func(*RegistrationFacts){
		"deleted":            func(f *RegistrationFacts) { deleting(f.Registration) },
		"no owner":           refuse,
		"no end":             func(f *RegistrationFacts) { remove(f.Registration, v1alpha1.AnnotationExpiresAt) },
		"expired":            func(f *RegistrationFacts) { setEnd(f.Registration, now) },
		"suspended":          func(f *RegistrationFacts) { f.Registration.Spec.State = v1alpha1.StateSuspended },
		"no grant":           func(f *RegistrationFacts) { f.Grants = nil },
		"a grant that ended": func(f *RegistrationFacts) { setEnd(f.Grants[0].Grant, now) },
		"a grant that was denied": func(f *RegistrationFacts) {
			deciding(v1alpha1.DecisionDenied)(&f.Grants[0])
		},
		"namespace not allowed": func(f *RegistrationFacts) {
			f.change(func(as *v1alpha1.AuthorizationServer) { as.Spec.AllowedNamespaces = nil })
		},
		"another issuer": func(f *RegistrationFacts) {
			f.change(func(as *v1alpha1.AuthorizationServer) { as.Spec.Issuer = "https://other.example.com" })
		},
		"the server is deleted": func(f *RegistrationFacts) { deleting(f.AuthorizationServer.Object) },
		"widened":               func(f *RegistrationFacts) { f.Record.Excess = []string{"scope admin"} },
		"the secret expired":    func(f *RegistrationFacts) { f.Record.Client.SecretExpiresAt = now },
		"already begun":         func(f *RegistrationFacts) { f.Record.Cause = v1alpha1.CauseSuspended },
		"a wish that changed, and expired": func(f *RegistrationFacts) {
			f.Registration.Spec.ClientName = "Other"
			setEnd(f.Registration, now)
		},
	} {
		t.Run(name, func(t *testing.T) {
			with, without := liveFacts(paused, change), liveFacts(change)
			equal(t, "action", Revoke, Registration(with, now).Action)
			equal(t, "verdict, compared with that without a pause", Registration(without, now).Verdict, Registration(with, now).Verdict)
		})
	}
	f := factsIn(RecordDeleted)
	paused(&f)
	f.Observed = Observation{Looked: true, Is: Present}
	equal(t, "a deletion without effect", Revoke, Registration(f, now).Action)
	f.Observed.Is = Absent
	equal(t, "a deletion that is proven", Revoke, Registration(f, now).Action)
}

func TestAuthorizationServerPaused(t *testing.T) {
	for value, is := range pauseValues {
		f := serverFacts(func(f *AuthorizationServerFacts) {
			f.Server.Annotations = map[string]string{v1alpha1.AnnotationPaused: value}
		})
		got := AuthorizationServer(f)
		want := verdict{Standing: Allowed, Reason: v1alpha1.ReasonAccepted}
		if is {
			want = waitingForPause
			mentions(t, got.Accepted.Message, "mcp-registrar.dev/paused", "remove the annotation")
		}
		equal(t, fmt.Sprintf("%q", value), want, brief(got.Accepted))
		equal(t, fmt.Sprintf("%q: discovered", value), Allowed, got.Discovered.Standing)
		metadata, capabilities := describe(testMetadata)
		equal(t, fmt.Sprintf("%q: metadata", value), metadata, got.Metadata)
		equal(t, fmt.Sprintf("%q: capabilities", value), capabilities, got.Capabilities)
	}
}

// What is wrong is told also while it is paused.
func TestAuthorizationServerPausedAndWrong(t *testing.T) {
	paused := func(change func(*AuthorizationServerFacts)) AuthorizationServerDecision {
		f := serverFacts(change)
		f.Server.Annotations = map[string]string{v1alpha1.AnnotationPaused: "true"}
		return AuthorizationServer(f)
	}
	got := paused(func(f *AuthorizationServerFacts) { f.Server.Spec.Policy.OwnerPattern = "[" })
	equal(t, "reason", v1alpha1.ReasonInvalidPolicy, got.Accepted.Reason)
	for want, is := range map[string]Knowledge{v1alpha1.ReasonCredentialsMissing: Absent, v1alpha1.ReasonFactUnknown: Unknown} {
		got := paused(func(f *AuthorizationServerFacts) { f.CredentialIs = is })
		equal(t, "reason", v1alpha1.ReasonPaused, got.Accepted.Reason)
		equal(t, "reason of access", want, got.AdminAccess.Reason)
	}
}

// quota bounds the registrations of a namespace, of which taken others have a
// client.
func quota(allowed int32, taken int) func(*RegistrationFacts) {
	return func(f *RegistrationFacts) {
		f.change(func(as *v1alpha1.AuthorizationServer) { as.Spec.Policy.MaxRegistrationsPerNamespace = &allowed })
		f.PlacesAre, f.PlacesTaken = Present, taken
	}
}

func TestQuota(t *testing.T) {
	exceeded := verdict{Standing: Frozen, Reason: v1alpha1.ReasonQuotaExceeded}
	unknown := waitingFor(Undecided, v1alpha1.ReasonFactUnknown, "")
	ready := verdict{Standing: Allowed, Reason: v1alpha1.ReasonAccepted}
	uncounted := func(f *RegistrationFacts) {
		quota(3, 0)(f)
		f.PlacesAre = Unknown
	}
	states := []RecordState{"", RecordRevoked, RecordRefused, RecordPending, RecordRegistered}
	cases := []struct {
		name        string
		change      func(*RegistrationFacts)
		fresh, kept verdict // of those without and with a place
	}{
		{"no quota", func(f *RegistrationFacts) { f.PlacesAre, f.PlacesTaken = Present, 1000 }, ready, ready},
		{"no quota, and nobody counted", allow, ready, ready},
		{"no policy", func(f *RegistrationFacts) {
			f.change(func(as *v1alpha1.AuthorizationServer) { as.Spec.Policy = nil })
		}, ready, ready},
		{"one place is left", quota(3, 2), ready, ready},
		{"no place is left", quota(3, 3), exceeded, ready},
		{"the quota was lowered", quota(3, 4), exceeded, ready},
		{"a quota of one", quota(1, 0), ready, ready},
		{"a quota of none", quota(0, 0), exceeded, ready},
		{"it could not be counted", uncounted, unknown, ready},
	}
	for _, c := range cases {
		for i, state := range states {
			f := factsIn(state)
			c.change(&f)
			want, action := c.fresh, Nothing
			if i >= 3 {
				want = c.kept
			}
			if want == ready {
				action = map[bool]Action{false: Register, true: Keep}[state == RecordRegistered]
			}
			d := Registration(f, now)
			equal(t, fmt.Sprintf("%s, record %q: action", c.name, state), action, d.Action)
			equal(t, fmt.Sprintf("%s, record %q: verdict", c.name, state), want, brief(d.Verdict))
		}
	}
	mentions(t, Registration(facts(quota(3, 4)), now).Verdict.Message, "4 clients", "allows 3", "maxRegistrationsPerNamespace")
}

// Whoever has a place keeps the use of it, and gives it up as ever.
func TestQuotaOfAClient(t *testing.T) {
	full := quota(1, 5)
	gone := func(f *RegistrationFacts) { f.Observed = Observation{Looked: true, Is: Absent} }
	rename := func(f *RegistrationFacts) { f.Registration.Spec.ClientName = "Other" }
	equal(t, "a new name", Replace, Registration(liveFacts(full, rename), now).Action)
	equal(t, "it vanished", Register, Registration(liveFacts(full, gone), now).Action)
	equal(t, "it is refused", Revoke, Registration(liveFacts(full, refuse), now).Action)
	equal(t, "it is deleted", Revoke, Registration(liveFacts(full, func(f *RegistrationFacts) { deleting(f.Registration) }), now).Action)
	f := factsIn(RecordDeleted)
	full(&f)
	gone(&f)
	equal(t, "its deletion is proven", Revoke, Registration(f, now).Action)
	f.Record.State, f.Record.Client, f.Registration.Status.ClientID = RecordRevoked, authserver.Client{}, ""
	equal(t, "then its place is gone", v1alpha1.ReasonQuotaExceeded, Registration(f, now).Verdict.Reason)
}

// What a tenant reads of others is their number.
func TestQuotaMessageNamesNobody(t *testing.T) {
	a, b := facts(quota(1, 1)), facts(quota(1, 1))
	b.Grants = append(b.Grants, grantFacts(grant(giving("secret-project", "invoices:read"))))
	equal(t, "message", Registration(a, now).Verdict.Message, Registration(b, now).Verdict.Message)
}

// A namespace that the operator was told not to watch says nothing about its
// servers: what exists is kept, nothing new is given.
func TestUnwatchedServer(t *testing.T) {
	unwatched := verdict{Standing: Undecided, Reason: v1alpha1.ReasonServerNotWatched}
	before := func(g *v1alpha1.ScopeGrant) {
		g.Status.Basis, g.Status.ObservedGeneration = v1alpha1.BasisAutomatic, g.Generation
	}
	away := func(f *RegistrationFacts) {
		f.Grants[0].Server = ServerFact{Unwatched: true}
		before(f.Grants[0].Grant)
	}
	gone := func(f *GrantFacts) { f.Server = ServerFact{Unwatched: true} }
	d := Grant(grantFacts(grant(before), gone), now)
	equal(t, "grant", without(unwatched), standingOf(d))
	refused := without(refusedFor(v1alpha1.ReasonServerNotWatched, ""))
	equal(t, "a grant that gave nothing", refused, standingOf(Grant(grantFacts(grant(), gone), now)))
	equal(t, "a grant that was changed", refused, standingOf(Grant(grantFacts(grant(before, func(g *v1alpha1.ScopeGrant) { g.Generation++ }), gone), now)))
	mentions(t, d.Verdict.Message, "spec.serverRef", "--watch-namespaces")

	kept := Registration(liveFacts(away), now)
	equal(t, "a live client", Keep, kept.Action)
	equal(t, "a live client: verdict", unwatched, brief(kept.Verdict))
	fresh := Registration(facts(away), now)
	equal(t, "a new one", Nothing, fresh.Action)
	equal(t, "a new one: verdict", unwatched, brief(fresh.Verdict))

	two := facts(withGrants(grant(), grant(giving("exporter", "invoices:export"))), live, away)
	equal(t, "one server of two", Keep, Registration(two, now).Action)
	two.Grants[1].Server = ServerFact{}
	equal(t, "another one that could not be read", v1alpha1.ReasonServerNotWatched, Registration(two, now).Verdict.Reason)
	two.Grants[0], two.Grants[1] = two.Grants[1], two.Grants[0]
	equal(t, "in another order", v1alpha1.ReasonServerNotWatched, Registration(two, now).Verdict.Reason)

	more := liveFacts(withGrants(grant(), grant(giving("exporter", "invoices:export"))), away)
	equal(t, "a grant of a watched server came", Keep, Registration(more, now).Action)
	ended := facts(withGrants(grant(), grant(giving("exporter", "invoices:export"))), live, away, func(f *RegistrationFacts) { setEnd(f.Grants[1].Grant, now) })
	equal(t, "a grant of a watched server ended", Replace, Registration(ended, now).Action)
	equal(t, "its scopes", []string{"invoices:read"}, Registration(ended, now).Wish.Scopes)
	lapsed := liveFacts(away, func(f *RegistrationFacts) { setEnd(f.Grants[0].Grant, now) })
	equal(t, "its own grant ended", Revoke, Registration(lapsed, now).Action)
	equal(t, "the registration ended", Revoke, Registration(liveFacts(away, refuse), now).Action)
}

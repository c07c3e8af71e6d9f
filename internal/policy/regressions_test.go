// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
)

// A lost answer to an update may have left more scopes at the server than are
// recorded: a held client must be reduced all the same.
func TestHeldClientIsReducedAfterALostUpdate(t *testing.T) {
	f := facts(withGrants(grant()), live, withGrants(grant(), grant(giving("exporter", "invoices:export"))), freeze)
	f.Record.Replacing = true
	setEnd(f.Grants[1].Grant, now)
	d := Registration(f, now)
	equal(t, "action", Replace, d.Action)
	equal(t, "wish", []string{"invoices:read"}, d.Wish.Scopes)
}

// What was seen at the server counts for a held client, not what is recorded.
func TestHeldClientIsReducedToWhatItMayHave(t *testing.T) {
	f := liveFacts(freeze, func(f *RegistrationFacts) {
		f.Observed = Observation{Looked: true, Is: Present, Client: f.Record.Client}
		f.Observed.Client.Registered.Scopes = []string{"invoices:read", "invoices:void"}
	})
	d := Registration(f, now)
	equal(t, "action", Replace, d.Action)
	equal(t, "wish", []string{"invoices:read"}, d.Wish.Scopes)
}

// Refusals that need no unknown fact hold when another fact is unknown.
func TestUnknownDoesNotHideARefusal(t *testing.T) {
	nameless := func(f *RegistrationFacts) {
		f.change(selecting(map[string]string{"mcp": "yes"}))
		f.Namespace = NamespaceFact{Is: Unknown, Name: "payments"}
	}
	grantless := func(f *RegistrationFacts) { f.GrantsAre, f.Grants = Unknown, nil }
	for name, changes := range map[string][]func(*RegistrationFacts){
		"the maximum is reached, the namespace is unknown": {nameless, func(f *RegistrationFacts) {
			f.change(maximum(day))
			f.Registration.Status.Term = termOf(now.Add(-2*day), now.Add(30*day))
		}},
		"the owner is not allowed, the namespace is unknown": {nameless, func(f *RegistrationFacts) {
			f.change(func(as *v1alpha1.AuthorizationServer) { as.Spec.Policy.OwnerPattern = "nobody" })
		}},
		"the client was widened, the grants are unknown": {grantless, func(f *RegistrationFacts) { f.Record.Excess = []string{"scope admin"} }},
		"the client was widened, the server is unknown":  {blind, func(f *RegistrationFacts) { f.Record.Excess = []string{"scope admin"} }},
		"the secret has expired, the grants are unknown": {grantless, func(f *RegistrationFacts) { f.Record.Client.SecretExpiresAt = now }},
		"the issuer became another, the grants are unknown": {grantless, func(f *RegistrationFacts) {
			f.change(func(as *v1alpha1.AuthorizationServer) { as.Spec.Issuer = "https://other.example.com" })
		}},
	} {
		equal(t, name, Revoke, Registration(liveFacts(changes...), now).Action)
	}
}

// An old term that stands under a renewal nobody could judge ends at its end.
func TestOldTermEndsWhileTheServerIsUnknown(t *testing.T) {
	end := now.Add(time.Hour)
	f := liveFacts(blind, func(f *RegistrationFacts) { f.Registration.Status.Term = termOf(now.Add(-day), end) })
	equal(t, "effective end", end, Registration(f, now).ExpiresAt)
	equal(t, "next", end, Registration(f, now).Next)
	equal(t, "action at the end", Revoke, Registration(f, end).Action)
}

// A renewal that is too long becomes acceptable as time goes by, with no
// event: Next must name that instant, or the start must not move.
func TestNextKnowsWhenATermComesWithinTheMaximum(t *testing.T) {
	f := liveFacts(func(f *RegistrationFacts) {
		f.change(maximum(20 * day))
		f.Registration.Status.Term, f.Registration.Status.ObservedGeneration = termOf(now.Add(-day), now.Add(5*day)), 1
		setEnd(f.Registration, now.Add(21*day))
	})
	d := Registration(f, now)
	equal(t, "now", v1alpha1.ReasonLifetimeTooLong, d.Verdict.Reason)
	then := Registration(f, d.Next.Add(-1))
	equal(t, "just before next", d.Verdict.Reason, then.Verdict.Reason)
	later := Registration(f, now.Add(time.Minute))
	equal(t, "message a minute later", d.Verdict.Message, later.Verdict.Message)
}

// A client that the server narrowed to nothing is not revoked because a fact
// is unknown.
func TestNarrowedToNothingIsKeptWhileUnknown(t *testing.T) {
	f := liveFacts(blind, func(f *RegistrationFacts) { f.Record.Client.Registered.Scopes = nil })
	equal(t, "action", Keep, Registration(f, now).Action)
}

// What is confirmed has a cause: without one status.revocation is not written.
func TestConfirmedAbsenceHasACause(t *testing.T) {
	for _, hold := range []func(*RegistrationFacts){freeze, blind} {
		f := liveFacts(hold, func(f *RegistrationFacts) { f.Observed = Observation{Looked: true, Is: Absent} })
		d := Registration(f, now)
		equal(t, "action", Revoke, d.Action)
		if d.Verdict.Cause == "" && f.Record.Cause == "" {
			t.Errorf("no cause: %+v", d.Verdict)
		}
	}
}

// A client may exist: nothing is due.
func TestAllowedIsNotDue(t *testing.T) {
	equal(t, "due at", time.Time{}, Registration(liveFacts(), now).Verdict.DueAt)
}

// The name of the namespace is known from the grant.
func TestSameNamespaceNeedsNoFact(t *testing.T) {
	f := grantFacts(grant(), func(f *GrantFacts) {
		f.Server.Object.Spec.AllowedClients = &v1alpha1.AllowedClients{Namespaces: v1alpha1.NamespacesSame}
		f.Namespace = NamespaceFact{}
	})
	equal(t, "in force", true, Grant(f, now).InForce)
}

// An unlisted enum value gives nothing, and holds no deletion back.
func TestUnknownRecordState(t *testing.T) {
	f := liveFacts(func(f *RegistrationFacts) { f.Record.State = "Rotating" })
	equal(t, "allowed", Nothing, Registration(f, now).Action)
	deleting(f.Registration)
	equal(t, "deleting", Revoke, Registration(f, now).Action)
}

// A name with a space is two scope tokens on the wire (RFC 6749 §3.3).
func TestScopeNamesAreOneToken(t *testing.T) {
	for _, name := range []v1alpha1.ScopeName{"invoices:read admin", "invoices:read\nadmin", "x\n:admin", "a\tall", "admin ", `a"b`, `a\b`, "é"} {
		if scopeRefusal(name) == "" {
			t.Errorf("%q is accepted", name)
		}
	}
}

// A blank owner answers for nothing.
func TestBlankOwnerIsMissing(t *testing.T) {
	for _, owner := range []string{" ", "\t", "\n "} {
		f := facts(func(f *RegistrationFacts) { annotate(f.Registration, v1alpha1.AnnotationOwner, owner) })
		equal(t, "reason", v1alpha1.ReasonOwnerMissing, Registration(f, now).Verdict.Reason)
	}
}

// A redirect URI names a host.
func TestRedirectURIWithoutHost(t *testing.T) {
	if redirectRefusal("https://:443/callback") == "" {
		t.Error("accepted")
	}
}

// edited is a public set whose one key is changed.
func edited(t *testing.T, set string, change func(key map[string]any)) string {
	t.Helper()
	var parsed struct {
		Keys []map[string]any `json:"keys"`
	}
	if err := json.Unmarshal([]byte(set), &parsed); err != nil {
		t.Fatal(err)
	}
	change(parsed.Keys[0])
	text, err := json.Marshal(parsed)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// The text is sent as it is: what the parser overlooks gets out.
func TestKeySetsHoldNothingElse(t *testing.T) {
	key, ec := rsaKey(t), ecKey(t)
	private, public := keySet(t, ec), keySet(t, ec.Public())
	for name, text := range map[string]string{
		"RSA primes without d": edited(t, keySet(t, key.Public()), func(k map[string]any) {
			var whole map[string]any
			if err := json.Unmarshal([]byte(strings.TrimSuffix(strings.TrimPrefix(keySet(t, key), `{"keys":[`), `]}`)), &whole); err != nil {
				t.Fatal(err)
			}
			k["p"], k["q"] = whole["p"], whole["q"]
		}),
		"a symmetric member":       edited(t, public, func(k map[string]any) { k["k"] = "c2VjcmV0" }),
		"a URL to fetch from":      edited(t, public, func(k map[string]any) { k["x5u"] = "https://169.254.169.254/" }),
		"keys twice":               strings.TrimSuffix(private, "}") + "," + strings.TrimPrefix(public, "{"),
		"keys in another spelling": strings.TrimSuffix(private, "}") + "," + strings.Replace(strings.TrimPrefix(public, "{"), "keys", "Keys", 1),
	} {
		if jwksRefusal(text) == "" {
			t.Errorf("%s: accepted", name)
		}
	}
}

// A key that is not the client's lets its holder be the client.
func TestForeignKeysAreExcess(t *testing.T) {
	asked := authserver.ClientMetadata{AuthMethod: "private_key_jwt", JWKS: publicSet(t)}
	for name, change := range map[string]func(*authserver.ClientMetadata){
		"another set":    func(m *authserver.ClientMetadata) { m.JWKS = publicSet(t) },
		"a URI added":    func(m *authserver.ClientMetadata) { m.JWKSURI = "https://evil.example.com/jwks.json" },
		"a URI in place": func(m *authserver.ClientMetadata) { m.JWKS, m.JWKSURI = "", "https://evil.example.com/jwks.json" },
	} {
		got := asked
		change(&got)
		if excess, _ := Compare(asked, authserver.Client{Registered: got}); len(excess) == 0 {
			t.Errorf("%s: no excess", name)
		}
	}
}

// Messages about what a user wrote show something that would be right.
func TestMessagesShowAnExample(t *testing.T) {
	for name, change := range map[string]func(f *RegistrationFacts){
		"grant type": func(f *RegistrationFacts) {
			f.change(func(as *v1alpha1.AuthorizationServer) {
				as.Spec.Policy.AllowedGrantTypes = []v1alpha1.GrantType{v1alpha1.GrantTokenExchange}
			})
		},
		"authentication method": func(f *RegistrationFacts) {
			f.change(func(as *v1alpha1.AuthorizationServer) {
				as.Spec.Policy.AllowedTokenEndpointAuthMethods = []v1alpha1.TokenEndpointAuthMethod{v1alpha1.AuthMethodPrivateKeyJWT}
			})
		},
		"redirect pattern": func(f *RegistrationFacts) {
			interactive(f.Registration)
			f.change(func(as *v1alpha1.AuthorizationServer) { as.Spec.Policy.RedirectURIPatterns = []string{"https://x"} })
		},
	} {
		message := Registration(facts(change), now).Verdict.Message
		if !strings.Contains(message, "for example") {
			t.Errorf("%s: %s", name, message)
		}
	}
}

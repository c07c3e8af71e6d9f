// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"slices"
	"testing"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
)

// trusted is what the authorization server calls the issuer of the cluster's
// ServiceAccount tokens.
const trusted = "cluster-a"

// secretless makes a registration one that authenticates by the tokens of the
// ServiceAccount reporter.
func secretless(f *RegistrationFacts) {
	f.Traits = adminTraits
	f.Traits.AssertionIssuer = trusted
	privateKeyJWT(f.Registration)
	f.Registration.Spec.ServiceAccountName = "reporter"
	f.Credentials = CredentialsFact{Is: Absent}
	f.AccountIs = Absent
}

// asRegistered puts what is wished on record.
func asRegistered(f *RegistrationFacts) {
	wish := Registration(*f, now).Wish
	f.Record.Client.Registered, f.Record.WishDigest = wish, Digest(wish)
}

// The tokens of the ServiceAccount take the place of every key and secret.
func TestServiceAccountInPlaceOfAKey(t *testing.T) {
	f := facts(secretless)
	d := Registration(f, now)
	want := authserver.Assertion{Issuer: trusted, Subject: "system:serviceaccount:payments:reporter"}
	equal(t, "action", Register, d.Action)
	equal(t, "assertion", want, d.Wish.Assertion)
	equal(t, "method", wirePrivateKeyJWT, d.Wish.AuthMethod)
	equal(t, "keys", "", d.Wish.JWKS+d.Wish.JWKSURI)
	equal(t, "a key is made", false, d.MakeKey)
	equal(t, "the operator makes the key", false, NeedsOwnKey(f.Registration.Spec))
	equal(t, "its credentials rotate", false, Rotatable(f.Registration.Spec, f.Traits))
	equal(t, "a Secret", false, WantsSecret(f.Registration.Spec))
	f.Registration.Spec.Credentials = &v1alpha1.Credentials{}
	equal(t, "a Secret that was asked for", true, WantsSecret(f.Registration.Spec))

	equal(t, "another's assertion", authserver.Assertion{}, Registration(facts(), now).Wish.Assertion)

	kept := liveFacts(secretless, asRegistered)
	equal(t, "action when it is registered", Keep, Registration(kept, now).Action)
	kept.Traits.AssertionIssuer = "cluster-b"
	equal(t, "action when the issuer is called otherwise", Replace, Registration(kept, now).Action)
}

// A server that does not trust the cluster has no such client, and none stays.
func TestServiceAccountAtAServerThatDoesNotTrustTheCluster(t *testing.T) {
	untrusting := func(f *RegistrationFacts) {
		secretless(f)
		f.Traits.AssertionIssuer = ""
	}
	runRefusals(t, []refusalCase{{"nobody trusts the cluster", untrusting, Revoke,
		refusedFor(v1alpha1.ReasonAuthMethodNotAllowed, v1alpha1.CauseNotAllowed),
		[]string{"spec.serviceAccountName", "spec.keycloak.kubernetesIdentityProvider"}}})

	// What is not there cannot be asked: the client goes for that reason.
	gone := liveFacts(untrusting, func(f *RegistrationFacts) { f.use(AuthorizationServerFact{Is: Absent}) })
	equal(t, "cause", v1alpha1.CauseAuthorizationServerGone, Registration(gone, now).Verdict.Cause)
	unread := liveFacts(untrusting, func(f *RegistrationFacts) { f.use(AuthorizationServerFact{Is: Unknown}) })
	equal(t, "action when the server cannot be read", Keep, Registration(unread, now).Action)
}

// One ServiceAccount is one client, whoever came first.
func TestServiceAccountInUse(t *testing.T) {
	inUse := verdict{Standing: Frozen, Reason: v1alpha1.ReasonServiceAccountInUse}
	unknown := waitingFor(Undecided, v1alpha1.ReasonFactUnknown, "")
	ready := verdict{Standing: Allowed, Reason: v1alpha1.ReasonAccepted}
	for is, alone := range map[Knowledge]verdict{Absent: ready, Present: inUse, Unknown: unknown} {
		for _, state := range []RecordState{"", RecordRevoked, RecordRefused, RecordPending, RecordRegistered} {
			f := factsIn(state)
			secretless(&f)
			if state == RecordRegistered {
				asRegistered(&f)
			}
			f.AccountIs = is
			want := alone
			if state.HoldsPlace() {
				want = ready
			}
			equal(t, fmt.Sprintf("known %d, record %q", is, state), want, brief(Registration(f, now).Verdict))
		}
	}
	f := facts(secretless)
	f.AccountIs = Present
	mentions(t, Registration(f, now).Verdict.Message, "spec.serviceAccountName", `"reporter"`, "of its own")
	equal(t, "action", Nothing, Registration(f, now).Action)
	f.Registration.Spec.ServiceAccountName = ""
	equal(t, "another registration", Register, Registration(f, now).Action)
}

// The tokens of anybody but whom was asked for make somebody else the client.
func TestCompareAssertions(t *testing.T) {
	asked := authserver.Assertion{Issuer: trusted, Subject: "system:serviceaccount:payments:reporter"}
	for name, c := range map[string]struct {
		asked, got      authserver.Assertion
		excess, missing []string
	}{
		"the same":        {asked, asked, nil, nil},
		"none":            {authserver.Assertion{}, authserver.Assertion{}, nil, nil},
		"it went":         {asked, authserver.Assertion{}, nil, []string{"assertions of system:serviceaccount:payments:reporter"}},
		"another subject": {asked, authserver.Assertion{Issuer: trusted, Subject: "mallory"}, []string{"assertions of mallory from cluster-a"}, nil},
		"another issuer":  {asked, authserver.Assertion{Issuer: "evil", Subject: asked.Subject}, []string{"assertions of system:serviceaccount:payments:reporter from evil"}, nil},
		"nobody asked":    {authserver.Assertion{}, asked, []string{"assertions of system:serviceaccount:payments:reporter from cluster-a"}, nil},
	} {
		excess, missing := Compare(authserver.ClientMetadata{Assertion: c.asked}, authserver.Client{Registered: authserver.ClientMetadata{Assertion: c.got}})
		if !slices.Equal(excess, c.excess) || !slices.Equal(missing, c.missing) {
			t.Errorf("%s: excess %q, missing %q", name, excess, missing)
		}
	}
}

// Whoever changes at the server whose tokens are taken is undone.
func TestDriftOfAssertions(t *testing.T) {
	for name, change := range map[string]func(*authserver.ClientMetadata){
		"another subject": func(m *authserver.ClientMetadata) { m.Assertion.Subject = "system:serviceaccount:payments:mallory" },
		"none":            func(m *authserver.ClientMetadata) { m.Assertion = authserver.Assertion{} },
		"a key as well": func(m *authserver.ClientMetadata) {
			m.Assertion, m.JWKS = authserver.Assertion{}, `{"keys":[{"kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}]}`
		},
	} {
		f := liveFacts(secretless, asRegistered)
		seen := f.Record.Client.Registered
		change(&seen)
		f.Observed = Observation{Looked: true, Is: Present, Client: authserver.Client{ID: f.Record.Client.ID, Registered: seen}}
		equal(t, name, Replace, Registration(f, now).Action)
	}
}

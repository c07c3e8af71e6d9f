// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
)

// seedVariable repeats a run whose seed was printed.
const seedVariable = "POLICY_TEST_SEED"

// seeded returns a source of randomness and prints its seed.
func seeded(t *testing.T) (uint64, *rand.Rand) {
	t.Helper()
	seed := rand.Uint64()
	if text := os.Getenv(seedVariable); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%s=%d", seedVariable, seed)
	return seed, rand.New(rand.NewPCG(seed, 0))
}

// violations lists what a decision breaks of what must always hold.
func violations(f RegistrationFacts, at time.Time, d RegistrationDecision) []string {
	var broken []string
	deny := func(is bool, format string, args ...any) {
		if is {
			broken = append(broken, fmt.Sprintf(format, args...)+fmt.Sprintf(" (action %s, verdict %+v)", d.Action, d.Verdict))
		}
	}
	absent := f.Observed.Looked && f.Observed.Is == Absent
	released := f.Record.Released != ""
	occupied := f.Record.State == RecordRegistered || f.Record.State == RecordDeleted
	gone := f.Registration.DeletionTimestamp != nil
	live := f.RecordIs == Present && f.Record.Live()

	deny(f.RecordIs == Unknown && d.Action != Nothing, "acts without the record")
	deny(d.ForceReleased && !released, "takes a client for let go of")
	deny(d.Action == Register && d.Verdict.Standing != Allowed, "registers what is not allowed")
	deny(d.Action == Register && occupied && !absent, "registers a second client")
	findable := f.RecordIs == Present && f.Record.Findable()
	deny(findable && !absent && d.Action == Register, "repeats a request without looking")
	deny(f.Record.Adopting && d.Action == Replace && !consentedTo(f), "takes over a client without leave")
	deny(d.Action == Disable && (gone || f.Record.Cause != "" || !f.Traits.Disables), "disables what is to be revoked")
	deny(d.Action == Rotate && d.Verdict.Standing != Allowed, "makes new credentials for what is not allowed")
	deny(!d.Next.IsZero() && !d.Next.After(at), "next %s is not after now", d.Next)
	deny(!d.TakesAwayAt.IsZero() && (d.Next.IsZero() || d.TakesAwayAt.Before(d.Next)), "a deadline before the next instant")
	suspended := d.Verdict.Cause == v1alpha1.CauseSuspended && f.Traits.Disables && f.Record.Cause == "" && !gone
	deny(live && d.Action == Nothing && !(suspended && f.Record.Disabled), "leaves a live client alone")
	ended := expired(at, readEnd(f.Registration).at) || f.Registration.Annotations[v1alpha1.AnnotationOwner] == ""
	deny(live && suspended && !ended && d.Action != Disable && d.Action != Nothing && !(d.Action == Revoke && absent), "does not disable")
	if live && (gone || ended || d.Verdict.Standing == Refused) && !suspended {
		deny(d.Action != Revoke, "keeps a client that must go")
	}
	return slices.Concat(broken, scopeViolations(f, at, d, live), tenancyViolations(f, at, d))
}

// scopeViolations lists what a decision breaks about scopes.
func scopeViolations(f RegistrationFacts, at time.Time, d RegistrationDecision, live bool) []string {
	var given, tolerated []string
	for _, facts := range f.Grants {
		g := Grant(facts, at)
		for _, name := range facts.Grant.Spec.Scopes {
			if g.InForce {
				given = append(given, string(name))
			}
			if g.InForce || g.Undecided {
				tolerated = append(tolerated, string(name))
			}
		}
		entry := string(facts.Server.entryScope())
		if g.InForce {
			given = append(given, entry)
		}
		if g.InForce || g.Undecided {
			tolerated = append(tolerated, entry)
		}
		if g.Undecided && facts.Server.Object == nil {
			for _, carried := range f.Registration.Status.Scopes {
				if slices.Contains(carried.Grants, facts.Grant.Name) {
					tolerated = append(tolerated, carried.Name)
				}
			}
		}
	}
	own := ownScopes(f)
	given, tolerated = append(given, own...), append(tolerated, own...)
	var broken []string
	deny := func(is bool, format string, args ...any) {
		if is {
			broken = append(broken, fmt.Sprintf(format, args...)+fmt.Sprintf(" (action %s, verdict %+v)", d.Action, d.Verdict))
		}
	}
	registered := f.Record.Client.Registered.Scopes
	sends := d.Action == Register || d.Action == Replace
	deny(!subset(scopeNames(d.Scopes...), given), "scopes %v of no grant in force", d.Scopes)
	deny(slices.ContainsFunc(d.Scopes, func(s v1alpha1.EffectiveScope) bool { return isOIDCScope(s.Name) }), "grants %v", d.Scopes)
	deny(sends && len(WithoutOIDCScopes(d.Wish.Scopes)) == 0, "asks for no scope")
	deny(sends && slices.ContainsFunc(WithoutOIDCScopes(d.Wish.Scopes), func(s string) bool { return scopeRefusal(v1alpha1.ScopeName(s)) != "" }), "asks for %v", d.Wish.Scopes)
	deny(sends && d.Verdict.Standing == Allowed && !subset(d.Wish.Scopes, given), "asks for %v, given %v", d.Wish.Scopes, given)
	if held := d.Verdict.Standing == Frozen || d.Verdict.Standing == Undecided; held && live {
		deny(sends && !subset(d.Wish.Scopes, registered), "grows from %v to %v", registered, d.Wish.Scopes)
		deny(sends && !subset(d.Wish.Scopes, tolerated), "keeps %v, tolerated %v", d.Wish.Scopes, tolerated)
		deny(f.GrantsAre == Present && d.Action == Keep && !f.Record.Disabled && !subset(registered, tolerated), "keeps %v, tolerated %v", registered, tolerated)
		vanished := d.Verdict.Cause == v1alpha1.CauseVanished && f.Observed.Looked && f.Observed.Is == Absent
		deny(d.Action == Revoke && !vanished && len(WithoutOIDCScopes(intersect(registered, tolerated))) > 0, "revokes %v, tolerated %v", registered, tolerated)
	}
	return broken
}

// ownScopes are the authorization server's own scopes that a registration may have:
// any while the server has not spoken, and what is registered is all there is; then
// offline_access, if the server has it or the client was not seen without it.
func ownScopes(f RegistrationFacts) []string {
	as := f.AuthorizationServer.Object
	if as == nil || as.Status.Metadata == nil {
		return []string{"offline_access", "openid"}
	}
	if !slices.Contains(f.Registration.Spec.GrantTypes, v1alpha1.GrantRefreshToken) {
		return nil
	}
	allowed := []v1alpha1.OIDCScope{v1alpha1.OIDCScopeOfflineAccess}
	if p := as.Spec.Policy; p != nil && p.AllowedOIDCScopes != nil {
		allowed = *p.AllowedOIDCScopes
	}
	var own []string
	for _, scope := range allowed {
		if slices.Contains(as.Status.Capabilities, v1alpha1.CapabilityOpenID) || holdsNow(f, string(scope)) {
			own = append(own, string(scope))
		}
	}
	return own
}

// holdsNow says that a client has a scope, as far as is known.
func holdsNow(f RegistrationFacts, scope string) bool {
	has := f.Record.Live() && slices.Contains(f.Record.Client.Registered.Scopes, scope)
	if f.Observed.Looked && f.Observed.Is == Absent {
		return false
	}
	if said := f.Observed.Client.Registered.Scopes; f.Observed.Looked && f.Observed.Is == Present && said != nil {
		has = has && slices.Contains(said, scope)
	}
	return has
}

// pick chooses one of some values.
func pick[T any](r *rand.Rand, values ...T) T { return values[r.IntN(len(values))] }

// often is true in 19 of 20 cases.
func often(r *rand.Rand) bool { return r.IntN(20) > 0 }

func instant(r *rand.Rand) time.Time {
	return now.Add(pick(r, -day, -time.Hour, -time.Second, -1, 0, 1, time.Second, time.Hour, day, 30*day, 300*day))
}

// begun is an instant at which a term began: not in the future.
func begun(r *rand.Rand) time.Time {
	return now.Add(pick(r, -300*day, -30*day, -day, -time.Hour, -time.Second, 0))
}

// randomObject spoils identity annotations now and then.
func randomObject(r *rand.Rand, object metav1.Object) {
	setEnd(object, instant(r).Add(pick(r, 0, day, 30*day, 60*day)))
	if !often(r) {
		annotate(object, v1alpha1.AnnotationExpiresAt, pick(r, "", "never", "2027-03-31"))
	}
	if !often(r) {
		annotate(object, v1alpha1.AnnotationOwner, pick(r, "", "eve@example.org"))
	}
	if !often(r) {
		deleting(object)
	}
}

func randomRegistration(r *rand.Rand) *v1alpha1.MCPClientRegistration {
	reg := registration(pick(r, interactive, privateKeyJWT, func(*v1alpha1.MCPClientRegistration) {}))
	randomObject(r, reg)
	if !often(r) {
		reg.Spec.State = pick[v1alpha1.RegistrationState](r, v1alpha1.StateSuspended, v1alpha1.StateActive, "Asleep")
	}
	if !often(r) {
		reg.Spec.RedirectURIs = []v1alpha1.RedirectURI{pick[v1alpha1.RedirectURI](r, "http://a.example.com/", "https://b.example.com/*", "https://c.example.com/")}
	}
	if r.IntN(2) == 0 {
		reg.Status.Term, reg.Status.ObservedGeneration = termOf(begun(r), ceil(instant(r))), 1
	}
	if r.IntN(4) == 0 {
		reg.Status.Revocation = &v1alpha1.Revocation{Cause: v1alpha1.CauseExpired, ClientID: "client-1", DueAt: *timePtr(instant(r))}
	}
	if r.IntN(3) == 0 {
		reg.Spec.GrantTypes = append(reg.Spec.GrantTypes, v1alpha1.GrantRefreshToken)
	}
	if r.IntN(3) == 0 {
		reg.Status.Scopes = []v1alpha1.EffectiveScope{{Name: "mcp:enter", Grants: []string{"grant-0", "grant-1"}}}
	}
	reg.Status.ClientID = pick(r, "", "client-1")
	return reg
}

func randomServer(r *rand.Rand) ServerFact {
	if !often(r) {
		return ServerFact{Is: pick(r, Unknown, Absent), Unwatched: r.IntN(2) == 0}
	}
	s := server()
	s.Spec.Grants = randomGrantPolicy(r)
	s.Spec.EntryScope = pick[v1alpha1.ScopeName](r, "", "", "mcp:enter", "tools:enter")
	if r.IntN(2) == 0 {
		abroad(pick(r, nil, &v1alpha1.AllowedClients{Namespaces: pick[v1alpha1.NamespacesFrom](r, "All", "Same", "Selector", "Friends")}))(s)
	}
	if !often(r) {
		deleting(s)
	}
	if !often(r) {
		s.Spec.Scopes = pick(r, s.Spec.Scopes[:1], nil, []v1alpha1.Scope{{Name: "*", Tier: v1alpha1.TierRead}})
	}
	return ServerFact{Is: Present, Object: s}
}

func randomAuthorizationServer(r *rand.Rand) AuthorizationServerFact {
	if r.IntN(10) == 0 {
		return AuthorizationServerFact{Is: pick(r, Unknown, Absent)}
	}
	as := authorizationServer()
	changes := []func(){
		func() { as.Spec.Issuer = "https://other.example.com" },
		func() { as.Spec.DynamicRegistration = nil },
		func() { as.Spec.AllowedNamespaces = nil },
		func() { as.Spec.AllowedServers = nil },
		func() { selecting(map[string]string{"mcp": "yes"})(as) },
		func() { as.Spec.Policy = nil },
		func() { as.Spec.Policy = &v1alpha1.RegistrationPolicy{OwnerPattern: pick(r, `.*@example\.com`, "[")} },
		func() { as.Spec.Policy = &v1alpha1.RegistrationPolicy{AllowedOIDCScopes: &[]v1alpha1.OIDCScope{}} },
		func() {
			as.Spec.Policy = &v1alpha1.RegistrationPolicy{AllowedOIDCScopes: &[]v1alpha1.OIDCScope{"openid", "offline_access"}}
		},
		func() { as.Status.Metadata = nil },
		func() { as.Generation++ },
		func() { as.Status.Capabilities = nil },
		func() { deleting(as) },
	}
	if r.IntN(2) == 0 {
		as.Status.Capabilities = append(as.Status.Capabilities, v1alpha1.CapabilityOpenID, v1alpha1.CapabilityOfflineAccess)
	}
	if r.IntN(2) == 0 {
		maximum(pick(r, time.Minute, day, 31*day))(as)
	}
	randomTenancy(r, as)
	if r.IntN(3) == 0 {
		changes[r.IntN(len(changes))]()
	}
	return AuthorizationServerFact{Is: Present, Object: as}
}

func randomNamespace(r *rand.Rand) NamespaceFact {
	return NamespaceFact{Is: pick(r, Unknown, Absent, Present, Present), Name: "payments", Labels: map[string]string{"mcp": pick(r, "yes", "no")}}
}

func randomGrants(r *rand.Rand, reg *v1alpha1.MCPClientRegistration, as AuthorizationServerFact, namespace NamespaceFact) []GrantFacts {
	var grants []GrantFacts
	names := []v1alpha1.ScopeName{"invoices:read", "invoices:export", "invoices:read", "invoices:pay", "invoices:none", "*", "admin"}
	for i := range r.IntN(4) {
		g := grant(giving(fmt.Sprintf("grant-%d", i), names[r.IntN(3)], names[r.IntN(3)]))
		if !often(r) {
			g.Spec.Scopes = append(g.Spec.Scopes, pick(r, names...))
		}
		randomObject(r, g)
		facts := GrantFacts{
			Grant: g, RegistrationIs: Present, Registration: reg, ApprovalsAre: pick(r, Unknown, Present, Present, Present, Present, Present, Present, Present),
			Server: randomServer(r), AuthorizationServer: as, Namespace: namespace,
			ServerRoom: NewRoom(nil), Room: NewRoom(nil),
			ServerClaims: ClaimsFact{Is: pick(r, Unknown, Present, Present, Present, Present, Present, Present, Present)},
		}
		randomAsk(r, &facts)
		grants = append(grants, facts)
	}
	return grants
}

func randomRecord(r *rand.Rand, f *RegistrationFacts) {
	f.RecordIs = pick(r, Unknown, Absent, Present, Present, Present, Present)
	if f.RecordIs != Present {
		return
	}
	if r.IntN(2) == 0 {
		f.Traits = adminTraits
		f.Traits.Disables = r.IntN(2) == 0
	}
	wished := Registration(*f, now).Wish
	wished.Scopes = pick(r, []string{"invoices:read"}, []string{"invoices:export", "invoices:read"}, []string{"invoices:export", "invoices:pay", "invoices:read"},
		[]string{"invoices:read", "mcp:enter", "offline_access"}, []string{"mcp:enter", "offline_access", "openid"})
	f.Record = Record{
		State:      pick(r, RecordPending, RecordRegistered, RecordRegistered, RecordRegistered, RecordDeleted, RecordRevoked, RecordRefused),
		Mark:       "mark-1",
		Connection: authserver.Config{Name: "main", Issuer: pick(r, testIssuer, testIssuer, "https://old.example.com", "")},
		Client:     authserver.Client{ID: "client-1", Registered: wished},
		WishDigest: pick(r, Digest(wished), Digest(wish(f.Registration, nil)), ""),
		Replacing:  !often(r),
		Orphans:    make([]string, pick(r, 0, 0, 1, maxOrphans)),
		DueAt:      pick(r, time.Time{}, instant(r)),
	}
	if !often(r) {
		f.Record.Released = "admin: gone"
	}
	if f.Traits.OwnClientID {
		randomOwnID(r, f)
	}
	if !often(r) {
		f.Record.Excess = []string{"scope admin"}
	}
	if r.IntN(4) == 0 {
		f.Record.Client.SecretExpiresAt = instant(r)
	}
	if r.IntN(3) == 0 {
		f.Record.RefusedReason, f.Record.RefusedAt = v1alpha1.ReasonRejected, instant(r).Add(-time.Hour)
		f.Record.RefusedDigest = Digest(Registration(*f, now).Wish)
	}
}

func randomFacts(r *rand.Rand) RegistrationFacts {
	f := RegistrationFacts{
		Registration:        randomRegistration(r),
		AuthorizationServer: randomAuthorizationServer(r),
		Namespace:           randomNamespace(r),
		GrantsAre:           pick(r, Unknown, Present, Present, Present, Present),
		Credentials: CredentialsFact{
			Is: pick(r, Unknown, Absent, Present, Present), Foreign: !often(r), PublicJWKS: pick(r, "", "set"),
		},
		DriftCheckAt: pick(r, time.Time{}, instant(r)),
		PlacesAre:    pick(r, Unknown, Present, Present, Present),
	}
	if f.PlacesAre == Present {
		f.PlacesTaken = r.IntN(4)
	}
	if f.GrantsAre == Present {
		f.Grants = randomGrants(r, f.Registration, f.AuthorizationServer, f.Namespace)
	}
	randomRecord(r, &f)
	f.Observed = Observation{Looked: r.IntN(2) == 0, Is: pick(r, Unknown, Absent, Present)}
	if f.Observed.Is == Present {
		f.Observed.Client = f.Record.Client
		if r.IntN(3) == 0 {
			f.Observed.Client.Registered.Scopes = pick(r, []string{"invoices:read", "admin"}, nil)
		}
	}
	return f
}

// Thousands of random facts: nothing that must always hold is broken, nothing
// panics, and the decision depends on the facts alone.
func TestRandomFacts(t *testing.T) {
	seed, r := seeded(t)
	actions := map[Action]int{}
	standings := map[Standing]int{}
	for i := range 20_000 {
		f := randomFacts(r)
		d := Registration(f, now)
		actions[d.Action]++
		standings[d.Verdict.Standing]++
		for _, violation := range violations(f, now, d) {
			t.Fatalf("seed %d, round %d: %s", seed, i, violation)
		}
		if violation := instability(r, f, d); violation != "" {
			t.Fatalf("seed %d, round %d: %s", seed, i, violation)
		}
	}
	t.Logf("actions %v, standings %v", actions, standings)
	// A rotation needs a client in which everything is as wished: it is too rare
	// to be counted upon, and has tests of its own.
	delete(actions, Rotate)
	if len(actions) != int(Revoke) || len(standings) != int(Allowed)+1 {
		t.Errorf("seed %d: not every answer was reached: actions %v, standings %v", seed, actions, standings)
	}
}

// instability says what a decision rests on besides the facts: the order of
// grants, an earlier call, or an instant that Next does not name.
func instability(r *rand.Rand, f RegistrationFacts, d RegistrationDecision) string {
	before := f.Registration.DeepCopy()
	f.Grants = slices.Clone(f.Grants)
	r.Shuffle(len(f.Grants), func(i, j int) { f.Grants[i], f.Grants[j] = f.Grants[j], f.Grants[i] })
	if diff := cmp.Diff(d, Registration(f, now)); diff != "" {
		return "asked again with the grants in another order:\n" + diff
	}
	if diff := cmp.Diff(before, f.Registration); diff != "" {
		return "the object was changed:\n" + diff
	}
	until := now.Add(1000 * day)
	if !d.Next.IsZero() {
		until = d.Next.Add(-1)
	}
	then := Registration(f, until)
	if diff := cmp.Diff(essence(d), essence(then)); diff != "" {
		return fmt.Sprintf("another answer at %s, next is %s:\n%s", until, d.Next, diff)
	}
	return ""
}

// essence is what must not change before Next.
func essence(d RegistrationDecision) RegistrationDecision {
	d.Verdict.DueAt, d.Term, d.ExpiresAt, d.Next, d.TakesAwayAt = time.Time{}, nil, time.Time{}, time.Time{}, time.Time{}
	return d
}

// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/contract"
)

// TestUnusual has tenants write what no policy of the API server judged, and real
// authorization servers answer what no server should: whatever becomes of it, what is
// deleted is gone, and nothing was made twice.
func TestUnusual(t *testing.T) {
	many, few := manyScopes(128, 64), manyScopes(65, 128)
	w := startWorld(t, "admission.enabled=false")
	for name, r := range w.realServers(t, slices.Concat(many, few)...) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for name, test := range map[string]func(*testing.T, *realScene){
				"owners from the start":         testOddOwners,
				"owners of a client that lives": testOwnersThatBecomeOdd,
				"names":                         testOddNames,
				"answers that become odd":       testAnswersThatBecomeOdd,
				"masked secrets":                testMaskedSecrets,
				"many grants":                   testManyGrants,
				"many scopes":                   func(t *testing.T, r *realScene) { testManyScopes(t, r, many, 64) },
				"long scopes":                   func(t *testing.T, r *realScene) { testManyScopes(t, r, few, 64) },
			} {
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					test(t, r.stage(t, w))
				})
			}
			if !r.ownIDs {
				t.Run("answers to a registration", func(t *testing.T) {
					t.Parallel()
					testOddAnswers(t, r.stage(t, w))
				})
			}
		})
	}
}

// manyScopes are scopes with names of a length.
func manyScopes(count, length int) []string {
	var names []string
	for i := range count {
		name := fmt.Sprintf("s%03d-%d:", i, length)
		names = append(names, name+strings.Repeat("x", length-len(name)))
	}
	return names
}

// oddOwners are owners that no policy admits and the schema does not know.
var oddOwners = map[string]string{
	"a line feed":         "team@example.com\n",
	"a carriage return":   "team@example.com\r",
	"a line separator":    "team@\u2028example.com",
	"a zero byte":         "team@example.com\x00",
	"a text direction":    "team@\u202eexample.com",
	"very long":           strings.Repeat("o", 100_000) + "@example.com",
	"very long, in runes": strings.Repeat("\U0001F680", 20_000),
}

// robots makes a registration with a grant for each of some names, changed before
// it is created.
func robots[T any](t *testing.T, r *realScene, prefix string, each map[string]T, change func(*v1alpha1.MCPClientRegistration, T)) map[string]*v1alpha1.MCPClientRegistration {
	t.Helper()
	all := map[string]*v1alpha1.MCPClientRegistration{}
	for i, name := range slices.Sorted(maps.Keys(each)) {
		reg := r.newRegistration(fmt.Sprintf("%s-%s-%d", r.namespace, prefix, i), methods[i%len(methods)])
		change(reg, each[name])
		r.create(t, reg, r.newGrant(reg.Name, reg.Name, "files:read"))
		all[name] = reg
	}
	return all
}

// testOddOwners holds that nothing is registered for an owner who cannot be one, how
// often ever it is tried, and that its object goes.
func testOddOwners(t *testing.T, r *realScene) {
	regs := robots(t, r, "owner", oddOwners, func(reg *v1alpha1.MCPClientRegistration, owner string) {
		reg.Annotations[v1alpha1.AnnotationOwner] = owner
	})
	for name, reg := range regs {
		if said := r.decided(t, reg); said != "False/"+v1alpha1.ReasonOwnerInvalid {
			t.Errorf("%s: %s", name, said)
		}
		r.annotate(t, reg, "example.com/again", "1")
	}
	time.Sleep(2 * time.Second)
	for name, reg := range regs {
		if times := r.between.times(registering, reg.Spec.ClientName); times != 0 {
			t.Errorf("%s: registered %d times", name, times)
		}
		r.ends(t, reg)
	}
}

// encoded is a value as JSON text.
func encoded(t *testing.T, value any) string {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// testOwnersThatBecomeOdd gives clients that live another owner and another scope, and
// deletes them.
func testOwnersThatBecomeOdd(t *testing.T, r *realScene) {
	g := NewWithT(t)
	regs := robots(t, r, "owned", oddOwners, func(*v1alpha1.MCPClientRegistration, string) {})
	parties := map[string]party{}
	for name, reg := range regs {
		parties[name] = r.waitReady(t, reg)
	}
	for name, reg := range regs {
		r.merge(t, reg, encoded(t, map[string]any{"metadata": map[string]any{"annotations": map[string]string{v1alpha1.AnnotationOwner: oddOwners[name]}}}))
		r.create(t, r.newGrant(reg.Name+"-more", reg.Name, "notes:read"))
	}
	for name, reg := range regs {
		said := ""
		g.Eventually(func() string { said = r.decided(t, reg); return said }, patience, often).Should(HavePrefix("False/"), name)
		t.Logf("%s: %s", name, said)
	}
	for name, reg := range regs {
		r.ends(t, reg)
		g.Expect(parties[name].standing(t)()).To(Equal("invalid_client"), name)
	}
}

// testOddNames holds that names of clients which the schema admits come back as they
// are, and stand in nobody's way.
func testOddNames(t *testing.T, r *realScene) {
	names := map[string]string{
		"long, of three bytes": r.namespace + strings.Repeat("\u4e16", 128-len(r.namespace)),
		"long, of four bytes":  r.namespace + strings.Repeat("\U0001F680", 128-len(r.namespace)),
		"joined":               r.namespace + "\u200d\U0001F469\u200d\U0001F4BB",
		"markup":               r.namespace + `"><script>\"'&{{7*7}}${x}</script>`,
		"composed otherwise":   r.namespace + "e\u0301\u00e9",
		"not a character":      r.namespace + "\ufffe\ufffd",
	}
	regs := robots(t, r, "name", names, func(reg *v1alpha1.MCPClientRegistration, name string) { reg.Spec.ClientName = name })
	for name, reg := range regs {
		p := r.waitReady(t, reg)
		if found := r.named(t, reg.Spec.ClientName); !slices.Equal(found, []string{p.id}) {
			t.Errorf("%s: of that name there are %v", name, found)
		}
	}
	for _, reg := range regs {
		r.ends(t, reg)
	}
}

// oddAnswers are members of answers that no server should answer.
var oddAnswers = map[string]map[string]any{
	"an end of the secret that is text":     {"client_secret_expires_at": "0"},
	"an end in milliseconds":                {"client_secret_expires_at": 1900000000000},
	"an end that is no whole number":        {"client_secret_expires_at": 0.5},
	"a scope that is a list":                {"scope": []string{"files:read"}},
	"a scope that is an object":             {"scope": map[string]any{}},
	"a scope beyond any bound":              {"scope": strings.Repeat("s", 100_000)},
	"an id that is a number":                {"client_id": 4711},
	"an id that is a list":                  {"client_id": []string{"a"}},
	"redirect URIs that are numbers":        {"redirect_uris": []int{1}},
	"grant types that are text":             {"grant_types": "client_credentials"},
	"a key set that is text":                {"jwks": "none"},
	"contacts with a line feed":             {"contacts": []string{"team@example.com\n"}},
	"a name that is an object":              {"client_name": map[string]any{}},
	"a method that is none":                 {"token_endpoint_auth_method": []string{}},
	"members of a management API":           {"name": 7, "redirectUris": "none", "enabled": "yes"},
	"lists of a management API":             {"defaultClientScopes": map[string]any{}, "optionalClientScopes": "x", "protocolMappers": 7},
	"a secret of a management API":          {"secret": 7, "secretData": []int{}},
	"a client secret that is an object":     {"client_secret": map[string]any{}},
	"times of its making that are not that": {"client_id_issued_at": "yesterday"},
}

// answering has a change of members made in an answer.
func answering(members map[string]any) func(map[string]any) {
	return func(answer map[string]any) { maps.Copy(answer, members) }
}

// testOddAnswers has the answer to the registration changed: it can be used, or what
// it names is undone.
func testOddAnswers(t *testing.T, r *realScene) {
	regs := robots(t, r, "answer", oddAnswers, func(reg *v1alpha1.MCPClientRegistration, members map[string]any) {
		change := answering(members)
		if _, is := members["client_id"].(int); is {
			// A server that counts its clients does so in every answer.
			change = r.between.always(change)
		}
		r.between.changesAnswers(reg.Spec.ClientName, change, contract.Register)
	})
	for name, reg := range regs {
		said := r.decided(t, reg)
		live := r.named(t, reg.Spec.ClientName)
		t.Logf("%s: %s, %v", name, said, live)
		switch {
		case said == "True/Ready" && slices.Equal(live, []string{reg.Status.ClientID}):
		case said == "True/Ready" && len(live) == 1 && reg.Status.ClientID == "4711":
			// The server's word is taken for what its client is called.
		case strings.HasPrefix(said, "False/") && len(live) == 0 && reg.Status.ClientID == "":
		default:
			t.Errorf("%s: %s; status names %q, the clients %v live", name, said, reg.Status.ClientID, live)
		}
		if _, failed := r.between.registered(reg.Spec.ClientName); len(reg.Status.PossibleOrphans) > failed {
			t.Errorf("%s: marks of clients that nobody knows: %v", name, reg.Status.PossibleOrphans)
		}
		r.annotate(t, reg, "example.com/again", "1")
	}
	time.Sleep(2 * time.Second)
	for _, reg := range regs {
		r.ends(t, reg)
	}
}

// testAnswersThatBecomeOdd has later answers changed, of clients that have to change
// and to go.
func testAnswersThatBecomeOdd(t *testing.T, r *realScene) {
	later := maps.Clone(oddAnswers)
	// An answer that is about another client is not this one's.
	delete(later, "an id that is a number")
	regs := robots(t, r, "odd", later, func(*v1alpha1.MCPClientRegistration, map[string]any) {})
	parties := map[string]party{}
	for name, reg := range regs {
		p := r.waitReady(t, reg)
		parties[name] = p
		for _, key := range r.keys(t, p.id) {
			r.between.changesAnswers(key, answering(later[name]), contract.Find, contract.Replace)
		}
		r.create(t, r.newGrant(reg.Name+"-more", reg.Name, "notes:read"))
	}
	time.Sleep(3 * time.Second)
	for name, reg := range regs {
		r.ends(t, reg)
		NewWithT(t).Expect(parties[name].standing(t)()).To(Equal("invalid_client"), name)
	}
}

// masks are what servers show in place of a secret.
var masks = map[string]any{
	"stars": "********", "a hash": "{bcrypt}$2a$10$abcdefghijklmnopqrstuv", "a beginning": "abcd…", "a word": "redacted", "nothing": nil, "an empty text": "",
}

// testMaskedSecrets has secrets shown masked in every reading: the team keeps the
// secret that works, and no mask proves a client gone that lives.
func testMaskedSecrets(t *testing.T, r *realScene) {
	g := NewWithT(t)
	regs := map[string]*v1alpha1.MCPClientRegistration{}
	parties, read := map[string]party{}, map[string]int{}
	for i, name := range slices.Sorted(maps.Keys(masks)) {
		reg := r.newRegistration(fmt.Sprintf("%s-mask-%d", r.namespace, i), v1alpha1.AuthMethodClientSecretBasic)
		r.create(t, reg, r.newGrant(reg.Name, reg.Name, "files:read"))
		regs[name] = reg
	}
	finding := []contract.Operation{contract.Find}
	for name, reg := range regs {
		p := r.waitReady(t, reg)
		parties[name] = p
		for _, key := range r.keys(t, p.id) {
			r.between.changesAnswers(key, masked(masks[name]), contract.Find, contract.Replace)
		}
		read[name] = r.between.times(finding, p.id)
	}
	for name, reg := range regs {
		p := parties[name]
		g.Eventually(func() int { return r.between.times(finding, p.id) }, 3*driftSeconds*time.Second, often).Should(BeNumerically(">", read[name]), "a drift check")
		r.create(t, r.newGrant(reg.Name+"-more", reg.Name, "notes:read"))
		g.Eventually(r.effective(t, reg), patience, often).Should(ConsistOf("files:read", "notes:read"), func() string { return fmt.Sprintf("%s: %+v", name, reg.Status) })
		after := newParty(t, r.secret(t, reg.Status.SecretName))
		g.Expect(after.secret).To(Equal(p.secret), "shown as %s", name)
		g.Expect(after.standing(t)()).To(Equal("known"), name)
		v := &leaver{reg: reg, party: p, keys: r.keys(t, p.id)}
		// It is not deleted, though somebody says so.
		r.between.stands(stancesNamed(t, "nothing")[0], false, []contract.Operation{contract.Replace, contract.Revoke}, v.keys...)
		r.remove(t, reg)
		g.Eventually(func() int { return r.between.times([]contract.Operation{contract.Replace, contract.Revoke}, v.keys...) }, patience, often).Should(BeNumerically(">", 0))
		time.Sleep(time.Second)
		r.requireAlive(t, v, name)
		r.between.leaves(v.keys...)
	}
	for name, reg := range regs {
		r.requireGone(t, reg)
		r.requireNothingLeft(t, reg)
		g.Expect(parties[name].standing(t)()).To(Equal("invalid_client"), name)
	}
}

// masked shows a secret in another way.
func masked(mask any) func(map[string]any) {
	return func(answer map[string]any) {
		for _, member := range []string{"client_secret", "secret", "value"} {
			if _, is := answer[member]; !is {
				continue
			}
			if mask == nil {
				delete(answer, member)
				continue
			}
			answer[member] = mask
		}
	}
}

// testManyScopes has a client be granted more and longer scopes than there is room
// for, out of two catalogues, and go.
func testManyScopes(t *testing.T, r *realScene, names []string, each int) {
	g := NewWithT(t)
	server := r.newServer()
	server.Name, server.Spec.Scopes = "many", nil
	server.Spec.Resource += "/many"
	if r.at.bounded {
		server.Spec.AccessTokenLifetimeSeconds = r.server.Spec.AccessTokenLifetimeSeconds
	}
	var wanted []v1alpha1.ScopeName
	for _, name := range names {
		server.Spec.Scopes = append(server.Spec.Scopes, v1alpha1.Scope{Name: v1alpha1.ScopeName(name), Tier: v1alpha1.TierRead})
		wanted = append(wanted, v1alpha1.ScopeName(name))
	}
	r.create(t, server)
	reg := r.newRegistration(r.namespace+"-many", v1alpha1.AuthMethodClientSecretBasic)
	r.create(t, reg)
	for i, part := range slices.Collect(slices.Chunk(wanted, each)) {
		grant := r.newGrant(fmt.Sprintf("many-%d", i), reg.Name, part...)
		grant.Spec.ServerRef.Name = server.Name
		r.create(t, grant)
	}
	g.Eventually(func() int { return len(r.effective(t, reg)()) }, patience, often).Should(BeNumerically(">=", each))
	p := r.waitReady(t, reg)
	// One more has no room.
	r.create(t, r.newGrant("one-more", reg.Name, "files:read"))
	g.Eventually(r.ready(t, r.newGrant("one-more", reg.Name)), patience, often).Should(Equal("False/" + v1alpha1.ReasonTooManyScopes))
	r.ends(t, reg)
	g.Expect(p.standing(t)()).To(Equal("invalid_client"))
}

// testManyGrants has more grants for one client than its status could name.
func testManyGrants(t *testing.T, r *realScene) {
	g := NewWithT(t)
	reg, p := r.registered(t, r.namespace+"-crowd", v1alpha1.AuthMethodPrivateKeyJWT)
	for i := range 257 {
		r.create(t, r.newGrant(fmt.Sprintf("crowd-%03d", i), reg.Name, "files:read"))
	}
	last := r.newGrant("crowd-256", reg.Name)
	g.Eventually(r.ready(t, last), patience, often).Should(Equal("False/" + v1alpha1.ReasonTooManyGrants))
	g.Expect(r.ready(t, reg)()).To(Equal("True/Ready"))
	g.Expect(reg.Status.Scopes).To(HaveLen(1))
	r.annotate(t, reg, v1alpha1.AnnotationExpiresAt, instant(time.Now()))
	r.requireRevoked(t, reg, p, v1alpha1.ReasonExpired, v1alpha1.CauseExpired)
	r.ends(t, reg)
}

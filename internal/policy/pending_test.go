// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
)

func (s sight) pending() v1alpha1.PendingGrant { return Pending(s.grant, s.reg, s.server) }

// What waits is listed with what an approval repeats, and with all that it is of.
func TestPending(t *testing.T) {
	s := seenByApprover()
	annotate(s.grant, v1alpha1.AnnotationRequestedBy, requester)
	annotate(s.grant, v1alpha1.AnnotationOwner, "team-b@example.com")
	s.grant.Generation, s.reg.Generation = 2, 3
	s.server.Spec.Scopes[3].Tools = nil
	equal(t, "pending", v1alpha1.PendingGrant{
		Namespace: "payments", Name: "reader", UID: "grant-1", Generation: 2, Client: "agent",
		Registration: v1alpha1.ApprovedRegistration{UID: "registration-1", Generation: 3}, Digest: s.look().Digest(),
		ClientName: "Payments agent", ApplicationType: "Web", GrantTypes: []string{"AuthorizationCode", "RefreshToken"},
		Owner: testOwner, GrantOwner: "team-b@example.com", AuthMethod: "PrivateKeyJWT",
		RedirectURIs: []string{"https://app.example.com/a", "https://app.example.com/b"}, Keys: s.look().member(lookedKeys),
		Resource: "https://mcp.example.com/invoices",
		Scopes: []v1alpha1.PendingScope{
			{Name: "invoices:void", Tier: "Elevated", Tools: []string{"(any)"}},
			{Name: "invoices:pay", Tier: "Write", Tools: []string{"pay", "refund"}},
		},
		Reason: "ticket 1", ExpirationTime: timePtr(now.Add(10 * day)), RequestedBy: requester,
	}, s.pending())
}

// beside is what an approver sees beside the digest, in an MCPServer with a UID.
func (s sight) beside() string {
	p := s.pending()
	p.Digest, p.Generation, p.Registration.Generation = "", 0, 0
	text, err := json.Marshal([]any{s.server.UID, p})
	if err != nil {
		panic(err)
	}
	return string(text)
}

// Whatever has another digest looks other to who approves it, and what is shown as
// before has the same.
func TestPendingShowsWhatTheDigestIsOf(t *testing.T) {
	before := seenByApprover()
	for _, c := range append(widenings(), narrowings()...) {
		s := seenByApprover()
		c.change(s)
		if s.beside() == before.beside() {
			t.Errorf("%s: nothing of it is shown", c.name)
		}
	}
	s := seenByApprover()
	s.reg.Spec.RedirectURIs[1] = "https://app.example.com/open-redirect?to=https://evil.example"
	if s.beside() == before.beside() {
		t.Error("another path of a redirect URI: nothing of it is shown")
	}
	for _, c := range sameSights() {
		s := seenByApprover()
		c.change(s)
		equal(t, c.name, before.pending().Digest, s.pending().Digest)
		equal(t, c.name, before.beside(), s.beside())
	}
}

// randomSight is a sight of few values, small and large, so that two are often alike.
func randomSight(r *rand.Rand) sight {
	s := seenByApprover()
	changes := append(append(widenings(), narrowings()...), sameSights()...)
	for range r.IntN(4) {
		// Some of them change the second of a list.
		if min(len(s.grant.Spec.Scopes), len(s.reg.Spec.RedirectURIs), len(s.reg.Spec.GrantTypes), len(s.server.Spec.Scopes[2].Tools)) > 1 {
			changes[r.IntN(len(changes))].change(s)
		}
	}
	text := func(longest int) string { return strings.Repeat("x", r.IntN(2)*longest+r.IntN(3)) }
	for _, grow := range []func(){
		func() { s.reg.Spec.ClientName = text(maxPendingName) },
		func() { annotate(s.reg, v1alpha1.AnnotationOwner, text(maxPendingOwner)) },
		func() { annotate(s.grant, v1alpha1.AnnotationOwner, text(maxPendingOwner)) },
		func() { s.grant.Spec.Reason = text(maxPendingText) },
		func() { s.server.Spec.Resource = text(maxPendingURI) },
		func() { annotate(s.grant, v1alpha1.AnnotationExpiresAt, text(80)) },
		func() { s.reg.Spec.JWKS, s.reg.Spec.JWKSURI = "", "https://"+text(maxPendingURI) },
		func() { s.server.Spec.Scopes[2].Tools = []string{"pay", text(maxPendingName)} },
		func() {
			for i := range 31 + r.IntN(4) {
				s.reg.Spec.RedirectURIs = append(s.reg.Spec.RedirectURIs, v1alpha1.RedirectURI(fmt.Sprintf("https://h%02d.example.com/", i)))
			}
		},
		func() {
			for i := range 250 + r.IntN(12) {
				s.server.Spec.Scopes[3].Tools = append(s.server.Spec.Scopes[3].Tools, fmt.Sprintf("tool-%03d", i)+strings.Repeat("y", r.IntN(2)*100))
			}
		},
	} {
		if r.IntN(6) == 0 {
			grow()
		}
	}
	return s
}

// Two sights with other digests never look the same, unless neither can be approved.
func TestPendingOfOtherLooksIsOther(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	type look struct{ digest, shown string }
	seen, alike, without := map[string]look{}, 0, 0
	for range 4000 {
		s := randomSight(r)
		pending, beside := s.pending(), s.beside()
		if size := PendingSize(pending); size > MaxPendingSize {
			t.Fatalf("%d bytes", size)
		}
		if pending.Digest == "" {
			without++
			mentions(t, pending.Message, "it cannot be approved: ")
		}
		is := look{digest: s.look().Digest(), shown: pending.Digest}
		was, again := seen[beside]
		if again {
			alike++
		}
		if again && was.digest != is.digest && (was.shown != "" || is.shown != "") {
			t.Fatalf("two digests look the same:\n%s", beside)
		}
		seen[beside] = is
	}
	if alike < 200 || without < 200 || without > 3800 {
		t.Errorf("%d cases are alike, %d have no digest: the property is hardly tried", alike, without)
	}
}

// Of what there is no room for the least powerful is left out, counted, and there is
// no digest to copy; the requester reads what to do.
func TestPendingLeavesOutTheLeastPowerful(t *testing.T) {
	s := seenByApprover()
	s.grant.Spec.Scopes, s.server.Spec.Scopes = nil, nil
	for i := range 63 {
		scope := v1alpha1.Scope{Name: v1alpha1.ScopeName(fmt.Sprintf("a:read%02d", i)), Tier: v1alpha1.TierRead}
		for j := range 10 {
			scope.Tools = append(scope.Tools, fmt.Sprintf("%s-%02d-%02d", strings.Repeat("t", 60), i, j))
		}
		s.server.Spec.Scopes, s.grant.Spec.Scopes = append(s.server.Spec.Scopes, scope), append(s.grant.Spec.Scopes, scope.Name)
	}
	s.server.Spec.Scopes = append(s.server.Spec.Scopes, v1alpha1.Scope{Name: "wipe:it", Tier: v1alpha1.TierElevated, Tools: []string{"wipe"}})
	s.grant.Spec.Scopes = append(s.grant.Spec.Scopes, "wipe:it")
	p := s.pending()
	equal(t, "digest", "", p.Digest)
	mentions(t, p.Message, "split the ScopeGrant")
	equal(t, "first", v1alpha1.PendingScope{Name: "wipe:it", Tier: "Elevated", Tools: []string{"wipe"}}, p.Scopes[0])
	equal(t, "scopes in all", 64, len(p.Scopes)+int(p.ScopesOmitted))
	equal(t, "tools in all", 10, len(p.Scopes[1].Tools)+int(p.Scopes[1].ToolsOmitted))
	if p.ScopesOmitted == 0 && p.Scopes[1].ToolsOmitted == 0 {
		t.Error("nothing is left out")
	}

	f := checked(s.grant)
	f.Registration, f.Server.Object = s.reg, s.server
	mentions(t, Grant(f, now).Verdict.Message, "split the ScopeGrant")
	s.grant.Spec.Scopes = s.grant.Spec.Scopes[50:]
	mentions(t, Grant(f, now).Verdict.Message, "status.pendingGrants of MCPServer")
	equal(t, "digest of fewer", s.look().Digest(), s.pending().Digest)
}

// Each text and list has its bound: at it there is a digest, beyond it there is none.
func TestPendingIsBounded(t *testing.T) {
	for name, set := range map[string]func(s sight, size int){
		"128 client name":    func(s sight, size int) { s.reg.Spec.ClientName = strings.Repeat("ü", size) },
		"256 owner":          func(s sight, size int) { annotate(s.reg, v1alpha1.AnnotationOwner, strings.Repeat("ü", size)) },
		"256 owner of grant": func(s sight, size int) { annotate(s.grant, v1alpha1.AnnotationOwner, strings.Repeat("ü", size)) },
		"1024 reason":        func(s sight, size int) { s.grant.Spec.Reason = strings.Repeat("ü", size) },
		"1024 requester":     func(s sight, size int) { annotate(s.grant, v1alpha1.AnnotationRequestedBy, strings.Repeat("ü", size)) },
		"512 resource":       func(s sight, size int) { s.server.Spec.Resource = strings.Repeat("ü", size) },
		"512 redirect URI":   func(s sight, size int) { s.reg.Spec.RedirectURIs[0] = v1alpha1.RedirectURI(strings.Repeat("ü", size)) },
		"128 tool":           func(s sight, size int) { s.server.Spec.Scopes[2].Tools[0] = strings.Repeat("ü", size) },
		"32 redirect URIs": func(s sight, size int) {
			s.reg.Spec.RedirectURIs = nil
			for i := range size {
				s.reg.Spec.RedirectURIs = append(s.reg.Spec.RedirectURIs, v1alpha1.RedirectURI(fmt.Sprint(i)))
			}
		},
		"256 tools": func(s sight, size int) {
			s.server.Spec.Scopes[2].Tools = nil
			for i := range size {
				s.server.Spec.Scopes[2].Tools = append(s.server.Spec.Scopes[2].Tools, fmt.Sprint(i))
			}
		},
	} {
		var bound int
		if _, err := fmt.Sscanf(name, "%d", &bound); err != nil {
			t.Fatal(err)
		}
		at, beyond := seenByApprover(), seenByApprover()
		set(at, bound)
		set(beyond, bound+1)
		equal(t, name, at.look().Digest(), at.pending().Digest)
		equal(t, "more than "+name, "", beyond.pending().Digest)
		if cmp.Equal(at.pending().Message, beyond.pending().Message) {
			t.Errorf("%s: nothing is said", name)
		}
	}
	s := seenByApprover()
	annotate(s.grant, v1alpha1.AnnotationExpiresAt, time.Time{}.Format(time.RFC3339Nano)+"?")
	equal(t, "an end that cannot be read", "", s.pending().Digest)
	mentions(t, s.pending().Message, "not an RFC 3339 instant")
}

// Each namespace has its turn, its oldest first; one more keeps nobody's place, and
// the order in which they were found does not matter.
func TestInTurn(t *testing.T) {
	made := func(namespace, name string, minute int) *v1alpha1.ScopeGrant {
		g := grant()
		g.Namespace, g.Name, g.CreationTimestamp = namespace, name, metav1.NewTime(now.Add(time.Duration(minute)*time.Minute))
		return g
	}
	waiting := []*v1alpha1.ScopeGrant{
		made("a", "3", 2), made("a", "1", 1), made("a", "2", 1), made("c", "late", 9), made("b", "2", 5), made("b", "1", 0), made("a", "4", 3),
	}
	names := func(grants []*v1alpha1.ScopeGrant) (all []string) {
		for _, g := range grants {
			all = append(all, g.Namespace+"/"+g.Name)
		}
		return all
	}
	want := []string{"b/1", "a/1", "c/late", "a/2", "b/2", "a/3", "a/4"}
	equal(t, "in turn", want, names(InTurn(waiting)))
	slices.Reverse(waiting)
	equal(t, "found in another order", want, names(InTurn(waiting)))
	equal(t, "omitted", []v1alpha1.OmittedGrants{{Namespace: "a", Grants: 3}, {Namespace: "b", Grants: 1}}, OmittedIn(InTurn(waiting)[3:], 5))
	equal(t, "omitted, of one namespace", []v1alpha1.OmittedGrants{{Namespace: "a", Grants: 4}}, OmittedIn(waiting, 1))
	equal(t, "nothing omitted", []v1alpha1.OmittedGrants(nil), OmittedIn(nil, 5))
}

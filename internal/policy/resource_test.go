// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
)

func TestResourcesOfOneForm(t *testing.T) {
	t.Parallel()
	for form, resources := range map[string][]string{
		"https://mcp.example.com": {
			"https://mcp.example.com", "https://mcp.example.com/", "https://mcp.example.com:443", "https://mcp.example.com:443/",
			"https://mcp.example.com:/", "HTTPS://MCP.Example.com/", "https://mcp.example.com/a/..", "https://mcp.example.com//",
		},
		"https://mcp.example.com/invoices": {
			"https://mcp.example.com/invoices", "https://mcp.example.com/invoices/", "https://mcp.example.com//invoices",
			"https://mcp.example.com/./invoices", "https://mcp.example.com/a/../invoices", "https://mcp.example.com/%69nvoices", "https://mcp.example.com/%69nvoices?",
		},
		"https://mcp.example.com/Invoices":     {"https://mcp.example.com/Invoices"},
		"https://mcp.example.com:8443":         {"https://mcp.example.com:8443/"},
		"http://localhost":                     {"http://localhost:80"},
		"http://localhost:443":                 {"http://localhost:443/"},
		"https://mcp.example.com/invoices?a=b": {"https://mcp.example.com/invoices?a=b"},
		"%zz":                                  {"%zz"},
		"":                                     {""},
	} {
		for _, resource := range resources {
			if got := canonical(resource); got != form {
				t.Errorf("%s: %s, want %s", resource, got, form)
			}
		}
	}
}

// claimants makes servers of a few resources, namespaces and instants of creation, so
// that many of them meet.
func claimants(r *rand.Rand) []Claimant {
	var all []Claimant
	for i := range 2 + r.IntN(8) {
		s := server()
		s.Namespace, s.Name = pick(r, "a", "b", "c"), fmt.Sprintf("s-%d", i)
		s.CreationTimestamp = metav1.NewTime(now.Add(time.Duration(r.IntN(3)) * time.Second))
		s.Spec.Resource = pick(r, "https://mcp.example.com/x", "https://mcp.example.com/x/", "https://mcp.example.com/y")
		s.Spec.AuthorizationServerRef.Name = pick(r, "main", "main", "main", "second")
		s.Status.Conditions = acceptedAs(pick(r, "", "", v1alpha1.ReasonAccepted, v1alpha1.ReasonResourceTaken, v1alpha1.ReasonNamespaceNotAllowed, v1alpha1.ReasonOwnerMissing))
		admitted := pick(r, Present, Present, Present, Absent, Unknown)
		all = append(all, Claimant{Server: s, Namespace: NamespaceFact{
			Is: pick(r, Present, Present, Present, admitted), Name: s.Namespace, Labels: map[string]string{"mcp": pick(r, "yes", "yes", "no")},
		}})
	}
	return all
}

// acceptedAs is the condition Accepted with a reason; none for no reason.
func acceptedAs(reason string) []metav1.Condition {
	switch reason {
	case "":
		return nil
	case v1alpha1.ReasonAccepted:
		return []metav1.Condition{{Type: v1alpha1.ConditionAccepted, Status: metav1.ConditionTrue, Reason: reason}}
	}
	return []metav1.Condition{{Type: v1alpha1.ConditionAccepted, Status: metav1.ConditionFalse, Reason: reason}}
}

// factsOn are those about each of the servers, with all of them in some order.
func factsOn(all []Claimant, order []int) []ServerFacts {
	as := authorizationServer(func(as *v1alpha1.AuthorizationServer) {
		as.Spec.AllowedServers = &v1alpha1.AllowedNamespaces{
			From: v1alpha1.NamespacesSelector, Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"mcp": "yes"}},
		}
	})
	others := make([]Claimant, len(all))
	for i, at := range order {
		others[i] = all[at]
	}
	facts := make([]ServerFacts, len(all))
	for i, c := range all {
		facts[i] = ServerFacts{Room: NewRoom(nil),
			Server: c.Server, AuthorizationServer: found(as), Namespace: c.Namespace, Claims: ClaimsFact{Is: Present, Others: others},
		}
	}
	return facts
}

func verdictsOn(all []Claimant, order []int) []Verdict {
	var verdicts []Verdict
	for _, f := range factsOn(all, order) {
		verdicts = append(verdicts, Server(f))
	}
	return verdicts
}

// speaking are the servers that are accepted, by what they speak for.
func speaking(all []Claimant, verdicts []Verdict) map[string][]int {
	speakers := map[string][]int{}
	for i, v := range verdicts {
		if v.Standing == Allowed {
			key := ClaimKey(all[i].Server)
			speakers[key] = append(speakers[key], i)
		}
	}
	return speakers
}

// TestOneSpeaksForAResource: of random servers exactly one of those that are admitted
// speaks for a resource, whatever the order; when it goes the next one does.
func TestOneSpeaksForAResource(t *testing.T) {
	t.Parallel()
	for seed := range uint64(3000) {
		r := rand.New(rand.NewPCG(seed, 10))
		all := claimants(r)
		verdicts := verdictsOn(all, r.Perm(len(all)))
		if again := verdictsOn(all, r.Perm(len(all))); !slices.Equal(verdicts, again) {
			t.Fatalf("seed %d: another order, another answer:\n%+v\n%+v", seed, verdicts, again)
		}
		speakers := speaking(all, verdicts)
		requireSettled(t, seed, all, speakers)
		for i, f := range factsOn(all, r.Perm(len(all))) {
			if has := speakers[ClaimKey(f.Server)]; len(has) == 1 && verdicts[i].Reason == v1alpha1.ReasonResourceTaken && Speaker(f) != all[has[0]].Server {
				t.Fatalf("seed %d: %s is told of as the one that speaks before %s", seed, Speaker(f).Name, f.Server.Name)
			}
		}
		for key, open := range admitted(all) {
			if len(open.unknown) == 0 && len(open.present) > 0 && len(speakers[key]) != 1 || len(speakers[key]) > 1 {
				t.Fatalf("seed %d: %s: %d speak of %+v", seed, key, len(speakers[key]), open)
			}
			for _, i := range speakers[key] {
				if earliest := slices.MinFunc(open.present, func(a, b int) int { return Before(all[a].Server, all[b].Server) }); i != earliest {
					t.Fatalf("seed %d: %s: %s speaks before %s", seed, key, all[i].Server.Name, all[earliest].Server.Name)
				}
				requireHandover(t, seed, all, i, open.present)
			}
		}
	}
}

// requireSettled holds that who speaks goes on to, once it is written down who does.
func requireSettled(t *testing.T, seed uint64, all []Claimant, speakers map[string][]int) {
	t.Helper()
	var order []int
	for i := range all {
		order = append(order, i)
	}
	verdicts := verdictsOn(all, order)
	var told []Claimant
	for i, c := range all {
		told = append(told, Claimant{Server: c.Server.DeepCopy(), Namespace: c.Namespace})
		if verdicts[i].Standing != Undecided {
			told[i].Server.Status.Conditions = acceptedAs(verdicts[i].Reason)
		}
	}
	for key, after := range speaking(told, verdictsOn(told, order)) {
		if before := speakers[key]; len(before) == 1 && !slices.Equal(before, after) {
			t.Fatalf("seed %d: %s: %v speaks, and then %v", seed, key, before, after)
		}
	}
}

// open are the servers of a resource whose namespace is admitted, or may be.
type open struct{ present, unknown []int }

func admitted(all []Claimant) map[string]open {
	found := map[string]open{}
	for i, c := range all {
		o := found[ClaimKey(c.Server)]
		switch {
		case c.Namespace.Is == Unknown:
			o.unknown = append(o.unknown, i)
		case c.Namespace.Is == Present && c.Namespace.Labels["mcp"] == "yes":
			o.present = append(o.present, i)
		}
		found[ClaimKey(c.Server)] = o
	}
	return found
}

// requireHandover takes a speaker away: another one of those that were admitted speaks,
// unless one whose namespace is not known may.
func requireHandover(t *testing.T, seed uint64, all []Claimant, speaker int, present []int) {
	t.Helper()
	key := ClaimKey(all[speaker].Server)
	rest := slices.Delete(slices.Clone(all), speaker, speaker+1)
	order := make([]int, len(rest))
	for i := range order {
		order[i] = i
	}
	if left := admitted(rest)[key]; len(left.unknown) > 0 {
		return
	}
	if next := speaking(rest, verdictsOn(rest, order))[key]; (len(next) == 1) != (len(present) > 1) {
		t.Fatalf("seed %d: %s: %d speak after the first of %d is gone", seed, key, len(next), len(present))
	}
}

// What a refused server is told names nobody, and its grants give nothing.
func TestAResourceIsTaken(t *testing.T) {
	t.Parallel()
	first, second := server(), server()
	first.Namespace, first.Name, first.CreationTimestamp = "secret-namespace", "secret-name", metav1.NewTime(now.Add(-time.Hour))
	second.CreationTimestamp = metav1.NewTime(now)
	all := func(is Knowledge) ClaimsFact {
		return ClaimsFact{Is: Present, Others: []Claimant{{second, NamespaceFact{Is: Present}}, {first, NamespaceFact{Is: is, Labels: map[string]string{"mcp": "yes"}}}}}
	}
	as := found(authorizationServer(func(as *v1alpha1.AuthorizationServer) {
		as.Spec.AllowedServers = &v1alpha1.AllowedNamespaces{From: v1alpha1.NamespacesSelector, Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"mcp": "yes"}}}
	}))
	mine := NamespaceFact{Is: Present, Labels: map[string]string{"mcp": "yes"}}
	for _, c := range []struct {
		name   string
		claims ClaimsFact
		want   verdict
	}{
		{"taken", all(Present), refusedFor(v1alpha1.ReasonResourceTaken, "")},
		{"by one that may not be admitted", all(Unknown), verdict{Standing: Undecided, Reason: v1alpha1.ReasonFactUnknown, Waiting: true}},
		{"by one whose namespace is gone", all(Absent), verdict{Standing: Allowed, Reason: v1alpha1.ReasonAccepted}},
		{"not known", ClaimsFact{}, verdict{Standing: Undecided, Reason: v1alpha1.ReasonFactUnknown, Waiting: true}},
		{"free", alone, verdict{Standing: Allowed, Reason: v1alpha1.ReasonAccepted}},
	} {
		f := ServerFacts{Server: second, AuthorizationServer: as, Namespace: mine, Claims: c.claims, Room: NewRoom(nil)}
		got := Server(f)
		equal(t, c.name, c.want, brief(got))
		if strings.Contains(got.Message, "secret") {
			t.Errorf("%s: the message tells of another tenant: %s", c.name, got.Message)
		}
		if speaker := Speaker(f); (speaker == first) != (got.Reason == v1alpha1.ReasonResourceTaken) {
			t.Errorf("%s: the speaker is %v", c.name, speaker)
		}
		g := grantFacts(grant(), func(g *GrantFacts) {
			g.Server.Object, g.ServerClaims, g.ServerNamespace, g.AuthorizationServer = second, c.claims, mine, as
		})
		d := Grant(g, now)
		equal(t, c.name+": grant", c.want.Standing == Allowed, d.InForce)
		equal(t, c.name+": grant undecided", c.want.Standing == Undecided, d.Undecided)
	}
}

// Who has a resource and its clients keeps it when an older claim is admitted that had not
// been: that one waits, and has it when the first is gone.
func TestAClaimThatSleptTakesNothing(t *testing.T) {
	t.Parallel()
	as := authorizationServer(func(as *v1alpha1.AuthorizationServer) {
		as.Spec.AllowedServers = &v1alpha1.AllowedNamespaces{
			From: v1alpha1.NamespacesSelector, Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"servers": "yes"}},
		}
	})
	lastSaid := func(s *v1alpha1.MCPServer, reason string) { s.Status.Conditions = acceptedAs(reason) }
	holder, sleeper := server(), server()
	sleeper.Namespace, sleeper.CreationTimestamp = "mallory", metav1.NewTime(now.Add(-30*day))
	yes := map[string]string{"servers": "yes"}
	admitted := NamespaceFact{Is: Present, Name: "payments", Labels: yes}
	woken := NamespaceFact{Is: Present, Name: "mallory", Labels: yes}
	of := func(s *v1alpha1.MCPServer, namespace NamespaceFact, other *v1alpha1.MCPServer, others NamespaceFact) string {
		return Server(ServerFacts{Server: s, AuthorizationServer: found(as), Namespace: namespace, Room: NewRoom(nil), Claims: ClaimsFact{
			Is: Present, Others: []Claimant{{Server: other, Namespace: others}},
		}}).Reason
	}
	lastSaid(holder, v1alpha1.ReasonAccepted)
	for _, reason := range []string{v1alpha1.ReasonNamespaceNotAllowed, v1alpha1.ReasonResourceTaken} {
		lastSaid(sleeper, reason)
		if got := of(holder, admitted, sleeper, woken); got != v1alpha1.ReasonAccepted {
			t.Errorf("the holder, with clients, is %s once one that was %s is admitted", got, reason)
		}
		if got := of(sleeper, woken, holder, admitted); got != v1alpha1.ReasonResourceTaken {
			t.Errorf("the older one is %s", got)
		}
	}
	// Whatever else is wrong with the holder, it keeps what it has.
	lastSaid(holder, v1alpha1.ReasonOwnerMissing)
	if got := of(sleeper, woken, holder, admitted); got != v1alpha1.ReasonResourceTaken {
		t.Errorf("the older one is %s while the holder has no owner", got)
	}
	lastSaid(holder, v1alpha1.ReasonNamespaceNotAllowed)
	if got := of(sleeper, woken, holder, NamespaceFact{Is: Present, Name: "payments"}); got != v1alpha1.ReasonAccepted {
		t.Errorf("the older one is %s once the holder is admitted no more", got)
	}
}

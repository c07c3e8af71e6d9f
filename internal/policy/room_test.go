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

// roomOf is the room that some servers share.
func roomOf(servers ...*v1alpha1.MCPServer) *Room {
	var contenders []Contender
	for _, s := range servers {
		if c, ok := ContendingServer(s); ok {
			contenders = append(contenders, c)
		}
	}
	return NewRoom(contenders)
}

func TestServersOfANamespaceHaveBounds(t *testing.T) {
	t.Parallel()
	as := authorizationServer()
	as.Spec.Policy = &v1alpha1.RegistrationPolicy{MaxServersPerNamespace: new(int32(2)), MaxCatalogueScopesPerNamespace: new(int32(3))}
	made := func(name string, age int, reason string, scopes ...v1alpha1.ScopeName) *v1alpha1.MCPServer {
		s := server()
		s.Name, s.CreationTimestamp = name, metav1.NewTime(now.Add(-time.Duration(age)*time.Minute))
		s.Spec.Scopes = nil
		for _, scope := range scopes {
			s.Spec.Scopes = append(s.Spec.Scopes, v1alpha1.Scope{Name: scope, Tier: v1alpha1.TierRead})
		}
		if reason != "" {
			status := metav1.ConditionFalse
			if reason == v1alpha1.ReasonAccepted {
				status = metav1.ConditionTrue
			}
			s.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionAccepted, Status: status, Reason: reason}}
		}
		return s
	}
	in, waits, ended := v1alpha1.ReasonAccepted, v1alpha1.ReasonQuotaExceeded, v1alpha1.ReasonOwnerMissing
	given := made("own", 1, v1alpha1.ReasonOwnerMissing, "a")
	given.Status.Grants = &v1alpha1.GrantCounts{InForce: 1}
	for _, c := range []struct {
		name   string
		own    *v1alpha1.MCPServer
		others []*v1alpha1.MCPServer
		says   string
	}{
		{"the first", made("own", 1, "", "a"), nil, ""},
		{"there is room", made("own", 1, "", "a"), []*v1alpha1.MCPServer{made("x", 2, in, "b")}, ""},
		{"it is full", made("own", 1, "", "a"), []*v1alpha1.MCPServer{made("x", 2, in, "b"), made("y", 2, in, "b")},
			"has 2 accepted MCPServers at the authorization server, and the AuthorizationServer's policy allows 2 (maxServersPerNamespace)"},
		{"it is full of newer ones", made("own", 9, waits, "a"), []*v1alpha1.MCPServer{made("x", 2, in, "b"), made("y", 2, in, "b")}, "maxServersPerNamespace"},
		{"it is in, and the bound was lowered", made("own", 1, in, "a"), []*v1alpha1.MCPServer{made("x", 2, in, "b"), made("y", 2, in, "b")}, ""},
		{"clients live on it", given, []*v1alpha1.MCPServer{made("x", 2, in, "b"), made("y", 2, in, "b")}, ""},
		{"an older one waits", made("own", 1, "", "a"), []*v1alpha1.MCPServer{made("x", 2, in, "b"), made("y", 2, waits, "b")}, "maxServersPerNamespace"},
		{"a newer one waits", made("own", 3, "", "a"), []*v1alpha1.MCPServer{made("x", 2, in, "b"), made("y", 2, waits, "b")}, ""},
		{"an older one is refused for something else", made("own", 1, "", "a"), []*v1alpha1.MCPServer{made("x", 2, in, "b"), made("y", 2, ended, "b")}, ""},
		{"as many scopes as may be", made("own", 1, "", "a"), []*v1alpha1.MCPServer{made("x", 2, in, "b", "c")}, ""},
		{"a scope that is there", made("own", 1, "", "b", "c"), []*v1alpha1.MCPServer{made("x", 2, in, "a", "b", "c")}, ""},
		{"too many scopes", made("own", 1, "", "a", "d"), []*v1alpha1.MCPServer{made("x", 2, in, "b", "c")},
			"would have 4 different scopes in the catalogues of its MCPServers at the authorization server, and the AuthorizationServer's policy allows 3 (maxCatalogueScopesPerNamespace)"},
		{"an older one never fits", made("own", 1, "", "a"), []*v1alpha1.MCPServer{made("x", 2, in, "b"), made("y", 2, waits, "c", "d", "e", "f")}, ""},
	} {
		others := append(c.others, c.own)
		for range 2 {
			v := Server(ServerFacts{Server: c.own, AuthorizationServer: found(as), Namespace: NamespaceFact{Is: Present}, Claims: alone, Room: roomOf(others...)})
			if ended := c.own.Status.Grants != nil; c.says == "" && v.Standing != Allowed && !ended || c.says != "" && (v.Reason != v1alpha1.ReasonQuotaExceeded || !strings.Contains(v.Message, c.says) || !strings.Contains(v.Message, "platform team")) {
				t.Errorf("%s: %+v", c.name, v)
			}
			slices.Reverse(others)
		}
	}
	if v := Server(ServerFacts{Server: made("own", 1, "", "a"), AuthorizationServer: found(as), Claims: alone}); v.Standing != Undecided {
		t.Errorf("what else there is is not known: %+v", v)
	}
}

// A grant that gives something up is not asked for room, and one that asks for more is.
func TestAGrantIsAskedForRoomWhereItAsksForMore(t *testing.T) {
	t.Parallel()
	full := func(f *GrantFacts) {
		f.AuthorizationServer.Object.Spec.Policy = &v1alpha1.RegistrationPolicy{MaxGrantsPerNamespace: new(int32(0)), MaxGrantedScopesPerNamespace: new(int32(0))}
	}
	refused := grantFacts(grant(), full)
	if d := Grant(refused, now); d.InForce || d.Verdict.Reason != v1alpha1.ReasonQuotaExceeded {
		t.Errorf("a new one: %+v", d.Verdict)
	}
	in := grant()
	in.Status.Basis, in.Status.ObservedGeneration = v1alpha1.BasisAutomatic, in.Generation
	if d := Grant(grantFacts(in, full), now); !d.InForce {
		t.Errorf("one in force: %+v", d.Verdict)
	}
	changed := in.DeepCopy()
	changed.Generation++
	carries := func(names ...v1alpha1.ScopeName) func(*GrantFacts) {
		return func(f *GrantFacts) {
			for _, name := range names {
				f.Registration.Status.Scopes = append(f.Registration.Status.Scopes, v1alpha1.EffectiveScope{Name: string(name), Grants: []string{changed.Name}})
			}
		}
	}
	if d := Grant(grantFacts(changed, full, carries(append(changed.Spec.Scopes, "given:up")...)), now); !d.InForce {
		t.Errorf("one that gives a scope up: %+v", d.Verdict)
	}
	if d := Grant(grantFacts(changed, full, carries("given:up")), now); d.InForce {
		t.Error("one that asks for another scope is in force")
	}
	ended := in.DeepCopy()
	ended.Annotations[v1alpha1.AnnotationExpiresAt] = now.Add(-time.Hour).Format(time.RFC3339)
	if d := Grant(grantFacts(ended, full, func(f *GrantFacts) { f.Room = nil }), now); d.InForce || d.Undecided || d.Verdict.Reason != v1alpha1.ReasonExpired {
		t.Errorf("one that has ended, where nothing else is known: %+v", d.Verdict)
	}
}

// crowdedNamespace is one in which grants come and go.
type crowdedNamespace struct {
	random *rand.Rand
	as     AuthorizationServerFact
	grants []*v1alpha1.ScopeGrant
	made   int
}

func (n *crowdedNamespace) room() *Room {
	var contenders []Contender
	for _, i := range n.random.Perm(len(n.grants)) {
		if c, ok := ContendingGrant(n.grants[i]); ok {
			contenders = append(contenders, c)
		}
	}
	return NewRoom(contenders)
}

// used are the grants in force and their scopes.
func (n *crowdedNamespace) used() (objects, scopes int) {
	names := map[v1alpha1.ScopeName]bool{}
	for _, g := range n.grants {
		if g.Status.Basis != "" {
			objects++
			for _, name := range g.Spec.Scopes {
				names[name] = true
			}
		}
	}
	return objects, len(names)
}

func (n *crowdedNamespace) comes(at time.Time) {
	g := &v1alpha1.ScopeGrant{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint("g", n.made), Generation: 1, CreationTimestamp: metav1.NewTime(at.Truncate(time.Second))}}
	for range 1 + n.random.IntN(4) {
		g.Spec.Scopes = append(g.Spec.Scopes, v1alpha1.ScopeName(fmt.Sprint("s", n.random.IntN(12))))
	}
	n.made++
	n.grants = append(n.grants, g)
}

// decides decides about a grant and has its status say so. It reports whether that changed.
func (n *crowdedNamespace) decides(g *v1alpha1.ScopeGrant, room *Room) bool {
	before := g.DeepCopy()
	g.Status.ObservedGeneration = g.Generation
	status, reason := metav1.ConditionTrue, v1alpha1.ReasonAccepted
	g.Status.Basis = v1alpha1.BasisAutomatic
	if v := grantHasRoom(GrantFacts{Grant: before, AuthorizationServer: n.as, Room: room}); v != nil {
		status, reason, g.Status.Basis = metav1.ConditionFalse, v.Reason, ""
	}
	g.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionAccepted, Status: status, Reason: reason}}
	return before.Status.Basis != g.Status.Basis || len(before.Status.Conditions) == 0
}

// Whatever comes and goes, in whatever order it is decided on, and also where all that is
// there is decided on at one time: nobody is let in beyond a bound, who is in loses nothing
// to a newcomer or to a stricter bound, and in the end nobody waits who fits and has nobody
// before it.
func TestRoomIsGivenInOrder(t *testing.T) {
	t.Parallel()
	for seed := range uint64(1500) {
		n := &crowdedNamespace{random: rand.New(rand.NewPCG(seed, 3)), as: found(authorizationServer())}
		p := &v1alpha1.RegistrationPolicy{}
		n.as.Object.Spec.Policy = p
		at := now
		for range 25 {
			most := limit{objects: n.random.IntN(6), scopes: n.random.IntN(12)}
			if n.random.IntN(3) == 0 || p.MaxGrantsPerNamespace == nil {
				p.MaxGrantsPerNamespace, p.MaxGrantedScopesPerNamespace = new(int32(most.objects)), new(int32(most.scopes))
			}
			most = grantLimit(n.as)
			if len(n.grants) > 0 && n.random.IntN(3) == 0 {
				gone := n.random.IntN(len(n.grants))
				n.grants = slices.Delete(n.grants, gone, gone+1)
			} else {
				at = at.Add(time.Duration(n.random.IntN(1500)) * time.Millisecond)
				n.comes(at)
			}
			n.settles(t, seed, most)
		}
	}
}

// settles has everything decided on until nothing changes.
func (n *crowdedNamespace) settles(t *testing.T, seed uint64, most limit) {
	t.Helper()
	together := n.random.IntN(2) == 0
	for pass := 0; ; pass++ {
		if pass > 50 {
			t.Fatalf("seed %d: it never comes to rest", seed)
		}
		objects, scopes := n.used()
		in := map[string]bool{}
		for _, g := range n.grants {
			in[g.Name] = g.Status.Basis != ""
		}
		room, moved := n.room(), false
		turns := NextGrants(room, n.as)
		for _, i := range n.random.Perm(len(n.grants)) {
			if !together {
				room = n.room()
			}
			moved = n.decides(n.grants[i], room) || moved
		}
		for _, g := range n.grants {
			if now := g.Status.Basis != ""; together && now != in[g.Name] && !slices.Contains(turns, g.Name) {
				t.Fatalf("seed %d: %s moved, and it is the turn of %v", seed, g.Name, turns)
			}
			if in[g.Name] && g.Status.Basis == "" {
				t.Fatalf("seed %d: %s was in force and lost its room", seed, g.Name)
			}
		}
		if o, s := n.used(); o > max(objects, most.objects) || s > max(scopes, most.scopes) {
			t.Fatalf("seed %d: %d grants and %d scopes, %d and %d before, and %d and %d may be", seed, o, s, objects, scopes, most.objects, most.scopes)
		}
		if !moved {
			break
		}
	}
	room := n.room()
	for _, c := range room.waiting {
		if o, s := room.before(c).with(c); o <= most.objects && s <= most.scopes {
			t.Fatalf("seed %d: %s waits, and there is room for it", seed, c.Name)
		}
	}
	if next := NextGrants(room, n.as); len(next) > 0 {
		t.Fatalf("seed %d: at rest it is the turn of %v", seed, next)
	}
}

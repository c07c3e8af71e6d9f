// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"cmp"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	apimeta "k8s.io/apimachinery/pkg/api/meta"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
)

// What the MCPServers and the ScopeGrants of one namespace may have at an authorization
// server together, where its AuthorizationServer does not say. Clients are counted by
// their records, before any request (see Quota).
const (
	defaultMaxServers         = 100
	defaultMaxCatalogueScopes = 2000
	defaultMaxGrants          = 5000
	defaultMaxGrantedScopes   = 1000
)

// Contender is an object that has room in its namespace, or waits for some.
type Contender struct {
	// Name tells it from the others of its kind in the namespace.
	Name      string
	CreatedAt time.Time
	// Holds says that it has its room: it loses it to nobody, and to no stricter bound.
	Holds  bool
	Scopes []v1alpha1.ScopeName
}

// earlier compares contenders by who was there first.
func (c Contender) earlier(other Contender) int {
	return cmp.Or(c.CreatedAt.Compare(other.CreatedAt), strings.Compare(c.Name, other.Name))
}

// Room is who has the room of a namespace at an authorization server, and who waits for
// it. nil means that this is not known. It is not changed, and may be shared.
type Room struct {
	holding map[string][]v1alpha1.ScopeName
	// scopes counts the holders of each.
	scopes  map[v1alpha1.ScopeName]int
	waiting []Contender
}

// NewRoom is the room that some contenders share, in any order.
func NewRoom(contenders []Contender) *Room {
	r := &Room{holding: make(map[string][]v1alpha1.ScopeName, len(contenders)), scopes: map[v1alpha1.ScopeName]int{}}
	for _, c := range contenders {
		if !c.Holds {
			r.waiting = append(r.waiting, c)
			continue
		}
		r.holding[c.Name] = c.Scopes
		for name := range distinct(c.Scopes) {
			r.scopes[name]++
		}
	}
	slices.SortFunc(r.waiting, Contender.earlier)
	return r
}

// distinct are the scopes of a list, each once.
func distinct(scopes []v1alpha1.ScopeName) iter.Seq[v1alpha1.ScopeName] {
	return func(yield func(v1alpha1.ScopeName) bool) {
		for i, name := range scopes {
			if !slices.Contains(scopes[:i], name) && !yield(name) {
				return
			}
		}
	}
}

// share is what is taken while room is given out.
type share struct {
	room *Room
	// without are the scopes that whoever asks holds itself.
	without []v1alpha1.ScopeName
	objects int
	scopes  int
	// given are the scopes of those that have no room yet and come before, and names
	// those of them that were let in already.
	given map[v1alpha1.ScopeName]bool
	names map[string]bool
}

// before is what those have that come before a contender. What it holds itself is not
// among it.
func (r *Room) before(c Contender) *share {
	s := &share{room: r, objects: len(r.holding), scopes: len(r.scopes), given: map[v1alpha1.ScopeName]bool{}, names: map[string]bool{}}
	if held, there := r.holding[c.Name]; there {
		s.without = held
		s.objects--
		for name := range distinct(held) {
			if r.scopes[name] == 1 {
				s.scopes--
			}
		}
	}
	return s
}

func (s *share) has(name v1alpha1.ScopeName) bool {
	holders := s.room.scopes[name]
	if holders == 1 && slices.Contains(s.without, name) {
		holders = 0
	}
	return holders > 0 || s.given[name]
}

// with are the objects and scopes that there would be with another contender.
func (s *share) with(c Contender) (objects, scopes int) {
	scopes = s.scopes
	for name := range distinct(c.Scopes) {
		if !s.has(name) {
			scopes++
		}
	}
	return s.objects + 1, scopes
}

// offer gives a contender its room, if it fits.
func (s *share) offer(c Contender, most limit) bool {
	objects, scopes := s.with(c)
	if objects > most.objects || scopes > most.scopes {
		return false
	}
	s.take(c)
	return true
}

// take gives a contender its room.
func (s *share) take(c Contender) {
	s.objects, s.scopes = s.with(c)
	for _, name := range c.Scopes {
		s.given[name] = true
	}
}

// letIn gives those their room that were let in since the room was looked at.
func (s *share) letIn(since []Contender) {
	for _, c := range since {
		if _, there := s.room.holding[c.Name]; !there {
			s.take(c)
			s.names[c.Name] = true
		}
	}
}

// limit bounds the room of one kind.
type limit struct {
	objects, scopes           int
	objectsField, scopesField string
	kind, of                  string
}

func orDefault(said *int32, byDefault int) int {
	if said == nil {
		return byDefault
	}
	return int(*said)
}

func serverLimit(f AuthorizationServerFact) limit {
	p := registrationPolicy(f)
	return limit{
		objects: orDefault(p.MaxServersPerNamespace, defaultMaxServers), objectsField: "maxServersPerNamespace",
		scopes: orDefault(p.MaxCatalogueScopesPerNamespace, defaultMaxCatalogueScopes), scopesField: "maxCatalogueScopesPerNamespace",
		kind: "accepted MCPServers", of: "in the catalogues of its MCPServers",
	}
}

func grantLimit(f AuthorizationServerFact) limit {
	p := registrationPolicy(f)
	return limit{
		objects: orDefault(p.MaxGrantsPerNamespace, defaultMaxGrants), objectsField: "maxGrantsPerNamespace",
		scopes: orDefault(p.MaxGrantedScopesPerNamespace, defaultMaxGrantedScopes), scopesField: "maxGrantedScopesPerNamespace",
		kind: "ScopeGrants in force", of: "granted to its clients",
	}
}

// full says why a contender finds no room; nil when it does. Those that wait have room
// given in the order in which they came, as far as they fit; whoever would exceed a bound
// is passed over, so that nobody waits for what never fits. since are those that were let
// in since the room was looked at.
func (r *Room) full(c Contender, most limit, since ...Contender) *Verdict {
	if r == nil {
		return unknownVerdict("what else there is in the namespace")
	}
	taken := r.before(c)
	taken.letIn(since)
	for _, other := range r.waiting {
		if other.Name == c.Name || taken.names[other.Name] {
			continue
		}
		if other.earlier(c) > 0 {
			break
		}
		taken.offer(other, most)
	}
	switch objects, scopes := taken.with(c); {
	case objects > most.objects:
		return &Verdict{
			Reason:  v1alpha1.ReasonQuotaExceeded,
			Message: fmt.Sprintf("this namespace has %d %s at the authorization server, and the AuthorizationServer's policy allows %d (%s): delete one that is no longer needed, and the next in line follows by itself, or ask the platform team for more", taken.objects, most.kind, most.objects, most.objectsField),
		}
	case scopes > most.scopes:
		return &Verdict{
			Reason:  v1alpha1.ReasonQuotaExceeded,
			Message: fmt.Sprintf("spec.scopes: with these this namespace would have %d different scopes %s at the authorization server, and the AuthorizationServer's policy allows %d (%s): ask for fewer, delete what is no longer needed, or ask the platform team for more", scopes, most.of, most.scopes, most.scopesField),
		}
	}
	return nil
}

// next names those that wait and have their turn now.
func (r *Room) next(most limit) []string {
	if r == nil {
		return nil
	}
	var names []string
	taken := r.before(Contender{})
	for _, c := range r.waiting {
		if taken.offer(c, most) {
			names = append(names, c.Name)
		}
	}
	return names
}

// NextServers names the MCPServers that wait for room and have their turn now.
func NextServers(room *Room, as AuthorizationServerFact) []string { return room.next(serverLimit(as)) }

// NextGrants names the ScopeGrants that wait for room and have their turn now.
func NextGrants(room *Room, as AuthorizationServerFact) []string { return room.next(grantLimit(as)) }

// ContendingServer is an MCPServer as one of those that share the room of a namespace; ok
// is false where it has none and waits for none. One that is accepted, or that clients
// have scopes of, has its room.
func ContendingServer(server *v1alpha1.MCPServer) (c Contender, ok bool) {
	accepted := apimeta.FindStatusCondition(server.Status.Conditions, v1alpha1.ConditionAccepted)
	c = Contender{Name: server.Name, CreatedAt: server.CreationTimestamp.Time}
	for _, scope := range server.Spec.Scopes {
		c.Scopes = append(c.Scopes, scope.Name)
	}
	c.Holds = server.Status.Grants != nil && server.Status.Grants.InForce > 0 ||
		apimeta.IsStatusConditionTrue(server.Status.Conditions, v1alpha1.ConditionAccepted)
	return c, c.Holds || server.DeletionTimestamp == nil && (accepted == nil || accepted.Reason == v1alpha1.ReasonQuotaExceeded)
}

// ContendingGrant is a ScopeGrant as one of those that share the room of a namespace; ok is
// false where it has none and waits for none. One that is in force has its room.
func ContendingGrant(grant *v1alpha1.ScopeGrant) (c Contender, ok bool) {
	accepted := apimeta.FindStatusCondition(grant.Status.Conditions, v1alpha1.ConditionAccepted)
	c = Contender{Name: grant.Name, CreatedAt: grant.CreationTimestamp.Time, Scopes: grant.Spec.Scopes, Holds: grant.Status.Basis != ""}
	return c, c.Holds || grant.DeletionTimestamp == nil && (accepted == nil || accepted.Reason == v1alpha1.ReasonQuotaExceeded)
}

// A namespace has no more MCPServers, and no more scopes in their catalogues, than the
// AuthorizationServer's policy allows. One that is accepted stays so, also when the policy
// becomes stricter.
func serverHasRoom(f ServerFacts) *Verdict {
	c, _ := ContendingServer(f.Server)
	if c.Holds {
		return nil
	}
	return f.Room.full(c, serverLimit(f.AuthorizationServer))
}

// A namespace has no more grants in force, and no more scopes by them, than the
// AuthorizationServer's policy allows. A grant that is in force as it is written stays so,
// also when it gives up scopes, and when the policy becomes stricter.
func grantHasRoom(f GrantFacts) *Verdict { return grantHasRoomBeside(f, nil) }

// AsksForRoom reports whether a grant that is to be in force has no room yet, or asks for
// more.
func AsksForRoom(f GrantFacts) bool {
	c, _ := ContendingGrant(f.Grant)
	carried := carriedBy(f.Carried)
	if f.Registration != nil {
		carried = carriedBy(f.Registration.Status.Scopes)
	}
	settled := c.Holds && f.Grant.Status.ObservedGeneration == f.Grant.Generation
	return !settled && carried.newness(f.Grant) != 0
}

// grantHasRoomBeside is grantHasRoom where others were let in since its room was looked at.
func grantHasRoomBeside(f GrantFacts, since []Contender) *Verdict {
	if !AsksForRoom(f) {
		return nil
	}
	c, _ := ContendingGrant(f.Grant)
	return f.Room.full(c, grantLimit(f.AuthorizationServer), since...)
}

// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package register

import (
	"math"
	"slices"
	"strings"
	"time"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

// client is a registration as it is kept: policy.ClientEntry in as little memory
// as it takes. Its size is the guard's: there may be a hundred thousand.
type client struct {
	// own are its texts that no other has: name, UID, client id, and names of
	// grants, which scopes point into.
	own       string
	name, uid uint16
	id        uint32
	ends      instant
	// shared are the texts that others have too: namespace, owner, left.
	shared *[]string
	scopes []policy.EntryScope
	// beside and twin chain it in the indexes of its shelf and of client ids.
	beside, twin *client
}

// grant is a grant as it is kept: policy.GrantEntry in as little memory as it
// takes.
type grant struct {
	// own are its name and that of its client.
	own     string
	name    uint16
	inForce bool
	ends    instant
	// shared are the texts that others have too: namespace, the server's
	// namespace and name, basis, approver.
	shared          *[]string
	scopes, changed *[]string
	// beside and next chain it in the indexes of its shelf and of all grants.
	beside, next *grant
}

func (c *client) key() objectKey { return objectKey{(*c.shared)[0], c.own[:c.name]} }

func (c *client) clientID() string {
	rest := c.own[int(c.name)+int(c.uid):]
	return rest[:c.id]
}

func (c *client) entry() policy.ClientEntry {
	shared, key := *c.shared, c.key()
	return policy.ClientEntry{
		Namespace: key.namespace, Name: key.name, UID: c.own[c.name : int(c.name)+int(c.uid)], ClientID: c.clientID(),
		Owner: shared[1], Left: policy.Refusal(shared[2]), Scopes: c.scopes, EndsAt: c.ends.time(),
	}
}

func (g *grant) key() objectKey    { return objectKey{(*g.shared)[0], g.own[:g.name]} }
func (g *grant) holder() objectKey { return objectKey{(*g.shared)[0], g.own[g.name:]} }

func (g *grant) entry() policy.GrantEntry {
	shared := *g.shared
	return policy.GrantEntry{
		Namespace: shared[0], Name: g.own[:g.name], Client: g.own[g.name:],
		ServerNamespace: shared[1], Server: shared[2], Basis: v1alpha1.GrantBasis(shared[3]), ApprovedBy: shared[4],
		Scopes: *g.scopes, ChangedTools: *g.changed, EndsAt: g.ends.time(), InForce: g.inForce,
	}
}

// client makes of an entry what is kept.
func (p *pool) client(entry policy.ClientEntry) *client {
	own := []*string{&entry.Name, &entry.UID, &entry.ClientID}
	scopes := make([]policy.EntryScope, len(entry.Scopes))
	for i, scope := range entry.Scopes {
		scopes[i].Name = p.text(scope.Name)
		if asBefore(entry.Scopes, i) {
			continue
		}
		scopes[i].Grants = slices.Clone(scope.Grants)
		for j := range scopes[i].Grants {
			own = append(own, &scopes[i].Grants[j])
		}
	}
	c := &client{
		own:  pack(own),
		name: uint16(len(entry.Name)), uid: uint16(len(entry.UID)), id: uint32(len(entry.ClientID)), //nolint:gosec // see fits.
		ends: instantOf(entry.EndsAt), shared: p.list([]string{entry.Namespace, entry.Owner, string(entry.Left)}), scopes: scopes,
	}
	for i := range scopes {
		if asBefore(entry.Scopes, i) {
			scopes[i].Grants = scopes[i-1].Grants
		}
	}
	return c
}

// asBefore says that a scope comes from the grants that the one before it does.
func asBefore(scopes []policy.EntryScope, i int) bool {
	return i > 0 && slices.Equal(scopes[i].Grants, scopes[i-1].Grants)
}

// grant makes of an entry what is kept.
func (p *pool) grant(entry policy.GrantEntry) *grant {
	return &grant{
		own: pack([]*string{&entry.Name, &entry.Client}), name: uint16(len(entry.Name)), //nolint:gosec // see fits.
		inForce: entry.InForce, ends: instantOf(entry.EndsAt),
		shared: p.list([]string{entry.Namespace, entry.ServerNamespace, entry.Server, string(entry.Basis), entry.ApprovedBy}),
		scopes: p.list(entry.Scopes), changed: p.list(entry.ChangedTools),
	}
}

// fits says that texts are no longer than what is kept can say. No API server
// lets longer ones pass.
func fits(texts ...string) bool {
	return !slices.ContainsFunc(texts, func(text string) bool { return len(text) > math.MaxUint16 })
}

// pack puts texts into one piece of memory, one after the other.
func pack(texts []*string) string {
	var size int
	for _, text := range texts {
		size += len(*text)
	}
	var all strings.Builder
	all.Grow(size)
	for _, text := range texts {
		all.WriteString(*text)
	}
	rest := all.String()
	for _, text := range texts {
		size := len(*text)
		*text, rest = rest[:size], rest[size:]
	}
	return all.String()
}

// instant is a time in a third of the memory, as nanoseconds since 1970. What
// lies beyond is brought to the nearest that it can say.
type instant int64

// never is the zero time.
const never = instant(math.MinInt64)

var (
	firstInstant = time.Unix(0, math.MinInt64+1)
	lastInstant  = time.Unix(0, math.MaxInt64)
)

func instantOf(t time.Time) instant {
	switch {
	case t.IsZero():
		return never
	case t.Before(firstInstant):
		t = firstInstant
	case t.After(lastInstant):
		t = lastInstant
	}
	return instant(t.UnixNano())
}

func (i instant) time() time.Time {
	if i == never {
		return time.Time{}
	}
	return time.Unix(0, int64(i)).UTC()
}

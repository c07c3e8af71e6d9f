// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
)

// Looked is everything that an approver of a grant looks at, by the name of each
// member: what an approval is of.
type Looked []v1alpha1.LookedAt

// The members of Looked. The two prefixes are followed by the name of a scope.
const (
	lookedGrant        = "UID of the ScopeGrant"
	lookedRegistration = "UID of the MCPClientRegistration"
	lookedServer       = "UID of the MCPServer"
	lookedClientName   = "client name"
	lookedApplication  = "application type"
	lookedGrantTypes   = "grant types"
	lookedAuthMethod   = "authentication method"
	lookedRedirects    = "redirect URIs"
	lookedKeys         = "keys"
	lookedClientOwner  = "owner of the client"
	lookedGrantOwner   = "owner of the grant"
	lookedResource     = "resource"
	lookedScopes       = "scopes"
	lookedReason       = "reason"
	lookedEnd          = "end"
	lookedTier         = "tier of "
	lookedTools        = "tools of "
)

// anyTool stands for the tools of a scope that is tied to none.
const anyTool = "(any)"

// Look is what an approver of a grant sees now: of the grant, of the client, and of
// the scopes that are asked for.
func Look(grant *v1alpha1.ScopeGrant, reg *v1alpha1.MCPClientRegistration, server *v1alpha1.MCPServer) Looked {
	looked := Looked{
		one(lookedGrant, string(grant.UID)),
		one(lookedRegistration, string(reg.UID)),
		one(lookedServer, string(server.UID)),
		one(lookedClientName, reg.Spec.ClientName),
		one(lookedApplication, string(reg.Spec.ApplicationType)),
		many(lookedGrantTypes, texts(reg.Spec.GrantTypes)),
		one(lookedAuthMethod, string(reg.Spec.TokenEndpointAuthMethod)),
		many(lookedRedirects, texts(reg.Spec.RedirectURIs)),
		many(lookedKeys, keysLookedAt(reg)),
		one(lookedClientOwner, reg.Annotations[v1alpha1.AnnotationOwner]),
		one(lookedGrantOwner, grant.Annotations[v1alpha1.AnnotationOwner]),
		one(lookedResource, server.Spec.Resource),
		many(lookedScopes, texts(grant.Spec.Scopes)),
		one(lookedReason, grant.Spec.Reason),
		one(lookedEnd, endLookedAt(grant)),
	}
	for _, scope := range server.Spec.Scopes {
		if slices.Contains(grant.Spec.Scopes, scope.Name) {
			looked = append(looked, one(lookedTier+string(scope.Name), string(scope.Tier)),
				many(lookedTools+string(scope.Name), toolsLookedAt(scope)))
		}
	}
	slices.SortFunc(looked, func(a, b v1alpha1.LookedAt) int { return strings.Compare(a.Name, b.Name) })
	return looked
}

func one(name, value string) v1alpha1.LookedAt {
	return v1alpha1.LookedAt{Name: name, Values: []string{value}}
}

func many(name string, values []string) v1alpha1.LookedAt {
	slices.Sort(values)
	return v1alpha1.LookedAt{Name: name, Values: slices.Compact(values)}
}

func texts[T ~string](values []T) []string {
	made := make([]string, len(values))
	for i, value := range values {
		made[i] = string(value)
	}
	return made
}

func toolsLookedAt(scope v1alpha1.Scope) []string {
	if len(scope.Tools) == 0 {
		return []string{anyTool}
	}
	return slices.Clone(scope.Tools)
}

// keysLookedAt are the thumbprints (RFC 7638) of the client's keys, or where they
// come from.
func keysLookedAt(reg *v1alpha1.MCPClientRegistration) []string {
	switch spec := reg.Spec; {
	case spec.JWKSURI != "":
		return []string{"set at " + spec.JWKSURI}
	case spec.ServiceAccountName != "":
		return []string{"tokens of ServiceAccount " + spec.ServiceAccountName}
	case spec.JWKS == "":
		return []string{"the operator's"}
	default:
		prints, readable := thumbprints(spec.JWKS)
		if !readable {
			sum := sha256.Sum256([]byte(spec.JWKS))
			return []string{"unreadable set " + hex.EncodeToString(sum[:])}
		}
		return prints
	}
}

// endLookedAt is the end that is asked for, to the second; the text of the
// annotation where it cannot be read.
func endLookedAt(grant *v1alpha1.ScopeGrant) string {
	if e := readEnd(grant); e.verdict == nil {
		return e.at.UTC().Truncate(time.Second).Format(time.RFC3339)
	}
	return shorten(grant.Annotations[v1alpha1.AnnotationExpiresAt])
}

// Digest identifies what was looked at: SHA-256 over all members, in hexadecimal
// digits.
func (l Looked) Digest() string {
	text, err := json.Marshal(l)
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(append([]byte("mcp-registrar.dev/v1alpha1 ScopeGrantApproval\n"), text...))
	return hex.EncodeToString(sum[:])
}

func (l Looked) member(name string) []string {
	for _, member := range l {
		if member.Name == name {
			return member.Values
		}
	}
	return nil
}

// Change is a member that is not, or not only, what was looked at.
type Change struct {
	// Member is the name of the member.
	Member string
	// Before and After are its values; of a list only what was added is in After.
	Before, After []string
}

// String says what changed, to people.
func (c Change) String() string {
	switch {
	case isList(c.Member):
		return fmt.Sprintf("%s: added %s", c.Member, quoted(c.After))
	case len(c.Before) == 0:
		return fmt.Sprintf("%s: %s", c.Member, quoted(c.After))
	case strings.HasPrefix(c.Member, "UID of the "):
		return fmt.Sprintf("the %s was deleted and created again (its UID was %s and is %s)",
			strings.TrimPrefix(c.Member, "UID of the "), quoted(c.Before), quoted(c.After))
	}
	return fmt.Sprintf("%s: was %s, is %s", c.Member, quoted(c.Before), quoted(c.After))
}

// quoted writes a few values for people.
func quoted(values []string) string {
	const most = 3
	var text []string
	for _, value := range values[:min(len(values), most)] {
		text = append(text, `"`+shorten(value)+`"`)
	}
	if more := len(values) - most; more > 0 {
		text = append(text, fmt.Sprintf("%d more", more))
	}
	return strings.Join(text, ", ")
}

func isList(member string) bool {
	switch member {
	case lookedGrantTypes, lookedRedirects, lookedKeys, lookedScopes:
		return true
	}
	return strings.HasPrefix(member, lookedTools)
}

// Widened lists the members of what is there now that are more than, or other
// than, what was looked at. What is less is left out: a redirect URI, key, scope or
// tool fewer, an earlier end.
func (l Looked) Widened(now Looked) []Change {
	var changes []Change
	for _, member := range now {
		before := l.member(member.Name)
		if added := beyond(member, before); len(added) > 0 {
			changes = append(changes, Change{Member: member.Name, Before: before, After: added})
		}
	}
	// A member that is there no more is other, unless it was that of a scope.
	for _, member := range l {
		if now.member(member.Name) == nil && !isList(member.Name) && !strings.HasPrefix(member.Name, lookedTier) {
			changes = append(changes, Change{Member: member.Name, Before: member.Values, After: []string{""}})
		}
	}
	return changes
}

// beyond are the values of a member that go beyond those of before.
func beyond(member v1alpha1.LookedAt, before []string) []string {
	switch {
	case member.Name == lookedEnd && len(before) == 1 && len(member.Values) == 1 && notLater(member.Values[0], before[0]):
		return nil
	case strings.HasPrefix(member.Name, lookedTools) && slices.Contains(before, anyTool):
		return nil
	case isList(member.Name):
		var added []string
		for _, value := range member.Values {
			if !slices.Contains(before, value) {
				added = append(added, value)
			}
		}
		return added
	case slices.Equal(member.Values, before):
		return nil
	}
	return member.Values
}

func notLater(now, before string) bool {
	a, errA := time.Parse(time.RFC3339, now)
	b, errB := time.Parse(time.RFC3339, before)
	return errA == nil && errB == nil && !a.After(b)
}

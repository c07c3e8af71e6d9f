// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"cmp"
	"encoding/json"
	"math"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
)

// MaxPendingSize is how many bytes a grant that waits may take up in the status of
// its server.
const MaxPendingSize = 24 << 10

// The bounds of the schema of a PendingGrant.
const (
	maxPendingURIs   = 32
	maxPendingKeys   = 32
	maxPendingScopes = 64
	maxPendingTools  = 256
	maxPendingTypes  = 8
	maxPendingWord   = 32
	maxPendingName   = 128
	maxPendingOwner  = 256
	maxPendingURI    = 512
	maxPendingKey    = 640
	maxPendingText   = 1024
)

// Pending is a grant that waits for an owner of its server, as they have to look at
// it: with every member that an approval is of. Where that is more than there is
// room for, it has no digest, so that nobody approves what is not shown.
func Pending(grant *v1alpha1.ScopeGrant, reg *v1alpha1.MCPClientRegistration, server *v1alpha1.MCPServer) v1alpha1.PendingGrant {
	most := maxPendingTools
	pending := shownWith(most, grant, reg, server)
	for most > 1 && PendingSize(pending) > MaxPendingSize {
		most /= 2
		pending = shownWith(most, grant, reg, server)
	}
	return pending
}

// PendingSize is how many bytes a grant that waits takes up as it is stored.
func PendingSize(pending v1alpha1.PendingGrant) int {
	text, err := json.Marshal(pending)
	if err != nil {
		return math.MaxInt32
	}
	return len(text)
}

// InTurn orders grants that wait so that each namespace has one in turn, its oldest
// first, and of one turn the oldest goes first: whoever asks for much keeps nobody
// else out of what is shown.
func InTurn(waiting []*v1alpha1.ScopeGrant) []*v1alpha1.ScopeGrant {
	ordered := slices.Clone(waiting)
	slices.SortFunc(ordered, func(a, b *v1alpha1.ScopeGrant) int {
		return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Name, b.Name))
	})
	turns, taken := make(map[*v1alpha1.ScopeGrant]int, len(ordered)), map[string]int{}
	for _, grant := range ordered {
		turns[grant] = taken[grant.Namespace]
		taken[grant.Namespace]++
	}
	slices.SortStableFunc(ordered, func(a, b *v1alpha1.ScopeGrant) int { return cmp.Compare(turns[a], turns[b]) })
	return ordered
}

// OmittedIn counts grants that are left out by their namespace: the most first, and of
// as many by name, so many namespaces at most.
func OmittedIn(omitted []*v1alpha1.ScopeGrant, most int) []v1alpha1.OmittedGrants {
	counts := map[string]int32{}
	for _, grant := range omitted {
		counts[grant.Namespace]++
	}
	found := make([]v1alpha1.OmittedGrants, 0, len(counts))
	for namespace, count := range counts {
		found = append(found, v1alpha1.OmittedGrants{Namespace: namespace, Grants: count})
	}
	slices.SortFunc(found, func(a, b v1alpha1.OmittedGrants) int {
		return cmp.Or(cmp.Compare(b.Grants, a.Grants), strings.Compare(a.Namespace, b.Namespace))
	})
	if len(found) == 0 {
		return nil
	}
	return found[:min(len(found), most)]
}

// shown notes whether something of what it shows had to be left out.
type shown struct {
	most int
	cut  bool
}

// shownWith shows a grant that waits, with so many values of a list at most.
func shownWith(most int, grant *v1alpha1.ScopeGrant, reg *v1alpha1.MCPClientRegistration, server *v1alpha1.MCPServer) v1alpha1.PendingGrant {
	s := &shown{most: most}
	pending := v1alpha1.PendingGrant{
		Namespace: grant.Namespace, Name: grant.Name, UID: string(grant.UID), Generation: grant.Generation,
		Client:          grant.Spec.ClientRef.Name,
		Registration:    v1alpha1.ApprovedRegistration{UID: string(reg.UID), Generation: reg.Generation},
		ClientName:      s.text(reg.Spec.ClientName, maxPendingName),
		ApplicationType: s.text(string(reg.Spec.ApplicationType), maxPendingWord),
		Owner:           s.text(reg.Annotations[v1alpha1.AnnotationOwner], maxPendingOwner),
		GrantOwner:      s.text(grant.Annotations[v1alpha1.AnnotationOwner], maxPendingOwner),
		AuthMethod:      s.text(string(reg.Spec.TokenEndpointAuthMethod), maxPendingWord),
		Resource:        s.text(server.Spec.Resource, maxPendingURI),
		Reason:          s.text(grant.Spec.Reason, maxPendingText),
		RequestedBy:     s.text(grant.Annotations[v1alpha1.AnnotationRequestedBy], maxPendingText),
	}
	pending.GrantTypes, _ = s.list(texts(reg.Spec.GrantTypes), maxPendingTypes, maxPendingWord)
	pending.RedirectURIs, pending.RedirectURIsOmitted = s.list(texts(reg.Spec.RedirectURIs), maxPendingURIs, maxPendingURI)
	pending.Keys, pending.KeysOmitted = s.list(keysLookedAt(reg), maxPendingKeys, maxPendingKey)
	pending.Scopes, pending.ScopesOmitted = s.scopes(grant, server)
	pending.ChangedTools, pending.ChangedToolsOmitted = s.list(ChangedTools(grant, server), maxPendingTools, maxPendingName)
	e := readEnd(grant)
	if e.verdict == nil {
		pending.ExpirationTime = new(metav1.NewTime(e.at.Truncate(time.Second)))
	}
	switch {
	case e.verdict != nil:
		pending.Message = "it cannot be approved: " + e.verdict.Message
	case s.cut:
		pending.Message = "it cannot be approved: " + tooMuch
	default:
		pending.Digest, pending.ToolsDigest = Look(grant, reg, server).Digest(), ToolsDigest(grant, server)
	}
	return pending
}

// tooMuch says what to do about a grant that cannot be shown whole.
const tooMuch = "more belongs to it than status.pendingGrants of the MCPServer has room for, and nobody approves what is not shown: split the ScopeGrant into several with fewer scopes, or give the client fewer redirect URIs and keys"

// showable reports whether an owner of the server can be shown all of what an
// approval of the grant is of.
func showable(f GrantFacts) bool {
	return f.Registration == nil || f.Server.Object == nil || Pending(f.Grant, f.Registration, f.Server.Object).Digest != ""
}

// text shows a text of so many characters at most.
func (s *shown) text(text string, most int) string {
	if len(text) <= most {
		return text
	}
	runes := []rune(text)
	if len(runes) <= most {
		return text
	}
	s.cut = true
	return string(runes[:most-1]) + "…"
}

// list shows so many values at most, each once and in order, and says how many are
// left out.
func (s *shown) list(values []string, most, longest int) (first []string, omitted int32) {
	slices.Sort(values)
	values = slices.Compact(values)
	first, omitted = firstFew(s, values, most)
	for i, value := range first {
		first[i] = s.text(value, longest)
	}
	return slices.Compact(first), omitted
}

func firstFew[T any](s *shown, values []T, most int) (first []T, omitted int32) {
	first = values[:min(len(values), most, s.most)]
	if left := len(values) - len(first); left > 0 {
		s.cut, omitted = true, int32(min(left, math.MaxInt32))
	}
	return first, omitted
}

// scopes shows the scopes that are asked for, the most powerful first: what is left
// out is never more powerful than what is shown.
func (s *shown) scopes(grant *v1alpha1.ScopeGrant, server *v1alpha1.MCPServer) (first []v1alpha1.PendingScope, omitted int32) {
	asked := make([]v1alpha1.Scope, 0, len(grant.Spec.Scopes))
	for _, name := range grant.Spec.Scopes {
		at := slices.IndexFunc(server.Spec.Scopes, func(scope v1alpha1.Scope) bool { return scope.Name == name })
		if at < 0 {
			// What the catalogue does not list is never approved.
			asked, s.cut = append(asked, v1alpha1.Scope{Name: name}), true
			continue
		}
		asked = append(asked, server.Spec.Scopes[at])
	}
	slices.SortFunc(asked, func(a, b v1alpha1.Scope) int {
		return cmp.Or(cmp.Compare(rank(b.Tier), rank(a.Tier)), strings.Compare(string(a.Name), string(b.Name)))
	})
	asked, omitted = firstFew(s, asked, maxPendingScopes)
	for _, scope := range asked {
		one := v1alpha1.PendingScope{Name: string(scope.Name), Tier: s.text(string(scope.Tier), maxPendingWord)}
		one.Tools, one.ToolsOmitted = s.list(toolsLookedAt(scope), maxPendingTools, maxPendingName)
		first = append(first, one)
	}
	return first, omitted
}

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

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
)

// maxChangedTools is how many changed tools a status names. Where there are so
// many there may be more: then every tool of the grant counts as changed.
const maxChangedTools = 256

// maxSnapshotScopes is how many scopes a snapshot names.
const maxSnapshotScopes = 256

// ToolReview is what became of the tools of a grant since it was approved.
type ToolReview struct {
	// Snapshot is what they are held against; nil while nothing is known.
	Snapshot *v1alpha1.ToolSnapshot
	// Changed are the tools whose definition is not in the snapshot, and Omitted
	// is how many more there are than a status names.
	Changed []string
	Omitted int
	// Message says it to those who approve; empty when nothing changed.
	Message string
}

// Review holds the tools that the live server offers under the scopes of a grant
// against the snapshot from when it came into force, or was last approved. While
// the tools are not known, or the grant is not in force, what was known stands:
// what was approved is not forgotten when a grant ends and comes back. A tool that
// the server offered and does not offer any more counts as changed: it may still
// be called, and nobody knows what it is.
func Review(f GrantFacts, d GrantDecision, now time.Time) ToolReview {
	status := f.Grant.Status
	if d.Undecided || !d.InForce || f.Server.Object == nil || len(f.Server.Object.Status.Tools) == 0 {
		return reviewed(status.ToolSnapshot, status.ChangedTools, int(status.ChangedToolsOmitted), f)
	}
	live := toolsOf(f, f.Grant.Spec.Scopes)
	snapshot := status.ToolSnapshot
	if snapshot == nil || approvedSince(f, d, snapshot.TakenAt.Time) {
		snapshot = &v1alpha1.ToolSnapshot{TakenAt: metav1.NewTime(now.Truncate(time.Second))}
	}
	snapshot = extended(snapshot, f, otherTools(f, d))
	changed := changedTools(snapshot, live, f)
	named := changed[:min(len(changed), maxChangedTools)]
	review := reviewed(snapshot, named, len(changed)-len(named), f)
	if review.Message != "" && approvedOthersSince(f, d, snapshot.TakenAt.Time) {
		review.Message += "; a ScopeGrantApproval since then does not repeat the toolsDigest of what there is now"
	}
	return review
}

// otherTools reports whether a grant is in force by an approval of other definitions
// than there are, and no other approval is of these: nobody looked at them.
func otherTools(f GrantFacts, d GrantDecision) bool {
	return d.Basis == v1alpha1.BasisApproved && d.Approval != nil && d.Approval.Spec.ToolsDigest != "" && !approvedSince(f, d, time.Time{})
}

// looksAtTools reports whether an approval is of the definitions that there are.
func looksAtTools(f GrantFacts, a *v1alpha1.ScopeGrantApproval) bool {
	return a.Spec.ToolsDigest == ToolsDigest(f.Grant, f.Server.Object)
}

// ToolsDigest identifies the definitions of the live tools that the scopes of a grant
// lead to: SHA-256, in hexadecimal digits. Empty while no tools are known. An approval
// that repeats it is a review of these definitions, and is not void by others.
func ToolsDigest(grant *v1alpha1.ScopeGrant, server *v1alpha1.MCPServer) string {
	if len(server.Status.Tools) == 0 {
		return ""
	}
	live := toolsOf(GrantFacts{Grant: grant, Server: ServerFact{Is: Present, Object: server}}, grant.Spec.Scopes)
	text, err := json.Marshal(live)
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(append([]byte("mcp-registrar.dev/v1alpha1 tools\n"), text...))
	return hex.EncodeToString(sum[:])
}

// ChangedTools are the tools of a grant that are not what they were when it was
// approved, by what the server offers now; as the grant has them while that is not
// known.
func ChangedTools(grant *v1alpha1.ScopeGrant, server *v1alpha1.MCPServer) []string {
	f := GrantFacts{Grant: grant, Server: ServerFact{Is: Present, Object: server}}
	switch snapshot := grant.Status.ToolSnapshot; {
	case snapshot == nil:
		return nil
	case len(server.Status.Tools) == 0:
		return slices.Clone(grant.Status.ChangedTools)
	default:
		return changedTools(extended(snapshot, f, false), toolsOf(f, grant.Spec.Scopes), f)
	}
}

// extended takes in the tools of scopes that were not granted before. What is
// known of a tool stays: a scope that is given up and asked for again does not
// make its tools new. Tools that nobody looked at are left out, and count as changed.
func extended(snapshot *v1alpha1.ToolSnapshot, f GrantFacts, unseen bool) *v1alpha1.ToolSnapshot {
	var added []v1alpha1.ScopeName
	for _, scope := range f.Grant.Spec.Scopes {
		if !slices.Contains(snapshot.Scopes, string(scope)) {
			added = append(added, scope)
		}
	}
	longer := snapshot.DeepCopy()
	longer.Scopes = append(longer.Scopes, namesOf(added)...)
	for _, tool := range toolsOf(f, added) {
		switch {
		case unseen:
		case named(longer.Tools, tool.Name):
		case len(longer.Tools) >= maxChangedTools:
			longer.ToolsOmitted++
		default:
			longer.Tools = append(longer.Tools, tool)
		}
	}
	slices.SortFunc(longer.Tools, byName)
	longer.Scopes = latest(longer.Scopes, f.Grant)
	return longer
}

// latest are the scopes that a snapshot has room for: those that are granted no
// more go first, the oldest of them before others.
func latest(scopes []string, grant *v1alpha1.ScopeGrant) []string {
	over := len(scopes) - maxSnapshotScopes
	return slices.DeleteFunc(scopes, func(scope string) bool {
		if over <= 0 || slices.Contains(grant.Spec.Scopes, v1alpha1.ScopeName(scope)) {
			return false
		}
		over--
		return true
	})
}

// changedTools are the tools of a grant that are not as they were in a snapshot.
func changedTools(snapshot *v1alpha1.ToolSnapshot, live []v1alpha1.ToolDigest, f GrantFacts) []string {
	var changed []string
	for _, tool := range live {
		if !slices.Contains(snapshot.Tools, tool) {
			changed = append(changed, tool.Name)
		}
	}
	for _, tool := range snapshot.Tools {
		if !named(live, tool.Name) && leadsTo(f, f.Grant.Spec.Scopes, tool.Name) {
			changed = append(changed, tool.Name)
		}
	}
	slices.Sort(changed)
	return changed
}

func namesOf(scopes []v1alpha1.ScopeName) []string {
	names := make([]string, len(scopes))
	for i, scope := range scopes {
		names[i] = string(scope)
	}
	return names
}

func named(tools []v1alpha1.ToolDigest, name string) bool {
	return slices.ContainsFunc(tools, func(t v1alpha1.ToolDigest) bool { return t.Name == name })
}

func byName(a, b v1alpha1.ToolDigest) int { return strings.Compare(a.Name, b.Name) }

func reviewed(snapshot *v1alpha1.ToolSnapshot, changed []string, omitted int, f GrantFacts) ToolReview {
	review := ToolReview{Snapshot: snapshot.DeepCopy(), Changed: slices.Clone(changed), Omitted: omitted}
	if len(changed) == 0 {
		return review
	}
	effect := "they can be called all the same (spec.toolChanges of the MCPServer)"
	if server := f.Server.Object; server != nil && server.Spec.ToolChanges == v1alpha1.ToolChangesWithhold {
		effect = "guards refuse them until then"
	}
	review.Message = fmt.Sprintf("tools are new, changed or gone since the grant was approved: %s; look at them and approve the grant again, with a reason that says so; %s",
		shorten(strings.Join(changed, ", ")), effect)
	return review
}

// toolsOf are the tools of the live server that some scopes of a grant lead to,
// by name.
func toolsOf(f GrantFacts, scopes []v1alpha1.ScopeName) []v1alpha1.ToolDigest {
	var tools []v1alpha1.ToolDigest
	for _, tool := range f.Server.Object.Status.Tools {
		if leadsTo(f, scopes, tool.Name) {
			tools = append(tools, tool)
		}
	}
	slices.SortFunc(tools, byName)
	return tools
}

// leadsTo says that one of some scopes of a grant leads to a tool.
func leadsTo(f GrantFacts, scopes []v1alpha1.ScopeName, tool string) bool {
	return slices.ContainsFunc(grantedScopes(f), func(s v1alpha1.Scope) bool {
		return slices.Contains(scopes, s.Name) && slices.Contains(s.Tools, tool)
	})
}

// approvedSince reports whether an owner of the server approved the grant after an
// instant, and looked at the tools that there are, whether or not it rests on that.
func approvedSince(f GrantFacts, d GrantDecision, at time.Time) bool {
	return slices.ContainsFunc(f.Approvals, func(a *v1alpha1.ScopeGrantApproval) bool {
		return holdsSince(f, d, a, at) && looksAtTools(f, a)
	})
}

// approvedOthersSince reports whether an owner of the server approved the grant after
// an instant, and did not look at the tools that there are.
func approvedOthersSince(f GrantFacts, d GrantDecision, at time.Time) bool {
	return slices.ContainsFunc(f.Approvals, func(a *v1alpha1.ScopeGrantApproval) bool {
		return holdsSince(f, d, a, at) && !looksAtTools(f, a)
	})
}

// holdsSince reports whether an approval of a grant in force was given after an instant
// and holds.
func holdsSince(f GrantFacts, d GrantDecision, a *v1alpha1.ScopeGrantApproval, at time.Time) bool {
	return d.InForce && a.CreationTimestamp.After(at) && approves(a, f.Grant) && f.verified(a) == Present && Void(f, a) == ""
}

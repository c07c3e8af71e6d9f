// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
)

// maxChangedTools is how many changed tools a status names.
const maxChangedTools = 50

// ToolReview is what became of the tools of a grant since it was approved.
type ToolReview struct {
	// Snapshot is what they are held against; nil while nothing is known.
	Snapshot *v1alpha1.ToolSnapshot
	// Changed are the tools whose definition is not in the snapshot.
	Changed []string
	// Message says it to those who approve; empty when nothing changed.
	Message string
}

// Review holds the tools that the live server offers under the scopes of a grant
// against the snapshot from when it came into force, or was last approved. While
// the tools are not known, or nothing is decided, what was known stands. A tool
// that is gone needs no review: nobody can call it.
func Review(f GrantFacts, d GrantDecision, now time.Time) ToolReview {
	status := f.Grant.Status
	if d.Undecided || f.Server.Object == nil || len(f.Server.Object.Status.Tools) == 0 {
		return reviewed(status.ToolSnapshot, status.ChangedTools, f)
	}
	if !d.InForce {
		return ToolReview{}
	}
	live := toolsOf(f)
	snapshot := status.ToolSnapshot
	if snapshot == nil || approvedSince(f, snapshot.TakenAt.Time) {
		return ToolReview{Snapshot: &v1alpha1.ToolSnapshot{TakenAt: metav1.NewTime(now.Truncate(time.Second)), Tools: live}}
	}
	var changed []string
	for _, tool := range live {
		if !slices.Contains(snapshot.Tools, tool) && len(changed) < maxChangedTools {
			changed = append(changed, tool.Name)
		}
	}
	return reviewed(snapshot, changed, f)
}

func reviewed(snapshot *v1alpha1.ToolSnapshot, changed []string, f GrantFacts) ToolReview {
	review := ToolReview{Snapshot: snapshot.DeepCopy(), Changed: slices.Clone(changed)}
	if len(changed) == 0 {
		return review
	}
	effect := "they can be called all the same (spec.toolChanges of the MCPServer)"
	if server := f.Server.Object; server != nil && server.Spec.ToolChanges == v1alpha1.ToolChangesWithhold {
		effect = "guards refuse them until then"
	}
	review.Message = fmt.Sprintf("tools are new or changed since the grant was approved: %s; look at them and approve the grant again, with a reason that says so; %s",
		shorten(strings.Join(changed, ", ")), effect)
	return review
}

// toolsOf are the tools of the live server that the scopes of a grant lead to, by
// name.
func toolsOf(f GrantFacts) []v1alpha1.ToolDigest {
	var tools []v1alpha1.ToolDigest
	for _, tool := range f.Server.Object.Status.Tools {
		if slices.ContainsFunc(grantedScopes(f), func(s v1alpha1.Scope) bool { return slices.Contains(s.Tools, tool.Name) }) {
			tools = append(tools, tool)
		}
	}
	slices.SortFunc(tools, func(a, b v1alpha1.ToolDigest) int { return strings.Compare(a.Name, b.Name) })
	return tools
}

// approvedSince says that an owner of the server approved the grant, as it
// stands, after an instant, whether or not it rests on that.
func approvedSince(f GrantFacts, at time.Time) bool {
	a := f.Grant.Status.Approval
	return a != nil && a.Decision == v1alpha1.DecisionApproved && a.Generation == f.Grant.Generation &&
		a.ApprovedAt != nil && a.ApprovedAt.After(at) && f.verified() == Present
}

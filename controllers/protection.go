// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

// protect says what is known of the live server: in status, and as a condition.
// It contacts nobody. Until there is something new, what was found before stands.
func (r *MCPServerReconciler) protect(ctx context.Context, after *v1alpha1.MCPServer, s policy.ProbeSubject, now time.Time) ([]entry, error) {
	if r.Probes == nil {
		return nil, nil
	}
	if err := r.Probes.observeClient(ctx, &s); err != nil {
		return protectedBefore(s.Server), err
	}
	plan := policy.Probe(s, now)
	if plan.Undecided {
		return protectedBefore(s.Server), nil
	}
	r.Probes.want(s, plan)
	seen, known := r.Probes.found(s.Server)
	offered := policy.Offered(s.Server, plan, seen.facts)
	after.Status.Tools, after.Status.ToolsOmitted = offered.Tools, count32(offered.Omitted)
	after.Status.UnmappedTools, after.Status.UnmappedToolsOmitted = offered.Unmapped, count32(offered.UnmappedOmitted)
	switch {
	case !plan.On:
		return nil, nil
	case !known:
		return protectedBefore(s.Server), nil
	}
	verdict := policy.Protection(s, seen.plan, seen.facts)
	return []entry{{
		kind: v1alpha1.ConditionProtected, status: verdict.Status, reason: verdict.Reason, message: verdict.Message, aside: true,
	}}, nil
}

// protectedBefore is the condition as it is.
func protectedBefore(server *v1alpha1.MCPServer) []entry {
	c := meta.FindStatusCondition(server.Status.Conditions, v1alpha1.ConditionProtected)
	if c == nil {
		return nil
	}
	return []entry{{kind: c.Type, status: c.Status, reason: c.Reason, message: c.Message, aside: true}}
}

// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"time"

	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

// MCPServerReconciler says of each MCPServer whether it is accepted. It writes
// nothing but status.
type MCPServerReconciler struct {
	client.Client
	Clock    clock.PassiveClock
	Recorder events.EventRecorder
}

// +kubebuilder:rbac:groups=mcp-registrar.dev,resources=mcpservers/status,verbs=get;update;patch

// Reconcile reports on one server.
func (r *MCPServerReconciler) Reconcile(ctx context.Context, server *v1alpha1.MCPServer) (ctrl.Result, error) {
	now := r.Clock.Now()
	as, err := getAuthorizationServer(ctx, r.Client, server.Spec.AuthorizationServerRef.Name)
	verdict := policy.Server(policy.ServerFacts{Server: server, AuthorizationServer: as})
	return r.report(ctx, server, verdict, err, now)
}

func (r *MCPServerReconciler) report(ctx context.Context, server *v1alpha1.MCPServer, verdict policy.Verdict, observed error, now time.Time) (ctrl.Result, error) {
	after := server.DeepCopy()
	after.Status.ObservedGeneration = server.Generation
	after.Status.Conditions = conditions(server.Status.Conditions, server.Generation, now,
		accepted(v1alpha1.ConditionAccepted, verdict))
	if observed == nil && settling(server, after.Status.Conditions, now) {
		return ctrl.Result{RequeueAfter: settleTime}, nil
	}
	err := errors.Join(observed, reporter{r.Client, r.Recorder}.write(ctx, server, after))
	if m := classify(err); m.happened {
		return m.result(err)
	}
	return ctrl.Result{}, nil
}

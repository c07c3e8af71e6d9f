// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

// MCPServerReconciler says of each MCPServer whether it is accepted, and which
// grants wait for its owners. It writes nothing but status.
type MCPServerReconciler struct {
	client.Client
	Clock    clock.PassiveClock
	Recorder events.EventRecorder
	// Watched are the namespaces that are watched; empty means all. Nothing is
	// known of the servers of others.
	Watched []string
	// Probes asks live servers; nil asks none.
	Probes *Probes

	written written
}

// +kubebuilder:rbac:groups=mcp-registrar.dev,resources=mcpservers/status,verbs=get;update;patch

// Reconcile reports on one server.
func (r *MCPServerReconciler) Reconcile(ctx context.Context, server *v1alpha1.MCPServer) (ctrl.Result, error) {
	now := r.Clock.Now()
	as, asErr := getAuthorizationServer(ctx, r.Client, server.Spec.AuthorizationServerRef.Name)
	namespace, nsErr := getNamespace(ctx, r.Client, server.Namespace)
	counts, pending, countErr := r.count(ctx, server)
	verdict := policy.Server(policy.ServerFacts{Server: server, AuthorizationServer: as, Namespace: namespace})
	after := server.DeepCopy()
	if countErr == nil {
		after.Status.Grants, after.Status.PendingGrants = counts, pending[:min(len(pending), maxPending)]
		after.Status.PendingGrantsOmitted = count32(len(pending) - len(after.Status.PendingGrants))
	}
	live, liveErr := r.protect(ctx, after, policy.ProbeSubject{Server: server, AuthorizationServer: as, Verdict: verdict}, now)
	entries := append([]entry{accepted(v1alpha1.ConditionAccepted, verdict)}, live...)
	return r.report(ctx, server, after, entries, errors.Join(asErr, nsErr, countErr, liveErr), now)
}

// maxPending is how many pending grants the status of a server names.
const maxPending = 50

// count counts the grants of a server, as their own status tells.
func (r *MCPServerReconciler) count(ctx context.Context, server *v1alpha1.MCPServer) (*v1alpha1.GrantCounts, []v1alpha1.PendingGrant, error) {
	var grants v1alpha1.ScopeGrantList
	err := r.List(ctx, &grants, client.MatchingFields{indexGrantServer: server.Namespace + "/" + server.Name}, client.UnsafeDisableDeepCopy)
	if err != nil {
		return nil, nil, wrap("listing grants", err)
	}
	counts := &v1alpha1.GrantCounts{}
	var pending []v1alpha1.PendingGrant
	for i := range grants.Items {
		grant := &grants.Items[i]
		switch {
		case grant.Status.Basis != "":
			counts.InForce++
		case awaitsApproval(grant):
			counts.Pending++
			pending = append(pending, v1alpha1.PendingGrant{
				Namespace: grant.Namespace, Name: grant.Name, Generation: grant.Generation, Client: grant.Spec.ClientRef.Name,
				RequestedBy: bound(grant.Annotations[v1alpha1.AnnotationRequestedBy], 1024),
			})
		}
	}
	slices.SortFunc(pending, func(a, b v1alpha1.PendingGrant) int {
		return cmp.Or(strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Name, b.Name))
	})
	return counts, pending, nil
}

// awaitsApproval says that a grant waits for an owner of its server.
func awaitsApproval(grant *v1alpha1.ScopeGrant) bool {
	accepted := meta.FindStatusCondition(grant.Status.Conditions, v1alpha1.ConditionAccepted)
	return accepted != nil && grant.DeletionTimestamp == nil &&
		(accepted.Reason == v1alpha1.ReasonApprovalRequired || accepted.Reason == v1alpha1.ReasonApprovalUnverified)
}

// bound cuts a text to a number of bytes, at the end of a character.
func bound(text string, size int) string {
	for len(text) > size {
		_, last := utf8.DecodeLastRuneInString(text)
		text = text[:len(text)-last]
	}
	return text
}

func (r *MCPServerReconciler) report(ctx context.Context, server, after *v1alpha1.MCPServer, entries []entry, observed error, now time.Time) (ctrl.Result, error) {
	after.Status.ObservedGeneration = server.Generation
	after.Status.Conditions = conditions(server.Status.Conditions, server.Generation, now, entries...)
	if observed == nil && settling(server, after.Status.Conditions, now) {
		return ctrl.Result{RequeueAfter: settleTime}, nil
	}
	err := errors.Join(observed, reporter{r.Client, r.Recorder, &r.written}.write(ctx, server, after))
	if m := classify(err); m.happened {
		return m.result(err)
	}
	return ctrl.Result{}, nil
}

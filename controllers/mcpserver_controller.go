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

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
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
	facts, factsErr := r.observe(ctx, server)
	counts, waiting, countErr := r.count(ctx, server)
	pending, pendingErr := r.pending(ctx, server, waiting)
	verdict := policy.Server(facts)
	after := server.DeepCopy()
	if countErr == nil && pendingErr == nil {
		after.Status.Grants, after.Status.PendingGrants = counts, pending
		after.Status.PendingGrantsOmitted = count32(len(waiting) - min(len(waiting), maxPending))
	}
	live, liveErr := r.protect(ctx, after, policy.ProbeSubject{Server: server, AuthorizationServer: facts.AuthorizationServer, Verdict: verdict}, now)
	entries := append([]entry{accepted(v1alpha1.ConditionAccepted, verdict)}, live...)
	return r.report(ctx, facts, after, entries, errors.Join(factsErr, countErr, pendingErr, liveErr), now)
}

// observe gathers what it takes to accept a server. What could not be learnt is unknown,
// and its error comes along.
func (r *MCPServerReconciler) observe(ctx context.Context, server *v1alpha1.MCPServer) (policy.ServerFacts, error) {
	facts := policy.ServerFacts{Server: server}
	var errs [4]error
	facts.AuthorizationServer, errs[0] = getAuthorizationServer(ctx, r.Client, server.Spec.AuthorizationServerRef.Name)
	facts.Namespace, errs[1] = getNamespace(ctx, r.Client, server.Namespace)
	facts.Claims, errs[2] = claims(ctx, r.Client, server)
	facts.Room, errs[3] = newRooms(r.Client, r.Watched).ofServer(ctx, server)
	return facts, errors.Join(errs[:]...)
}

// maxPending is how many pending grants the status of a server names.
const maxPending = 50

// count counts the grants of a server, as their own status tells, and names those
// that its owners have to look at.
func (r *MCPServerReconciler) count(ctx context.Context, server *v1alpha1.MCPServer) (*v1alpha1.GrantCounts, []*v1alpha1.ScopeGrant, error) {
	var grants v1alpha1.ScopeGrantList
	err := r.List(ctx, &grants, client.MatchingFields{indexGrantServer: server.Namespace + "/" + server.Name}, client.UnsafeDisableDeepCopy)
	if err != nil {
		return nil, nil, wrap("listing grants", err)
	}
	counts, clients := &v1alpha1.GrantCounts{}, map[types.NamespacedName]bool{}
	var waiting []*v1alpha1.ScopeGrant
	for i := range grants.Items {
		grant := &grants.Items[i]
		switch {
		case grant.Status.Basis != "":
			counts.InForce++
			clients[clientOf(grant)] = true
			if meta.IsStatusConditionTrue(grant.Status.Conditions, v1alpha1.ConditionReviewRequired) {
				waiting = append(waiting, grant)
			}
		case awaitsApproval(grant):
			counts.Pending++
			waiting = append(waiting, grant)
		}
	}
	counts.Clients = count32(len(clients))
	slices.SortFunc(waiting, func(a, b *v1alpha1.ScopeGrant) int {
		return cmp.Or(strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Name, b.Name))
	})
	return counts, waiting, nil
}

// pending says what is to be looked at of the first of the grants that wait. One
// whose registration is gone waits for that.
func (r *MCPServerReconciler) pending(ctx context.Context, server *v1alpha1.MCPServer, waiting []*v1alpha1.ScopeGrant) ([]v1alpha1.PendingGrant, error) {
	var pending []v1alpha1.PendingGrant
	for _, grant := range waiting[:min(len(waiting), maxPending)] {
		var reg v1alpha1.MCPClientRegistration
		err := r.Get(ctx, clientOf(grant), &reg, client.UnsafeDisableDeepCopy)
		switch {
		case apierrors.IsNotFound(err):
		case err != nil:
			return nil, wrap("reading registration", err)
		default:
			pending = append(pending, policy.Pending(grant, &reg, server))
		}
	}
	return pending, nil
}

// awaitsApproval says that a grant waits for an owner of its server.
func awaitsApproval(grant *v1alpha1.ScopeGrant) bool {
	accepted := meta.FindStatusCondition(grant.Status.Conditions, v1alpha1.ConditionAccepted)
	return accepted != nil && grant.DeletionTimestamp == nil &&
		(accepted.Reason == v1alpha1.ReasonApprovalRequired || accepted.Reason == v1alpha1.ReasonApprovalUnverified)
}

func (r *MCPServerReconciler) report(ctx context.Context, facts policy.ServerFacts, after *v1alpha1.MCPServer, entries []entry, observed error, now time.Time) (ctrl.Result, error) {
	server := facts.Server
	after.Status.ObservedGeneration = server.Generation
	after.Status.Conditions = conditions(server.Status.Conditions, server.Generation, now, entries...)
	if observed == nil && settling(server, after.Status.Conditions, now) {
		return ctrl.Result{RequeueAfter: settleTime}, nil
	}
	err := errors.Join(observed, reporter{r.Client, r.Recorder, &r.written}.write(ctx, server, after))
	if m := classify(err); m.happened {
		return m.result(err)
	}
	r.tellOfClaim(ctx, server, after, facts)
	return ctrl.Result{}, nil
}

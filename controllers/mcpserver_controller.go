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
	verdict := policy.Server(facts)
	after := server.DeepCopy()
	live, liveErr := r.protect(ctx, after, policy.ProbeSubject{Server: server, AuthorizationServer: facts.AuthorizationServer, Verdict: verdict}, now)
	// What is to be looked at are the tools that were found just now.
	countErr := r.tellOfGrants(ctx, after)
	entries := append([]entry{accepted(v1alpha1.ConditionAccepted, verdict)}, live...)
	return r.report(ctx, facts, after, entries, errors.Join(factsErr, countErr, liveErr), now)
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

// maxPending is how many pending grants the status of a server names, and
// maxPendingSize how many bytes they have together.
const (
	maxPending     = 50
	maxPendingSize = 400 << 10
)

// tellOfGrants has the status of a server tell of its grants.
func (r *MCPServerReconciler) tellOfGrants(ctx context.Context, server *v1alpha1.MCPServer) error {
	counts, waiting, err := r.count(ctx, server)
	if err != nil {
		return err
	}
	pending, omitted, err := r.pending(ctx, server, policy.InTurn(waiting))
	if err != nil {
		return err
	}
	status := &server.Status
	status.Grants, status.PendingGrants = counts, pending
	status.PendingGrantsOmitted, status.PendingGrantsOmittedIn = count32(len(omitted)), policy.OmittedIn(omitted, maxPending)
	return nil
}

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
		case awaitsApproval(grant):
			counts.Pending++
		}
		if shownToOwners(grant) {
			waiting = append(waiting, grant)
		}
	}
	counts.Clients = count32(len(clients))
	return counts, waiting, nil
}

// pending says what is to be looked at of the first of the grants that wait, by
// namespace and name, and which of them there is no room for. One whose registration is
// gone waits for that, and takes no room.
func (r *MCPServerReconciler) pending(ctx context.Context, server *v1alpha1.MCPServer, waiting []*v1alpha1.ScopeGrant) (pending []v1alpha1.PendingGrant, omitted []*v1alpha1.ScopeGrant, err error) {
	room := maxPendingSize
	for i, grant := range waiting {
		var reg v1alpha1.MCPClientRegistration
		err := r.Get(ctx, clientOf(grant), &reg, client.UnsafeDisableDeepCopy)
		switch {
		case apierrors.IsNotFound(err):
			continue
		case err != nil:
			return nil, nil, wrap("reading registration", err)
		}
		one := policy.Pending(grant, &reg, server)
		room -= policy.PendingSize(one)
		if room < 0 || len(pending) == maxPending {
			omitted = waiting[i:]
			break
		}
		pending = append(pending, one)
	}
	slices.SortFunc(pending, func(a, b v1alpha1.PendingGrant) int {
		return cmp.Or(strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Name, b.Name))
	})
	return pending, omitted, nil
}

// shownToOwners reports whether the owners of its server have to look at a grant: it
// waits for them, or tools of one in force changed.
func shownToOwners(grant *v1alpha1.ScopeGrant) bool {
	if grant.Status.Basis != "" {
		return meta.IsStatusConditionTrue(grant.Status.Conditions, v1alpha1.ConditionReviewRequired)
	}
	return awaitsApproval(grant)
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

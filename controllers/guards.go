// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

// Guards reads what guards tell of themselves, each by a Lease.
type Guards struct {
	Client client.Reader
	// History holds as long as what is read is not of another history; nil always
	// does.
	History *History

	mu sync.Mutex
	// renewed is when each Lease was first seen as it is, by the operator's own
	// clock: that of the guard may be behind.
	renewed map[types.UID]renewal
}

type renewal struct {
	version string
	at      time.Time
}

// seenAt is when each Lease was first seen as it is. Those that are gone are
// forgotten.
func (g *Guards) seenAt(leases []coordinationv1.Lease, now time.Time) map[types.UID]renewal {
	g.mu.Lock()
	defer g.mu.Unlock()
	seen := make(map[types.UID]renewal, len(leases))
	for i := range leases {
		lease := &leases[i]
		seen[lease.UID] = renewal{version: lease.ResourceVersion, at: now}
		if known := g.renewed[lease.UID]; known.version == lease.ResourceVersion {
			seen[lease.UID] = known
		}
	}
	g.renewed = seen
	return seen
}

// newGuards returns nil where not all namespaces are watched: there may be guards
// that nobody knows of.
func newGuards(reader client.Reader, watched []string, history *History) *Guards {
	if len(watched) > 0 {
		return nil
	}
	return &Guards{Client: reader, History: history}
}

// +kubebuilder:rbac:groups=coordination.k8s.io,resources=leases,verbs=get;list;watch

// guardCheck is how often a revocation is held against what guards say while no
// Lease changes: one that is not renewed ends without an event.
const guardCheck = 15 * time.Second

// heard is what guards are known to have heard of a revocation. The zero value
// is nothing, and nothing to wait for.
type heard int

const (
	unguarded heard = iota
	// unheard: a guard is not known to have it yet.
	unheard
	// denied: every guard that the client could meet refuses it.
	denied
)

// Heard says what guards are known to have heard of the revocation of a client.
// bound says that the authorization server gives the client tokens for its own
// servers only; else they may be for any that knows one of its scopes.
func (g *Guards) Heard(ctx context.Context, reg *v1alpha1.MCPClientRegistration, record policy.Record, revoked string, bound bool, now time.Time) (heard, error) {
	if g == nil || revoked == "" || len(record.Reached) == 0 {
		return unguarded, nil
	}
	servers, err := g.serversOf(ctx, reg.Spec.AuthorizationServerRef.Name)
	if err != nil {
		return unguarded, err
	}
	facts := policy.DenialFacts{
		Registration: reg, ClientID: revoked, Reached: policy.Reachable(record.Reached, servers, bound), GuardsAre: policy.Present,
		Guarded: map[string][]string{},
	}
	for _, name := range facts.Reached {
		server, there := servers[name]
		if !there || len(policy.GuardedFrom(server)) == 0 {
			return unguarded, nil
		}
		facts.Guarded[name] = policy.GuardedFrom(server)
	}
	if facts.Guards, err = g.leases(ctx, reg.Spec.AuthorizationServerRef.Name, now); err != nil {
		return unheard, err
	}
	if !policy.Denied(facts, now) {
		return unheard, nil
	}
	return g.settled(ctx)
}

// settled says that a client is denied, unless what was read may be of another
// history: what is said is final.
func (g *Guards) settled(ctx context.Context) (heard, error) {
	if err := g.History.Holds(ctx); err != nil {
		return unheard, err
	}
	return denied, nil
}

// leases are what guards tell of an authorization server.
func (g *Guards) leases(ctx context.Context, authorizationServer string, now time.Time) ([]policy.Guard, error) {
	var leases coordinationv1.LeaseList
	err := g.Client.List(ctx, &leases, client.MatchingLabels{v1alpha1.LabelGuard: labelTrue}, client.UnsafeDisableDeepCopy)
	if err != nil {
		return nil, wrap("listing guards", err)
	}
	guards, seen := make([]policy.Guard, 0, len(leases.Items)), g.seenAt(leases.Items, now)
	for i := range leases.Items {
		lease := &leases.Items[i]
		guards = append(guards, guardOf(lease, authorizationServer, seen[lease.UID].at))
	}
	return guards, nil
}

const labelTrue = "true"

// serversOf are the MCPServers of an authorization server, by namespace/name.
func (g *Guards) serversOf(ctx context.Context, authorizationServer string) (map[string]*v1alpha1.MCPServer, error) {
	var list v1alpha1.MCPServerList
	err := g.Client.List(ctx, &list, client.MatchingFields{indexRegistration: authorizationServer}, client.UnsafeDisableDeepCopy)
	if err != nil {
		return nil, wrap("listing MCPServers", err)
	}
	servers := map[string]*v1alpha1.MCPServer{}
	for i := range list.Items {
		servers[list.Items[i].Namespace+"/"+list.Items[i].Name] = &list.Items[i]
	}
	return servers, nil
}

// guardOf reads a Lease, which was seen at an instant first. One that does not say
// for how long it holds is taken to hold for ever.
func guardOf(lease *coordinationv1.Lease, authorizationServer string, seenAt time.Time) policy.Guard {
	guard := policy.Guard{Namespace: lease.Namespace, Name: lease.Name, Servers: strings.Split(lease.Annotations[v1alpha1.AnnotationGuards], ",")}
	var seen map[string]string
	if err := json.Unmarshal([]byte(lease.Annotations[v1alpha1.AnnotationSeen]), &seen); err == nil {
		guard.Seen = within(lease, seen[authorizationServer])
	}
	guard.Denials = deniedBy(lease)
	guard.Until = time.Unix(1<<40, 0)
	if renewed, seconds := lease.Spec.RenewTime, lease.Spec.LeaseDurationSeconds; renewed != nil && seconds != nil {
		since := seenAt
		if renewed.After(since) {
			since = renewed.Time
		}
		guard.Until = since.Add(time.Duration(*seconds) * time.Second)
	}
	return guard
}

// deniedBy is what a guard tells of AccessDenials. Releases before them say nothing.
func deniedBy(lease *coordinationv1.Lease) policy.GuardDenials {
	var said struct {
		Seen string   `json:"seen"`
		Open []string `json:"open"`
		More bool     `json:"more"`
	}
	if err := json.Unmarshal([]byte(lease.Annotations[v1alpha1.AnnotationDenials]), &said); err != nil {
		return policy.GuardDenials{}
	}
	return policy.GuardDenials{Seen: within(lease, said.Seen), Open: said.Open, More: said.More}
}

// within is a version that a guard says it has seen, if it can have: it wrote the
// Lease after that. One that the Lease is not beyond is of another history, from
// before the API server was put back, and says nothing about this one.
func within(lease *coordinationv1.Lease, seen string) string {
	order, err := resourceversion.CompareResourceVersion(seen, lease.ResourceVersion)
	if err != nil || order > 0 {
		return ""
	}
	return seen
}

// all are all guards, and the MCPServers that there are, each with the namespaces
// that its guards must run in. known says that no guard can be missing.
func (g *Guards) all(ctx context.Context, now time.Time) (guards []policy.Guard, servers map[string][]string, known policy.Knowledge, err error) {
	if g == nil {
		return nil, nil, policy.Unknown, nil
	}
	var list v1alpha1.MCPServerList
	if err := g.Client.List(ctx, &list, client.UnsafeDisableDeepCopy); err != nil {
		return nil, nil, policy.Unknown, wrap("listing MCPServers", err)
	}
	servers = map[string][]string{}
	for i := range list.Items {
		servers[list.Items[i].Namespace+"/"+list.Items[i].Name] = policy.GuardedFrom(&list.Items[i])
	}
	guards, err = g.leases(ctx, "", now)
	return guards, servers, policy.Present, err
}

// indexUndenied finds the registrations whose revocation guards are not known to
// have.
const indexUndenied = "undenied"

func undenied(object client.Object) []string {
	reg, ok := object.(*v1alpha1.MCPClientRegistration)
	if !ok || reg.Status.Revocation == nil || reg.Status.Revocation.DeniedAt != nil {
		return nil
	}
	return []string{labelTrue}
}

// ofGuard names the registrations that wait for word of guards, as long as it
// says something.
func (r *RegistrationReconciler) ofGuard(ctx context.Context, _ client.Object) []reconcile.Request {
	var waiting v1alpha1.MCPClientRegistrationList
	if err := r.List(ctx, &waiting, client.MatchingFields{indexUndenied: labelTrue}, client.UnsafeDisableDeepCopy); err != nil {
		return nil
	}
	var requests []reconcile.Request
	for i := range waiting.Items {
		if reg := &waiting.Items[i]; residual(reg.Status.Revocation, r.Clock.Now()) {
			requests = append(requests, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(reg)})
		}
	}
	return requests
}

// residual says that a token of a revoked client may still be alive.
func residual(revocation *v1alpha1.Revocation, now time.Time) bool {
	return revocation != nil && (revocation.ResidualUntil == nil || now.Before(revocation.ResidualUntil.Time))
}

// acknowledged passes a guard that has seen more than before, or is new. says are
// the annotations by which it does.
func acknowledged(says ...string) predicate.Predicate {
	return predicate.And(
		predicate.NewPredicateFuncs(func(object client.Object) bool { return object.GetLabels()[v1alpha1.LabelGuard] == labelTrue }),
		predicate.Funcs{
			UpdateFunc: func(e event.UpdateEvent) bool {
				before, after := e.ObjectOld.GetAnnotations(), e.ObjectNew.GetAnnotations()
				return slices.ContainsFunc(says, func(name string) bool { return before[name] != after[name] })
			},
		},
	)
}

// denial notes since when a revoked client is refused by all guards, and that
// nothing of its power is left then. The instant is rounded up: it is never
// earlier than the truth.
func denial(old, revocation *v1alpha1.Revocation, said heard, now time.Time) *v1alpha1.Revocation {
	if revocation == nil {
		return nil
	}
	revocation = revocation.DeepCopy()
	switch {
	case old != nil && old.DeniedAt != nil && old.ClientID == revocation.ClientID && old.DueAt.Equal(&revocation.DueAt):
		revocation.DeniedAt = old.DeniedAt
	case said == denied:
		at := metav1.NewTime(now.Add(time.Second - 1).Truncate(time.Second))
		revocation.DeniedAt = &at
	}
	if at := revocation.DeniedAt; at != nil && revocation.ResidualUntil != nil && at.Before(revocation.ResidualUntil) {
		revocation.ResidualUntil = at
	}
	return revocation
}

// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"slices"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	logf "sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

// rooms are what the objects of namespaces share, as one pass finds it: each is gathered
// once, and only where something has no room yet.
type rooms struct {
	reader client.Reader
	// watched are the namespaces that are; empty means all.
	watched []string
	servers map[types.NamespacedName]*policy.Room
	grants  map[types.NamespacedName]*policy.Room
	// let remembers which grants were let in; nil where nobody does.
	let *written
}

func newRooms(reader client.Reader, watched []string) *rooms {
	return &rooms{reader: reader, watched: watched, servers: map[types.NamespacedName]*policy.Room{}, grants: map[types.NamespacedName]*policy.Room{}}
}

// ofServer is the room that a server shares; nil where it has its room already.
func (r *rooms) ofServer(ctx context.Context, server *v1alpha1.MCPServer) (*policy.Room, error) {
	if c, _ := policy.ContendingServer(server); c.Holds {
		return nil, nil //nolint:nilnil // Nobody asks.
	}
	at := types.NamespacedName{Namespace: server.Namespace, Name: server.Spec.AuthorizationServerRef.Name}
	if known := r.servers[at]; known != nil {
		return known, nil
	}
	var list v1alpha1.MCPServerList
	err := r.reader.List(ctx, &list, client.InNamespace(at.Namespace), client.MatchingFields{indexRegistration: at.Name}, client.UnsafeDisableDeepCopy)
	if err != nil {
		return nil, wrap("listing MCPServers", err)
	}
	var contenders []policy.Contender
	for i := range list.Items {
		if c, ok := policy.ContendingServer(&list.Items[i]); ok {
			contenders = append(contenders, c)
		}
	}
	r.servers[at] = policy.NewRoom(contenders)
	return r.servers[at], nil
}

// ofGrant is the room that a grant at a server shares; nil where it has its room already.
func (r *rooms) ofGrant(ctx context.Context, grant *v1alpha1.ScopeGrant, server *v1alpha1.MCPServer) (*policy.Room, error) {
	if c, _ := policy.ContendingGrant(grant); c.Holds && grant.Status.ObservedGeneration == grant.Generation {
		return nil, nil //nolint:nilnil // Nobody asks.
	}
	at := types.NamespacedName{Namespace: grant.Namespace, Name: server.Spec.AuthorizationServerRef.Name}
	if known := r.grants[at]; known != nil {
		return known, nil
	}
	var list v1alpha1.ScopeGrantList
	if err := r.reader.List(ctx, &list, client.InNamespace(at.Namespace), client.UnsafeDisableDeepCopy); err != nil {
		return nil, wrap("listing grants", err)
	}
	contenders := make([]policy.Contender, 0, len(list.Items))
	here := map[types.NamespacedName]bool{}
	for i := range list.Items {
		c, ok := r.contender(&list.Items[i])
		if !ok {
			continue
		}
		leads, err := r.leads(ctx, here, &list.Items[i], at.Name)
		if err != nil {
			return nil, err
		}
		if leads {
			contenders = append(contenders, c)
		}
	}
	r.grants[at] = policy.NewRoom(contenders)
	return r.grants[at], nil
}

// contender is a grant as one of those that share the room. One that was let in has its
// room.
func (r *rooms) contender(grant *v1alpha1.ScopeGrant) (c policy.Contender, ok bool) {
	c, ok = policy.ContendingGrant(grant)
	if r.let != nil && r.let.over(grant) {
		c.Holds, ok = true, true
	}
	return c, ok
}

// leads says whether a grant is at a server of an authorization server. known are the
// servers that were looked at.
func (r *rooms) leads(ctx context.Context, known map[types.NamespacedName]bool, grant *v1alpha1.ScopeGrant, as string) (bool, error) {
	key := types.NamespacedName{Namespace: grant.ServerNamespace(), Name: grant.Spec.ServerRef.Name}
	if leads, there := known[key]; there || !watches(r.watched, key.Namespace) {
		return leads, nil
	}
	var server v1alpha1.MCPServer
	err := r.reader.Get(ctx, key, &server, client.UnsafeDisableDeepCopy)
	if client.IgnoreNotFound(err) != nil {
		return false, wrap("reading MCPServer", err)
	}
	known[key] = err == nil && server.Spec.AuthorizationServerRef.Name == as
	return known[key], nil
}

// waitsForRoom is the index of the objects that wait for room in their namespace.
func waitsForRoom(object client.Object) []string {
	if o, ok := object.(reported); ok && awaitsRoom(o) {
		return []string{labelTrue}
	}
	return nil
}

// awaitsRoom says that an object waits for room in its namespace.
func awaitsRoom(object reported) bool {
	accepted := meta.FindStatusCondition(object.GetConditions(), v1alpha1.ConditionAccepted)
	return accepted != nil && accepted.Reason == v1alpha1.ReasonQuotaExceeded
}

// ofRoom names the servers that have their turn, of those that wait for room in the
// namespace of one.
func (r *MCPServerReconciler) ofRoom(ctx context.Context, object client.Object) []reconcile.Request {
	var list v1alpha1.MCPServerList
	return requests(ctx, r.Client, &list, func() (keys []types.NamespacedName) {
		shared, asked := newRooms(r.Client, r.Watched), map[string]bool{}
		for i := range list.Items {
			as := list.Items[i].Spec.AuthorizationServerRef.Name
			if asked[as] {
				continue
			}
			asked[as] = true
			room, err := shared.ofServer(ctx, &list.Items[i])
			keys = append(keys, turns(ctx, r.Client, object.GetNamespace(), as, room, err, policy.NextServers)...)
		}
		return keys
	}, client.InNamespace(object.GetNamespace()), client.MatchingFields{indexWaits: labelTrue})
}

// ofRoom names the grants that have their turn, of those that wait for room in the
// namespace of one.
func (r *ScopeGrantReconciler) ofRoom(ctx context.Context, object client.Object) []reconcile.Request {
	var list v1alpha1.ScopeGrantList
	return requests(ctx, r.Client, &list, func() (keys []types.NamespacedName) {
		shared, asked := r.Grants.rooms(), map[string]bool{}
		for i := range list.Items {
			server, err := r.Grants.server(ctx, &list.Items[i])
			if err != nil || server.Object == nil {
				// It is looked at again when the server is there.
				continue
			}
			as := server.Object.Spec.AuthorizationServerRef.Name
			if asked[as] {
				continue
			}
			asked[as] = true
			room, err := shared.ofGrant(ctx, &list.Items[i], server.Object)
			keys = append(keys, turns(ctx, r.Client, object.GetNamespace(), as, room, err, policy.NextGrants)...)
		}
		return keys
	}, client.InNamespace(object.GetNamespace()), client.MatchingFields{indexWaits: labelTrue})
}

// turns names those whose turn it is.
func turns(ctx context.Context, reader client.Reader, namespace, name string, room *policy.Room, err error, next func(*policy.Room, policy.AuthorizationServerFact) []string) []types.NamespacedName {
	as, asErr := getAuthorizationServer(ctx, reader, name)
	if err := errors.Join(err, asErr); err != nil {
		logf.FromContext(ctx).Error(err, "Listing what a change concerns")
		return nil
	}
	var keys []types.NamespacedName
	for _, waiting := range next(room, as) {
		keys = append(keys, types.NamespacedName{Namespace: namespace, Name: waiting})
	}
	return keys
}

// contending is what an object has of the room of its namespace, or waits for.
func contending(object client.Object) (c policy.Contender, ok bool) {
	switch o := object.(type) {
	case *v1alpha1.MCPServer:
		return policy.ContendingServer(o)
	case *v1alpha1.ScopeGrant:
		return policy.ContendingGrant(o)
	}
	return c, false
}

// givesRoom passes an object that has, or waits for, less room than before: also one that
// gave something up for something else.
func givesRoom() predicate.Predicate {
	return predicate.Funcs{
		CreateFunc: func(event.CreateEvent) bool { return false },
		DeleteFunc: func(e event.DeleteEvent) bool { _, ok := contending(e.Object); return ok },
		UpdateFunc: func(e event.UpdateEvent) bool {
			before, was := contending(e.ObjectOld)
			after, is := contending(e.ObjectNew)
			return was && (!is || before.Holds && !after.Holds || gaveUp(before, after))
		},
	}
}

// gaveUp says that a contender had a scope that it has no more.
func gaveUp(before, after policy.Contender) bool {
	return slices.ContainsFunc(before.Scopes, func(scope v1alpha1.ScopeName) bool { return !slices.Contains(after.Scopes, scope) })
}

// getsRoom passes an object that waited for room and does no more, and one that has room
// since now: who decided on it by itself may have found it full just before.
func getsRoom() predicate.Predicate {
	return predicate.Funcs{
		CreateFunc: func(event.CreateEvent) bool { return false },
		DeleteFunc: func(event.DeleteEvent) bool { return false },
		UpdateFunc: func(e event.UpdateEvent) bool {
			before, ok := e.ObjectOld.(reported)
			after, same := e.ObjectNew.(reported)
			return ok && same && (awaitsRoom(before) && !awaitsRoom(after) || !holds(before) && holds(after))
		},
	}
}

// holds says that an object has its room.
func holds(object client.Object) bool {
	c, _ := contending(object)
	return c.Holds
}

// beginsToWait passes an object that waits for room since now: what made room while that
// was decided found nobody waiting.
func beginsToWait() predicate.Predicate {
	return predicate.Funcs{
		CreateFunc: func(event.CreateEvent) bool { return false },
		DeleteFunc: func(event.DeleteEvent) bool { return false },
		UpdateFunc: func(e event.UpdateEvent) bool {
			before, ok := e.ObjectOld.(reported)
			after, same := e.ObjectNew.(reported)
			return ok && same && !awaitsRoom(before) && awaitsRoom(after)
		},
	}
}

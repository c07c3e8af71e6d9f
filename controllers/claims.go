// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	logf "sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

// indexClaim finds the MCPServers of one resource at one AuthorizationServer.
const indexClaim = "claim"

func claimOf(object client.Object) []string {
	server, ok := object.(*v1alpha1.MCPServer)
	if !ok {
		return nil
	}
	return []string{policy.ClaimKey(server)}
}

// claims lists the MCPServers that name the resource of a server, from the cache. What
// could not be learnt is unknown, and its error comes along.
func claims(ctx context.Context, reader client.Reader, server *v1alpha1.MCPServer) (policy.ClaimsFact, error) {
	var list v1alpha1.MCPServerList
	err := reader.List(ctx, &list, client.MatchingFields{indexClaim: policy.ClaimKey(server)}, client.UnsafeDisableDeepCopy)
	if err != nil {
		return policy.ClaimsFact{}, wrap("listing MCPServers", err)
	}
	fact := policy.ClaimsFact{Is: policy.Present}
	var errs []error
	for i := range list.Items {
		other := &list.Items[i]
		if other.UID == server.UID || policy.Before(other, server) >= 0 {
			continue
		}
		namespace, err := getNamespace(ctx, reader, other.Namespace)
		errs = append(errs, err)
		fact.Others = append(fact.Others, policy.Claimant{Server: other, Namespace: namespace})
	}
	return fact, errors.Join(errs...)
}

// behind lists the other MCPServers with the resource of one: who has it may change when
// that one comes or goes, or is refused or accepted.
func behind(ctx context.Context, reader client.Reader, server *v1alpha1.MCPServer) []types.NamespacedName {
	var list v1alpha1.MCPServerList
	err := reader.List(ctx, &list, client.MatchingFields{indexClaim: policy.ClaimKey(server)}, client.UnsafeDisableDeepCopy)
	if err != nil {
		logf.FromContext(ctx).Error(err, "Listing what a change concerns")
		return nil
	}
	var keys []types.NamespacedName
	for i := range list.Items {
		if other := &list.Items[i]; other.Namespace != server.Namespace || other.Name != server.Name {
			keys = append(keys, client.ObjectKeyFromObject(&list.Items[i]))
		}
	}
	return keys
}

// behindObject lists the other MCPServers with the resources of those that a change is
// about: one, or all of a namespace.
func behindObject(ctx context.Context, reader client.Reader, object client.Object) []types.NamespacedName {
	switch o := object.(type) {
	case *v1alpha1.MCPServer:
		return behind(ctx, reader, o)
	case *corev1.Namespace:
		var list v1alpha1.MCPServerList
		if err := reader.List(ctx, &list, client.InNamespace(o.Name), client.UnsafeDisableDeepCopy); err != nil {
			logf.FromContext(ctx).Error(err, "Listing what a change concerns")
			return nil
		}
		var keys []types.NamespacedName
		for i := range list.Items {
			keys = append(keys, behind(ctx, reader, &list.Items[i])...)
		}
		return keys
	}
	return nil
}

// grantsBehind names what the grants of the other MCPServers concern with the resources of
// those that a change is about.
func grantsBehind(ctx context.Context, reader client.Reader, object client.Object, name func(*v1alpha1.ScopeGrant) types.NamespacedName) []reconcile.Request {
	var found []reconcile.Request
	for _, key := range behindObject(ctx, reader, object) {
		found = append(found, grants(ctx, reader, name, client.MatchingFields{indexGrantServer: key.String()})...)
	}
	return found
}

// ofClaim names the other servers with the resource of one that came, went, or was refused
// or accepted.
func (r *MCPServerReconciler) ofClaim(ctx context.Context, object client.Object) []reconcile.Request {
	var found []reconcile.Request
	for _, key := range behindObject(ctx, r.Client, object) {
		found = append(found, reconcile.Request{NamespacedName: key})
	}
	return found
}

// tellOfClaim tells the platform team, and nobody else, who has the resource that a
// server is refused for.
func (r *MCPServerReconciler) tellOfClaim(ctx context.Context, before, after *v1alpha1.MCPServer, facts policy.ServerFacts) {
	was, is := refusedFor(before), refusedFor(after)
	first, as := policy.Speaker(facts), facts.AuthorizationServer.Object
	if was == is || is != v1alpha1.ReasonResourceTaken || first == nil || as == nil {
		return
	}
	logf.FromContext(ctx).Info("MCPServer refused: another one has its resource", "resource", after.Spec.Resource,
		"heldBy", client.ObjectKeyFromObject(first).String(), "owner", first.Annotations[v1alpha1.AnnotationOwner])
	r.Recorder.Eventf(as, nil, corev1.EventTypeWarning, v1alpha1.ReasonResourceTaken, "Accept",
		"MCPServer %s is refused: MCPServer %s, of owner %q, has the resource %s", client.ObjectKeyFromObject(after),
		client.ObjectKeyFromObject(first), first.Annotations[v1alpha1.AnnotationOwner], after.Spec.Resource)
}

// refusedFor is the reason of the condition Accepted.
func refusedFor(server *v1alpha1.MCPServer) string {
	if accepted := meta.FindStatusCondition(server.Status.Conditions, v1alpha1.ConditionAccepted); accepted != nil {
		return accepted.Reason
	}
	return ""
}

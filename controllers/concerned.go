// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"maps"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	logf "sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

// The functions of this file name the objects that a change of another object
// concerns.

func ofRecord(_ context.Context, object client.Object) []reconcile.Request {
	secret, ok := object.(*corev1.Secret)
	if !ok || recordUID(secret) == "" || registrationKey(secret).Name == "" {
		return nil
	}
	return []reconcile.Request{{NamespacedName: registrationKey(secret)}}
}

// ofCredential names the authorization servers whose initial access token, or
// whose administrator's credentials, a Secret holds.
func (r *AuthorizationServerReconciler) ofCredential(ctx context.Context, object client.Object) []reconcile.Request {
	if secret, ok := object.(*corev1.Secret); !ok || internal(secret) {
		return nil
	}
	var list v1alpha1.AuthorizationServerList
	return requests(ctx, r.Client, &list, func() (keys []types.NamespacedName) {
		for i := range list.Items {
			as := &list.Items[i]
			d := as.Spec.DynamicRegistration
			initial := d != nil && d.InitialAccessTokenSecretRef != nil && d.InitialAccessTokenSecretRef.Name == object.GetName()
			if initial || policy.Connection(as).AdminSecret == object.GetName() {
				keys = append(keys, client.ObjectKeyFromObject(as))
			}
		}
		return keys
	})
}

func ofGrant(_ context.Context, object client.Object) []reconcile.Request {
	grant, ok := object.(*v1alpha1.ScopeGrant)
	if !ok {
		return nil
	}
	return []reconcile.Request{{NamespacedName: types.NamespacedName{Namespace: grant.Namespace, Name: grant.Spec.ClientRef.Name}}}
}

// requests lists objects and names those that it found. On an error nothing is
// enqueued: the periodic check finds what was missed. The objects are the cache's own.
func requests(ctx context.Context, reader client.Reader, list client.ObjectList, name func() []types.NamespacedName, options ...client.ListOption) []reconcile.Request {
	if err := reader.List(ctx, list, append(options, client.UnsafeDisableDeepCopy)...); err != nil {
		logf.FromContext(ctx).Error(err, "Listing what a change concerns")
		return nil
	}
	unique := map[types.NamespacedName]bool{}
	for _, key := range name() {
		if key.Name != "" {
			unique[key] = true
		}
	}
	found := make([]reconcile.Request, 0, len(unique))
	for key := range maps.Keys(unique) {
		found = append(found, reconcile.Request{NamespacedName: key})
	}
	return found
}

func registrations(ctx context.Context, reader client.Reader, options ...client.ListOption) []reconcile.Request {
	var list v1alpha1.MCPClientRegistrationList
	return requests(ctx, reader, &list, func() (keys []types.NamespacedName) {
		for i := range list.Items {
			keys = append(keys, client.ObjectKeyFromObject(&list.Items[i]))
		}
		return keys
	}, options...)
}

func (r *RegistrationReconciler) ofAuthorizationServer(ctx context.Context, object client.Object) []reconcile.Request {
	return registrations(ctx, r.Client, client.MatchingFields{indexRegistration: object.GetName()})
}

// ofNamespace names the registrations of a namespace, and those that hold
// grants of its servers.
func (r *RegistrationReconciler) ofNamespace(ctx context.Context, object client.Object) []reconcile.Request {
	found := append(registrations(ctx, r.Client, client.InNamespace(object.GetName())),
		ofServersIn(ctx, r.Client, object.GetName(), clientOf)...)
	return append(found, grantsBehind(ctx, r.Client, object, clientOf)...)
}

// ofServersIn names what the grants of the servers of a namespace concern.
func ofServersIn(ctx context.Context, reader client.Reader, namespace string, name func(*v1alpha1.ScopeGrant) types.NamespacedName) []reconcile.Request {
	return grants(ctx, reader, func(grant *v1alpha1.ScopeGrant) types.NamespacedName {
		if grant.ServerNamespace() != namespace || grant.Namespace == namespace {
			return types.NamespacedName{}
		}
		return name(grant)
	})
}

func (r *RegistrationReconciler) ofServer(ctx context.Context, object client.Object) []reconcile.Request {
	return append(grants(ctx, r.Client, clientOf, client.MatchingFields{indexGrantServer: object.GetNamespace() + "/" + object.GetName()}),
		grantsBehind(ctx, r.Client, object, clientOf)...)
}

func grants(ctx context.Context, reader client.Reader, name func(*v1alpha1.ScopeGrant) types.NamespacedName, options ...client.ListOption) []reconcile.Request {
	var list v1alpha1.ScopeGrantList
	return requests(ctx, reader, &list, func() (keys []types.NamespacedName) {
		for i := range list.Items {
			keys = append(keys, name(&list.Items[i]))
		}
		return keys
	}, options...)
}

func clientOf(grant *v1alpha1.ScopeGrant) types.NamespacedName {
	return types.NamespacedName{Namespace: grant.Namespace, Name: grant.Spec.ClientRef.Name}
}

func self(grant *v1alpha1.ScopeGrant) types.NamespacedName { return client.ObjectKeyFromObject(grant) }

func (r *ScopeGrantReconciler) ofRegistration(ctx context.Context, object client.Object) []reconcile.Request {
	return grants(ctx, r.Client, self, client.InNamespace(object.GetNamespace()), client.MatchingFields{indexGrantClient: object.GetName()})
}

func (r *ScopeGrantReconciler) ofServer(ctx context.Context, object client.Object) []reconcile.Request {
	return append(grants(ctx, r.Client, self, client.MatchingFields{indexGrantServer: object.GetNamespace() + "/" + object.GetName()}),
		grantsBehind(ctx, r.Client, object, self)...)
}

func (r *ScopeGrantReconciler) ofNamespace(ctx context.Context, object client.Object) []reconcile.Request {
	found := append(grants(ctx, r.Client, self, client.InNamespace(object.GetName())),
		ofServersIn(ctx, r.Client, object.GetName(), self)...)
	return append(found, grantsBehind(ctx, r.Client, object, self)...)
}

func (r *MCPServerReconciler) ofAuthorizationServer(ctx context.Context, object client.Object) []reconcile.Request {
	return r.servers(ctx, client.MatchingFields{indexRegistration: object.GetName()})
}

func (r *MCPServerReconciler) ofNamespace(ctx context.Context, object client.Object) []reconcile.Request {
	return append(r.servers(ctx, client.InNamespace(object.GetName())), r.ofClaim(ctx, object)...)
}

func (r *MCPServerReconciler) servers(ctx context.Context, options ...client.ListOption) []reconcile.Request {
	var list v1alpha1.MCPServerList
	return requests(ctx, r.Client, &list, func() (keys []types.NamespacedName) {
		for i := range list.Items {
			keys = append(keys, client.ObjectKeyFromObject(&list.Items[i]))
		}
		return keys
	}, options...)
}

// waitingForPlace names the registrations that wait for the place of a record.
func (r *RegistrationReconciler) waitingForPlace(ctx context.Context, record client.Object) []reconcile.Request {
	secret, ok := record.(*corev1.Secret)
	if !ok {
		return nil
	}
	return r.waitingIn(ctx, registrationKey(secret).Namespace)
}

// waitingIn names the registrations of a namespace that wait for a place there. Of many
// that give theirs back at one time each asks.
func (r *RegistrationReconciler) waitingIn(ctx context.Context, namespace string) []reconcile.Request {
	return registrations(ctx, r.Client, client.InNamespace(namespace), client.MatchingFields{indexWaits: labelTrue})
}

// waitsIn is the index of the registrations that wait for a place.
func waitsIn(object client.Object) []string {
	if reg, ok := object.(*v1alpha1.MCPClientRegistration); ok && waits(reg) {
		return []string{labelTrue}
	}
	return nil
}

// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	logf "sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
)

// The functions of this file name the objects that a decision about a grant
// concerns, and the decisions that a change of another object does.

// ofApproval names the clients that a decision is about.
func (r *RegistrationReconciler) ofApproval(ctx context.Context, object client.Object) []reconcile.Request {
	a, ok := object.(*v1alpha1.ScopeGrantApproval)
	if !ok || !watches(r.Grants.Namespaces, clientsOf(a)) {
		return nil
	}
	if ref := a.Spec.ClientRef; ref != nil {
		return []reconcile.Request{{NamespacedName: types.NamespacedName{Namespace: ref.Namespace, Name: ref.Name}}}
	}
	return decidedAbout(ctx, r.Client, a, clientOf)
}

// ofApproval names the grants that a decision is about.
func (r *ScopeGrantReconciler) ofApproval(ctx context.Context, object client.Object) []reconcile.Request {
	a, ok := object.(*v1alpha1.ScopeGrantApproval)
	if !ok || !watches(r.Grants.Namespaces, clientsOf(a)) {
		return nil
	}
	if ref := a.Spec.ClientRef; ref != nil {
		return grants(ctx, r.Client, self, client.InNamespace(ref.Namespace), client.MatchingFields{indexGrantClient: ref.Name})
	}
	return decidedAbout(ctx, r.Client, a, self)
}

// clientsOf is the namespace of the client that a decision is about.
func clientsOf(a *v1alpha1.ScopeGrantApproval) string {
	switch {
	case a.Spec.GrantRef != nil:
		return a.Spec.GrantRef.Namespace
	case a.Spec.ClientRef != nil:
		return a.Spec.ClientRef.Namespace
	}
	return a.Namespace
}

// decidedAbout names what the grant concerns that somebody looked at, if it is there.
func decidedAbout(ctx context.Context, reader client.Reader, a *v1alpha1.ScopeGrantApproval, name func(*v1alpha1.ScopeGrant) types.NamespacedName) []reconcile.Request {
	ref := a.Spec.GrantRef
	if ref == nil {
		return nil
	}
	var grant v1alpha1.ScopeGrant
	switch err := reader.Get(ctx, types.NamespacedName{Namespace: ref.Namespace, Name: ref.Name}, &grant); {
	case apierrors.IsNotFound(err):
		return nil
	case err != nil:
		logf.FromContext(ctx).Error(err, "Reading the grant of an approval")
		return nil
	}
	return []reconcile.Request{{NamespacedName: name(&grant)}}
}

// approvals names decisions that are found by a list.
func approvals(ctx context.Context, reader client.Reader, keep func(*v1alpha1.ScopeGrantApproval) bool, options ...client.ListOption) []reconcile.Request {
	var list v1alpha1.ScopeGrantApprovalList
	return requests(ctx, reader, &list, func() (keys []types.NamespacedName) {
		for i := range list.Items {
			if keep(&list.Items[i]) {
				keys = append(keys, client.ObjectKeyFromObject(&list.Items[i]))
			}
		}
		return keys
	}, options...)
}

func lookedAt(a *v1alpha1.ScopeGrantApproval) bool { return a.Spec.GrantRef != nil }

func (r *ApprovalReconciler) ofGrant(ctx context.Context, object client.Object) []reconcile.Request {
	return approvals(ctx, r.Client, lookedAt, client.MatchingFields{indexApproval: aboutGrant(object.GetNamespace(), object.GetName())})
}

func (r *ApprovalReconciler) ofRegistration(ctx context.Context, object client.Object) []reconcile.Request {
	var list v1alpha1.ScopeGrantList
	err := r.List(ctx, &list, client.InNamespace(object.GetNamespace()), client.MatchingFields{indexGrantClient: object.GetName()})
	if err != nil {
		logf.FromContext(ctx).Error(err, "Listing the grants of a registration")
		return nil
	}
	var found []reconcile.Request
	for i := range list.Items {
		found = append(found, r.ofGrant(ctx, &list.Items[i])...)
	}
	return found
}

func (r *ApprovalReconciler) ofServer(ctx context.Context, object client.Object) []reconcile.Request {
	return approvals(ctx, r.Client, func(a *v1alpha1.ScopeGrantApproval) bool {
		return (lookedAt(a) || a.Spec.ServerRef.UID != "") && a.Spec.ServerRef.Name == object.GetName()
	}, client.InNamespace(object.GetNamespace()))
}

func (r *ApprovalReconciler) ofAdmission(ctx context.Context, _ client.Object) []reconcile.Request {
	return approvals(ctx, r.Client, lookedAt)
}

// ofApproved names the clients of the grants that somebody approved. It goes by the
// approvals: a client can live by one before the status of its grant says so.
func (r *RegistrationReconciler) ofApproved(ctx context.Context, _ client.Object) []reconcile.Request {
	return approvedGrants(ctx, r.Client, clientOf)
}

// ofAdmission names the grants that the admission policies matter to: those that
// somebody approved, and those that wait for it.
func (r *ScopeGrantReconciler) ofAdmission(ctx context.Context, _ client.Object) []reconcile.Request {
	return append(approvedGrants(ctx, r.Client, self), grants(ctx, r.Client, func(grant *v1alpha1.ScopeGrant) types.NamespacedName {
		if !awaitsApproval(grant) {
			return types.NamespacedName{}
		}
		return self(grant)
	})...)
}

// approvedGrants names what the grants concern that somebody looked at and approved.
func approvedGrants(ctx context.Context, reader client.Reader, name func(*v1alpha1.ScopeGrant) types.NamespacedName) []reconcile.Request {
	var list v1alpha1.ScopeGrantApprovalList
	return requests(ctx, reader, &list, func() (keys []types.NamespacedName) {
		for i := range list.Items {
			if list.Items[i].Spec.Decision != v1alpha1.DecisionApproved {
				continue
			}
			for _, request := range decidedAbout(ctx, reader, &list.Items[i], name) {
				keys = append(keys, request.NamespacedName)
			}
		}
		return keys
	})
}

// ofRegistration names the servers at which a grant of a client is to be looked at:
// what there is to see changed.
func (r *MCPServerReconciler) ofRegistration(ctx context.Context, object client.Object) []reconcile.Request {
	return grants(ctx, r.Client, func(grant *v1alpha1.ScopeGrant) types.NamespacedName {
		if !shownToOwners(grant) {
			return types.NamespacedName{}
		}
		return r.serverOf(grant)
	}, client.InNamespace(object.GetNamespace()), client.MatchingFields{indexGrantClient: object.GetName()})
}

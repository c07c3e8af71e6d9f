// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

// Grants gathers the facts about one grant, for the reconcilers of grants and
// of registrations alike: both must come to the same decision.
type Grants struct {
	// Client reads from the cache.
	Client    client.Reader
	Admission *Admission
	// Namespaces are those that the operator watches; empty means all.
	Namespaces []string

	letting letting
}

// rooms are what namespaces share, for one pass.
func (g *Grants) rooms() *rooms {
	shared := newRooms(g.Client, g.Namespaces)
	shared.let = &g.letting.over
	return shared
}

// Observe adds the server of a grant, what its owners decided and what room there is. What
// could not be learnt is unknown, and its error comes along.
func (g *Grants) Observe(ctx context.Context, facts *policy.GrantFacts, shared *rooms) error {
	var errs [7]error
	facts.Server, errs[0] = g.server(ctx, facts.Grant)
	if facts.Server.Object != nil {
		facts.ServerClaims, errs[4] = claims(ctx, g.Client, facts.Server.Object)
		facts.ServerRoom, errs[5] = shared.ofServer(ctx, facts.Server.Object)
		facts.Room, errs[6] = shared.ofGrant(ctx, facts.Grant, facts.Server.Object)
	}
	facts.AdmissionIs, facts.AdmissionSince, errs[1] = g.Admission.Is(ctx)
	facts.ServerNamespace, errs[2] = getNamespace(ctx, g.Client, facts.Grant.ServerNamespace())
	facts.Approvals, facts.ApprovalsAre, errs[3] = g.approvals(ctx, facts.Grant)
	return errors.Join(errs[:]...)
}

// approvals lists the decisions about a grant, and about its client, in the
// namespace of the server.
func (g *Grants) approvals(ctx context.Context, grant *v1alpha1.ScopeGrant) ([]*v1alpha1.ScopeGrantApproval, policy.Knowledge, error) {
	namespace := grant.ServerNamespace()
	if !watches(g.Namespaces, namespace) {
		return nil, policy.Unknown, nil
	}
	var found []*v1alpha1.ScopeGrantApproval
	for _, key := range []string{aboutGrant(grant.Namespace, grant.Name), aboutClient(grant.Namespace, grant.Spec.ClientRef.Name)} {
		var list v1alpha1.ScopeGrantApprovalList
		if err := g.Client.List(ctx, &list, client.InNamespace(namespace), client.MatchingFields{indexApproval: key}); err != nil {
			return nil, policy.Unknown, wrap("listing approvals", err)
		}
		for i := range list.Items {
			found = append(found, &list.Items[i])
		}
	}
	return found, policy.Present, nil
}

// currentApprovals are the decisions about a grant and its client as the API server
// holds them.
func (g *Grants) currentApprovals(ctx context.Context, live client.Reader, grant *v1alpha1.ScopeGrant) ([]*v1alpha1.ScopeGrantApproval, error) {
	if !watches(g.Namespaces, grant.ServerNamespace()) {
		return nil, nil
	}
	var list v1alpha1.ScopeGrantApprovalList
	if err := live.List(ctx, &list, client.InNamespace(grant.ServerNamespace())); err != nil {
		return nil, wrap("listing approvals", err)
	}
	keys := []string{aboutGrant(grant.Namespace, grant.Name), aboutClient(grant.Namespace, grant.Spec.ClientRef.Name)}
	var found []*v1alpha1.ScopeGrantApproval
	for i := range list.Items {
		if slices.ContainsFunc(about(&list.Items[i]), func(key string) bool { return slices.Contains(keys, key) }) {
			found = append(found, &list.Items[i])
		}
	}
	return found, nil
}

// aboutGrant and aboutClient are what an approval is found by.
func aboutGrant(namespace, name string) string  { return "grant/" + namespace + "/" + name }
func aboutClient(namespace, name string) string { return "client/" + namespace + "/" + name }

// about is what an approval is found by.
func about(object client.Object) []string {
	a, ok := object.(*v1alpha1.ScopeGrantApproval)
	switch {
	case !ok:
	case a.Spec.GrantRef != nil:
		return []string{aboutGrant(a.Spec.GrantRef.Namespace, a.Spec.GrantRef.Name)}
	case a.Spec.ClientRef != nil:
		return []string{aboutClient(a.Spec.ClientRef.Namespace, a.Spec.ClientRef.Name)}
	}
	return nil
}

func (g *Grants) server(ctx context.Context, grant *v1alpha1.ScopeGrant) (policy.ServerFact, error) {
	if !watches(g.Namespaces, grant.ServerNamespace()) {
		return policy.ServerFact{Unwatched: true}, nil
	}
	var server v1alpha1.MCPServer
	key := types.NamespacedName{Namespace: grant.ServerNamespace(), Name: grant.Spec.ServerRef.Name}
	switch err := g.Client.Get(ctx, key, &server); {
	case apierrors.IsNotFound(err):
		return policy.ServerFact{Is: policy.Absent}, nil
	case err != nil:
		return policy.ServerFact{}, fmt.Errorf("reading MCPServer: %w", err)
	}
	return policy.ServerFact{Is: policy.Present, Object: &server}, nil
}

// watches says that a namespace is one of those that are watched; an empty list
// stands for all.
func watches(watched []string, namespace string) bool {
	return len(watched) == 0 || slices.Contains(watched, namespace)
}

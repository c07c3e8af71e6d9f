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
	Sealer    *Sealer
	// Namespaces are those that the operator watches; empty means all.
	Namespaces []string
}

// Observe adds the server of a grant and what is known of its approval. What
// could not be learnt is unknown, and its error comes along.
func (g *Grants) Observe(ctx context.Context, facts *policy.GrantFacts) error {
	var errs [4]error
	facts.Server, errs[0] = g.server(ctx, facts.Grant)
	facts.AdmissionIs, facts.Epoch, errs[1] = g.Admission.Is(ctx)
	facts.ServerNamespace, errs[3] = getNamespace(ctx, g.Client, facts.Grant.ServerNamespace())
	facts.SealIs, errs[2] = g.Sealer.Is(ctx, facts.Grant, facts.Epoch)
	return errors.Join(errs[:]...)
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

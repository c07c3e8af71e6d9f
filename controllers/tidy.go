// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"time"

	logf "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

// mostTidies bounds how often a server is told to delete scopes with one inventory.
const mostTidies = 10

// note adds what the clients of a page have. Once that is not known of one page, it is
// not known of the list.
func (l *inventory) note(scopes []string) {
	if scopes == nil {
		l.scopes = nil
	}
	if l.scopes == nil {
		return
	}
	for _, scope := range scopes {
		l.scopes[scope] = true
	}
}

// tidy has a server delete the scopes that the operator made there and that no client
// of the list has, which was begun at an instant or later. Each call has a place of its
// own: revocations go in between. What is left waits for the next list, and so does a
// server that refuses.
func (r *AuthorizationServerReconciler) tidy(ctx context.Context, config authserver.Config, used map[string]bool, since time.Time) {
	if used == nil || !r.Servers.Connector.Traits(config).Tidies {
		return
	}
	tidying := authserver.Tidying{
		Owner: policy.OwnerOfAll(r.Cluster), Used: func(scope string) bool { return used[scope] }, Since: since,
	}
	for range mostTidies {
		more, err := r.tidySome(ctx, config, tidying)
		if err != nil {
			logf.FromContext(ctx).Error(err, "Deleting scopes that no client has")
		}
		if err != nil || !more {
			return
		}
	}
}

func (r *AuthorizationServerReconciler) tidySome(ctx context.Context, config authserver.Config, tidying authserver.Tidying) (more bool, err error) {
	server, leave, err := r.Servers.Enter(ctx, config, authserver.Routine)
	if err != nil {
		return false, err
	}
	defer leave()
	return server.Tidy(ctx, tidying)
}

// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	logf "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
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
// server that refuses, or one that is paused: people work there by hand.
func (r *AuthorizationServerReconciler) tidy(ctx context.Context, as *v1alpha1.AuthorizationServer, list *inventory, since time.Time) {
	config, used := policy.Connection(as), list.scopes
	if used == nil || policy.Paused(as) || !r.Servers.Connector.Traits(config).Tidies {
		return
	}
	switch missing, err := r.unlisted(ctx, as, list, since); {
	case err != nil:
		logf.FromContext(ctx).Error(err, "No scopes are deleted: it is not known whether all clients are in the list")
		return
	case missing != "":
		logf.FromContext(ctx).Info("No scopes are deleted: the list of clients lacks one that a record speaks of", "clientID", missing)
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

// unlisted is a client that a record speaks of and a list lacks, which was begun at an
// instant: it may be gone, or the list is not that of all clients, as where something else
// answers, or the operator's account sees less than before. Empty where there is none.
func (r *AuthorizationServerReconciler) unlisted(ctx context.Context, as *v1alpha1.AuthorizationServer, list *inventory, since time.Time) (id string, err error) {
	var records corev1.SecretList
	err = r.List(ctx, &records, client.InNamespace(r.Namespace),
		client.MatchingFields{indexRecordServer: as.Name}, client.UnsafeDisableDeepCopy)
	if err != nil {
		return "", wrap("listing records", err)
	}
	for i := range records.Items {
		record, err := decodeRecord(&records.Items[i])
		if err != nil {
			return "", wrap("reading a record", err)
		}
		if record.Live() && record.RegisteredAt.Before(since) && !list.ours[record.Client.ID] {
			return record.Client.ID, nil
		}
	}
	return "", nil
}

func (r *AuthorizationServerReconciler) tidySome(ctx context.Context, config authserver.Config, tidying authserver.Tidying) (more bool, err error) {
	server, leave, err := r.Servers.Enter(ctx, config, authserver.Routine)
	if err != nil {
		return false, err
	}
	defer leave()
	return server.Tidy(ctx, tidying)
}

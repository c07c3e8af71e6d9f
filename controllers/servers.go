// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"fmt"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

// errInitialAccess marks errors about the operator's own credential, as against
// the management token of one client.
var errInitialAccess = errors.New("initial access")

// Servers opens connections to authorization servers. Credentials come from
// the operator's own namespace and from nowhere else.
type Servers struct {
	Connector authserver.Connector
	// Client reads AuthorizationServers, and Secrets of Namespace.
	Client client.Reader
	// Namespace is the operator's own.
	Namespace string
}

// Enter connects and takes a place, to be given back by leave, which may be
// called again. The present
// settings of the AuthorizationServer are used where it still has the issuer
// of config; otherwise config stands for itself.
func (s *Servers) Enter(ctx context.Context, config authserver.Config, urgency authserver.Urgency) (authserver.Server, func(), error) {
	as, err := getAuthorizationServer(ctx, s.Client, config.Name)
	if err != nil {
		return nil, nil, err
	}
	if as.Is == policy.Present && as.Object.Spec.Issuer == config.Issuer {
		config = policy.Connection(as.Object)
		token, is, err := s.InitialAccessToken(ctx, as.Object)
		switch {
		case err != nil:
			return nil, nil, err
		case is == policy.Absent && urgency == authserver.Routine:
			return nil, nil, fmt.Errorf("%w: %w", errInitialAccess,
				&authserver.Error{Kind: authserver.Unauthorized, Op: "reading the initial access token"})
		}
		config.InitialAccessToken = token
	}
	server, gate, err := s.Connector.Connect(config)
	if err != nil {
		return nil, nil, fmt.Errorf("connecting to the authorization server: %w", err)
	}
	leave, err := gate.Enter(urgency)
	if err != nil {
		return nil, nil, err
	}
	return server, sync.OnceFunc(leave), nil
}

// InitialAccessToken reads the token that an AuthorizationServer names:
// Present also where it names none.
func (s *Servers) InitialAccessToken(ctx context.Context, as *v1alpha1.AuthorizationServer) (authserver.Secret, policy.Knowledge, error) {
	d := as.Spec.DynamicRegistration
	if d == nil || d.InitialAccessTokenSecretRef == nil {
		return authserver.Secret{}, policy.Present, nil
	}
	ref := d.InitialAccessTokenSecretRef
	var secret corev1.Secret
	err := s.Client.Get(ctx, types.NamespacedName{Namespace: s.Namespace, Name: ref.Name}, &secret)
	if client.IgnoreNotFound(err) != nil {
		return authserver.Secret{}, policy.Unknown, fmt.Errorf("reading the initial access token: %w", err)
	}
	token := authserver.NewSecret(string(secret.Data[ref.Key]))
	if apierrors.IsNotFound(err) || token.IsZero() || secret.Type == v1alpha1.SecretTypeRecord {
		return authserver.Secret{}, policy.Absent, nil
	}
	return token, policy.Present, nil
}

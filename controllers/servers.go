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
	config, err := s.complete(ctx, config, urgency)
	if err != nil {
		return nil, nil, err
	}
	server, gate, err := s.Connector.Connect(config)
	if err != nil {
		return nil, nil, fmt.Errorf("connecting to the authorization server: %w", err)
	}
	leave, err := gate.Enter(urgency)
	if err != nil {
		return nil, nil, err
	}
	if server.Traits().OwnClientID {
		server = administered{server}
	}
	return server, sync.OnceFunc(leave), nil
}

// complete is config as it is used now, with the operator's credentials.
func (s *Servers) complete(ctx context.Context, config authserver.Config, urgency authserver.Urgency) (authserver.Config, error) {
	as, err := getAuthorizationServer(ctx, s.Client, config.Name)
	if err != nil {
		return config, err
	}
	if as.Is == policy.Present && policy.SameServer(policy.Connection(as.Object), config) {
		config = policy.Connection(as.Object)
		token, is, err := s.InitialAccessToken(ctx, as.Object)
		switch {
		case err != nil:
			return config, err
		case is == policy.Absent && urgency == authserver.Routine:
			return config, fmt.Errorf("%w: %w", errInitialAccess,
				&authserver.Error{Kind: authserver.Unauthorized, Op: "reading the initial access token"})
		}
		config.InitialAccessToken = token
	}
	return s.administrator(ctx, config)
}

// Examine returns the examiner of a server. The caller holds a place.
func (s *Servers) Examine(ctx context.Context, config authserver.Config) (authserver.Examiner, error) {
	config, err := s.complete(ctx, config, authserver.Routine)
	if err != nil {
		return nil, err
	}
	return s.Connector.Examine(config)
}

// Traits are those of the server that a registration is, or will be, registered
// at.
func (s *Servers) Traits(facts policy.RegistrationFacts) authserver.Traits {
	config := policy.ConnectionOf(facts.Record, facts.AuthorizationServer)
	if config.Name == "" {
		return authserver.Traits{}
	}
	return s.Connector.Traits(config)
}

// administrator adds the operator's credentials for the admin API, where it
// takes some.
func (s *Servers) administrator(ctx context.Context, config authserver.Config) (authserver.Config, error) {
	if config.AdminSecret == "" {
		return config, nil
	}
	var secret corev1.Secret
	err := s.Client.Get(ctx, types.NamespacedName{Namespace: s.Namespace, Name: config.AdminSecret}, &secret)
	if client.IgnoreNotFound(err) != nil {
		return config, fmt.Errorf("reading the operator's credentials: %w", err)
	}
	config.AdminID = string(secret.Data[v1alpha1.SecretKeyAdminID])
	config.AdminPassword = authserver.NewSecret(string(secret.Data[v1alpha1.SecretKeyAdminSecret]))
	if apierrors.IsNotFound(err) || config.AdminID == "" || config.AdminPassword.IsZero() || internal(&secret) {
		return config, fmt.Errorf("%w: %w", errInitialAccess,
			&authserver.Error{Kind: authserver.Unauthorized, Op: "reading the operator's credentials"})
	}
	return config, nil
}

// CredentialIs says whether the credentials that an AuthorizationServer names
// are there: Present also where it names none.
func (s *Servers) CredentialIs(ctx context.Context, as *v1alpha1.AuthorizationServer) (policy.Knowledge, error) {
	if _, is, err := s.InitialAccessToken(ctx, as); err != nil || is != policy.Present {
		return is, err
	}
	_, err := s.administrator(ctx, policy.Connection(as))
	switch {
	case errors.Is(err, errInitialAccess):
		return policy.Absent, nil
	case err != nil:
		return policy.Unknown, err
	}
	return policy.Present, nil
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
	if apierrors.IsNotFound(err) || token.IsZero() || internal(&secret) {
		return authserver.Secret{}, policy.Absent, nil
	}
	return token, policy.Present, nil
}

// internal says whether a Secret is one that the operator keeps for itself, so that
// no AuthorizationServer can have it sent to a server as a credential.
func internal(secret *corev1.Secret) bool {
	return secret.Type == v1alpha1.SecretTypeRecord || secret.Type == v1alpha1.SecretTypeAuditKey
}

// administered is a server at which every call carries the operator's own
// credential: that is what it refuses, not the token of one client.
type administered struct{ authserver.Server }

// codeClientNotFound is the code of an answer about a client that is gone.
const codeClientNotFound = "client_not_found"

func operators(err error) error {
	var answer *authserver.Error
	if errors.As(err, &answer) && answer.Kind == authserver.Unauthorized && answer.Code != codeClientNotFound {
		return fmt.Errorf("%w: %w", errInitialAccess, err)
	}
	return err
}

func (a administered) Register(ctx context.Context, wish authserver.ClientMetadata) (authserver.Client, error) {
	answer, err := a.Server.Register(ctx, wish)
	return answer, operators(err)
}

func (a administered) Find(ctx context.Context, handle authserver.Handle) (authserver.Client, bool, error) {
	found, is, err := a.Server.Find(ctx, handle)
	return found, is, operators(err)
}

func (a administered) Replace(ctx context.Context, handle authserver.Handle, wish authserver.ClientMetadata) (authserver.Client, error) {
	answer, err := a.Server.Replace(ctx, handle, wish)
	return answer, operators(err)
}

func (a administered) Disable(ctx context.Context, handle authserver.Handle) error {
	return operators(a.Server.Disable(ctx, handle))
}

func (a administered) Revoke(ctx context.Context, handle authserver.Handle) error {
	return operators(a.Server.Revoke(ctx, handle))
}

func (a administered) List(ctx context.Context, cursor string) (authserver.Page, error) {
	page, err := a.Server.List(ctx, cursor)
	return page, operators(err)
}

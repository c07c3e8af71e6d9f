// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package fake

import (
	"fmt"
	"slices"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
)

func (s *Server) add(wish authserver.ClientMetadata) (authserver.Client, error) {
	const op = "registering client"
	if err := s.unsupported(op, wish); err != nil {
		return authserver.Client{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.serial++
	client := &authserver.Client{ID: fmt.Sprintf("client-%d", s.serial)}
	if s.traits.OwnClientID {
		client.ID = wish.ID
	}
	client.Registered = s.register(wish)
	switch {
	case client.ID == "":
		return authserver.Client{}, invalid(op)
	case s.lookup(client.ID) != nil:
		return authserver.Client{}, &authserver.Error{Kind: authserver.Conflict, Op: op, Status: 409}
	}
	s.makeScopes(wish)
	s.issueSecret(client, wish)
	if !s.traits.OwnClientID && !s.switches.NoManagement {
		client.ManagementURI = s.metadata.RegistrationEndpoint + "/" + client.ID
		client.ManagementToken = s.token(client.ID)
	}
	s.clients = append(s.clients, client)
	answer := *client
	answer.Registered = clone(client.Registered)
	return answer, nil
}

// issueSecret gives a client the secret that was chosen for it, or one that
// the server chooses.
func (s *Server) issueSecret(client *authserver.Client, wish authserver.ClientMetadata) {
	shared := authserver.SharedSecret(wish.AuthMethod)
	if !shared && (wish.AuthMethod != "none" || !s.switches.SecretForPublic) {
		return
	}
	client.Secret = authserver.NewSecret("fake-secret-of-" + client.ID)
	client.SecretExpiresAt = s.switches.SecretExpiresAt
	if shared && s.traits.OwnSecret && !wish.Secret.IsZero() {
		client.Secret = wish.Secret
	}
}

// unsupported refuses a wish for what the server does not have.
func (s *Server) unsupported(op string, wish authserver.ClientMetadata) error {
	if s.traits.SharedSecretUnsupported && authserver.SharedSecret(wish.AuthMethod) {
		return invalid(op)
	}
	if a := wish.Assertion; a != (authserver.Assertion{}) {
		keys := wish.AuthMethod != "private_key_jwt" || wish.JWKS != "" || wish.JWKSURI != ""
		if keys || a.Subject == "" || a.Issuer == "" || a.Issuer != s.traits.AssertionIssuer {
			return invalid(op)
		}
	}
	return nil
}

func invalid(op string) error {
	return &authserver.Error{Kind: authserver.Rejected, Op: op, Code: "invalid_client_metadata"}
}

// manage runs work on the client of a handle if the handle is good for it:
// found is false only when the client is proven to be gone.
func (s *Server) manage(
	op string, handle authserver.Handle, work func(*authserver.Client) authserver.Client,
) (client authserver.Client, found bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	live := s.lookup(handle.ClientID)
	if handle.ClientID == "" && !s.traits.OwnClientID {
		live = s.at(handle.ManagementURI)
	}
	if s.traits.OwnClientID {
		return s.manageByID(op, live, handle, work)
	}
	if live != nil && !live.ManagementToken.IsZero() && live.ManagementToken.Equal(handle.ManagementToken) {
		return work(live), true, nil
	}
	if s.absent(live, handle) {
		return authserver.Client{}, false, nil
	}
	return authserver.Client{}, false, refused(op)
}

// manageByID works on a client that carries the owner's mark, and on no other.
func (s *Server) manageByID(
	op string, live *authserver.Client, handle authserver.Handle, work func(*authserver.Client) authserver.Client,
) (client authserver.Client, found bool, err error) {
	switch {
	case handle.ClientID == "":
		return authserver.Client{}, false, &authserver.Error{Kind: authserver.Rejected, Op: op}
	case live == nil:
		return authserver.Client{}, false, nil
	case !handle.Adopting && (handle.Owner == "" || live.Registered.SoftwareID != handle.Owner):
		return authserver.Client{}, false, &authserver.Error{Kind: authserver.Conflict, Op: op}
	}
	return work(live), true, nil
}

func refused(op string) error {
	return &authserver.Error{Kind: authserver.Unauthorized, Op: op, Status: 401}
}

// answer is what an authorization server says of a client: the token only
// where it was replaced, and of the secret what an adapter believes of it.
func (s *Server) answer(client *authserver.Client, handle authserver.Handle) authserver.Client {
	answer := *client
	answer.Registered = clone(client.Registered)
	answer.ManagementToken = authserver.Secret{}
	if s.switches.RotateTokens {
		client.ManagementToken = s.token(client.ID)
		answer.ManagementToken = client.ManagementToken
	}
	if s.switches.Mask != "" && !client.Secret.IsZero() && !client.Secret.Equal(authserver.NewSecret(s.switches.Mask)) {
		answer.Secret = authserver.Secret{}
		if handle.ClientSecret.Equal(client.Secret) {
			answer.Secret = handle.ClientSecret
		} else {
			answer.SecretDoubtful = true
		}
	}
	return answer
}

func (s *Server) token(id string) authserver.Secret {
	s.serial++
	return authserver.NewSecret(fmt.Sprintf("fake-token-%d-of-%s", s.serial, id))
}

func (s *Server) lookup(id string) *authserver.Client {
	for _, client := range s.clients {
		if client.ID == id {
			return client
		}
	}
	return nil
}

// at is the client of a management URI.
func (s *Server) at(uri string) *authserver.Client {
	for _, client := range s.clients {
		if uri != "" && client.ManagementURI == uri {
			return client
		}
	}
	return nil
}

func (s *Server) remove(id string) {
	s.clients = slices.DeleteFunc(s.clients, func(client *authserver.Client) bool { return client.ID == id })
}

// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package fake

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
)

// Operation names a method of authserver.Server.
type Operation string

// The operations.
const (
	Discover Operation = "discover"
	Register Operation = "register"
	Find     Operation = "find"
	Replace  Operation = "replace"
	Revoke   Operation = "revoke"
)

// Server is an authserver.Server in memory.
type Server struct {
	mu       sync.Mutex
	metadata authserver.Metadata
	clients  []*authserver.Client
	calls    map[Operation]int
	faults   []Fault
	switches Switches
	serial   int
}

var _ authserver.Server = (*Server)(nil)

// New returns a server without clients whose metadata lacks nothing.
func New(issuer string) *Server {
	return &Server{calls: map[Operation]int{}, metadata: authserver.Metadata{
		Issuer:                   issuer,
		AuthorizationEndpoint:    issuer + "/authorize",
		TokenEndpoint:            issuer + "/token",
		RegistrationEndpoint:     issuer + "/register",
		RevocationEndpoint:       issuer + "/revoke",
		IntrospectionEndpoint:    issuer + "/introspect",
		CodeChallengeMethods:     []string{"S256"},
		GrantTypes:               []string{"authorization_code", "refresh_token", "client_credentials"},
		TokenEndpointAuthMethods: []string{"none", "client_secret_basic", "private_key_jwt"},
		IssuerInResponse:         true,
	}}
}

// Discover returns the metadata.
func (s *Server) Discover(ctx context.Context) (authserver.Metadata, error) {
	finish, err := s.begin(ctx, Discover)
	if err != nil {
		return authserver.Metadata{}, err
	}
	if err := finish(); err != nil {
		return authserver.Metadata{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.metadata, nil
}

// Register creates a client.
func (s *Server) Register(ctx context.Context, wish authserver.ClientMetadata) (authserver.Client, error) {
	finish, err := s.begin(ctx, Register)
	if err != nil {
		return authserver.Client{}, err
	}
	client := s.add(wish)
	if err := finish(); err != nil {
		return authserver.Client{}, err
	}
	return client, nil
}

// Find looks a client up by its handle.
func (s *Server) Find(ctx context.Context, handle authserver.Handle) (authserver.Client, bool, error) {
	finish, err := s.begin(ctx, Find)
	if err != nil {
		return authserver.Client{}, false, err
	}
	client, found := s.manage(handle, s.answer)
	if err := finish(); err != nil {
		return authserver.Client{}, false, err
	}
	if !found && !handle.Deleted && !s.provenAbsent(handle) {
		return authserver.Client{}, false, refused("finding client")
	}
	return client, found, nil
}

// Replace sets a client's metadata.
func (s *Server) Replace(
	ctx context.Context, handle authserver.Handle, wish authserver.ClientMetadata,
) (authserver.Client, error) {
	finish, err := s.begin(ctx, Replace)
	if err != nil {
		return authserver.Client{}, err
	}
	client, found := s.manage(handle, func(client *authserver.Client) authserver.Client {
		client.Registered = s.register(wish)
		return s.answer(client)
	})
	if err := finish(); err != nil {
		return authserver.Client{}, err
	}
	if !found {
		return authserver.Client{}, refused("replacing client")
	}
	return client, nil
}

// Revoke removes a client.
func (s *Server) Revoke(ctx context.Context, handle authserver.Handle) error {
	finish, err := s.begin(ctx, Revoke)
	if err != nil {
		return err
	}
	_, found := s.manage(handle, func(client *authserver.Client) authserver.Client {
		s.remove(client.ID)
		return authserver.Client{}
	})
	if err := finish(); err != nil {
		return err
	}
	if !found && !handle.Deleted && !s.provenAbsent(handle) {
		return refused("revoking client")
	}
	return nil
}

// Clients returns every client that lives, oldest first, with its current
// token and secret.
func (s *Server) Clients() []authserver.Client {
	s.mu.Lock()
	defer s.mu.Unlock()
	clients := make([]authserver.Client, 0, len(s.clients))
	for _, client := range s.clients {
		copied := *client
		copied.Registered = clone(client.Registered)
		clients = append(clients, copied)
	}
	return clients
}

// Remove makes a client vanish, as an administrator of the authorization
// server would.
func (s *Server) Remove(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.remove(id)
}

// Edit changes what is registered for a client, as an administrator of the
// authorization server would.
func (s *Server) Edit(id string, change func(*authserver.ClientMetadata)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if client := s.lookup(id); client != nil {
		change(&client.Registered)
	}
}

// Describe changes the metadata that Discover returns.
func (s *Server) Describe(change func(*authserver.Metadata)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.metadata)
}

// Calls says how often an operation was called, failures included.
func (s *Server) Calls(op Operation) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[op]
}

func (s *Server) add(wish authserver.ClientMetadata) authserver.Client {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.serial++
	client := &authserver.Client{
		ID:         fmt.Sprintf("client-%d", s.serial),
		Registered: s.register(wish),
	}
	method := client.Registered.AuthMethod
	if method == "client_secret_basic" || (method == "none" && s.switches.SecretForPublic) {
		client.Secret = authserver.NewSecret("fake-secret-of-" + client.ID)
		client.SecretExpiresAt = s.switches.SecretExpiresAt
	}
	if !s.switches.NoManagement {
		client.ManagementURI = s.metadata.RegistrationEndpoint + "/" + client.ID
		client.ManagementToken = s.token(client.ID)
	}
	s.clients = append(s.clients, client)
	answer := *client
	answer.Registered = clone(client.Registered)
	return answer
}

// manage runs work on the client of a handle if its management token is
// right.
func (s *Server) manage(
	handle authserver.Handle, work func(*authserver.Client) authserver.Client,
) (client authserver.Client, found bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	live := s.lookup(handle.ClientID)
	if live == nil || live.ManagementToken.IsZero() ||
		!live.ManagementToken.Equal(handle.ManagementToken) {
		return authserver.Client{}, false
	}
	return work(live), true
}

func refused(op string) error {
	return &authserver.Error{Kind: authserver.Unauthorized, Op: op, Status: 401}
}

// answer is what an authorization server says of a client: the token only
// where it was replaced.
func (s *Server) answer(client *authserver.Client) authserver.Client {
	answer := *client
	answer.Registered = clone(client.Registered)
	answer.ManagementToken = authserver.Secret{}
	if s.switches.RotateTokens {
		client.ManagementToken = s.token(client.ID)
		answer.ManagementToken = client.ManagementToken
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

func (s *Server) remove(id string) {
	s.clients = slices.DeleteFunc(s.clients, func(client *authserver.Client) bool { return client.ID == id })
}

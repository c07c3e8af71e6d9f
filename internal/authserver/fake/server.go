// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package fake

import (
	"cmp"
	"context"
	"slices"
	"strings"
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
	Disable  Operation = "disable"
	List     Operation = "list"
	Access   Operation = "access"
	Tidy     Operation = "tidy"
)

// Server is an authserver.Server in memory.
type Server struct {
	traits authserver.Traits

	mu       sync.Mutex
	metadata authserver.Metadata
	clients  []*authserver.Client
	// cached are the keys of clients that are in force in place of those
	// registered, by client id.
	cached map[string]string
	// scopes are those that registrations made: the owner of each, by name.
	scopes   map[string]string
	calls    map[Operation]int
	faults   []Fault
	switches Switches
	serial   int
}

var (
	_ authserver.Server   = (*Server)(nil)
	_ authserver.Examiner = (*Server)(nil)
)

// New returns a server without clients whose metadata lacks nothing, and which
// chooses client ids itself.
func New(issuer string) *Server { return NewWith(issuer, authserver.Traits{TwoKeys: true}) }

// NewWith returns a server of the given traits.
func NewWith(issuer string, traits authserver.Traits) *Server {
	return &Server{traits: traits, calls: map[Operation]int{}, cached: map[string]string{}, scopes: map[string]string{}, metadata: authserver.Metadata{
		Issuer:                   issuer,
		AuthorizationEndpoint:    issuer + "/authorize",
		TokenEndpoint:            issuer + "/token",
		RegistrationEndpoint:     issuer + "/register",
		RevocationEndpoint:       issuer + "/revoke",
		IntrospectionEndpoint:    issuer + "/introspect",
		CodeChallengeMethods:     []string{"S256"},
		GrantTypes:               []string{"authorization_code", "refresh_token", "client_credentials"},
		TokenEndpointAuthMethods: []string{"none", "client_secret_basic", "client_secret_post", "private_key_jwt"},
		IssuerInResponse:         true,
	}}
}

// Discover returns the metadata.
func (s *Server) Discover(ctx context.Context) (authserver.Metadata, error) {
	end, err := s.begin(ctx, Discover)
	if err != nil {
		return authserver.Metadata{}, err
	}
	if err := end.lost(); err != nil {
		return authserver.Metadata{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.metadata, nil
}

// CheckAccess finds nothing to refuse, but for what was ordered.
func (s *Server) CheckAccess(ctx context.Context) error {
	if !s.traits.ChecksAccess {
		return &authserver.Error{Kind: authserver.Rejected, Op: "checking access"}
	}
	end, err := s.begin(ctx, Access)
	if err != nil {
		return err
	}
	return end.lost()
}

// Register creates a client.
func (s *Server) Register(ctx context.Context, wish authserver.ClientMetadata) (authserver.Client, error) {
	end, err := s.begin(ctx, Register)
	if err != nil {
		return authserver.Client{}, err
	}
	client, err := s.add(wish)
	if fault := end.lost(); fault != nil {
		return end.left(client), fault
	}
	return client, err
}

// Find looks a client up by its handle.
func (s *Server) Find(ctx context.Context, handle authserver.Handle) (authserver.Client, bool, error) {
	end, err := s.begin(ctx, Find)
	if err != nil {
		return authserver.Client{}, false, err
	}
	client, found, err := s.manage("finding client", handle, func(client *authserver.Client) authserver.Client {
		return s.answer(client, handle)
	})
	if fault := end.lost(); fault != nil {
		return end.left(client), false, fault
	}
	return client, found, err
}

// Replace sets a client's metadata.
func (s *Server) Replace(
	ctx context.Context, handle authserver.Handle, wish authserver.ClientMetadata,
) (authserver.Client, error) {
	end, err := s.begin(ctx, Replace)
	if err != nil {
		return authserver.Client{}, err
	}
	if err := s.unsupported("replacing client", wish); err != nil {
		return authserver.Client{}, err
	}
	client, found, err := s.manage("replacing client", handle, func(client *authserver.Client) authserver.Client {
		wish.ID = client.ID
		s.cacheKeys(client, wish)
		client.Registered, client.Disabled = s.register(wish), false
		s.makeScopes(wish)
		if s.traits.OwnSecret && !wish.Secret.IsZero() {
			client.Secret, handle.ClientSecret = wish.Secret, wish.Secret
		}
		return s.answer(client, handle)
	})
	if fault := end.lost(); fault != nil {
		return end.left(client), fault
	}
	if err == nil && !found {
		return authserver.Client{}, refused("replacing client")
	}
	return client, err
}

// Disable makes a client useless until it is replaced.
func (s *Server) Disable(ctx context.Context, handle authserver.Handle) error {
	if !s.traits.Disables {
		return &authserver.Error{Kind: authserver.Rejected, Op: "disabling client"}
	}
	end, err := s.begin(ctx, Disable)
	if err != nil {
		return err
	}
	handle.Adopting = false
	_, _, err = s.manage("disabling client", handle, func(client *authserver.Client) authserver.Client {
		client.Disabled = true
		return authserver.Client{}
	})
	if fault := end.lost(); fault != nil {
		return fault
	}
	return err
}

// List reads one page of the clients, by id.
func (s *Server) List(ctx context.Context, cursor string) (authserver.Page, error) {
	if !s.traits.Lists {
		return authserver.Page{}, &authserver.Error{Kind: authserver.Rejected, Op: "listing clients"}
	}
	end, err := s.begin(ctx, List)
	if err != nil {
		return authserver.Page{}, err
	}
	if err := end.lost(); err != nil {
		return authserver.Page{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	sorted := slices.SortedFunc(slices.Values(s.clients), func(a, b *authserver.Client) int { return strings.Compare(a.ID, b.ID) })
	page := authserver.Page{Scopes: []string{}}
	for _, client := range sorted {
		if client.ID <= cursor {
			continue
		}
		if len(page.Clients) == cmp.Or(s.switches.PageSize, 100) {
			page.Next = page.Clients[len(page.Clients)-1].ID
			break
		}
		page.Scopes = append(page.Scopes, client.Registered.Scopes...)
		page.Clients = append(page.Clients, authserver.Listed{
			ID: client.ID, Name: client.Registered.Name,
			SoftwareID: client.Registered.SoftwareID, SoftwareVersion: client.Registered.SoftwareVersion,
		})
	}
	if s.switches.HideScopes {
		page.Scopes = nil
	}
	return page, nil
}

// Traits are those that the server was made with.
func (s *Server) Traits() authserver.Traits { return s.traits }

// Revoke removes a client.
func (s *Server) Revoke(ctx context.Context, handle authserver.Handle) error {
	end, err := s.begin(ctx, Revoke)
	if err != nil {
		return err
	}
	if s.stand() == Accepting {
		return nil
	}
	handle.Adopting = false
	_, _, err = s.manage("revoking client", handle, func(client *authserver.Client) authserver.Client {
		s.remove(client.ID)
		return authserver.Client{}
	})
	if fault := end.lost(); fault != nil {
		return fault
	}
	return err
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

// Strange registers a client as somebody else would who uses the same
// authorization server: without a call of the register's, and with what the
// metadata says and no more.
func (s *Server) Strange(metadata authserver.ClientMetadata) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clients = append(s.clients, &authserver.Client{ID: metadata.ID, Registered: clone(metadata)})
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

// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package dcr

import (
	"context"
	"net/http"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
)

const jsonType = "application/json"

// Register creates a client (RFC 7591 §3). Where the answer does not say what
// was registered of scopes, grant types, response types, redirect URIs or the
// authentication method, Registered holds the wish: that part is unknown.
func (s *Server) Register(ctx context.Context, wish authserver.ClientMetadata) (authserver.Client, error) {
	c := call{
		op: "registering client", method: http.MethodPost, contentType: jsonType,
		effect: true, missing: CodeRegistrationUnsupported,
	}
	var err error
	if c.body, err = encode("", wish); err != nil {
		return authserver.Client{}, badWish(c, err)
	}
	metadata, err := s.known(ctx)
	if err != nil {
		return authserver.Client{}, err
	}
	if metadata.RegistrationEndpoint == "" {
		return authserver.Client{}, &authserver.Error{
			Kind: authserver.Rejected, Op: c.op, Code: CodeRegistrationUnsupported,
		}
	}
	c.url, c.authorization = metadata.RegistrationEndpoint, bearer(s.config.InitialAccessToken)
	got, err := s.send(ctx, c)
	if err != nil {
		return authserver.Client{}, err
	}
	if !got.success() {
		return authserver.Client{}, s.classify(c, got)
	}
	client, err := s.readClient(c, got)
	if err != nil {
		return authserver.Client{}, err
	}
	complete(&client, wish)
	return client, nil
}

// Find reads a client (RFC 7592 §2.1). What the answer does not say is empty in
// Registered; a nil list is not said, an empty one is said to be empty.
func (s *Server) Find(ctx context.Context, handle authserver.Handle) (authserver.Client, bool, error) {
	c := s.manage("finding client", http.MethodGet, handle)
	got, err := s.ask(ctx, c, handle)
	if err != nil {
		return authserver.Client{}, false, err
	}
	switch got.verdict {
	case alive:
		client, err := s.readOwn(c, got.answer, handle)
		return client, err == nil, err
	case gone:
		return authserver.Client{}, false, nil
	case doubtful:
	}
	return authserver.Client{}, false, got.doubt
}

// Replace sends a whole new set of metadata (RFC 7592 §2.2). The client's
// secret is not sent: the RFC makes it optional, and some servers refuse even
// the right one.
func (s *Server) Replace(
	ctx context.Context, handle authserver.Handle, wish authserver.ClientMetadata,
) (authserver.Client, error) {
	c := s.manage("replacing client", http.MethodPut, handle)
	c.contentType = jsonType
	if err := s.manageable(c, handle); err != nil {
		return authserver.Client{}, err
	}
	var err error
	if c.body, err = encode(handle.ClientID, wish); err != nil {
		return authserver.Client{}, badWish(c, err)
	}
	got, err := s.send(ctx, c)
	if err != nil {
		return authserver.Client{}, err
	}
	if !got.success() {
		return authserver.Client{}, s.refusal(c, got)
	}
	client, err := s.readOwn(c, got, handle)
	if err != nil {
		return authserver.Client{}, err
	}
	complete(&client, wish)
	return client, nil
}

// Revoke deletes a client (RFC 7592 §2.3).
func (s *Server) Revoke(ctx context.Context, handle authserver.Handle) error {
	c := s.manage("revoking client", http.MethodDelete, handle)
	got, err := s.ask(ctx, c, handle)
	if err != nil {
		return err
	}
	if got.verdict == doubtful {
		return got.doubt
	}
	return nil
}

func (s *Server) readClient(c call, a answer) (authserver.Client, error) {
	if a.bodyErr != nil {
		return authserver.Client{}, useless(c, a)
	}
	client, err := parseClient(a.body)
	if err != nil {
		failure := useless(c, a)
		failure.Err = err
		return authserver.Client{}, failure
	}
	if client.ManagementURI != "" && !s.ours(client.ManagementURI) {
		return authserver.Client{}, &authserver.Error{
			Kind: authserver.Rejected, Op: c.op, Status: a.status,
			Code: CodeForeignManagementURI, MaybeApplied: c.effect,
		}
	}
	return client, nil
}

// readOwn also holds the answer to the client that was asked for: a client id
// never changes (RFC 7592 §2.1).
func (s *Server) readOwn(c call, a answer, handle authserver.Handle) (authserver.Client, error) {
	client, err := s.readClient(c, a)
	if err == nil && client.ID != handle.ClientID {
		return authserver.Client{}, &authserver.Error{
			Kind: authserver.Conflict, Op: c.op, Status: a.status,
			Code: CodeClientMismatch, MaybeApplied: c.effect,
		}
	}
	return client, err
}

func badWish(c call, err error) error {
	return &authserver.Error{
		Kind: authserver.Rejected, Op: c.op, Code: "invalid_client_metadata", Err: err,
	}
}

// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package hydra

import (
	"context"
	"errors"
	"net/http"
	"net/url"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/exchange"
)

// Register creates a client with the id and secret of the wish.
func (s *Server) Register(ctx context.Context, wish authserver.ClientMetadata) (authserver.Client, error) {
	c := s.call("registering client", http.MethodPost, pathClients)
	if _, err := clientPath(c.Op, wish.ID); err != nil {
		return authserver.Client{}, err
	}
	return s.submit(ctx, c, wish.ID, wish)
}

// Find reads a client by its id. That Hydra does not know the id is the proof
// that the client is gone.
func (s *Server) Find(ctx context.Context, handle authserver.Handle) (authserver.Client, bool, error) {
	return s.find(ctx, "finding client", handle)
}

func (s *Server) find(ctx context.Context, op string, handle authserver.Handle) (authserver.Client, bool, error) {
	path, err := clientPath(op, handle.ClientID)
	if err != nil {
		return authserver.Client{}, false, err
	}
	c := s.call(op, http.MethodGet, path)
	got, err := s.exchange.Send(ctx, c)
	switch {
	case err != nil:
		return authserver.Client{}, false, err
	case unknown(got):
		return authserver.Client{}, false, nil
	case got.Status != http.StatusOK:
		return authserver.Client{}, false, s.exchange.Classify(c, got)
	}
	client, err := readClient(c, got, handle.ClientID)
	if err != nil {
		return authserver.Client{}, false, err
	}
	if !handle.Adopting && !owned(client, handle) {
		return authserver.Client{}, false, foreign(c, got)
	}
	return client, true, nil
}

// Replace sends a whole new client: what is left out, Hydra forgets, but for
// the secret, which it keeps. It looks at the mark first, because Hydra takes
// a PUT whoever's the client is.
func (s *Server) Replace(
	ctx context.Context, handle authserver.Handle, wish authserver.ClientMetadata,
) (authserver.Client, error) {
	const op = "replacing client"
	_, found, err := s.find(ctx, op, handle)
	if err != nil {
		return authserver.Client{}, err
	}
	if !found {
		return authserver.Client{}, gone(op)
	}
	path, err := clientPath(op, handle.ClientID)
	if err != nil {
		return authserver.Client{}, err
	}
	return s.submit(ctx, s.call(op, http.MethodPut, path), handle.ClientID, wish)
}

// submit sends a client and reads what Hydra made of it.
func (s *Server) submit(
	ctx context.Context, c exchange.Call, id string, wish authserver.ClientMetadata,
) (authserver.Client, error) {
	c.ContentType, c.Effect = exchange.JSONType, true
	var err error
	if c.Body, err = encode(id, wish); err != nil {
		return authserver.Client{}, &authserver.Error{
			Kind: authserver.Rejected, Op: c.Op, Code: "invalid_client_metadata", Err: err,
		}
	}
	got, err := s.exchange.Send(ctx, c)
	switch {
	case err != nil:
		return authserver.Client{}, err
	case c.Method == http.MethodPut && unknown(got):
		return authserver.Client{}, gone(c.Op)
	case !got.Success():
		return authserver.Client{}, s.exchange.Classify(c, got)
	}
	client, err := readClient(c, got, id)
	if err != nil {
		return authserver.Client{}, err
	}
	if client.Secret.IsZero() && client.Registered.AuthMethod != methodNone {
		client.Secret = wish.Secret
	}
	return client, nil
}

// Revoke deletes the client and then what tokens it had. The client goes
// first: from then on no token is issued, and Hydra's database drops those
// there are together with it. That they are deleted by the client's id as well
// is for a database that does not; it is repeated where the client is gone
// already, because an earlier call may have ended between the two.
func (s *Server) Revoke(ctx context.Context, handle authserver.Handle) error {
	const op = "revoking client"
	handle.Adopting = false
	_, found, err := s.find(ctx, op, handle)
	if err != nil {
		return err
	}
	if !found {
		return s.endTokens(ctx, op, handle.ClientID)
	}
	if err := s.remove(ctx, op, handle.ClientID); err != nil {
		return err
	}
	err = s.endTokens(ctx, op, handle.ClientID)
	if failure, failed := errors.AsType[*authserver.Error](err); failed {
		failure.MaybeApplied = true
	}
	return err
}

func (s *Server) remove(ctx context.Context, op, id string) error {
	path, err := clientPath(op, id)
	if err != nil {
		return err
	}
	c := s.call(op, http.MethodDelete, path)
	c.Effect = true
	got, err := s.exchange.Send(ctx, c)
	switch {
	case err != nil:
		return err
	case got.Status == http.StatusNoContent, got.Status == http.StatusOK, unknown(got):
		return nil
	}
	return s.exchange.Classify(c, got)
}

// endTokens deletes the access tokens of a client id: Hydra says so too where
// there are none.
func (s *Server) endTokens(ctx context.Context, op, id string) error {
	c := s.call(op, http.MethodDelete, pathIssued+"?"+url.Values{"client_id": {id}}.Encode())
	c.Effect = true
	got, err := s.exchange.Send(ctx, c)
	if err != nil {
		return err
	}
	if got.Status == http.StatusNoContent || got.Status == http.StatusOK {
		return nil
	}
	return s.exchange.Classify(c, got)
}

// unknown says that Hydra does not know the client: a 404 in the form of its
// own errors. That of a proxy, or of another server at a wrong URL, proves
// nothing.
func unknown(got exchange.Answer) bool {
	if got.Status != http.StatusNotFound || got.BodyErr != nil {
		return false
	}
	fields, err := exchange.DecodeObject(got.Body)
	return err == nil && fields.Text("error", exchange.LongText) != "" && fields.Err() == nil
}

// owned says that a client carries the mark of the handle's owner.
func owned(client authserver.Client, handle authserver.Handle) bool {
	return handle.Owner != "" && client.Registered.SoftwareID == handle.Owner
}

func foreign(c exchange.Call, got exchange.Answer) error {
	return &authserver.Error{
		Kind: authserver.Conflict, Op: c.Op, Status: got.Status, Code: exchange.CodeForeignClient,
	}
}

// gone is the error for a client that is to be replaced and is not there.
func gone(op string) error {
	return &authserver.Error{
		Kind: authserver.Unauthorized, Op: op, Status: http.StatusNotFound, Code: CodeClientNotFound,
	}
}

// readClient also holds the answer to the client that was asked for.
func readClient(c exchange.Call, got exchange.Answer, id string) (authserver.Client, error) {
	if got.BodyErr != nil {
		return authserver.Client{}, exchange.Useless(c, got, got.BodyErr)
	}
	fields, err := exchange.DecodeObject(got.Body)
	if err != nil {
		return authserver.Client{}, exchange.Useless(c, got, err)
	}
	client, err := parseClient(fields)
	if err != nil {
		return authserver.Client{}, exchange.Useless(c, got, err)
	}
	if client.ID != id {
		return authserver.Client{}, &authserver.Error{
			Kind: authserver.Conflict, Op: c.Op, Status: got.Status,
			Code: exchange.CodeClientMismatch, MaybeApplied: c.Effect,
		}
	}
	return client, nil
}

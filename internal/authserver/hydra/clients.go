// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package hydra

import (
	"context"
	"errors"
	"net/http"
	"net/url"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/dcr"
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
// that the client is gone. Hydra shows no secret: one that is shown all the same
// is tried first.
func (s *Server) Find(ctx context.Context, handle authserver.Handle) (authserver.Client, bool, error) {
	seen, found, err := s.look(ctx, "finding client", handle)
	if err != nil || !found {
		return authserver.Client{}, false, err
	}
	client, err := seen.whole()
	if err != nil {
		return authserver.Client{}, false, err
	}
	s.public.Settle(ctx, seen.call.Op, handle, &client)
	return client, true, nil
}

// sighting is a client of which no more is read than what it is and whose: the
// rest of an answer holds no deletion back.
type sighting struct {
	call   exchange.Call
	answer exchange.Answer
	fields *exchange.Object
}

// look sees whether there is a client of a handle. Conflict: it is another's.
func (s *Server) look(ctx context.Context, op string, handle authserver.Handle) (sighting, bool, error) {
	path, err := clientPath(op, handle.ClientID)
	if err != nil {
		return sighting{}, false, err
	}
	c := s.call(op, http.MethodGet, path)
	got, err := s.exchange.Send(ctx, c)
	switch {
	case err != nil:
		return sighting{}, false, err
	case unknown(got):
		return sighting{}, false, nil
	case got.Status != http.StatusOK:
		return sighting{}, false, s.exchange.Classify(c, got)
	}
	seen, err := see(c, got, handle.ClientID)
	if err != nil {
		return sighting{}, false, err
	}
	if !handle.Adopting && !owned(seen.fields, handle) {
		return sighting{}, false, foreign(c, got)
	}
	return seen, true, nil
}

// see reads which client an answer is about, and holds it to the one that was
// asked for.
func see(c exchange.Call, got exchange.Answer, id string) (sighting, error) {
	fields, err := exchange.Read(c, got)
	if err != nil {
		return sighting{}, err
	}
	switch named := fields.Identifier("client_id"); named {
	case id:
		return sighting{call: c, answer: got, fields: fields}, nil
	case "":
		fields.Fail("client_id")
		return sighting{}, exchange.Useless(c, got, fields.Err())
	}
	return sighting{}, &authserver.Error{
		Kind: authserver.Conflict, Op: c.Op, Status: got.Status,
		Code: exchange.CodeClientMismatch, MaybeApplied: c.Effect,
	}
}

// whole reads the rest of a client.
func (s sighting) whole() (authserver.Client, error) {
	client, err := parseClient(s.fields)
	if err != nil {
		return authserver.Client{}, exchange.Useless(s.call, s.answer, err)
	}
	return client, nil
}

// Replace sends a whole new client: what is left out, Hydra forgets, but for
// the secret, which it keeps. It looks at the mark first, because Hydra takes
// a PUT whoever's the client is.
func (s *Server) Replace(
	ctx context.Context, handle authserver.Handle, wish authserver.ClientMetadata,
) (authserver.Client, error) {
	const op = "replacing client"
	_, found, err := s.look(ctx, op, handle)
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
	c := s.call(op, http.MethodPut, path)
	c.Secrets = []authserver.Secret{handle.ClientSecret}
	client, err := s.submit(ctx, c, handle.ClientID, wish)
	if err == nil && wish.Secret.IsZero() {
		handle.AuthMethod = wish.AuthMethod
		s.public.SettleWritten(ctx, op, handle, &client)
	}
	return client, err
}

// submit sends a client and reads what Hydra made of it. A new client whose
// answer cannot be used is named beside the error.
func (s *Server) submit(
	ctx context.Context, c exchange.Call, id string, wish authserver.ClientMetadata,
) (authserver.Client, error) {
	c.ContentType, c.Effect, c.Quoted = exchange.JSONType, true, true
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
	seen, err := see(c, got, id)
	if err != nil {
		return authserver.Client{}, err
	}
	client, err := seen.whole()
	if err != nil {
		return named(c, id), err
	}
	return written(client, wish), nil
}

// named is what is left of an answer that cannot be used: the id of a new client.
func named(c exchange.Call, id string) authserver.Client {
	if c.Method != http.MethodPost {
		return authserver.Client{}
	}
	return authserver.Client{ID: id}
}

// written gives a client the secret that was sent, however it is shown.
func written(client authserver.Client, wish authserver.ClientMetadata) authserver.Client {
	hidden := client.Secret.IsZero() || dcr.Masked(client.Secret)
	if hidden && client.Registered.AuthMethod != methodNone && !wish.Secret.IsZero() {
		client.Secret = wish.Secret
	}
	return client
}

// Revoke deletes the client and then what tokens it had. The client goes
// first: from then on no token is issued, and Hydra's database drops those
// there are together with it. That they are deleted by the client's id as well
// is for a database that does not; it is repeated where the client is gone
// already, because an earlier call may have ended between the two.
func (s *Server) Revoke(ctx context.Context, handle authserver.Handle) error {
	const op = "revoking client"
	handle.Adopting = false
	_, found, err := s.look(ctx, op, handle)
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
	case got.Done(), unknown(got):
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
	if got.Done() {
		return nil
	}
	return s.exchange.Classify(c, got)
}

// unknown says that Hydra does not know the client: a 404 in the form of its
// own errors. That of a proxy, or of another server at a wrong URL, proves
// nothing.
func unknown(got exchange.Answer) bool {
	if got.Status != http.StatusNotFound || !got.Refuses() {
		return false
	}
	fields, err := exchange.LookInto(got.Body)
	return err == nil && fields.Shown("error", exchange.LongText) != ""
}

// owned says that a client carries the mark of the handle's owner.
func owned(fields *exchange.Object, handle authserver.Handle) bool {
	owner, _ := markOf(fields)
	return handle.Owner != "" && owner == handle.Owner
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

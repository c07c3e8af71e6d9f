// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package keycloak

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/dcr"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/exchange"
)

// Register creates a client and reads it back, because Keycloak's answer says
// nothing of it: two requests, and some more before them where a scope was not
// seen yet, because Keycloak leaves out without a word what it does not know.
func (s *Server) Register(ctx context.Context, wish authserver.ClientMetadata) (authserver.Client, error) {
	o := s.operation("registering client")
	if wish.ID == "" {
		return authserver.Client{}, o.rejected(CodeInvalidMetadata, nil)
	}
	wished, err := o.represent(wish.ID, wish)
	if err != nil {
		return authserver.Client{}, err
	}
	c, err := o.changeTo(http.MethodPost, "/clients", wished)
	if err != nil {
		return authserver.Client{}, err
	}
	done, err := s.scopes.give(ctx, o.name, wish.Scopes)
	if err != nil {
		return authserver.Client{}, err
	}
	defer done()
	if err := o.foresee(ctx, wish.Scopes, wish.SoftwareID); err != nil {
		return authserver.Client{}, err
	}
	got, err := o.send(ctx, c)
	if err != nil {
		return authserver.Client{}, err
	}
	if got.Status == http.StatusNotFound {
		return authserver.Client{}, o.failed(s.exchange.Classify(c, got))
	}
	return o.settle(ctx, wish)
}

// Find reads a client by its id: one request, or two where it is gone.
func (s *Server) Find(ctx context.Context, handle authserver.Handle) (authserver.Client, bool, error) {
	const op = "finding client"
	seen, found, err := s.operation(op).own(ctx, handle)
	if err != nil || !found {
		return authserver.Client{}, false, err
	}
	whole, err := seen.whole()
	if err != nil {
		return authserver.Client{}, false, err
	}
	client := whole.client()
	s.public.Settle(ctx, op, handle, &client)
	return client, true, nil
}

// Replace makes a client what the wish says and enables it: three requests, and
// some more where its client scopes are others. What takes something away goes
// first.
func (s *Server) Replace(
	ctx context.Context, handle authserver.Handle, wish authserver.ClientMetadata,
) (authserver.Client, error) {
	o := s.operation("replacing client")
	done, err := s.scopes.give(ctx, o.name, wish.Scopes)
	if err != nil {
		return authserver.Client{}, err
	}
	defer done()
	return o.replace(ctx, handle, wish)
}

func (o *operation) replace(ctx context.Context, handle authserver.Handle, wish authserver.ClientMetadata) (authserver.Client, error) {
	wished, err := o.represent(handle.ClientID, wish)
	if err != nil {
		return authserver.Client{}, err
	}
	seen, found, err := o.own(ctx, handle)
	if err != nil {
		return authserver.Client{}, err
	}
	if !found {
		return authserver.Client{}, o.gone()
	}
	current, err := seen.whole()
	if err != nil {
		return authserver.Client{}, err
	}
	if err := o.withdraw(ctx, current, wish.Scopes); err != nil {
		return authserver.Client{}, err
	}
	wished.otherURLs = otherURLs{new(""), new(""), new("")}
	c, err := o.changeTo(http.MethodPut, clientPath(current.ID), wished)
	if err != nil {
		return authserver.Client{}, err
	}
	got, err := o.send(ctx, c)
	if err != nil {
		return authserver.Client{}, err
	}
	if got.Status == http.StatusNotFound {
		return authserver.Client{}, o.gone()
	}
	wish.ID = handle.ClientID
	client, err := o.settle(ctx, wish)
	if err != nil {
		return authserver.Client{}, err
	}
	if wish.Secret.IsZero() {
		handle.AuthMethod = wish.AuthMethod
		o.server.public.Settle(ctx, o.name, handle, &client)
	}
	return client, nil
}

// settle reads a client that was just written and gives it the client scopes
// that it lacks. One that cannot be read is named beside the error.
func (o *operation) settle(ctx context.Context, wish authserver.ClientMetadata) (authserver.Client, error) {
	for _, last := range []bool{false, true} {
		seen, found, err := o.lookup(ctx, wish.ID)
		if err != nil {
			return authserver.Client{}, err
		}
		if !found {
			return authserver.Client{}, o.gone()
		}
		client, err := seen.whole()
		if err != nil {
			return authserver.Client{ID: wish.ID}, o.failed(err)
		}
		lacking := client.lacking(wish.Scopes)
		if len(lacking) == 0 || last {
			return o.written(ctx, client.client(), wish), nil
		}
		if err := o.assign(ctx, client, lacking, wish.SoftwareID); err != nil {
			return authserver.Client{}, err
		}
	}
	return authserver.Client{}, o.gone()
}

// written gives a client the secret that was sent, however it is shown. Another one
// counts only if Keycloak accepts it.
func (o *operation) written(ctx context.Context, client authserver.Client, wish authserver.ClientMetadata) authserver.Client {
	switch {
	case wish.Secret.IsZero(), !authserver.SharedSecret(client.Registered.AuthMethod):
	case client.Secret.IsZero(), dcr.Masked(client.Secret):
		client.Secret = wish.Secret
	default:
		o.server.public.Settle(ctx, o.name, authserver.Handle{
			ClientID: client.ID, AuthMethod: wish.AuthMethod, ClientSecret: wish.Secret, TokenEndpoint: o.server.tokens,
		}, &client)
	}
	return client
}

// Disable disables a client and ends every token that it was issued up to now,
// so that none lives again when it is enabled: two requests.
func (s *Server) Disable(ctx context.Context, handle authserver.Handle) error {
	o := s.operation("disabling client")
	handle.Adopting = false
	current, found, err := o.own(ctx, handle)
	if err != nil || !found {
		return err
	}
	c, err := o.changeTo(http.MethodPut, clientPath(current.uuid), map[string]any{
		"clientId": handle.ClientID, "enabled": false, "notBefore": s.tomorrow(),
	})
	if err != nil {
		return err
	}
	return o.end(ctx, c, handle)
}

// tomorrow is the first second, by the server's clock, of which no token can
// have been issued yet: notBefore is compared in whole seconds.
func (s *Server) tomorrow() int64 {
	now := s.now()
	if held := s.token.held.Load(); held != nil && held.skew != nil {
		now = now.Add(*held.skew)
	}
	return now.Add(time.Second).Unix() + 1
}

// Revoke deletes a client: two requests. Its sessions, refresh tokens and codes
// go with it.
func (s *Server) Revoke(ctx context.Context, handle authserver.Handle) error {
	o := s.operation("revoking client")
	handle.Adopting = false
	current, found, err := o.own(ctx, handle)
	if err != nil || !found {
		return err
	}
	return o.end(ctx, o.change(http.MethodDelete, clientPath(current.uuid)), handle)
}

// end sends a request that takes a client away which was found just before. A 404
// is believed only if it is not found any more: a proxy that lets only readings
// through answers so too.
func (o *operation) end(ctx context.Context, c exchange.Call, handle authserver.Handle) error {
	got, err := o.send(ctx, c)
	if err != nil || got.Status != http.StatusNotFound {
		return err
	}
	if _, still, err := o.own(ctx, handle); err != nil || !still {
		return err
	}
	return o.failed(o.server.exchange.Classify(c, got))
}

// gone is the error for a client that is to be written and is not there.
func (o *operation) gone() error {
	return o.failed(&authserver.Error{
		Kind: authserver.Unauthorized, Op: o.name, Status: http.StatusNotFound, Code: CodeClientNotFound,
	})
}

func clientPath(uuid string) string { return "/clients/" + url.PathEscape(uuid) }

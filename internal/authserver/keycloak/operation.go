// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package keycloak

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/exchange"
)

// operation is what the port asks for at one time. Once one of its requests
// has changed something, every error of it says so.
type operation struct {
	server  *Server
	name    string
	changed bool
}

func (s *Server) operation(name string) *operation { return &operation{server: s, name: name} }

// look is a request that changes nothing; the path goes on from the realm's
// admin API.
func (o *operation) look(path string) exchange.Call {
	return exchange.Call{
		Op: o.name, Method: http.MethodGet, URL: o.server.admin + path, Missing: CodeRealmNotFound,
	}
}

// change is a request that changes something.
func (o *operation) change(method, path string) exchange.Call {
	c := o.look(path)
	c.Method, c.Effect = method, true
	return c
}

// changeTo is a change with a body.
func (o *operation) changeTo(method, path string, body any) (exchange.Call, error) {
	c := o.change(method, path)
	var err error
	if c.Body, err = json.Marshal(body); err != nil {
		return c, o.rejected(CodeInvalidMetadata, err)
	}
	c.ContentType = exchange.JSONType
	return c, nil
}

// send sends a request with the register's token, and once more with a new one
// where that was refused. Only success and, so that callers can tell what it
// means, 404 are answers.
func (o *operation) send(ctx context.Context, c exchange.Call) (exchange.Answer, error) {
	var stale *adminToken
	for {
		token, err := o.server.adminToken(ctx, o.name, stale)
		if err != nil {
			return exchange.Answer{}, o.failed(err)
		}
		c.Authorization = exchange.Bearer(token.value)
		got, err := o.server.exchange.Send(ctx, c)
		if err != nil {
			return exchange.Answer{}, o.failed(err)
		}
		if got.Status == http.StatusUnauthorized && stale == nil {
			stale = token
			continue
		}
		return got, o.judge(c, got)
	}
}

func (o *operation) judge(c exchange.Call, got exchange.Answer) error {
	switch {
	case got.Status/100 == 2:
		o.changed = o.changed || c.Effect
		if got.BodyErr != nil {
			return o.failed(exchange.Useless(c, got, got.BodyErr))
		}
		return nil
	case got.Status == http.StatusNotFound:
		return nil
	}
	failure := o.server.exchange.Classify(c, got)
	switch {
	case got.Status == http.StatusForbidden:
		failure.Code = CodeMissingRole
	case got.Status == http.StatusUnauthorized:
		failure.Code = CodeAdminRefused
	case got.Status == http.StatusBadRequest && c.Effect && failure.Code == "":
		failure.Code = CodeInvalidMetadata
	}
	return o.failed(failure)
}

// found is the answer to a look at what must be there, decoded.
func (o *operation) found(ctx context.Context, c exchange.Call, into any) error {
	got, err := o.send(ctx, c)
	if err != nil {
		return err
	}
	if got.Status == http.StatusNotFound {
		return o.failed(o.server.exchange.Classify(c, got))
	}
	if _, err := exchange.DecodeList(got.Body); err != nil {
		return o.failed(exchange.Useless(c, got, err))
	}
	if err := json.Unmarshal(got.Body, into); err != nil {
		return o.failed(exchange.Useless(c, got, errForm))
	}
	return nil
}

// failed marks an error of an operation that has changed something already.
func (o *operation) failed(err error) error {
	if failure, ok := errors.AsType[*authserver.Error](err); ok && o.changed {
		failure.MaybeApplied, failure.Unsent = true, false
	}
	return err
}

func (o *operation) rejected(code string, err error) error {
	return &authserver.Error{Kind: authserver.Rejected, Op: o.name, Code: code, Err: err}
}

// lookup reads a client by its id; found is false where Keycloak showed none.
// That proves nothing: see absent.
func (o *operation) lookup(ctx context.Context, id string) (client representation, found bool, err error) {
	var answered []representation
	c := o.look("/clients?" + url.Values{"clientId": {id}}.Encode())
	if err := o.found(ctx, c, &answered); err != nil {
		return representation{}, false, err
	}
	for _, client := range answered {
		if client.ClientID == id {
			return client, true, nil
		}
	}
	if len(answered) > 0 {
		return representation{}, false, o.failed(&authserver.Error{
			Kind: authserver.Unavailable, Op: o.name, Code: CodeLookupInexact,
		})
	}
	return representation{}, false, nil
}

// absent proves that a client which a lookup did not show is gone: to one who
// may only ask for clients, Keycloak shows none and says that this is all. Who
// sees the register's own client, which is there, sees every client.
func (o *operation) absent(ctx context.Context) error {
	_, visible, err := o.lookup(ctx, o.server.config.AdminID)
	if err != nil || visible {
		return err
	}
	return o.failed(&authserver.Error{Kind: authserver.Unauthorized, Op: o.name, Code: CodeMissingRole})
}

// own reads the client of a handle, if it carries the owner's mark. found is
// false only when it is proven to be gone.
func (o *operation) own(ctx context.Context, handle authserver.Handle) (client representation, found bool, err error) {
	if handle.ClientID == "" {
		return representation{}, false, o.rejected(CodeInvalidMetadata, nil)
	}
	client, found, err = o.lookup(ctx, handle.ClientID)
	switch {
	case err != nil:
		return representation{}, false, err
	case !found:
		return representation{}, false, o.absent(ctx)
	case !handle.Adopting && (handle.Owner == "" || client.Attributes[attributeSoftwareID] != handle.Owner):
		return representation{}, false, &authserver.Error{
			Kind: authserver.Conflict, Op: o.name, Code: exchange.CodeForeignClient,
		}
	}
	return client, true, nil
}

func isConflict(err error) bool {
	failure, ok := errors.AsType[*authserver.Error](err)
	return ok && failure.Kind == authserver.Conflict
}

func isTooLarge(err error) bool {
	failure, ok := errors.AsType[*authserver.Error](err)
	return ok && failure.Code == exchange.CodeTooLarge
}

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
		Op: o.name, Method: http.MethodGet, URL: o.server.admin + path, Missing: CodeRealmNotFound, Nowhere: CodeRealmNotFound,
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
	c.ContentType, c.Quoted = exchange.JSONType, true
	return c, nil
}

// send sends a request with the register's token, and once more with a new one
// where that was refused. Only success and, so that callers can tell what it
// means, 404 are answers, both in Keycloak's own form.
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
		refused := got.Status == http.StatusUnauthorized && o.server.exchange.Refusal(got) != exchange.Strange
		if refused && stale == nil {
			stale = token
			continue
		}
		return got, o.judge(c, got)
	}
}

func (o *operation) judge(c exchange.Call, got exchange.Answer) error {
	switch {
	case accepted(c, got):
		o.changed = o.changed || c.Effect
		return nil
	case got.Status == http.StatusNotFound && got.Refuses():
		return nil
	case got.Status/100 == 2:
		o.changed = o.changed || c.Effect
		failure := exchange.Useless(c, got, nil)
		if got.BodyErr == nil {
			failure.Code = exchange.CodeNotTheServer
		}
		return o.failed(failure)
	}
	return o.failed(o.refusal(c, got))
}

// refusal is the error for what Keycloak refuses.
func (o *operation) refusal(c exchange.Call, got exchange.Answer) *authserver.Error {
	failure := o.server.exchange.Classify(c, got)
	switch {
	case failure.Kind == authserver.Unavailable:
	case got.Status == http.StatusForbidden:
		failure.Code = CodeMissingRole
	case got.Status == http.StatusUnauthorized:
		failure.Code = CodeAdminRefused
	case got.Status == http.StatusBadRequest && c.Effect && failure.Code == "":
		failure.Code = CodeInvalidMetadata
	}
	return failure
}

// accepted says that Keycloak did as it was told, by the status that it has for
// that. What a look is answered with is for who reads it.
func accepted(c exchange.Call, got exchange.Answer) bool {
	switch c.Method {
	case http.MethodGet:
		return got.Status == http.StatusOK
	case http.MethodPost:
		return got.Status == http.StatusCreated && got.Done()
	case http.MethodPut:
		return got.Status == http.StatusNoContent
	}
	return got.Done()
}

// items is the answer to a look at a list that must be there.
func (o *operation) items(ctx context.Context, c exchange.Call) ([]*exchange.Object, exchange.Answer, error) {
	got, err := o.send(ctx, c)
	if err != nil {
		return nil, got, err
	}
	if got.Status == http.StatusNotFound {
		return nil, got, o.failed(o.server.exchange.Classify(c, got))
	}
	list, err := exchange.ReadList(c, got)
	return list, got, o.failed(err)
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

// sighting is a client of which no more is read than what it is and whose: the
// rest of an answer holds no deletion back.
type sighting struct {
	call   exchange.Call
	answer exchange.Answer
	// id is the client's, uuid Keycloak's own, owner the mark.
	id, uuid, owner string
	raw             []byte
}

// whole reads the rest of a client. Which client it is, and whose, was read
// before: what differs from these members in case alone does not count.
func (s sighting) whole() (client representation, err error) {
	if json.Unmarshal(s.raw, &client) != nil {
		return client, exchange.Useless(s.call, s.answer, errForm)
	}
	client.ID, client.ClientID = s.uuid, s.id
	if client.Attributes != nil {
		client.Attributes[attributeSoftwareID] = s.owner
	}
	return client, nil
}

// lookup sees a client by its id; found is false where Keycloak showed none.
// That proves nothing: see absent.
func (o *operation) lookup(ctx context.Context, id string) (seen sighting, found bool, err error) {
	c := o.look("/clients?" + url.Values{"clientId": {id}}.Encode())
	answered, got, err := o.items(ctx, c)
	if err != nil {
		return sighting{}, false, err
	}
	for _, fields := range answered {
		if fields.Echo("clientId") != id {
			continue
		}
		uuid := fields.Visible("id", exchange.LongText)
		if uuid == "" || uuid == "." || uuid == ".." {
			return sighting{}, false, o.failed(exchange.Useless(c, got, errForm))
		}
		owner := fields.Object("attributes").Echo(attributeSoftwareID)
		return sighting{call: c, answer: got, id: id, uuid: uuid, owner: owner, raw: fields.Raw()}, true, nil
	}
	if len(answered) > 0 {
		return sighting{}, false, o.failed(&authserver.Error{
			Kind: authserver.Unavailable, Op: o.name, Code: CodeLookupInexact,
		})
	}
	return sighting{}, false, nil
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

// own sees the client of a handle, if it carries the owner's mark. found is
// false only when it is proven to be gone.
func (o *operation) own(ctx context.Context, handle authserver.Handle) (seen sighting, found bool, err error) {
	if handle.ClientID == "" {
		return sighting{}, false, o.rejected(CodeInvalidMetadata, nil)
	}
	seen, found, err = o.lookup(ctx, handle.ClientID)
	switch {
	case err != nil:
		return sighting{}, false, err
	case !found:
		return sighting{}, false, o.absent(ctx)
	case !handle.Adopting && (handle.Owner == "" || seen.owner != handle.Owner):
		return sighting{}, false, &authserver.Error{
			Kind: authserver.Conflict, Op: o.name, Code: exchange.CodeForeignClient,
		}
	}
	return seen, true, nil
}

func isConflict(err error) bool {
	failure, ok := errors.AsType[*authserver.Error](err)
	return ok && failure.Kind == authserver.Conflict
}

func isTooLarge(err error) bool {
	failure, ok := errors.AsType[*authserver.Error](err)
	return ok && failure.Code == exchange.CodeTooLarge
}

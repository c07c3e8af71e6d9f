// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package keycloak

import (
	"context"
	"net/http"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver/exchange"
)

// search adds the internal ids of client scopes that somebody else may have made.
func (o *operation) search(ctx context.Context, strange, ids map[string]string, owner string) error {
	if err := o.searchList(ctx, strange); err != nil {
		return err
	}
	for name, id := range strange {
		var err error
		if id == "" && !keycloaksOwn(name) {
			// Its id is taken, in this realm or in another one of the server.
			if id, err = o.makeScope(ctx, name, "", owner); err != nil {
				return err
			}
		}
		if o.server.scopes.note(name, id); id != "" {
			ids[name] = id
		}
	}
	return nil
}

// searchList looks client scopes up in the list of all, and remembers those that it
// meets there.
func (o *operation) searchList(ctx context.Context, wanted map[string]string) error {
	met := map[string]string{}
	err := o.eachScope(ctx, func(name, id string, scope *exchange.Object) {
		if scope.Echo("protocol") != protocol {
			return
		}
		if _, is := wanted[name]; is {
			wanted[name] = id
		} else if len(met) < mostNoted/2 {
			met[name] = id
		}
	})
	if err != nil {
		return err
	}
	for name, id := range met {
		o.server.scopes.note(name, id)
	}
	return nil
}

// eachScope reads the list of all client scopes of the realm, which any tenant can
// make long, as it comes: nothing else does that could do without. Each has a name and
// an internal id, or it is not Keycloak's list.
func (o *operation) eachScope(ctx context.Context, each func(name, id string, scope *exchange.Object)) error {
	c, strange := o.look("/client-scopes"), false
	c.Each = func(scope *exchange.Object) {
		name, id := scope.Echo("name"), identifier(scope.Echo("id"))
		if name == "" || id == "" {
			strange = true
			return
		}
		each(name, id, scope)
	}
	got, err := o.send(ctx, c)
	if err != nil {
		return err
	}
	if got.Status == http.StatusNotFound {
		return o.failed(o.server.exchange.Classify(c, got))
	}
	if err := exchange.ReadEach(c, got); err != nil {
		return o.failed(err)
	}
	if strange {
		return o.failed(exchange.Useless(c, got, errForm))
	}
	return nil
}

// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package keycloak

import (
	"context"
	"net/http"
	"net/url"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/exchange"
)

// mostTidied is how many client scopes are deleted in one go: Keycloak takes a fifth of
// a second for each where there are thousands.
const mostTidied = 20

// Tidy deletes client scopes: one request for the list of all, and one for each.
// Keycloak takes one that is deleted away from every client that has it, and says
// nothing. So what was given since the list of clients was begun stays, and a client
// that somebody else gives one meanwhile gets it back with the next look at it.
func (s *Server) Tidy(ctx context.Context, t authserver.Tidying) (more bool, err error) {
	o := s.operation("deleting client scopes")
	if t.Owner == "" || t.Used == nil {
		return false, o.rejected(CodeInvalidMetadata, nil)
	}
	idle := map[string]string{}
	err = o.eachScope(ctx, func(name, id string, scope *exchange.Object) {
		switch {
		case !made(scope, t.Owner), t.Used(name):
		case len(idle) < mostTidied:
			idle[name] = id
		default:
			more = true
		}
	})
	if isTooLarge(err) && len(idle) > 0 {
		// It gets shorter.
		more, err = true, nil
	}
	if err != nil {
		return false, err
	}
	for name, id := range idle {
		if err := o.deleteScope(ctx, name, id, t); err != nil {
			return false, err
		}
	}
	if !more {
		s.scopes.outlive(t.Since)
	}
	return more, nil
}

// made says that a register made a client scope, and nobody made more of it: one with
// a mapper does something that nobody but who added that can give back.
func made(scope *exchange.Object, owner string) bool {
	attributes := scope.Object("attributes")
	return scope.Echo("protocol") == protocol && attributes.Echo(attributeSoftwareID) == owner &&
		scope.Empty("protocolMappers")
}

// deleteScope deletes a client scope that nobody is given. That it is gone is as good.
func (o *operation) deleteScope(ctx context.Context, name, id string, t authserver.Tidying) error {
	done, free := o.server.scopes.take(name, t.Since)
	if !free {
		return nil
	}
	defer done()
	_, err := o.send(ctx, o.change(http.MethodDelete, "/client-scopes/"+url.PathEscape(id)))
	return err
}

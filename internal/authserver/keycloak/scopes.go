// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package keycloak

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
)

// serviceAccountScope is the client scope that Keycloak itself gives to clients
// with a service account: it adds the client's id and address to tokens, and
// nothing to their scope.
const serviceAccountScope = "service_account"

// clientScope is a client scope of the realm. A scope token is granted by a
// client scope of its name.
type clientScope struct {
	ID          string            `json:"id,omitempty"`
	Name        string            `json:"name"`
	Description string            `json:"description,omitempty"`
	Protocol    string            `json:"protocol"`
	Attributes  map[string]string `json:"attributes,omitempty"`
}

// lacking are the scopes that a client could not get by asking for them.
func (r representation) lacking(scopes []string) []string {
	var names []string
	for _, name := range scopes {
		if !slices.Contains(r.OptionalScopes, name) && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// withdraw takes client scopes away that are not wished for, and every one that
// the client has without asking.
func (o *operation) withdraw(ctx context.Context, client representation, scopes []string) error {
	paths := map[string]string{}
	for _, name := range client.DefaultScopes {
		if name != serviceAccountScope {
			paths[name] = "/default-client-scopes/"
		}
	}
	for _, name := range client.OptionalScopes {
		if !slices.Contains(scopes, name) {
			paths[name] = "/optional-client-scopes/"
		}
	}
	if len(paths) == 0 {
		return nil
	}
	ids, err := o.scopeIDs(ctx)
	if err != nil {
		return err
	}
	for name, path := range paths {
		id, known := ids[name]
		if !known {
			continue
		}
		if _, err := o.send(ctx, o.change(http.MethodDelete, clientPath(client.ID)+path+url.PathEscape(id))); err != nil {
			return err
		}
	}
	return nil
}

// assign gives a client client scopes, which it gets when it asks for them.
func (o *operation) assign(ctx context.Context, client representation, names []string, owner string) error {
	ids, err := o.provide(ctx, names, owner)
	if err != nil {
		return err
	}
	for _, name := range names {
		id, known := ids[name]
		if !known {
			continue
		}
		path := clientPath(client.ID) + "/optional-client-scopes/" + url.PathEscape(id)
		if _, err := o.send(ctx, o.change(http.MethodPut, path)); err != nil {
			return err
		}
	}
	return nil
}

// foresee makes client scopes before a client is made with them, unless they
// were seen before. Whatever comes of it, the client is not there yet.
func (o *operation) foresee(ctx context.Context, names []string, owner string) error {
	unseen := func(name string) bool {
		_, seen := o.server.scopes.Load(name)
		return !seen
	}
	if !slices.ContainsFunc(names, unseen) {
		return nil
	}
	_, err := o.provide(ctx, names, owner)
	if failure, failed := errors.AsType[*authserver.Error](err); failed {
		failure.MaybeApplied = false
	}
	o.changed = false
	return err
}

// ownScopes are client scopes with a meaning to Keycloak itself. A realm without one
// does not allow what it stands for.
var ownScopes = []string{"offline_access", "openid"}

// provide makes the client scopes that the realm does not have, unless they are
// Keycloak's own, and returns the internal ids of all.
func (o *operation) provide(ctx context.Context, names []string, owner string) (map[string]string, error) {
	ids, err := o.scopeIDs(ctx)
	if err != nil {
		return nil, err
	}
	missing := func(name string) bool { return ids[name] == "" && !slices.Contains(ownScopes, name) }
	if !slices.ContainsFunc(names, missing) {
		return ids, nil
	}
	for _, name := range slices.DeleteFunc(slices.Clone(names), func(name string) bool { return !missing(name) }) {
		if err := o.makeScope(ctx, name, owner); err != nil {
			return nil, err
		}
	}
	return o.scopeIDs(ctx)
}

// makeScope makes a client scope. It is not one client's: many may share it, so
// that it carries the mark of the register but not of an object. That somebody
// else was quicker is as good.
func (o *operation) makeScope(ctx context.Context, name, owner string) error {
	register := owner[:max(strings.LastIndex(owner, "/"), 0)]
	c, err := o.changeTo(http.MethodPost, "/client-scopes", clientScope{
		Name: name, Protocol: protocol, Description: "Made by MCP Registrar for a scope of an MCP server.",
		Attributes: map[string]string{
			"include.in.token.scope":    "true",
			"display.on.consent.screen": "true",
			"consent.screen.text":       name,
			attributeSoftwareID:         register,
		},
	})
	if err != nil {
		return err
	}
	got, err := o.send(ctx, c)
	if isConflict(err) {
		return nil
	}
	if err == nil && got.Status == http.StatusNotFound {
		return o.failed(o.server.exchange.Classify(c, got))
	}
	return err
}

// scopeIDs are the internal ids of the realm's client scopes by name.
func (o *operation) scopeIDs(ctx context.Context) (map[string]string, error) {
	var scopes []clientScope
	if err := o.found(ctx, o.look("/client-scopes"), &scopes); err != nil {
		return nil, err
	}
	ids := map[string]string{}
	for _, scope := range scopes {
		if scope.Protocol == protocol {
			ids[scope.Name] = scope.ID
			o.server.scopes.Store(scope.Name, true)
		}
	}
	return ids, nil
}

// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package keycloak

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/exchange"
)

// serviceAccountScope is the client scope that Keycloak itself gives to clients
// with a service account: it adds the client's id and address to tokens, and
// nothing to their scope.
const serviceAccountScope = "service_account"

const (
	defaultScopes  = "/default-client-scopes"
	optionalScopes = "/optional-client-scopes"
)

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
	excess := map[string][]string{}
	for _, name := range client.DefaultScopes {
		if name != serviceAccountScope {
			excess[defaultScopes] = append(excess[defaultScopes], name)
		}
	}
	for _, name := range client.OptionalScopes {
		if !slices.Contains(scopes, name) {
			excess[optionalScopes] = append(excess[optionalScopes], name)
		}
	}
	for kind, names := range excess {
		ids, err := o.scopesOf(ctx, clientPath(client.ID)+kind)
		if err != nil {
			return err
		}
		for _, name := range names {
			if ids[name] == "" {
				continue
			}
			c := o.change(http.MethodDelete, clientPath(client.ID)+kind+"/"+url.PathEscape(ids[name]))
			if _, err := o.send(ctx, c); err != nil {
				return err
			}
		}
	}
	return nil
}

// scopesOf are the internal ids of the client scopes that one client has, by name;
// none where the client is gone.
func (o *operation) scopesOf(ctx context.Context, place string) (map[string]string, error) {
	c := o.look(place)
	got, err := o.send(ctx, c)
	if err != nil || got.Status == http.StatusNotFound {
		return nil, err
	}
	items, err := exchange.ReadList(c, got)
	if err != nil {
		return nil, o.failed(err)
	}
	ids := map[string]string{}
	for _, item := range items {
		if id := identifier(item.Echo("id")); id != "" {
			ids[item.Echo("name")] = id
		}
	}
	return ids, nil
}

// assign gives a client client scopes, which it gets when it asks for them. One that
// was remembered and is not there any more is looked up once again.
func (o *operation) assign(ctx context.Context, client representation, names []string, owner string) error {
	for range 2 {
		ids, err := o.provide(ctx, names, owner)
		if err != nil {
			return err
		}
		var gone []string
		for _, name := range names {
			id, known := ids[name]
			if !known {
				continue
			}
			got, err := o.send(ctx, o.change(http.MethodPut, clientPath(client.ID)+optionalScopes+"/"+url.PathEscape(id)))
			if err != nil {
				return err
			}
			if got.Status == http.StatusNotFound {
				o.server.scopes.forget(name)
				gone = append(gone, name)
			}
		}
		if names = gone; len(names) == 0 {
			return nil
		}
	}
	return nil
}

// foresee makes client scopes before a client is made with them, unless they are
// remembered. Whatever comes of it, the client is not there yet.
func (o *operation) foresee(ctx context.Context, names []string, owner string) error {
	// Keycloak's own are given by their names, where the realm has them.
	_, err := o.provide(ctx, slices.DeleteFunc(slices.Clone(names), keycloaksOwn), owner)
	if failure, failed := errors.AsType[*authserver.Error](err); failed {
		failure.MaybeApplied = false
	}
	o.changed = false
	return err
}

// keycloaksOwn says that a client scope has a meaning to Keycloak itself. A realm
// without it does not allow what it stands for.
func keycloaksOwn(name string) bool { return name == "offline_access" || name == "openid" }

// provide makes the client scopes that the realm does not have, unless they are
// Keycloak's own, and returns the internal ids of all that there are.
func (o *operation) provide(ctx context.Context, names []string, owner string) (map[string]string, error) {
	ids, strange := map[string]string{}, map[string]string{}
	for _, name := range names {
		id, known, err := o.scope(ctx, name, owner)
		switch {
		case err != nil:
			return nil, err
		case !known:
			strange[name] = ""
		case id != "":
			ids[name] = id
		}
	}
	if len(strange) == 0 {
		return ids, nil
	}
	return ids, o.search(ctx, strange, ids, owner)
}

// scopeID is the internal id with which the register makes a client scope: of the
// issuer and the name alone, so that whoever looks for it needs no list. Ids are
// unique in all realms of a server.
func (s *Server) scopeID(name string) string {
	sum := sha256.Sum256([]byte("client scope\x00" + s.config.Issuer + "\x00" + name))
	sum[6], sum[8] = sum[6]&0x0f|0x80, sum[8]&0x3f|0x80 // a UUID of version 8 (RFC 9562 §5.8)
	text := hex.EncodeToString(sum[:16])
	return text[:8] + "-" + text[8:12] + "-" + text[12:16] + "-" + text[16:20] + "-" + text[20:]
}

// scope finds a client scope by the id that the register gives it, or makes it. known
// is false where somebody else made it, or may have: then only the list of all tells.
func (o *operation) scope(ctx context.Context, name, owner string) (id string, known bool, err error) {
	if id, known := o.server.scopes.id(name); known || keycloaksOwn(name) {
		return id, known, nil
	}
	id = o.server.scopeID(name)
	c := o.look("/client-scopes/" + id)
	got, err := o.send(ctx, c)
	if err != nil {
		return "", false, err
	}
	if got.Status == http.StatusNotFound {
		if id, err = o.makeScope(ctx, name, id, owner); err != nil || id == "" {
			return "", false, err
		}
	} else {
		fields, err := exchange.Read(c, got)
		if err != nil {
			return "", false, o.failed(err)
		}
		if fields.Echo("name") != name || fields.Echo("protocol") != protocol {
			return "", false, nil
		}
	}
	o.server.scopes.note(name, id)
	return id, true, nil
}

// makeScope makes a client scope with an internal id, or one that Keycloak chooses,
// and returns it; empty where there is one of the name, or of the id, already. It is
// not one client's: many may share it, so that it carries the mark of the register but
// not of an object.
func (o *operation) makeScope(ctx context.Context, name, id, owner string) (string, error) {
	c, err := o.changeTo(http.MethodPost, "/client-scopes", clientScope{
		ID: id, Name: name, Protocol: protocol, Description: "Made by MCP Registrar for a scope of an MCP server.",
		Attributes: map[string]string{
			"include.in.token.scope":    "true",
			"display.on.consent.screen": "true",
			"consent.screen.text":       name,
			attributeSoftwareID:         owner[:max(strings.LastIndex(owner, "/"), 0)],
		},
	})
	if err != nil {
		return "", err
	}
	got, err := o.send(ctx, c)
	switch {
	case isConflict(err):
		return "", nil
	case err != nil:
		return "", err
	case got.Status == http.StatusNotFound:
		return "", o.failed(o.server.exchange.Classify(c, got))
	}
	return cmp.Or(lastSegment(got.Header.Get("Location")), id), nil
}

// lastSegment is what the path of a URL ends with, if it may be an internal id.
func lastSegment(uri string) string {
	parsed, err := url.Parse(uri)
	if err != nil {
		return ""
	}
	return identifier(parsed.Path[strings.LastIndex(parsed.Path, "/")+1:])
}

// identifier is an internal id that may stand in a path; empty for what may not.
func identifier(id string) string {
	if id == "." || id == ".." || len(id) > longestText {
		return ""
	}
	return id
}

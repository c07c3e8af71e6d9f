// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package keycloak

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// counting counts what is written.
type counting struct {
	http.ResponseWriter

	bytes *int
}

func (c counting) Write(body []byte) (int, error) {
	*c.bytes += len(body)
	return c.ResponseWriter.Write(body)
}

// scopeNamed is the name of a client scope by its internal id.
func (w *world) scopeNamed(id string) string {
	for name, known := range w.scopes {
		if known == id {
			return name
		}
	}
	return ""
}

func (w *world) shownScope(name string) map[string]any {
	shown := map[string]any{"protocol": protocol, "attributes": map[string]any{}}
	maps.Copy(shown, w.bodies[name])
	shown["id"], shown["name"] = w.scopes[name], name
	return shown
}

func (w *world) clientScopes(out http.ResponseWriter, method string, body map[string]any) {
	if method == http.MethodGet {
		list := []any{}
		for name := range w.scopes {
			list = append(list, w.shownScope(name))
		}
		said(http.StatusOK, list)(out)
		return
	}
	name := fmt.Sprint(body["name"])
	id, given := body["id"].(string)
	if !given {
		id = "id-" + name
	}
	if w.scopes[name] != "" || w.scopeNamed(id) != "" || id == w.taken {
		said(http.StatusConflict, map[string]any{"errorMessage": "Client Scope already exists"})(out)
		return
	}
	w.scopes[name], w.bodies[name] = id, body
	out.Header().Set("Location", w.URL+"/admin/realms/"+realm+"/client-scopes/"+id)
	said(http.StatusCreated, nil)(out)
}

// clientScope shows or deletes one: it goes from every client that has it.
func (w *world) clientScope(out http.ResponseWriter, method, id string) {
	name := w.scopeNamed(id)
	switch {
	case name == "":
		said(http.StatusNotFound, map[string]any{"error": "Could not find client scope"})(out)
	case method == http.MethodGet:
		said(http.StatusOK, w.shownScope(name))(out)
	default:
		w.dropScope(name)
		said(http.StatusNoContent, nil)(out)
	}
}

func (w *world) dropScope(name string) {
	delete(w.scopes, name)
	delete(w.bodies, name)
	for _, client := range w.clients {
		for _, field := range []string{"defaultClientScopes", "optionalClientScopes"} {
			names, _ := client[field].([]any)
			client[field] = slices.DeleteFunc(slices.Clone(names), func(other any) bool { return other == name })
		}
	}
}

// assign lists the client scopes of a client, gives it one, or takes one away.
func (w *world) assign(out http.ResponseWriter, method, uuid, tail string) {
	client := w.byUUID(uuid)
	kind, id, single := strings.Cut(tail, "/")
	field := map[string]string{
		"default-client-scopes": "defaultClientScopes", "optional-client-scopes": "optionalClientScopes",
	}[kind]
	name := w.scopeNamed(id)
	if client == nil || field == "" || single && name == "" {
		said(http.StatusNotFound, map[string]any{"error": "Client scope not found"})(out)
		return
	}
	names, _ := client[field].([]any)
	if !single {
		list := []any{}
		for _, name := range names {
			list = append(list, map[string]any{"id": w.scopes[fmt.Sprint(name)], "name": name})
		}
		said(http.StatusOK, list)(out)
		return
	}
	names = slices.DeleteFunc(slices.Clone(names), func(other any) bool { return other == name })
	if method == http.MethodPut {
		names = append(names, name)
	}
	client[field] = names
	said(http.StatusNoContent, nil)(out)
}

// addScope makes a client scope that carries a mark, with an internal id of Keycloak's.
func (w *world) addScope(name, mark string) {
	w.scopes[name] = "id-" + name
	w.bodies[name] = map[string]any{"attributes": map[string]any{attributeSoftwareID: mark}}
}

// scopeNames are the names of all client scopes but those that a realm comes with.
func (w *world) scopeNames() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.DeleteFunc(slices.Sorted(maps.Keys(w.scopes)), func(name string) bool {
		return name == "profile" || name == "offline_access"
	})
}

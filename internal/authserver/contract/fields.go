// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package contract

import (
	"reflect"
	"slices"
	"testing"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
)

// everyField holds that each field of a wish comes back, or that the adapter is
// declared to have no place for it: by its traits, or as Subject.Unsupported. A field that is added
// to authserver.ClientMetadata fails here by its name until that is decided.
func everyField(t *testing.T, s Subject) {
	fields := reflect.VisibleFields(reflect.TypeFor[authserver.ClientMetadata]())
	named := func(name string) bool {
		return slices.ContainsFunc(fields, func(f reflect.StructField) bool { return f.Name == name })
	}
	for _, name := range s.Unsupported {
		if !named(name) {
			t.Errorf("%s is declared and no field", name)
		}
	}
	wished := map[string]bool{}
	for _, wish := range s.fullWishes(t) {
		client, handle := registerAs(t, s, wish)
		found := find(t, s, handle)
		for _, field := range fields {
			want := reflect.ValueOf(wish).FieldByIndex(field.Index)
			if want.IsZero() || s.unsupported(field.Name) {
				continue
			}
			wished[field.Name] = true
			s.wantField(t, field, want, client)
			s.wantField(t, field, want, found)
		}
		if err := s.Server.Revoke(t.Context(), handle); err != nil {
			t.Fatal(err)
		}
	}
	for _, field := range fields {
		if !wished[field.Name] && !s.unsupported(field.Name) {
			t.Errorf("nothing holds what becomes of %s: no wish has it, and it is not declared unsupported", field.Name)
		}
	}
}

// unsupported says that the server is declared to have no place for a field.
func (s Subject) unsupported(name string) bool {
	traits := s.traits()
	without := map[string]bool{
		"ID": !traits.OwnClientID, "Secret": !traits.OwnSecret, "Assertion": traits.AssertionIssuer == "",
		"Audiences": !traits.Audiences, "TokenLifetime": !traits.Audiences,
	}
	return without[name] || slices.Contains(s.Unsupported, name)
}

// fullWishes are wishes that together fill every field that the server has a place
// for: some exclude each other.
func (s Subject) fullWishes(t *testing.T) []authserver.ClientMetadata {
	t.Helper()
	remote := Keyed()
	remote.JWKS, remote.JWKSURI = "", "https://keys.example/jwks"
	wishes := []authserver.ClientMetadata{Wish(), Keyed(NewKey(t))}
	if !s.unsupported("JWKSURI") {
		wishes = append(wishes, remote)
	}
	if !s.traits().SharedSecretUnsupported {
		wishes = append(wishes, Confidential(), Posted())
	}
	if s.traits().AssertionIssuer != "" {
		wishes = append(wishes, Asserted(s.traits(), subject))
	}
	for i := range wishes {
		wishes[i] = For(s.traits(), wishes[i])
	}
	return wishes
}

// wantField compares a field with what a server says of it. The id and the secret
// are the client's and not of what is registered; of keys, that there are some:
// the others of the suite compare them.
func (s Subject) wantField(t *testing.T, field reflect.StructField, want reflect.Value, client authserver.Client) {
	t.Helper()
	got := reflect.ValueOf(client.Registered).FieldByIndex(field.Index)
	same := reflect.DeepEqual(got.Interface(), want.Interface())
	switch w := want.Interface().(type) {
	case []string:
		same = sameSet(got.Interface().([]string), w)
	case authserver.Secret:
		// Not every server shows it again.
		same = got.IsZero() && (client.Secret.IsZero() || client.Secret.Equal(w))
	}
	switch field.Name {
	case "ID":
		same = client.ID == want.String()
	case "JWKS":
		same = !got.IsZero()
	}
	if !same {
		t.Errorf("%s: %v, want %v", field.Name, got.Interface(), want.Interface())
	}
}

// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package dcr

import (
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/contract"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/exchange"
)

// wantError holds an error against a kind and a code.
func wantError(t *testing.T, err error, kind authserver.Kind, code string) *authserver.Error {
	t.Helper()
	var failure *authserver.Error
	if !errors.As(err, &failure) {
		t.Fatalf("not an *authserver.Error: %v", err)
	}
	if failure.Kind != kind || failure.Code != code {
		t.Fatalf("got %s %q (%v), want %s %q", failure.Kind, failure.Code, err, kind, code)
	}
	return failure
}

func TestDiscoverReadsWhatIsUsed(t *testing.T) {
	w := newWorld(t)
	w.metadata = func(document map[string]any) {
		document["revocation_endpoint"] = w.issuer() + "/revoke"
		document["introspection_endpoint"] = w.issuer() + "/introspect"
		document["grant_types_supported"] = []string{"authorization_code"}
		document["token_endpoint_auth_methods_supported"] = []string{"none"}
		document["scopes_supported"] = []string{"a", "b"}
		document["client_id_metadata_document_supported"] = true
		document["authorization_response_iss_parameter_supported"] = true
		document["something_else"] = map[string]any{"nested": []int{1}}
	}
	got, err := w.connect(t).Discover(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got.Issuer != w.issuer() || got.TokenEndpoint != w.issuer()+"/token" ||
		got.RegistrationEndpoint != w.issuer()+"/register" || got.AuthorizationEndpoint != w.issuer()+"/authorize" ||
		got.RevocationEndpoint != w.issuer()+"/revoke" || got.IntrospectionEndpoint != w.issuer()+"/introspect" ||
		!slices.Equal(got.CodeChallengeMethods, []string{"S256"}) || !slices.Equal(got.Scopes, []string{"a", "b"}) ||
		!slices.Equal(got.GrantTypes, []string{"authorization_code"}) ||
		!slices.Equal(got.TokenEndpointAuthMethods, []string{"none"}) ||
		!got.ClientIDMetadataDocument || !got.IssuerInResponse {
		t.Errorf("%+v", got)
	}
	if len(w.sent("GET", wellKnownOAuth+issuerPath)) != 1 || len(w.requests) != 1 {
		t.Errorf("asked %v", w.requests)
	}
}

// Keycloak publishes openid, and its dynamic registration refuses it: every client may ask
// for it.
func TestKeycloakRegistersNoClientWithOpenID(t *testing.T) {
	for endpoint, want := range map[string]bool{
		"/register": false, "/clients-registrations/openid-connect": true, "/auth/realms/main/clients-registrations/openid-connect": true,
		"/clients-registrations/openid-connect/register": false, "/register?of=/clients-registrations/openid-connect": false,
	} {
		w := newWorld(t)
		w.metadata = func(document map[string]any) {
			document["scopes_supported"] = []string{"openid"}
			document["registration_endpoint"] = w.issuer() + endpoint
		}
		got, err := w.connect(t).Discover(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if got.OpenIDImplied != want {
			t.Errorf("%s: openid is implied: %v, want %v", endpoint, got.OpenIDImplied, want)
		}
	}
}

func TestDiscoverFallsBackToOpenID(t *testing.T) {
	w := newWorld(t)
	w.onlyOpenID = true
	if _, err := w.connect(t).Discover(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(w.sent("GET", issuerPath+wellKnownOpenID)) != 1 || len(w.requests) != 2 {
		t.Errorf("asked %v", w.requests)
	}
}

func TestWellKnownPlaces(t *testing.T) {
	for issuer, want := range map[string][]string{
		"https://as.example":     {"https://as.example/.well-known/oauth-authorization-server", "https://as.example/.well-known/openid-configuration"},
		"https://as.example/":    {"https://as.example/.well-known/oauth-authorization-server", "https://as.example/.well-known/openid-configuration"},
		"https://as.example/a/b": {"https://as.example/.well-known/oauth-authorization-server/a/b", "https://as.example/a/b/.well-known/openid-configuration"},
		"https://as.example/a/":  {"https://as.example/.well-known/oauth-authorization-server/a", "https://as.example/a/.well-known/openid-configuration"},
	} {
		server, err := New(authserver.Config{Issuer: issuer}, Options{Now: time.Now})
		if err != nil {
			t.Fatal(err)
		}
		if got := server.wellKnown(); !slices.Equal(got, want) {
			t.Errorf("%s: %v", issuer, got)
		}
	}
}

func TestUnusableMetadata(t *testing.T) {
	for name, c := range map[string]struct {
		change func(w *world, document map[string]any)
		kind   authserver.Kind
		code   string
	}{
		"another issuer":            {func(_ *world, d map[string]any) { d["issuer"] = "https://evil.example" }, authserver.Rejected, CodeIssuerMismatch},
		"the issuer with a slash":   {func(w *world, d map[string]any) { d["issuer"] = w.issuer() + "/" }, authserver.Rejected, CodeIssuerMismatch},
		"no issuer":                 {func(_ *world, d map[string]any) { delete(d, "issuer") }, authserver.Unavailable, exchange.CodeUndecodable},
		"issuer in capitals only":   {func(w *world, d map[string]any) { delete(d, "issuer"); d["ISSUER"] = w.issuer() }, authserver.Unavailable, exchange.CodeUndecodable},
		"a foreign registration":    {func(_ *world, d map[string]any) { d["registration_endpoint"] = "https://evil.example/r" }, authserver.Rejected, CodeForeignEndpoint},
		"a foreign token endpoint":  {func(_ *world, d map[string]any) { d["token_endpoint"] = "http://127.0.0.1:1/token" }, authserver.Rejected, CodeForeignEndpoint},
		"an endpoint without host":  {func(_ *world, d map[string]any) { d["token_endpoint"] = "/token" }, authserver.Rejected, CodeForeignEndpoint},
		"an endpoint of wrong type": {func(_ *world, d map[string]any) { d["token_endpoint"] = 7 }, authserver.Unavailable, exchange.CodeUndecodable},
		"a list of wrong type":      {func(_ *world, d map[string]any) { d["scopes_supported"] = "a b" }, authserver.Unavailable, exchange.CodeUndecodable},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			server := w.connect(t)
			if _, err := server.Discover(t.Context()); err != nil {
				t.Fatal(err)
			}
			w.metadata = func(document map[string]any) { c.change(w, document) }
			_, err := server.Discover(t.Context())
			wantError(t, err, c.kind, c.code)
			if kept := server.metadata.Load() != nil; kept != (c.kind == authserver.Unavailable) {
				t.Errorf("the earlier metadata is kept: %t", kept)
			}
		})
	}
}

func TestNoMetadataAtAll(t *testing.T) {
	w := newWorld(t)
	w.fail(contract.Discover, contract.Fault{Status: 404})
	w.fail(contract.Discover, contract.Fault{Status: 404})
	_, err := w.connect(t).Discover(t.Context())
	wantError(t, err, authserver.Rejected, CodeMetadataNotFound)
}

func TestWithoutRegistrationEndpointThereIsMetadataButNoRegistration(t *testing.T) {
	w := newWorld(t)
	w.metadata = func(document map[string]any) { delete(document, "registration_endpoint") }
	server := w.connect(t)
	if metadata, err := server.Discover(t.Context()); err != nil || metadata.RegistrationEndpoint != "" {
		t.Fatalf("%+v, %v", metadata, err)
	}
	_, err := server.Register(t.Context(), contract.Wish())
	wantError(t, err, authserver.Rejected, CodeRegistrationUnsupported)
}

func TestRegistrationsShareOneDiscovery(t *testing.T) {
	w := newWorld(t)
	server := w.connect(t)
	var wait sync.WaitGroup
	for range 20 {
		wait.Go(func() {
			if _, err := server.Register(t.Context(), contract.Wish()); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	if n := len(w.sent("GET", issuerPath)); n != 1 || len(w.live()) != 20 {
		t.Errorf("%d discoveries, %d clients", n, len(w.live()))
	}
}

func TestConfigsThatCannotBeUsed(t *testing.T) {
	for _, config := range []authserver.Config{
		{}, {Issuer: "as.example"}, {Issuer: "http://as.example"}, {Issuer: "https://as.example?x=1"},
		{Issuer: "https://as.example#x"}, {Issuer: "https://user:secret@as.example"}, {Issuer: "https://2130706433"},
		{Issuer: "https://as.example", CABundle: []byte("no certificate")},
	} {
		_, err := New(config, Options{Now: time.Now})
		wantError(t, err, authserver.Rejected, exchange.CodeInvalidConfig)
	}
}

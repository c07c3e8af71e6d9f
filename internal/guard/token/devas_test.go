// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package token

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
	"k8s.io/utils/clock"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/guard"
	"github.com/mcp-registrar/mcp-registrar/test/devas"
)

// TestTokensOfTheDevelopmentServer verifies what a whole authorization server
// issued, and sees it end with its client where the server is asked.
func TestTokensOfTheDevelopmentServer(t *testing.T) {
	server, err := devas.New(devas.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	id, secret := register(t, server.Issuer())
	asker, askerSecret := register(t, server.Issuer())
	issued, err := (&clientcredentials.Config{
		ClientID: id, ClientSecret: secret, TokenURL: server.Issuer() + "/token", AuthStyle: oauth2.AuthStyleInHeader,
		EndpointParams: url.Values{"resource": {resource}}, Scopes: []string{"read"},
	}).Token(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	question := guard.TokenQuestion{Issuer: server.Issuer(), Audience: resource}

	plain := verifierOf(t, Options{Clock: clock.RealClock{}})
	got, err := plain.Verify(t.Context(), shown(issued.AccessToken), question)
	if err != nil || got.ClientID != id || len(got.Scopes) != 1 || got.Scopes[0] != "read" || got.ID == "" {
		t.Fatalf("%+v %v", got, err)
	}
	asking := verifierOf(t, Options{Clock: clock.RealClock{}, Introspection: map[string]Introspection{server.Issuer(): {
		ClientID: asker, ClientSecret: authserver.NewSecret(askerSecret), CacheFor: time.Second, ForceIntrospection: true,
	}}})
	if got, err = asking.Verify(t.Context(), shown(issued.AccessToken), question); err != nil || got.CheckAt.IsZero() {
		t.Fatalf("%+v %v", got, err)
	}
	if err := server.Remove(id); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for tick := time.NewTicker(50 * time.Millisecond); reasonOf(err) != guard.TokenInactive; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("the token of a removed client: %v", err)
		}
		_, err = asking.Verify(t.Context(), shown(issued.AccessToken), question)
	}
	if _, err := plain.Verify(t.Context(), shown(issued.AccessToken), question); err != nil {
		t.Errorf("without asking, a token lives until it expires: %v", err)
	}
}

func verifierOf(t *testing.T, options Options) *Verifier {
	t.Helper()
	verifier, err := New(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(verifier.Close)
	return verifier
}

func register(t *testing.T, issuer string) (id, secret string) {
	t.Helper()
	body := `{"client_name":"x","grant_types":["client_credentials"],"response_types":[],"scope":"read write","token_endpoint_auth_method":"client_secret_basic"}`
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, issuer+"/register", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	var client struct {
		ID     string `json:"client_id"`
		Secret string `json:"client_secret"`
	}
	if err := json.NewDecoder(response.Body).Decode(&client); err != nil || client.ID == "" {
		t.Fatalf("status %d: %v", response.StatusCode, err)
	}
	return client.ID, client.Secret
}

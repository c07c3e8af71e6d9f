// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/contract"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/exchange"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/hydra"
)

// TestHydra holds the adapter against a real Ory Hydra, the binary that
// HYDRA_BIN names (one with SQLite, or DSN names a migrated database). It is
// the one test here that uses a part of the operator: the suite that the
// development server passes, too, is what shows that the two behave alike.
func TestHydra(t *testing.T) {
	binary := os.Getenv("HYDRA_BIN")
	if binary == "" {
		t.Skip("HYDRA_BIN names no binary of Ory Hydra: the adapter was held against the development server only")
	}
	h := startHydra(t, binary)
	t.Run("contract", func(t *testing.T) {
		contract.Run(t, func(t *testing.T) contract.Subject {
			for _, id := range h.live(t) {
				h.remove(t, id)
			}
			return contract.Subject{
				Server: h.connect(t), Token: h.token,
				Live:     func() []string { return h.live(t) },
				Remove:   func(id string) { h.remove(t, id) },
				Stranger: func(id string) { h.stranger(t, id) },
			}
		})
	})
	t.Run("tokens", h.tokens)
}

// hydraServer is a Hydra at work.
type hydraServer struct{ issuer, admin string }

func startHydra(t *testing.T, binary string) *hydraServer {
	t.Helper()
	public, admin := freeAddress(t), freeAddress(t)
	port := func(address string) string {
		_, port, err := net.SplitHostPort(address)
		if err != nil {
			t.Fatal(err)
		}
		return port
	}
	log, err := os.Create(filepath.Join(t.ArtifactDir(), "hydra.log"))
	if err != nil {
		t.Fatal(err)
	}
	server := exec.CommandContext(context.WithoutCancel(t.Context()), binary, "serve", "all", "--dev")
	server.Env = append([]string{
		"DSN=memory", "SECRETS_SYSTEM=a-secret-for-tests-only", "LOG_LEVEL=warn", "SQA_OPT_OUT=true",
		"SERVE_PUBLIC_HOST=127.0.0.1", "SERVE_PUBLIC_PORT=" + port(public),
		"SERVE_ADMIN_HOST=127.0.0.1", "SERVE_ADMIN_PORT=" + port(admin),
		"URLS_SELF_ISSUER=http://" + public, "URLS_LOGIN=http://" + public + "/login", "URLS_CONSENT=http://" + public + "/consent",
		"STRATEGIES_ACCESS_TOKEN=jwt", "OAUTH2_PKCE_ENFORCED=true",
	}, os.Environ()...)
	server.Stdout, server.Stderr = log, log
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		err := server.Process.Signal(syscall.SIGTERM)
		var ended *exec.ExitError
		if waitErr := server.Wait(); !errors.As(waitErr, &ended) {
			err = errors.Join(err, waitErr)
		}
		if err := errors.Join(err, log.Close()); err != nil {
			t.Errorf("stopping Hydra: %v", err)
		}
		if t.Failed() {
			t.Logf("the end of Hydra's log:\n%s", tail(t, log.Name()))
		}
	})
	h := &hydraServer{admin: "http://" + admin}
	h.await(t, "http://"+public)
	return h
}

// await waits until Hydra answers and takes its issuer from what it says.
func (h *hydraServer) await(t *testing.T, public string) {
	t.Helper()
	const attempts = 300
	for range attempts {
		var metadata struct{ Issuer string }
		if h.try(t, http.MethodGet, public+"/.well-known/openid-configuration", nil, &metadata) == http.StatusOK &&
			h.try(t, http.MethodGet, h.admin+"/admin/clients", nil, nil) == http.StatusOK {
			h.issuer = metadata.Issuer
			return
		}
		select {
		case <-t.Context().Done():
		case <-time.After(100 * time.Millisecond):
		}
	}
	t.Fatal("Hydra does not answer")
}

// try asks once; 0 is no answer.
func (h *hydraServer) try(t *testing.T, method, target string, body []byte, into any) int {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, target, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", exchange.JSONType)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		return 0
	}
	if into != nil && json.Unmarshal(raw, into) != nil {
		return 0
	}
	return response.StatusCode
}

func (h *hydraServer) connect(t *testing.T) *hydra.Server {
	t.Helper()
	server, err := hydra.New(authserver.Config{Issuer: h.issuer, BaseURL: h.admin, MaxInFlight: 4}, hydra.Options{Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	return server
}

func (h *hydraServer) live(t *testing.T) []string {
	t.Helper()
	var clients []struct {
		ID string `json:"client_id"`
	}
	if status := h.try(t, http.MethodGet, h.admin+"/admin/clients?page_size=500", nil, &clients); status != http.StatusOK {
		t.Fatalf("listing clients: %d", status)
	}
	var ids []string
	for _, client := range clients {
		ids = append(ids, client.ID)
	}
	return ids
}

func (h *hydraServer) remove(t *testing.T, id string) {
	t.Helper()
	if status := h.try(t, http.MethodDelete, h.admin+"/admin/clients/"+url.PathEscape(id), nil, nil); status != http.StatusNoContent {
		t.Fatalf("deleting client %s: %d", id, status)
	}
}

func (h *hydraServer) stranger(t *testing.T, id string) {
	t.Helper()
	body := `{"client_id":"` + id + `","client_name":"a stranger's","owner":"somebody"}`
	if status := h.try(t, http.MethodPost, h.admin+"/admin/clients", []byte(body), nil); status != http.StatusCreated {
		t.Fatalf("making a stranger's client: %d", status)
	}
}

// token says whether a client gets a token with client_credentials.
func (h *hydraServer) token(t *testing.T, handle authserver.Handle) bool {
	t.Helper()
	return h.ask(t, handle, nil) != ""
}

func (h *hydraServer) ask(t *testing.T, handle authserver.Handle, extra url.Values) string {
	t.Helper()
	form := url.Values{}
	if !handle.PrivateKey.IsZero() {
		var err error
		if form, err = exchange.Assertion(handle, handle.TokenEndpoint, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	form.Set("grant_type", "client_credentials")
	maps.Copy(form, extra)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, handle.TokenEndpoint, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", exchange.FormType)
	if handle.PrivateKey.IsZero() {
		request.Header.Set("Authorization", exchange.Basic(handle.ClientID, handle.ClientSecret))
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var answer struct {
		Token string `json:"access_token"`
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		t.Fatal(err)
	}
	return answer.Token
}

// tokens are for the registered audience that is asked for, and last no
// longer than was registered.
func (h *hydraServer) tokens(t *testing.T) {
	server := h.connect(t)
	wish := contract.For(server.Traits(), contract.Confidential())
	client, err := server.Register(t.Context(), wish)
	if err != nil {
		t.Fatal(err)
	}
	handle := contract.HandleOf(t, server, client)
	parsed, err := jwt.ParseSigned(h.ask(t, handle, url.Values{"audience": wish.Audiences[:1]}), []jose.SignatureAlgorithm{jose.RS256, jose.ES256})
	if err != nil {
		t.Fatal(err)
	}
	var claims jwt.Claims
	if err := parsed.UnsafeClaimsWithoutVerification(&claims); err != nil {
		t.Fatal(err)
	}
	life := claims.Expiry.Time().Sub(claims.IssuedAt.Time())
	if len(claims.Audience) != 1 || claims.Audience[0] != wish.Audiences[0] || life > wish.TokenLifetime+time.Second || life <= 0 {
		t.Errorf("a token for %v that lives for %s", claims.Audience, life)
	}
	if h.ask(t, handle, url.Values{"audience": {"https://else.example.com"}}) != "" {
		t.Error("a token for an audience that is not registered")
	}
	if err := server.Revoke(t.Context(), handle); err != nil {
		t.Fatal(err)
	}
	if h.token(t, handle) {
		t.Error("a token for a client that was revoked")
	}
}

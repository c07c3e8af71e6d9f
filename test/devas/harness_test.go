// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package devas_test

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"k8s.io/utils/clock"

	"github.com/mcp-registrar/mcp-registrar/test/devas"
)

const (
	resource = "https://mcp.example.com/mcp"
	redirect = "http://127.0.0.1:7777/callback"
)

func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(slog.DiscardHandler))
	os.Exit(m.Run())
}

// wall is the time the server lives in.
var wall clock.RealClock

// fixture is a running server and a client that follows no redirects and
// keeps no connections, so that Go's transport never repeats a request.
type fixture struct {
	*testing.T
	server *devas.Server
	http   *http.Client
}

func start(t *testing.T, o devas.Options) *fixture {
	t.Helper()
	server, err := devas.New(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	return &fixture{T: t, server: server, http: &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// reply is an answer read to its end.
type reply struct {
	status int
	header http.Header
	json   map[string]any
}

func (r reply) text(name string) string {
	s, _ := r.json[name].(string)
	return s
}

func (f *fixture) request(method, target, token, contentType, body string) *http.Request {
	f.Helper()
	r, err := http.NewRequestWithContext(f.Context(), method, target, strings.NewReader(body))
	if err != nil {
		f.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	return r
}

func (f *fixture) try(r *http.Request) (reply, error) {
	resp, err := f.http.Do(r)
	if err != nil {
		return reply{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return reply{}, err
	}
	out := reply{status: resp.StatusCode, header: resp.Header}
	if strings.HasPrefix(resp.Header.Get("Content-Type"), "application/json") && len(bytes.TrimSpace(body)) > 0 {
		err = json.Unmarshal(body, &out.json)
	}
	return out, err
}

func (f *fixture) do(r *http.Request) reply {
	f.Helper()
	out, err := f.try(r)
	if err != nil {
		f.Fatalf("%s %s: %v", r.Method, r.URL.Path, err)
	}
	return out
}

func (f *fixture) sendJSON(method, target, token string, body any) reply {
	f.Helper()
	return f.do(f.jsonRequest(method, target, token, body))
}

func (f *fixture) jsonRequest(method, target, token string, body any) *http.Request {
	f.Helper()
	encoded, err := json.Marshal(body)
	if err != nil {
		f.Fatal(err)
	}
	return f.request(method, target, token, "application/json", string(encoded))
}

func (f *fixture) get(target, token string) reply {
	f.Helper()
	return f.do(f.request(http.MethodGet, target, token, "", ""))
}

func (f *fixture) register(body any) reply {
	f.Helper()
	return f.sendJSON(http.MethodPost, f.server.Issuer()+"/register", "", body)
}

func (f *fixture) registered(body any) reply {
	f.Helper()
	r := f.register(body)
	if r.status != http.StatusCreated {
		f.Fatalf("registering: %d %v", r.status, r.json)
	}
	return r
}

func public(over map[string]any) map[string]any {
	m := map[string]any{
		"client_name": "reader", "redirect_uris": []string{redirect}, "token_endpoint_auth_method": "none",
		"grant_types": []string{"authorization_code", "refresh_token"}, "scope": "read write",
		"software_id": "uid-1", "software_version": "v1",
	}
	maps.Copy(m, over)
	return m
}

func confidential(over map[string]any) map[string]any {
	m := map[string]any{
		"client_name": "batch", "token_endpoint_auth_method": "client_secret_basic",
		"grant_types": []string{"client_credentials"}, "scope": "read write",
	}
	maps.Copy(m, over)
	return m
}

// credentials authenticate a client at the token endpoint. A client without
// secret is a public one.
type credentials struct{ id, secret string }

func credentialsOf(r reply) credentials {
	return credentials{id: r.text("client_id"), secret: r.text("client_secret")}
}

func (f *fixture) form(path string, c credentials, form url.Values) reply {
	f.Helper()
	form = maps.Clone(form)
	if c.secret == "" && c.id != "" {
		form.Set("client_id", c.id)
	}
	r := f.request(http.MethodPost, f.server.Issuer()+path, "", "application/x-www-form-urlencoded", form.Encode())
	if c.secret != "" {
		r.SetBasicAuth(url.QueryEscape(c.id), url.QueryEscape(c.secret))
	}
	return f.do(r)
}

func (f *fixture) token(c credentials, form url.Values) reply {
	f.Helper()
	return f.form("/token", c, form)
}

func (f *fixture) clientCredentials(c credentials) reply {
	f.Helper()
	return f.token(c, url.Values{"grant_type": {"client_credentials"}, "resource": {resource}})
}

func wantError(t *testing.T, r reply, status int, code string) {
	t.Helper()
	if r.status != status || r.text("error") != code {
		t.Fatalf("got %d %v, want %d %s", r.status, r.json, status, code)
	}
}

func pkce() (verifier, challenge string) {
	verifier = rand.Text() + rand.Text()
	sum := sha256.Sum256([]byte(verifier))
	return verifier, base64.RawURLEncoding.EncodeToString(sum[:])
}

// authorize runs the authorization request and returns the parameters of the
// response at the redirect URI, or the answer if there was no redirect.
func (f *fixture) authorize(params url.Values) (url.Values, reply) {
	f.Helper()
	r := f.get(f.server.Issuer()+"/authorize?"+params.Encode(), "")
	if r.status != http.StatusFound {
		return nil, r
	}
	u, err := url.Parse(r.header.Get("Location"))
	if err != nil {
		f.Fatal(err)
	}
	if target := params.Get("redirect_uri"); !strings.HasPrefix(u.String(), target+"?") {
		f.Fatalf("redirected to %s, want %s", u, target)
	}
	if iss := u.Query().Get("iss"); iss != f.server.Issuer() {
		f.Fatalf("iss of the authorization response is %q", iss)
	}
	return u.Query(), r
}

func authorization(clientID, challenge string) url.Values {
	return url.Values{
		"response_type": {"code"}, "client_id": {clientID}, "redirect_uri": {redirect}, "state": {"s1"},
		"code_challenge": {challenge}, "code_challenge_method": {"S256"},
	}
}

func exchange(code, verifier string) url.Values {
	return url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "code_verifier": {verifier}, "redirect_uri": {redirect},
	}
}

// codeFlow goes all the way from the authorization request to tokens.
func (f *fixture) codeFlow(c credentials, extra url.Values) reply {
	f.Helper()
	verifier, challenge := pkce()
	params := authorization(c.id, challenge)
	maps.Copy(params, extra)
	response, r := f.authorize(params)
	if response.Get("code") == "" {
		f.Fatalf("no code: %d %v %v", r.status, r.json, response)
	}
	return f.token(c, exchange(response.Get("code"), verifier))
}

type accessClaims struct {
	jwt.Claims
	ClientID string `json:"client_id"`
	Scope    string `json:"scope"`
}

// verified checks an access token with the published keys.
func (f *fixture) verified(token string) accessClaims {
	f.Helper()
	resp, err := f.http.Do(f.request(http.MethodGet, f.server.Issuer()+"/keys", "", "", ""))
	if err != nil {
		f.Fatal(err)
	}
	defer resp.Body.Close()
	var keys jose.JSONWebKeySet
	if err := json.NewDecoder(resp.Body).Decode(&keys); err != nil {
		f.Fatal(err)
	}
	parsed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.ES256, jose.RS256})
	if err != nil {
		f.Fatal(err)
	}
	var claims accessClaims
	if err := parsed.Claims(keys, &claims); err != nil {
		f.Fatal(err)
	}
	return claims
}

func (f *fixture) introspect(c credentials, token string) reply {
	f.Helper()
	return f.form("/introspect", c, url.Values{"token": {token}})
}

// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	corev1 "k8s.io/api/core/v1"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
)

// party is an OAuth client as its team would write it: all it knows comes from
// the credentials Secret.
type party struct {
	id, secret, issuer, tokenEndpoint, method, scope, resources, keyID string

	signer jose.Signer
}

func newParty(t *testing.T, secret *corev1.Secret) party {
	t.Helper()
	p := party{
		id:            string(secret.Data[v1alpha1.SecretKeyClientID]),
		secret:        string(secret.Data[v1alpha1.SecretKeyClientSecret]),
		issuer:        string(secret.Data[v1alpha1.SecretKeyIssuer]),
		tokenEndpoint: string(secret.Data[v1alpha1.SecretKeyTokenEndpoint]),
		method:        string(secret.Data[v1alpha1.SecretKeyAuthMethod]),
		scope:         string(secret.Data[v1alpha1.SecretKeyScope]),
		resources:     string(secret.Data[v1alpha1.SecretKeyResources]),
		keyID:         string(secret.Data[v1alpha1.SecretKeyKeyID]),
	}
	if p.method != "private_key_jwt" {
		return p
	}
	block, _ := pem.Decode(secret.Data[v1alpha1.SecretKeyPrivateKey])
	if block == nil {
		t.Fatalf("%s is not PEM", v1alpha1.SecretKeyPrivateKey)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	signing := jose.JSONWebKey{Key: key, KeyID: p.keyID}
	if p.signer, err = jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: signing}, nil); err != nil {
		t.Fatal(err)
	}
	return p
}

// reply is an answer of a token endpoint.
type reply struct {
	Status       int    `json:"-"`
	Error        string `json:"error"`
	AccessToken  string `json:"access_token"`
	RefreshToken string `json:"refresh_token"`
}

// request asks the token endpoint, authenticated as the client's method says.
func (p party) request(t *testing.T, form url.Values) reply {
	t.Helper()
	switch p.method {
	case "private_key_jwt":
		form.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
		form.Set("client_assertion", p.assertion(t))
	case "client_secret_post":
		form.Set("client_id", p.id)
		form.Set("client_secret", p.secret)
	case "none":
		form.Set("client_id", p.id)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.tokenEndpoint, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if p.method == "client_secret_basic" {
		request.SetBasicAuth(url.QueryEscape(p.id), url.QueryEscape(p.secret))
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	answer := reply{Status: response.StatusCode}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		t.Fatal(err)
	}
	return answer
}

// assertion authenticates the client by its key (RFC 7523 §3).
func (p party) assertion(t *testing.T) string {
	t.Helper()
	now := time.Now()
	signed, err := jwt.Signed(p.signer).Claims(jwt.Claims{
		Issuer: p.id, Subject: p.id, Audience: jwt.Audience{p.issuer}, ID: rand.Text(),
		IssuedAt: jwt.NewNumericDate(now), Expiry: jwt.NewNumericDate(now.Add(time.Minute)),
	}).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

// ask asks for a token by client_credentials with a scope and a resource, which
// Ory Hydra calls audience.
func (p party) ask(t *testing.T, scope, resource string) reply {
	t.Helper()
	return p.request(t, url.Values{
		"grant_type": {"client_credentials"}, "scope": {scope}, "resource": {resource}, "audience": {resource},
	})
}

// standing is "known" if the authorization server knows the client, and else the
// error that it answers with. A request with a code that was never issued tells
// both from the outside, whatever the client's method: a client is authenticated
// before anything else is looked at.
func (p party) standing(t *testing.T) func() string {
	return func() string {
		t.Helper()
		answer := p.request(t, url.Values{
			"grant_type": {"authorization_code"}, "code": {"never-issued"}, "redirect_uri": {"http://127.0.0.1" + callbackPath},
			"code_verifier": {strings.Repeat("v", 43)},
		})
		switch answer.Error {
		case "invalid_grant", "unauthorized_client", "invalid_request":
			return "known"
		default:
			return answer.Error
		}
	}
}

// claims are what a resource server reads in an access token.
type claims struct {
	jwt.Claims

	Scope    string `json:"scope"`
	ClientID string `json:"client_id"`
	// AuthorizedParty is the client at servers that do not follow RFC 9068.
	AuthorizedParty string `json:"azp"`
}

// verify checks an access token as a resource server would, with the issuer's
// published keys, and returns what it says.
func verify(ctx context.Context, t *testing.T, issuer, token string) claims {
	t.Helper()
	var metadata struct {
		JWKSURI string `json:"jwks_uri"`
	}
	var keys jose.JSONWebKeySet
	getJSON(ctx, t, issuer+"/.well-known/openid-configuration", &metadata)
	getJSON(ctx, t, metadata.JWKSURI, &keys)
	parsed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.RS256, jose.ES256})
	if err != nil {
		t.Fatalf("the access token is not a JWT: %v", err)
	}
	var said claims
	if err := parsed.Claims(keys, &said); err != nil {
		t.Fatalf("the access token is not signed by the issuer: %v", err)
	}
	if err := said.Validate(jwt.Expected{Issuer: issuer, Time: time.Now()}); err != nil {
		t.Fatal(err)
	}
	return said
}

func getJSON(ctx context.Context, t *testing.T, address string, into any) {
	t.Helper()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if err := json.NewDecoder(response.Body).Decode(into); err != nil {
		t.Fatalf("%s: %v", address, err)
	}
}

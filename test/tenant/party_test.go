// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package tenant

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	corev1 "k8s.io/api/core/v1"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/test/devas"
)

// party is an OAuth client as its team would write it.
type party struct {
	id, secret, method, keyID, redirect string
	signer                              jose.Signer
	as                                  *devas.Server
}

// newParty is the client of a registration, by its Secret where it has one.
func newParty(as *devas.Server, reg *v1alpha1.MCPClientRegistration, secret *corev1.Secret) (*party, error) {
	p := &party{id: reg.Status.ClientID, method: "none", as: as}
	if len(reg.Spec.RedirectURIs) > 0 {
		p.redirect = string(reg.Spec.RedirectURIs[0])
	}
	if secret == nil {
		return p, nil
	}
	if id := string(secret.Data[v1alpha1.SecretKeyClientID]); id != p.id {
		return nil, fmt.Errorf("the Secret is for client %q, the status says %q", id, p.id)
	}
	p.method = string(secret.Data[v1alpha1.SecretKeyAuthMethod])
	p.secret, p.keyID = string(secret.Data[v1alpha1.SecretKeyClientSecret]), string(secret.Data[v1alpha1.SecretKeyKeyID])
	if p.method != "private_key_jwt" {
		return p, nil
	}
	block, _ := pem.Decode(secret.Data[v1alpha1.SecretKeyPrivateKey])
	if block == nil {
		return nil, errors.New("the Secret has no private key")
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	p.signer, err = jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: key, KeyID: p.keyID}}, nil)
	return p, err
}

// token asks for an access token in the way that the client has: for itself, or
// by a code, to which the authorization server consents at once.
func (p *party) token(ctx context.Context, reg *v1alpha1.MCPClientRegistration, scope, resource string) (string, error) {
	form := url.Values{"grant_type": {"client_credentials"}, "scope": {scope}, "resource": {resource}, "audience": {resource}}
	if p.redirect != "" {
		code, verifier, err := p.code(ctx, scope, resource)
		if err != nil {
			return "", err
		}
		form = url.Values{
			"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {p.redirect}, "code_verifier": {verifier}, "resource": {resource},
		}
	}
	answer, err := p.request(ctx, form)
	if err == nil && answer.AccessToken == "" {
		err = fmt.Errorf("no token for %s: %s", reg.Name, answer.Error)
	}
	return answer.AccessToken, err
}

// code has the authorization server send a code, and reads it off the redirect.
func (p *party) code(ctx context.Context, scope, resource string) (code, verifier string, err error) {
	verifier = rand.Text() + rand.Text()
	hash := sha256.Sum256([]byte(verifier))
	query := url.Values{
		"response_type": {"code"}, "client_id": {p.id}, "redirect_uri": {p.redirect}, "scope": {scope}, "state": {"s"},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(hash[:])}, "code_challenge_method": {"S256"}, "resource": {resource}, "audience": {resource},
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.as.Issuer()+"/authorize?"+query.Encode(), nil)
	if err != nil {
		return "", "", err
	}
	answer, err := straight.Do(request)
	if err != nil {
		return "", "", err
	}
	defer answer.Body.Close()
	back, err := url.Parse(answer.Header.Get("Location"))
	if err != nil || len(back.Query()["code"]) == 0 {
		said, _ := io.ReadAll(io.LimitReader(answer.Body, 1024))
		return "", "", fmt.Errorf("no code: %d, %q, %s", answer.StatusCode, answer.Header.Get("Location"), said)
	}
	codes := back.Query()["code"]
	// A redirect URI may have one of its own.
	return codes[len(codes)-1], verifier, nil
}

// straight follows no redirect.
var straight = &http.Client{
	Timeout:       10 * time.Second,
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// reply is an answer of the token endpoint.
type reply struct {
	Error       string `json:"error"`
	AccessToken string `json:"access_token"`
}

func (p *party) request(ctx context.Context, form url.Values) (reply, error) {
	switch p.method {
	case "none":
		form.Set("client_id", p.id)
	case "private_key_jwt":
		assertion, err := p.assertion()
		if err != nil {
			return reply{}, err
		}
		form.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
		form.Set("client_assertion", assertion)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, p.as.Issuer()+"/token", strings.NewReader(form.Encode()))
	if err != nil {
		return reply{}, err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if p.method == "client_secret_basic" {
		request.SetBasicAuth(url.QueryEscape(p.id), url.QueryEscape(p.secret))
	}
	response, err := straight.Do(request)
	if err != nil {
		return reply{}, err
	}
	defer response.Body.Close()
	var answer reply
	return answer, json.NewDecoder(response.Body).Decode(&answer)
}

// assertion authenticates the client by its key (RFC 7523 §3).
func (p *party) assertion() (string, error) {
	now := time.Now()
	return jwt.Signed(p.signer).Claims(jwt.Claims{
		Issuer: p.id, Subject: p.id, Audience: jwt.Audience{p.as.Issuer()}, ID: rand.Text(),
		IssuedAt: jwt.NewNumericDate(now), Expiry: jwt.NewNumericDate(now.Add(time.Minute)),
	}).Serialize()
}

// unknown says that the token endpoint does not know the client any more: it is
// authenticated before its code, which was never issued, is looked at.
func (p *party) unknown(ctx context.Context) (bool, error) {
	answer, err := p.request(ctx, url.Values{
		"grant_type": {"authorization_code"}, "code": {"never-issued"}, "redirect_uri": {"http://127.0.0.1/cb"}, "code_verifier": {strings.Repeat("v", 43)},
	})
	return answer.Error == "invalid_client", err
}

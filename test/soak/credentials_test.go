// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build soak

package soak

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	corev1 "k8s.io/api/core/v1"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
)

// useCredentials asks for a token with the Secret of each Ready registration
// that has one, and returns how many could.
func (w *world) useCredentials(ctx context.Context, slots []*wanted, lost map[string]bool) (int, error) {
	used := 0
	var errs []error
	for _, want := range slots {
		if want == nil || lost[want.name] {
			continue
		}
		reg := w.registrations[want.name]
		if reg.Status.ClientID == "" || reg.Status.SecretName == "" {
			continue
		}
		secret := w.secrets[reg.Status.SecretName]
		if secret == nil {
			errs = append(errs, fmt.Errorf("%s: Ready, but has no Secret %s", want.name, reg.Status.SecretName))
			continue
		}
		used++
		if err := useSecret(ctx, secret, reg, want.method); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", want.name, err))
		}
	}
	return used, errors.Join(errs...)
}

func useSecret(ctx context.Context, secret *corev1.Secret, reg *v1alpha1.MCPClientRegistration, method v1alpha1.TokenEndpointAuthMethod) error {
	value := func(key string) string { return string(secret.Data[key]) }
	if id := value(v1alpha1.SecretKeyClientID); id != reg.Status.ClientID {
		return fmt.Errorf("the Secret names client %q, the status %q", id, reg.Status.ClientID)
	}
	form := url.Values{"grant_type": {"client_credentials"}, "scope": {value(v1alpha1.SecretKeyScope)}}
	form["resource"] = strings.Fields(value(v1alpha1.SecretKeyResources))
	var basic *url.Userinfo
	switch method {
	case v1alpha1.AuthMethodNone:
		return nil
	case v1alpha1.AuthMethodClientSecretPost:
		form.Set("client_id", value(v1alpha1.SecretKeyClientID))
		form.Set("client_secret", value(v1alpha1.SecretKeyClientSecret))
	case v1alpha1.AuthMethodClientSecretBasic, v1alpha1.AuthMethodClientSecret:
		// ClientSecret is basic where the server supports both.
		basic = url.UserPassword(value(v1alpha1.SecretKeyClientID), value(v1alpha1.SecretKeyClientSecret))
	case v1alpha1.AuthMethodPrivateKeyJWT:
		assertion, err := sign(value)
		if err != nil {
			return err
		}
		form.Set("client_id", value(v1alpha1.SecretKeyClientID))
		form.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
		form.Set("client_assertion", assertion)
	}
	granted, err := askToken(ctx, value(v1alpha1.SecretKeyTokenEndpoint), form, basic)
	if err != nil {
		return err
	}
	var inForce []string
	for _, scope := range reg.Status.Scopes {
		inForce = append(inForce, scope.Name)
	}
	slices.Sort(inForce)
	slices.Sort(granted)
	if !slices.Equal(granted, inForce) {
		return fmt.Errorf("the token has scopes %v, want %v", granted, inForce)
	}
	return nil
}

// sign makes an assertion (RFC 7523 §3) with the key of a Secret.
func sign(value func(string) string) (string, error) {
	block, _ := pem.Decode([]byte(value(v1alpha1.SecretKeyPrivateKey)))
	if block == nil {
		return "", errors.New("the Secret has no private key")
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return "", err
	}
	options := (&jose.SignerOptions{}).WithType("JWT").WithHeader("kid", value(v1alpha1.SecretKeyKeyID))
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key}, options)
	if err != nil {
		return "", err
	}
	id, now := value(v1alpha1.SecretKeyClientID), time.Now()
	return jwt.Signed(signer).Claims(jwt.Claims{
		Issuer: id, Subject: id, Audience: jwt.Audience{value(v1alpha1.SecretKeyIssuer)}, ID: id + now.String(),
		IssuedAt: jwt.NewNumericDate(now), Expiry: jwt.NewNumericDate(now.Add(time.Minute)),
	}).Serialize()
}

// askToken returns the scopes of the token that was issued.
func askToken(ctx context.Context, endpoint string, form url.Values, basic *url.Userinfo) ([]string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if password, ok := basic.Password(); ok {
		request.SetBasicAuth(url.QueryEscape(basic.Username()), url.QueryEscape(password))
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	var body struct {
		Token string `json:"access_token"`
		Scope string `json:"scope"`
		Error string `json:"error"`
	}
	if err := json.NewDecoder(answer.Body).Decode(&body); err != nil {
		return nil, err
	}
	if answer.StatusCode != http.StatusOK || body.Token == "" {
		return nil, fmt.Errorf("the token endpoint answers %d %s", answer.StatusCode, body.Error)
	}
	return strings.Fields(body.Scope), nil
}

// unmanageable names the registrations whose stored management token the
// authorization server refuses.
func (w *world) unmanageable(ctx context.Context) (map[string]bool, error) {
	found := map[string]bool{}
	for name, reg := range w.registrations {
		record := w.records[reg.UID]
		if record == nil || record.Client.ManagementToken == "" {
			continue
		}
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, record.Client.ManagementURI, nil)
		if err != nil {
			return nil, err
		}
		request.Header.Set("Authorization", "Bearer "+record.Client.ManagementToken)
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			return nil, err
		}
		if err := answer.Body.Close(); err != nil {
			return nil, err
		}
		if answer.StatusCode != http.StatusOK {
			found[name] = true
		}
	}
	return found, nil
}

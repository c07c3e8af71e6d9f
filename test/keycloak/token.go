// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package keycloak

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"
)

// TokenAnswer is an answer of the token endpoint.
type TokenAnswer struct {
	Status       int    `json:"-"`
	AccessToken  string `json:"access_token"`
	RefreshToken string `json:"refresh_token"`
	Scope        string `json:"scope"`
	Error        string `json:"error"`
	Description  string `json:"error_description"`
}

// Claims are those of an access token that tests look at.
type Claims struct {
	Issuer   string   `json:"iss"`
	Subject  string   `json:"sub"`
	Audience Audience `json:"aud"`
	Azp      string   `json:"azp"`
	Scope    string   `json:"scope"`
	Issued   int64    `json:"iat"`
	Expires  int64    `json:"exp"`
}

// Lifetime is for how long the token is good.
func (c Claims) Lifetime() time.Duration { return time.Duration(c.Expires-c.Issued) * time.Second }

// Audience is aud: one text or a list of them.
type Audience []string

// UnmarshalJSON reads both forms.
func (a *Audience) UnmarshalJSON(raw []byte) error {
	var one string
	if json.Unmarshal(raw, &one) == nil {
		*a = Audience{one}
		return nil
	}
	var list []string
	err := json.Unmarshal(raw, &list)
	*a = list
	return err
}

// Claims reads the access token, without a look at its signature.
func (a TokenAnswer) Claims(t testing.TB) Claims {
	t.Helper()
	parts := strings.Split(a.AccessToken, ".")
	if len(parts) != 3 {
		t.Fatalf("no JWT: status %d, %s: %s", a.Status, a.Error, a.Description)
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	var claims Claims
	if err := json.Unmarshal(raw, &claims); err != nil {
		t.Fatal(err)
	}
	return claims
}

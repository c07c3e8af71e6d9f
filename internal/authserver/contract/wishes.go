// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package contract

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
)

// Wish returns metadata that every server registers as it is.
func Wish() authserver.ClientMetadata {
	return authserver.ClientMetadata{
		Name: "weather (7f3a)", SoftwareID: "mcp-registrar/cluster", SoftwareVersion: "7f3a",
		ApplicationType: "native",
		GrantTypes:      []string{"authorization_code", "refresh_token"},
		ResponseTypes:   []string{"code"},
		RedirectURIs:    []string{"http://127.0.0.1/callback"},
		Scopes:          []string{"forecast.read", "alerts.read"},
		AuthMethod:      "none",
		Contacts:        []string{"team@weather.example"},
	}
}

// Confidential returns metadata of a client with a secret.
func Confidential() authserver.ClientMetadata {
	wish := Wish()
	wish.AuthMethod = "client_secret_basic"
	wish.ApplicationType = "web"
	wish.GrantTypes = []string{"client_credentials"}
	wish.ResponseTypes = []string{}
	wish.RedirectURIs = nil
	return wish
}

// Posted returns metadata of a client that sends its secret in the body (RFC 6749
// §2.3.1).
func Posted() authserver.ClientMetadata {
	wish := Confidential()
	wish.AuthMethod = "client_secret_post"
	return wish
}

// Keyed returns metadata of a client that signs with one of several keys.
func Keyed(keys ...Key) authserver.ClientMetadata {
	wish := Confidential()
	wish.AuthMethod = "private_key_jwt"
	set := struct {
		Keys []json.RawMessage `json:"keys"`
	}{}
	for _, key := range keys {
		set.Keys = append(set.Keys, key.public)
	}
	encoded, err := json.Marshal(set)
	if err != nil {
		return authserver.ClientMetadata{}
	}
	wish.JWKS = string(encoded)
	return wish
}

// Asserted returns metadata of a client that authenticates by tokens of the
// issuer that a server of these traits trusts.
func Asserted(traits authserver.Traits, subject string) authserver.ClientMetadata {
	wish := Confidential()
	wish.AuthMethod = "private_key_jwt"
	wish.Assertion = authserver.Assertion{Issuer: traits.AssertionIssuer, Subject: subject}
	return wish
}

// For completes a wish with what the register chooses at a server of these
// traits: a fresh id, a fresh secret, what tokens are for and how long they
// last.
func For(traits authserver.Traits, wish authserver.ClientMetadata) authserver.ClientMetadata {
	if traits.OwnClientID {
		wish.ID = traits.IDPrefix + "mcpr-" + strings.ToLower(rand.Text())
	}
	if traits.OwnSecret && slices.Contains([]string{Confidential().AuthMethod, Posted().AuthMethod}, wish.AuthMethod) {
		wish.Secret = authserver.NewSecret("mcprs-" + rand.Text())
	}
	if traits.Audiences {
		wish.Audiences = []string{"https://mcp.example.com/weather", "https://mcp.example.com/alerts"}
		wish.TokenLifetime = 5 * time.Minute
	}
	return wish
}

// Key is a key pair of a client, for ES256.
type Key struct {
	// ID is kid.
	ID string
	// Private is the private key in PEM (PKCS #8).
	Private authserver.Secret

	public json.RawMessage
}

// NewKey makes a key pair.
func NewKey(t *testing.T) Key {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	// The point in its uncompressed form: 4, x, y (SEC 1, section 2.3.3).
	point, err := private.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	key := Key{
		ID:      strings.ToLower(rand.Text()),
		Private: authserver.NewSecret(string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))),
	}
	if key.public, err = json.Marshal(map[string]string{
		"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": key.ID,
		"x": base64.RawURLEncoding.EncodeToString(point[1:33]), "y": base64.RawURLEncoding.EncodeToString(point[33:]),
	}); err != nil {
		t.Fatal(err)
	}
	return key
}

// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package exchange

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net/url"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
)

const (
	assertionType     = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
	assertionLifetime = time.Minute
)

var errKey = errors.New("the private key cannot be used")

// Assertion returns the members of a form by which a client introduces itself
// with its private key (RFC 7523 §2.2, §3). Servers insist on the issuer or on
// the token endpoint as the audience.
func Assertion(handle authserver.Handle, audience string, now time.Time) (url.Values, error) {
	signer, err := newSigner(handle)
	if err != nil {
		return nil, err
	}
	signed, err := jwt.Signed(signer).Claims(jwt.Claims{
		Issuer: handle.ClientID, Subject: handle.ClientID, Audience: jwt.Audience{audience},
		ID: rand.Text(), IssuedAt: jwt.NewNumericDate(now),
		Expiry: jwt.NewNumericDate(now.Add(assertionLifetime)),
	}).Serialize()
	if err != nil {
		return nil, errKey
	}
	return url.Values{
		"client_id":             {handle.ClientID},
		"client_assertion_type": {assertionType},
		"client_assertion":      {signed},
	}, nil
}

func newSigner(handle authserver.Handle) (jose.Signer, error) {
	key, err := parseKey([]byte(handle.PrivateKey.Reveal()))
	if err != nil {
		return nil, err
	}
	algorithm, err := algorithmOf(key)
	if err != nil {
		return nil, err
	}
	options := (&jose.SignerOptions{}).WithType("JWT")
	if handle.KeyID != "" {
		options = options.WithHeader("kid", handle.KeyID)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: key}, options)
	if err != nil {
		return nil, errKey
	}
	return signer, nil
}

func parseKey(raw []byte) (crypto.PrivateKey, error) {
	block, _ := pem.Decode(raw)
	if block == nil {
		return nil, errKey
	}
	if key, err := x509.ParsePKCS8PrivateKey(block.Bytes); err == nil {
		return key, nil
	}
	if key, err := x509.ParseECPrivateKey(block.Bytes); err == nil {
		return key, nil
	}
	if key, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
		return key, nil
	}
	return nil, errKey
}

func algorithmOf(key crypto.PrivateKey) (jose.SignatureAlgorithm, error) {
	switch key := key.(type) {
	case *rsa.PrivateKey:
		return jose.RS256, nil
	case ed25519.PrivateKey:
		return jose.EdDSA, nil
	case *ecdsa.PrivateKey:
		switch key.Curve {
		case elliptic.P256():
			return jose.ES256, nil
		case elliptic.P384():
			return jose.ES384, nil
		case elliptic.P521():
			return jose.ES512, nil
		}
	}
	return "", errKey
}

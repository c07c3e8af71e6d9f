// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package token

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/json"
	"github.com/go-jose/go-jose/v4/jwt"
)

const (
	// mostKeys bounds a key set, and so what a token without kid can cost.
	mostKeys = 64
	// How many bits a modulus may have.
	leastModulus = 2048
	mostModulus  = 8192
)

var errKeySet = errors.New("not a JWK set, or too large a one")

// verdict is what a key set has to say about a signature.
type verdict int

const (
	// keyUnknown: the key is not there; a newer set may have it.
	keyUnknown verdict = iota
	// keyMisfit: the key named is not for the algorithm.
	keyMisfit
	// signatureWrong: the key named did not sign.
	signatureWrong
	// signatureRight: a key signed.
	signatureRight
)

// key is a public key for signatures, with the algorithms that it may be used
// with.
type key struct {
	id         string
	public     crypto.PublicKey
	algorithms []jose.SignatureAlgorithm
}

// keySet is the keys of an issuer that can be used.
type keySet struct {
	keys []key
	// print is the same for sets with the same keys.
	print [sha256.Size]byte
}

// readKeySet reads a JWK set (RFC 7517 §5). Keys that are not understood, that
// are symmetric or private, or that are not for signatures are left out.
func readKeySet(raw []byte) (*keySet, error) {
	var document struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(raw, &document); err != nil || document.Keys == nil || len(document.Keys) > mostKeys {
		return nil, errKeySet
	}
	set := &keySet{}
	var prints []string
	for _, member := range document.Keys {
		if read, print, ok := readKey(member); ok {
			set.keys = append(set.keys, read)
			prints = append(prints, print)
		}
	}
	slices.Sort(prints)
	set.print = sha256.Sum256([]byte(strings.Join(prints, "\n")))
	return set, nil
}

// keyHead is what is looked at before a key is read.
type keyHead struct {
	Use string          `json:"use"`
	Alg string          `json:"alg"`
	Ops []string        `json:"key_ops"`
	K   json.RawMessage `json:"k"`
	D   json.RawMessage `json:"d"`
}

// verifies says that a key is public and for signatures (RFC 7517 §4.2, §4.3).
func (h keyHead) verifies() bool {
	return h.K == nil && h.D == nil && (h.Use == "" || h.Use == "sig") &&
		(h.Ops == nil || slices.Contains(h.Ops, "verify"))
}

// readKey reads one key, with what tells it from others. Nothing is computed
// with secret members.
func readKey(raw []byte) (key, string, bool) {
	var head keyHead
	if json.Unmarshal(raw, &head) != nil || !head.verifies() {
		return key{}, "", false
	}
	var jwk jose.JSONWebKey
	if jwk.UnmarshalJSON(raw) != nil || !jwk.Valid() || !jwk.IsPublic() {
		return key{}, "", false
	}
	fitting := fitting(jwk.Key)
	if head.Alg != "" {
		fitting = slices.DeleteFunc(fitting, func(a jose.SignatureAlgorithm) bool { return string(a) != head.Alg })
	}
	thumbprint, err := jwk.Thumbprint(crypto.SHA256)
	if err != nil || len(fitting) == 0 {
		return key{}, "", false
	}
	return key{id: jwk.KeyID, public: jwk.Key, algorithms: fitting}, fmt.Sprintf("%x %q %q", thumbprint, jwk.KeyID, head.Alg), true
}

// fitting returns the algorithms that a key can be used with (RFC 7518 §3.1,
// RFC 8037 §3.1); none for a key that is not used.
func fitting(public any) []jose.SignatureAlgorithm {
	switch public := public.(type) {
	case *rsa.PublicKey:
		if bits := public.N.BitLen(); bits >= leastModulus && bits <= mostModulus {
			return []jose.SignatureAlgorithm{jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512}
		}
	case *ecdsa.PublicKey:
		switch public.Curve.Params().Name {
		case "P-256":
			return []jose.SignatureAlgorithm{jose.ES256}
		case "P-384":
			return []jose.SignatureAlgorithm{jose.ES384}
		case "P-521":
			return []jose.SignatureAlgorithm{jose.ES512}
		}
	case ed25519.PublicKey:
		return []jose.SignatureAlgorithm{jose.EdDSA}
	}
	return nil
}

// check says whether a key of the set signed a token. A token without kid is
// tried with every key that fits.
func (s *keySet) check(token *jwt.JSONWebToken) verdict {
	header := token.Headers[0]
	result := keyUnknown
	for _, k := range s.keys {
		if header.KeyID != "" && k.id != header.KeyID {
			continue
		}
		this := k.check(token, jose.SignatureAlgorithm(header.Algorithm))
		if this == signatureRight {
			return this
		}
		result = max(result, this)
	}
	if header.KeyID == "" {
		return keyUnknown
	}
	return result
}

func (k key) check(token *jwt.JSONWebToken, algorithm jose.SignatureAlgorithm) verdict {
	switch {
	case !slices.Contains(k.algorithms, algorithm):
		return keyMisfit
	case token.Claims(k.public) != nil:
		return signatureWrong
	}
	return signatureRight
}

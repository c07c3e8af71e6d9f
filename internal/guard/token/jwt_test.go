// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package token

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/guard"
)

func TestAGoodTokenIsReadWhole(t *testing.T) {
	w := newWorld(t, nil)
	for range 2 {
		got, err := w.ask(w.good(nil))
		want := guard.Token{
			Issuer: w.issuer, ClientID: "agent", Subject: "alice", ID: "t-1",
			Scopes: []string{"read", "write"}, ExpiresAt: noon.Add(time.Hour),
		}
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%v\n%s", err, diff)
		}
	}
}

func TestClaims(t *testing.T) {
	w := newWorld(t, nil)
	many := make([]string, mostScopes+1)
	for i := range many {
		many[i] = fmt.Sprintf("s%d", i)
	}
	second := noon.Unix()
	for name, c := range map[string]struct {
		changes map[string]any
		want    guard.Reason
	}{
		"aud array":                       {map[string]any{"aud": []string{"https://other.example", resource}}, guard.ReasonAllowed},
		"aud array without it":            {map[string]any{"aud": []string{"https://other.example"}}, guard.TokenAudience},
		"wrong audience":                  {map[string]any{"aud": "https://other.example"}, guard.TokenAudience},
		"audience with a slash more":      {map[string]any{"aud": resource + "/"}, guard.TokenAudience},
		"no audience":                     {map[string]any{"aud": nil}, guard.TokenAudience},
		"an audience that is a number":    {map[string]any{"aud": 7}, guard.TokenMalformed},
		"an ID token":                     {map[string]any{"aud": "agent", "nonce": "n"}, guard.TokenAudience},
		"wrong issuer":                    {map[string]any{"iss": "https://other.example"}, guard.TokenIssuer},
		"issuer with a slash more":        {map[string]any{"iss": w.issuer + "/"}, guard.TokenIssuer},
		"no issuer":                       {map[string]any{"iss": nil}, guard.TokenMalformed},
		"issuer in an array":              {map[string]any{"iss": []string{w.issuer}}, guard.TokenMalformed},
		"expires in a second":             {map[string]any{"exp": second + 1}, guard.ReasonAllowed},
		"expired to the second":           {map[string]any{"exp": second}, guard.TokenExpired},
		"expires within the second":       {map[string]any{"exp": float64(second) + 0.9}, guard.TokenExpired},
		"missing exp":                     {map[string]any{"exp": nil}, guard.TokenMalformed},
		"exp as text":                     {map[string]any{"exp": "4102444800"}, guard.TokenMalformed},
		"exp beyond all bounds":           {map[string]any{"exp": 1e30}, guard.TokenMalformed},
		"negative exp":                    {map[string]any{"exp": -1}, guard.TokenMalformed},
		"nbf within the tolerance":        {map[string]any{"nbf": second + 5}, guard.ReasonAllowed},
		"not yet valid":                   {map[string]any{"nbf": second + 6}, guard.TokenNotYetValid},
		"issued in the future":            {map[string]any{"iat": second + 6}, guard.TokenNotYetValid},
		"neither nbf nor iat":             {map[string]any{"nbf": nil, "iat": nil}, guard.ReasonAllowed},
		"missing client":                  {map[string]any{"client_id": nil}, guard.TokenMalformed},
		"empty client":                    {map[string]any{"client_id": ""}, guard.TokenMalformed},
		"client with a line break":        {map[string]any{"client_id": "a\nb"}, guard.TokenMalformed},
		"azp only":                        {map[string]any{"client_id": nil, "azp": "agent"}, guard.ReasonAllowed},
		"both clients":                    {map[string]any{"azp": "agent"}, guard.ReasonAllowed},
		"both clients differing":          {map[string]any{"azp": "other"}, guard.TokenMalformed},
		"neither sub nor jti":             {map[string]any{"sub": nil, "jti": nil}, guard.ReasonAllowed},
		"no scope":                        {map[string]any{"scope": nil}, guard.ReasonAllowed},
		"more scopes than bearable":       {map[string]any{"scope": strings.Join(many, " ")}, guard.TokenMalformed},
		"a scope with a quote":            {map[string]any{"scope": `a"b`}, guard.TokenMalformed},
		"a scope of an array with spaces": {map[string]any{"scope": []string{"read write"}}, guard.TokenMalformed},
		"too long a token":                {map[string]any{"x": strings.Repeat("x", longestToken)}, guard.TokenMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := w.ask(w.good(c.changes)); reasonOf(err) != c.want {
				t.Errorf("%v, want %s", err, c.want)
			}
		})
	}
}

// What a token says that has only expired is told, and of no other that is refused.
func TestAnExpiredTokenSaysWhatItHad(t *testing.T) {
	w := newWorld(t, nil)
	over := noon.Unix() - 1
	for name, c := range map[string]struct {
		changes map[string]any
		told    bool
	}{
		"expired":               {map[string]any{"exp": over}, true},
		"and for somebody else": {map[string]any{"exp": over, "aud": "https://other.example"}, false},
		"and of another issuer": {map[string]any{"exp": over, "iss": "https://other.example"}, false},
		"and bound to a key":    {map[string]any{"exp": over, "cnf": map[string]any{"jkt": "k"}}, false},
		"not yet valid":         {map[string]any{"nbf": noon.Unix() + 60}, false},
		"for somebody else":     {map[string]any{"aud": "https://other.example"}, false},
	} {
		_, err := w.ask(w.good(c.changes))
		failure, ok := errors.AsType[*guard.TokenError](err)
		want := guard.Token{}
		if c.told {
			want = guard.Token{Issuer: w.issuer, ClientID: "agent", Subject: "alice", ID: "t-1", Scopes: []string{"read", "write"}, ExpiresAt: time.Unix(over, 0).UTC()}
		}
		if !ok || !cmp.Equal(failure.Said, want) {
			t.Errorf("%s: %v\n%s", name, err, cmp.Diff(want, failure.Said))
		}
	}
	forged := w.good(map[string]any{"exp": over})
	_, err := w.ask(forged[:len(forged)-4] + "AAAA")
	if failure, ok := errors.AsType[*guard.TokenError](err); !ok || failure.Reason != guard.TokenSignature || failure.Said.ClientID != "" {
		t.Errorf("a forged one: %v", err)
	}
}

func TestScopesAreReadInEveryForm(t *testing.T) {
	w := newWorld(t, nil)
	for name, changes := range map[string]map[string]any{
		"scope text":            {"scope": "read  write read"},
		"scope array":           {"scope": []string{"write", "read"}},
		"scp text":              {"scope": nil, "scp": "read write"},
		"scp array":             {"scope": nil, "scp": []string{"read", "write"}},
		"scope goes before scp": {"scp": "admin"},
	} {
		got, err := w.ask(w.good(changes))
		if diff := cmp.Diff([]string{"read", "write"}, got.Scopes); err != nil || diff != "" {
			t.Errorf("%s: %v\n%s", name, err, diff)
		}
	}
}

func TestDuplicateClaimsAreRefused(t *testing.T) {
	w := newWorld(t, nil)
	good := strings.TrimSuffix(string(asJSON(t, w.claim(nil))), "}")
	for name, payload := range map[string]string{
		"the same":               good + `,"client_id":"other"}`,
		"in another spelling":    good + `,"client\u005fid":"other"}`,
		"not UTF-8":              good + ",\"x\":\"\xff\"}",
		"half a surrogate":       strings.Replace(good, `"alice"`, `"\ud800"`, 1) + "}",
		"something after it":     good + "}{}",
		"a list":                 "[]",
		"null":                   "null",
		"nothing":                "",
		"another capitalisation": strings.Replace(good, `"client_id"`, `"Client_ID"`, 1) + "}",
	} {
		w.expect(name, sign(t, jose.ES256, jose.JSONWebKey{Key: w.key, KeyID: "k1"}, "", []byte(payload)), guard.TokenMalformed)
	}
}

// TestSignatures holds the attacks on signatures: none is accepted.
func TestSignatures(t *testing.T) {
	w := newWorld(t, nil)
	payload := asJSON(t, w.claim(nil))
	rsaKey := newRSA(t, 2048)
	w.serve(keySetPath, says(setOf(public("k1", w.key), jose.JSONWebKey{Key: &rsaKey.PublicKey, KeyID: "r1"})))
	asPEM := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: spki(t, &rsaKey.PublicKey)})
	named := func(id string, key any) jose.JSONWebKey { return jose.JSONWebKey{Key: key, KeyID: id} }
	critical := new(jose.SignerOptions).WithHeader("crit", []string{"x"}).WithHeader("x", 1)
	good := w.good(nil)
	embedded := &jose.SignerOptions{EmbedJWK: true}
	for name, c := range map[string]struct {
		raw  string
		want guard.Reason
	}{
		"alg none":                            {unsigned(`{"alg":"none"}`, payload), guard.TokenAlgorithm},
		"alg None":                            {unsigned(`{"alg":"None","kid":"k1"}`, payload), guard.TokenAlgorithm},
		"no alg":                              {unsigned(`{"kid":"k1"}`, payload), guard.TokenAlgorithm},
		"two algs":                            {unsigned(`{"alg":"ES256","alg":"none"}`, payload), guard.TokenMalformed},
		"HS256 with the public key as secret": {sign(t, jose.HS256, named("r1", asPEM), "", payload), guard.TokenAlgorithm},
		"HS256 with the DER form":             {sign(t, jose.HS256, named("r1", spki(t, &rsaKey.PublicKey)), "", payload), guard.TokenAlgorithm},
		"wrong key":                           {sign(t, jose.ES256, named("k1", ecKey(t)), "", payload), guard.TokenSignature},
		"unknown kid":                         {sign(t, jose.ES256, named("k9", w.key), "", payload), guard.TokenSignature},
		"the key in the header":               {signWith(t, jose.ES256, ecKey(t), embedded, payload), guard.TokenSignature},
		"no kid":                              {sign(t, jose.ES256, w.key, "", payload), guard.ReasonAllowed},
		"no kid and a wrong key":              {sign(t, jose.ES256, ecKey(t), "", payload), guard.TokenSignature},
		"another key's kid":                   {sign(t, jose.ES256, named("r1", w.key), "", payload), guard.TokenAlgorithm},
		"RS256":                               {sign(t, jose.RS256, named("r1", rsaKey), "", payload), guard.ReasonAllowed},
		"PS512":                               {sign(t, jose.PS512, named("r1", rsaKey), "", payload), guard.ReasonAllowed},
		"no signature":                        {good[:strings.LastIndex(good, ".")+1], guard.TokenSignature},
		"another payload":                     {swapPayload(good, asJSON(t, w.claim(map[string]any{"client_id": "other"}))), guard.TokenSignature},
		"unknown crit":                        {signWith(t, jose.ES256, named("k1", w.key), critical, payload), guard.TokenMalformed},
		"payload not encoded":                 {unsigned(`{"alg":"ES256","kid":"k1","b64":false,"crit":["b64"]}`, payload), guard.TokenMalformed},
		"b64 that is not critical":            {unsigned(`{"alg":"ES256","kid":"k1","b64":false}`, payload), guard.TokenMalformed},
		"type of a logout token":              {sign(t, jose.ES256, named("k1", w.key), "logout+jwt", payload), guard.TokenKind},
		"type JWT":                            {sign(t, jose.ES256, named("k1", w.key), "JWT", payload), guard.ReasonAllowed},
		"type in capitals":                    {sign(t, jose.ES256, named("k1", w.key), "APPLICATION/AT+JWT", payload), guard.ReasonAllowed},
		"no type":                             {sign(t, jose.ES256, named("k1", w.key), "", payload), guard.ReasonAllowed},
		"a type that is a list":               {unsigned(`{"alg":"ES256","typ":["JWT"]}`, payload), guard.TokenKind},
		"nothing":                             {"", guard.TokenMalformed},
		"garbage":                             {"garbage", guard.TokenMalformed},
		"dots":                                {"..", guard.TokenAlgorithm},
		"a space":                             {good + " ", guard.TokenMalformed},
		"a line break":                        {good[:40] + "\n" + good[40:], guard.TokenMalformed},
		"five parts":                          {good + ".a.b", guard.TokenMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			w.after(holdOff)
			w.expect(name, c.raw, c.want)
		})
	}
}

func swapPayload(raw string, payload []byte) string {
	parts := strings.Split(raw, ".")
	return parts[0] + "." + strings.Split(unsigned("", payload), ".")[1] + "." + parts[2]
}

func spki(t *testing.T, key any) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func newRSA(t *testing.T, bits int) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// TestOnlyFittingKeysCount holds what a key set may hold beside keys that are
// used, each alone in it, with a token that its owner would sign.
func TestOnlyFittingKeysCount(t *testing.T) {
	ec, short := ecKey(t), newRSA(t, 1024)
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	of := func(key any, alg, use string) jose.JSONWebKey {
		return jose.JSONWebKey{Key: key, KeyID: "k1", Algorithm: alg, Use: use}
	}
	secret := []byte("0123456789abcdef0123456789abcdef")
	for name, c := range map[string]struct {
		algorithm jose.SignatureAlgorithm
		key       any
		published any
		want      guard.Reason
	}{
		"Ed25519":                  {jose.EdDSA, ed, of(ed.Public(), "", ""), guard.ReasonAllowed},
		"P-384":                    {jose.ES384, p384, of(&p384.PublicKey, "ES384", "sig"), guard.ReasonAllowed},
		"a symmetric key":          {jose.HS256, secret, of(secret, "HS256", "sig"), guard.TokenAlgorithm},
		"a symmetric key as ES256": {jose.ES256, ec, of(secret, "ES256", "sig"), guard.TokenSignature},
		"a private key":            {jose.ES256, ec, of(ec, "ES256", "sig"), guard.TokenSignature},
		"for encryption":           {jose.ES256, ec, of(&ec.PublicKey, "ES256", "enc"), guard.TokenSignature},
		"for another algorithm":    {jose.ES256, ec, of(&ec.PublicKey, "ES384", "sig"), guard.TokenSignature},
		"too short":                {jose.RS256, short, of(&short.PublicKey, "RS256", "sig"), guard.TokenSignature},
		"not to verify":            {jose.ES256, ec, withOps(t, of(&ec.PublicKey, "", ""), "encrypt"), guard.TokenSignature},
		"to verify":                {jose.ES256, ec, withOps(t, of(&ec.PublicKey, "", ""), "verify"), guard.ReasonAllowed},
		"not understood":           {jose.ES256, ec, map[string]any{"kty": "XYZ", "kid": "k1"}, guard.TokenSignature},
		"no key at all":            {jose.ES256, ec, 7, guard.TokenSignature},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, nil)
			w.serve(keySetPath, says(map[string]any{"keys": []any{c.published}}))
			raw := sign(t, c.algorithm, jose.JSONWebKey{Key: c.key, KeyID: "k1"}, "", asJSON(t, w.claim(nil)))
			w.expect(name, raw, c.want)
		})
	}
}

func withOps(t *testing.T, key jose.JSONWebKey, ops ...string) any {
	t.Helper()
	return asMap(t, asJSON(t, key), "key_ops", ops)
}

func TestExpiryIsToTheSecond(t *testing.T) {
	w := newWorld(t, nil)
	raw := w.good(map[string]any{"exp": noon.Add(30 * time.Second).Unix()})
	w.expect("fresh", raw, guard.ReasonAllowed)
	w.after(29 * time.Second)
	w.expect("a second before", raw, guard.ReasonAllowed)
	w.after(time.Second - time.Nanosecond)
	w.expect("a moment before", raw, guard.ReasonAllowed)
	w.after(time.Nanosecond)
	w.expect("at exp", raw, guard.TokenExpired)
}

func TestACachedTokenIsForItsAudienceOnly(t *testing.T) {
	w := newWorld(t, nil)
	raw := w.good(nil)
	w.expect("first", raw, guard.ReasonAllowed)
	for _, audience := range []string{"https://other.example", ""} {
		_, err := w.Verify(t.Context(), shown(raw), guard.TokenQuestion{Issuer: w.issuer, Audience: audience})
		if reasonOf(err) != guard.TokenAudience {
			t.Errorf("audience %q: %v", audience, err)
		}
	}
	for _, issuer := range []string{"", "http://other.example", "http://[::1]:1"} {
		_, err := w.Verify(t.Context(), shown(raw), guard.TokenQuestion{Issuer: issuer, Audience: resource})
		if got := reasonOf(err); got != guard.TokenUnverifiable && got != guard.TokenIssuer {
			t.Errorf("issuer %q: %v", issuer, err)
		}
	}
}

func TestOptionsAreChecked(t *testing.T) {
	clock := newWorld(t, nil).clock
	id, secret := "guard", authserver.NewSecret("s")
	for name, options := range map[string]Options{
		"no clock":         {},
		"negative skew":    {Clock: clock, ClockSkew: -1},
		"skew too large":   {Clock: clock, ClockSkew: 6 * time.Second},
		"no certificate":   {Clock: clock, CABundle: []byte("x")},
		"no client":        {Clock: clock, Introspection: map[string]Introspection{"https://as.example": {ClientSecret: secret}}},
		"no secret":        {Clock: clock, Introspection: map[string]Introspection{"https://as.example": {ClientID: id}}},
		"too short a time": {Clock: clock, Introspection: map[string]Introspection{"https://as.example": {ClientID: id, ClientSecret: secret, CacheFor: 1}}},
		"plain http":       {Clock: clock, Introspection: map[string]Introspection{"http://as.example": {ClientID: id, ClientSecret: secret}}},
	} {
		if _, err := New(options); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

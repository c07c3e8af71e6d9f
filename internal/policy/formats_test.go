// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
)

func TestScopeNames(t *testing.T) {
	accepted := []v1alpha1.ScopeName{
		"invoices:read", "read", "a", "administrators", "admin:read", "all:read", "any-thing", "fullness", "rooted",
		"urn:example:invoices/read", "users.readonly", "wildcards", "full-accessories", "superusers", "small", "company", "invoices-all",
	}
	refused := []v1alpha1.ScopeName{
		"", "*", "invoices:*", "inv*ices", "**", "all", "ALL", "All", "any", "everything", "admin", "Admin", "administrator", "root",
		"superuser", "full", "fullaccess", "full-access", "full_access", "full.access", "Full-Access", "wildcard",
		"invoices:all", "invoices:Admin", "invoices.admin", "invoices/root", "a:b:c/everything", "https://example.com/all", ":any",
	}
	for _, name := range accepted {
		if refusal := scopeRefusal(name); refusal != "" {
			t.Errorf("%q is refused: %s", name, refusal)
		}
	}
	for _, name := range refused {
		refusal := scopeRefusal(name)
		if refusal == "" {
			t.Errorf("%q is accepted", name)
			continue
		}
		mentions(t, refusal, string(name), "for example invoices:read")
	}
}

// Nothing that is accepted contains a wildcard or is a catch-all name, in
// whatever case and behind whatever prefix.
func TestAcceptedScopesAreNames(t *testing.T) {
	seed, random := seeded(t)
	parts := []string{"*", "all", "any", "admin", "Root", "full", "-", "_", ".", ":", "/", "access", "invoices", "read", "é", "\n", "ALL", "everything"}
	catchAlls := []string{"all", "any", "everything", "admin", "administrator", "root", "superuser", "full", "wildcard"}
	for range 50_000 {
		var name string
		for range 1 + random.IntN(6) {
			name += parts[random.IntN(len(parts))]
		}
		if scopeRefusal(v1alpha1.ScopeName(name)) != "" {
			continue
		}
		if strings.Contains(name, "*") {
			t.Fatalf("seed %d: %q is accepted", seed, name)
		}
		last := name[strings.LastIndexAny(name, ":./")+1:]
		for _, word := range catchAlls {
			if strings.EqualFold(last, word) && !strings.Contains(name, "\n") {
				t.Fatalf("seed %d: %q is accepted", seed, name)
			}
		}
	}
}

func TestRedirectURIs(t *testing.T) {
	for _, uri := range []string{
		"https://app.example.com/callback", "https://app.example.com", "https://app.example.com:8443/cb?x=1",
		"http://127.0.0.1/callback", "http://127.0.0.1:7777/", "http://localhost/callback", "http://localhost:1/", "http://[::1]:9/callback",
		"https://app.example.com/a%20b",
		"com.example.app:/callback", "cursor://anysphere.cursor-mcp/oauth/callback", "custom://localhost/", "a+b-c.d:/x?y=1",
	} {
		if refusal := redirectRefusal(uri); refusal != "" {
			t.Errorf("%q is refused: %s", uri, refusal)
		}
	}
	for uri, why := range map[string]string{
		"":                                "not an absolute URI",
		"/callback":                       "not an absolute URI",
		"app.example.com/callback":        "not an absolute URI",
		"https:///callback":               "not an absolute URI",
		"https:app.example.com":           "not an absolute URI",
		"https://user@app.example.com/":   "not an absolute URI",
		"https://a:b@app.example.com/":    "not an absolute URI",
		"https://app.example.com/\x00":    "not an absolute URI",
		`https://app.example.com\@evil/`:  "not an absolute URI",
		"com.example.app:callback":        "not an absolute URI",
		"cursor://user@host/":             "not an absolute URI",
		"javascript:/alert(1)":            "not an absolute URI",
		"javascript://a/%0aalert(1)":      "neither https nor loopback",
		"data:/text/html,x":               "not an absolute URI",
		"file:///etc/passwd":              "not an absolute URI",
		"view-source://app.example.com/":  "neither https nor loopback",
		"wss://app.example.com/":          "neither https nor loopback",
		"Cursor://host/*":                 "wildcard",
		"cursor://host/../x":              "dot segment",
		"cursor://host/x#y":               "fragment",
		`cursor:/x\y`:                     "not have",
		"urn:ietf:wg:oauth:2.0:oob":       "not an absolute URI",
		"javascript:alert(1)":             "not an absolute URI",
		"https://*.example.com/callback":  "wildcard",
		"https://app.example.com/*":       "wildcard",
		"https://app.example.com/?a=*":    "wildcard",
		"https://app.example.com/#x":      "fragment",
		"https://app.example.com/#":       "fragment",
		"http://app.example.com/callback": "neither https nor loopback",
		"http://localhost.example.com/":   "neither https nor loopback",
		"http://127.0.0.1.example.com/":   "neither https nor loopback",
		"http://10.0.0.1/":                "neither https nor loopback",
		"http://0.0.0.0/":                 "neither https nor loopback",
		"http://[::]/":                    "neither https nor loopback",
		"http://2130706433/":              "neither https nor loopback",
		"ftp://127.0.0.1/":                "neither https nor loopback",
	} {
		mentions(t, redirectRefusal(uri), why, "for example https://app.example.com/callback")
	}
}

func keySet(t *testing.T, keys ...any) string {
	t.Helper()
	var set jose.JSONWebKeySet
	for _, key := range keys {
		set.Keys = append(set.Keys, jose.JSONWebKey{Key: key, KeyID: "k"})
	}
	text, err := json.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func ecKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func rsaKey(t *testing.T) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func publicSet(t *testing.T) string {
	t.Helper()
	return keySet(t, ecKey(t).Public())
}

func TestKeySets(t *testing.T) {
	ec, key := ecKey(t), rsaKey(t)
	edPublic, edPrivate, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"EC": keySet(t, ec.Public()), "RSA": keySet(t, key.Public()), "Ed25519": keySet(t, edPublic), "three": keySet(t, ec.Public(), key.Public(), edPublic),
	} {
		if refusal := jwksRefusal(text); refusal != "" {
			t.Errorf("public %s is refused: %s", name, refusal)
		}
	}
	for name, text := range map[string]string{
		"nothing": "", "not JSON": "keys", "a list": "[]", "no keys": "{}", "an empty set": `{"keys":[]}`, "null": "null", "a null key": `{"keys":[null]}`,
		"an empty key": `{"keys":[{}]}`, "a type nobody knows": `{"keys":[{"kty":"XX","d":"AA"}]}`,
		"more behind it":           publicSet(t) + "{}",
		"a point off the curve":    `{"keys":[{"kty":"EC","crv":"P-256","x":"AAAA","y":"AAAA"}]}`,
		"a symmetric key":          keySet(t, []byte("0123456789abcdef0123456789abcdef")),
		"a private EC key":         keySet(t, ec),
		"a private RSA key":        keySet(t, key),
		"a private Ed25519 key":    keySet(t, edPrivate),
		"a private key at the end": keySet(t, ec.Public(), ec),
	} {
		mentions(t, jwksRefusal(text), `for example {"keys":[`)
		if strings.Contains(jwksRefusal(text), `"d"`) {
			t.Errorf("%s: the message repeats the key", name)
		}
	}
}

func TestPatternsMatchTheWhole(t *testing.T) {
	cases := []struct {
		pattern, text string
		want          bool
	}{
		{"abc", "abc", true},
		{"abc", "xabc", false},
		{"abc", "abcx", false},
		{"^abc$", "abc", true},
		{"a|b", "a", true},
		{"a|b", "b", true},
		{"a|b", "ax", false},
		{"a|b", "xb", false},
		{"abc", "abc\n", false},
		{"^abc$", "abc\nd", false},
		{"(?m)^abc$", "x\nabc\ny", false},
		{"(?i)abc", "ABC", true},
		{".*", "a\nb", false},
		{"a)|(b", "a", false},
		{"a)|(b", "b", false},
		{"a)|(b", "xb", false},
		{"a)|(?:.*", "evil", false},
		{`a|\Q`, "evil", false},
		{"[", "[", false},
		{"", "", true},
		{"", "x", false},
	}
	for _, c := range cases {
		if got := matchesWhole(c.pattern, c.text); got != c.want {
			t.Errorf("pattern %q, text %q: %v, want %v", c.pattern, c.text, got, c.want)
		}
	}
}

// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
)

func TestWish(t *testing.T) {
	reg := registration(interactive, func(r *v1alpha1.MCPClientRegistration) {
		r.Spec.ApplicationType = v1alpha1.ApplicationNative
		r.Spec.RedirectURIs = []v1alpha1.RedirectURI{"http://localhost/b", "http://localhost/a"}
		r.Spec.JWKSURI = "https://app.example.com/jwks.json"
	})
	equal(t, "wish", authserver.ClientMetadata{
		Name: "Payments agent", ApplicationType: "native", AuthMethod: "none",
		GrantTypes: []string{"authorization_code", "refresh_token"}, ResponseTypes: []string{"code"},
		RedirectURIs: []string{"http://localhost/a", "http://localhost/b"},
		Scopes:       []string{"a", "b"}, JWKSURI: "https://app.example.com/jwks.json", Contacts: []string{testOwner},
	}, wish(reg, []v1alpha1.EffectiveScope{{Name: "b"}, {Name: "a"}}))
	equal(t, "order of the spec", v1alpha1.GrantRefreshToken, reg.Spec.GrantTypes[0])
}

func TestEveryWordIsTranslated(t *testing.T) {
	reg := registration(func(r *v1alpha1.MCPClientRegistration) {
		r.Spec.GrantTypes = []v1alpha1.GrantType{v1alpha1.GrantTokenExchange, v1alpha1.GrantClientCredentials}
	})
	got := wish(reg, nil)
	equal(t, "grant types", []string{"client_credentials", "urn:ietf:params:oauth:grant-type:token-exchange"}, got.GrantTypes)
	equal(t, "response types", 0, len(got.ResponseTypes))
	for method, want := range map[v1alpha1.TokenEndpointAuthMethod]string{
		v1alpha1.AuthMethodNone: "none", v1alpha1.AuthMethodPrivateKeyJWT: "private_key_jwt", v1alpha1.AuthMethodClientSecretBasic: "client_secret_basic",
		v1alpha1.AuthMethodClientSecretPost: "client_secret_post",
	} {
		reg.Spec.TokenEndpointAuthMethod = method
		equal(t, string(method), want, wish(reg, nil).AuthMethod)
	}
}

func TestKeysAndSecrets(t *testing.T) {
	cases := []struct {
		name         string
		spec         v1alpha1.MCPClientRegistrationSpec
		needs, wants bool
	}{
		{"public", v1alpha1.MCPClientRegistrationSpec{TokenEndpointAuthMethod: v1alpha1.AuthMethodNone}, false, false},
		{"public with credentials", v1alpha1.MCPClientRegistrationSpec{TokenEndpointAuthMethod: v1alpha1.AuthMethodNone, Credentials: &v1alpha1.Credentials{}}, false, true},
		{"secret", v1alpha1.MCPClientRegistrationSpec{TokenEndpointAuthMethod: v1alpha1.AuthMethodClientSecretBasic}, false, true},
		{"key of the operator", v1alpha1.MCPClientRegistrationSpec{TokenEndpointAuthMethod: v1alpha1.AuthMethodPrivateKeyJWT}, true, true},
		{"key set", v1alpha1.MCPClientRegistrationSpec{TokenEndpointAuthMethod: v1alpha1.AuthMethodPrivateKeyJWT, JWKS: "{}"}, false, true},
		{"key set URI", v1alpha1.MCPClientRegistrationSpec{TokenEndpointAuthMethod: v1alpha1.AuthMethodPrivateKeyJWT, JWKSURI: "https://a"}, false, true},
	}
	for _, c := range cases {
		equal(t, c.name+": needs its own key", c.needs, NeedsOwnKey(c.spec))
		equal(t, c.name+": wants a Secret", c.wants, WantsSecret(c.spec))
	}
	reg := registration()
	equal(t, "name by default", "agent-mcp-client", SecretName(reg))
	reg.Spec.Credentials = &v1alpha1.Credentials{}
	equal(t, "name left out", "agent-mcp-client", SecretName(reg))
	reg.Spec.Credentials.SecretName = "mine"
	equal(t, "name given", "mine", SecretName(reg))
}

func TestMakeKey(t *testing.T) {
	cases := []struct {
		name        string
		credentials CredentialsFact
		makeKey     bool
		jwks        string
	}{
		{"there is no Secret", CredentialsFact{Is: Absent}, true, ""},
		{"the Secret holds no key", CredentialsFact{Is: Present}, true, ""},
		{"the Secret holds a key", CredentialsFact{Is: Present, PublicJWKS: "set"}, false, "set"},
		{"the Secret could not be read", CredentialsFact{Is: Unknown}, false, ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			d := Registration(facts(func(f *RegistrationFacts) {
				privateKeyJWT(f.Registration)
				f.Credentials = c.credentials
			}), now)
			equal(t, "make a key", c.makeKey, d.MakeKey)
			equal(t, "key set of the wish", c.jwks, d.Wish.JWKS)
		})
	}
}

func TestMarked(t *testing.T) {
	plain := authserver.ClientMetadata{Name: "Payments agent", Scopes: []string{"a"}, Contacts: []string{testOwner}}
	want := plain
	want.Name, want.SoftwareID, want.SoftwareVersion = "Payments agent [m1]", "mcp-registrar/cluster/uid", "m1"
	equal(t, "marked", want, Marked(plain, "cluster", "uid", "m1"))
	equal(t, "the wish itself", "Payments agent", plain.Name)
}

func TestDigest(t *testing.T) {
	base := func() authserver.ClientMetadata {
		return wish(registration(interactive), []v1alpha1.EffectiveScope{{Name: "a"}, {Name: "b"}})
	}
	digest := Digest(base())
	equal(t, "length", 32, len(digest))
	equal(t, "the same wish", digest, Digest(base()))
	reordered := registration(interactive, func(r *v1alpha1.MCPClientRegistration) {
		r.Spec.GrantTypes = []v1alpha1.GrantType{v1alpha1.GrantAuthorizationCode, v1alpha1.GrantRefreshToken}
	})
	equal(t, "another order", digest, Digest(wish(reordered, []v1alpha1.EffectiveScope{{Name: "b"}, {Name: "a"}})))
	seen := map[string]string{digest: "base"}
	for name, change := range map[string]func(*authserver.ClientMetadata){
		"name":         func(m *authserver.ClientMetadata) { m.Name = "x" },
		"application":  func(m *authserver.ClientMetadata) { m.ApplicationType = "native" },
		"grant types":  func(m *authserver.ClientMetadata) { m.GrantTypes = m.GrantTypes[:1] },
		"redirects":    func(m *authserver.ClientMetadata) { m.RedirectURIs = nil },
		"scopes":       func(m *authserver.ClientMetadata) { m.Scopes = m.Scopes[:1] },
		"joined scope": func(m *authserver.ClientMetadata) { m.Scopes = []string{"a b"} },
		"method":       func(m *authserver.ClientMetadata) { m.AuthMethod = "x" },
		"jwks":         func(m *authserver.ClientMetadata) { m.JWKS = "x" },
		"jwks uri":     func(m *authserver.ClientMetadata) { m.JWKSURI = "x" },
		"contacts":     func(m *authserver.ClientMetadata) { m.Contacts = []string{"x"} },
	} {
		changed := base()
		change(&changed)
		if other, found := seen[Digest(changed)]; found {
			t.Errorf("%s and %s have the same digest", name, other)
		}
		seen[Digest(changed)] = name
	}
}

func TestCompare(t *testing.T) {
	asked := authserver.ClientMetadata{
		Scopes: []string{"a", "b"}, GrantTypes: []string{"authorization_code"}, RedirectURIs: []string{"https://app/cb"},
		ResponseTypes: []string{"code"}, AuthMethod: "none",
	}
	cases := []struct {
		name            string
		change          func(*authserver.Client)
		excess, missing []string
	}{
		{"the same", func(*authserver.Client) {}, nil, nil},
		{"another order", func(c *authserver.Client) { c.Registered.Scopes = []string{"b", "a"} }, nil, nil},
		{"less scope", func(c *authserver.Client) { c.Registered.Scopes = []string{"a"} }, nil, []string{"scope b"}},
		{"no scope", func(c *authserver.Client) { c.Registered.Scopes = nil }, nil, []string{"scope a", "scope b"}},
		{"more scope", func(c *authserver.Client) { c.Registered.Scopes = []string{"a", "b", "c"} }, []string{"scope c"}, nil},
		{"another scope", func(c *authserver.Client) { c.Registered.Scopes = []string{"a", "B"} }, []string{"scope B"}, []string{"scope b"}},
		{"another grant type", func(c *authserver.Client) { c.Registered.GrantTypes = []string{"authorization_code", "implicit"} }, []string{"grant type implicit"}, nil},
		{"another redirect URI", func(c *authserver.Client) { c.Registered.RedirectURIs = []string{"https://evil/cb"} },
			[]string{"redirect URI https://evil/cb"}, []string{"redirect URI https://app/cb"}},
		{"another response type", func(c *authserver.Client) { c.Registered.ResponseTypes = []string{"code", "token"} }, []string{"response type token"}, nil},
		{"another method", func(c *authserver.Client) { c.Registered.AuthMethod = "client_secret_post" }, []string{"authentication method client_secret_post"}, nil},
		{"a secret for a public client", func(c *authserver.Client) { c.Secret = authserver.NewSecret("s") }, []string{"a secret for a public client"}, nil},
		{"control characters and length", func(c *authserver.Client) {
			c.Registered.Scopes = []string{"a", "b", "x\n\x7f" + strings.Repeat("é", 100)}
		}, []string{"scope x??" + strings.Repeat("é", 77) + "…"}, nil},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got := authserver.Client{ID: "client-1", Registered: asked}
			c.change(&got)
			excess, missing := Compare(asked, got)
			equal(t, "excess", c.excess, excess)
			equal(t, "missing", c.missing, missing)
		})
	}
	confidential := authserver.ClientMetadata{AuthMethod: "client_secret_basic"}
	excess, _ := Compare(confidential, authserver.Client{Secret: authserver.NewSecret("s"), Registered: confidential})
	equal(t, "a secret for a confidential client", 0, len(excess))
}

func TestHandle(t *testing.T) {
	registered := keySet(t, ecKey(t).Public())
	key, secret, token := authserver.NewSecret("key"), authserver.NewSecret("secret"), authserver.NewSecret("token")
	record := Record{
		State: RecordDeleted, TokenEndpoint: "https://auth/token", Replacing: true,
		Client: authserver.Client{
			ID: "client-1", ManagementURI: "https://auth/register/1", ManagementToken: token, Secret: secret,
			Registered: authserver.ClientMetadata{AuthMethod: "none", RedirectURIs: []string{"https://app/a", "https://app/b"}, JWKS: registered},
		},
	}
	equal(t, "handle", authserver.Handle{
		ClientID: "client-1", ManagementURI: "https://auth/register/1", ManagementToken: token, TokenEndpoint: "https://auth/token",
		AuthMethod: "none", ClientSecret: secret, PrivateKey: key, KeyID: "k1", RedirectURI: "https://app/a", Deleted: true, Uncertain: true,
	}, record.Handle(CredentialsFact{PrivateKey: key, KeyID: "k1", PublicJWKS: registered}, now))
	for name, public := range map[string]string{"another": keySet(t, ecKey(t).Public()), "no": "", "an unreadable": "{"} {
		handle := record.Handle(CredentialsFact{PrivateKey: key, KeyID: "k1", PublicJWKS: public}, now)
		equal(t, "with "+name+" key set there is no private key", true, handle.PrivateKey.IsZero() && handle.KeyID == "")
	}
	equal(t, "of nothing", authserver.Handle{}, Record{}.Handle(CredentialsFact{}, now))
	for state, want := range map[RecordState]bool{
		"": false, RecordPending: false, RecordRegistered: true, RecordDeleted: false, RecordRevoked: false, RecordRefused: false,
	} {
		equal(t, "live when "+string(state), want, Record{State: state}.Live())
	}
}

// A bound that the server does not have is missed, not only one that is longer.
func TestTokenLifetimeBound(t *testing.T) {
	asked := authserver.ClientMetadata{AuthMethod: "none", TokenLifetime: 5 * time.Minute}
	for got, excess := range map[time.Duration]int{0: 1, time.Minute: 0, 5 * time.Minute: 0, 6 * time.Minute: 1} {
		answer := asked
		answer.TokenLifetime = got
		found, _ := Compare(asked, authserver.Client{Registered: answer})
		equal(t, got.String(), excess, len(found))
	}
	answer := authserver.ClientMetadata{AuthMethod: "none", TokenLifetime: time.Hour}
	found, _ := Compare(authserver.ClientMetadata{AuthMethod: "none"}, authserver.Client{Registered: answer})
	equal(t, "nothing asked", 0, len(found))
}

// Keycloak adds the response type none to every client with codes: it yields
// nothing, and is no excess.
func TestResponseTypeNoneIsNoExcess(t *testing.T) {
	asked := authserver.ClientMetadata{ResponseTypes: []string{"code"}, AuthMethod: "none"}
	got := asked
	got.ResponseTypes = []string{"code", "none"}
	excess, missing := Compare(asked, authserver.Client{Registered: got})
	equal(t, "excess", 0, len(excess))
	equal(t, "missing", 0, len(missing))
	got.ResponseTypes = []string{"code", "token", "none"}
	excess, _ = Compare(asked, authserver.Client{Registered: got})
	equal(t, "excess with token", 1, len(excess))
}

// A name in letters that take two UTF-16 units each is sent in what servers can
// store, with its mark.
func TestMarkedNamesCanBeStored(t *testing.T) {
	const mark = "mcpr-0123456789abcdef0123"
	for text, want := range map[string]string{
		strings.Repeat("a", 128):          strings.Repeat("a", 128),
		strings.Repeat("\u4e16", 128):     strings.Repeat("\u4e16", 128),
		strings.Repeat("\U0001F680", 128): strings.Repeat("\U0001F680", 113),
	} {
		got := Marked(authserver.ClientMetadata{Name: text}, "cluster", "uid", mark).Name
		equal(t, "marked", want+" ["+mark+"]", got)
		if units := len(utf16.Encode([]rune(got))); units > longestName {
			t.Errorf("%d UTF-16 units", units)
		}
	}
}

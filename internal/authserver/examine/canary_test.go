// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package examine

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
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
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/google/go-cmp/cmp"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/exchange"
)

// secret is one that the two ways to write Basic credentials differ for.
const secret = "s3cr et+/%"

func (w *world) tokenQuestion() authserver.TokenQuestion {
	return authserver.TokenQuestion{
		Handle: authserver.Handle{
			ClientID: "client-1", TokenEndpoint: w.URL + "/token", AuthMethod: methodBasic, ClientSecret: authserver.NewSecret(secret),
		},
		Scopes: []string{"files:read", "notes:read"}, Resource: resource,
	}
}

// part is a section of a JWT.
func part(value any) string {
	raw, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	return base64.RawURLEncoding.EncodeToString(raw)
}

// token is a JWT with these claims, signed by nobody.
func token(claims map[string]any) string {
	return part(map[string]any{"alg": "ES256", "typ": "at+jwt"}) + "." + part(claims) + ".c2ln"
}

func body(members map[string]any) string {
	raw, err := json.Marshal(members)
	if err != nil {
		panic(err)
	}
	return string(raw)
}

func says(text string) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Date", noon.Format(http.TimeFormat))
		_, _ = io.WriteString(w, text)
	}
}

func refuses(status int, code string) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "7")
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = fmt.Fprintf(w, "{\"error\":%q,\"error_description\":\"canary\"}", code)
	}
}

func TestCanaryToken(t *testing.T) {
	at := noon.Unix()
	full := map[string]any{"aud": resource, "scope": "files:read", "iat": at, "exp": at + 300}
	without := func(name string) map[string]any {
		claims := map[string]any{}
		for key, value := range full {
			if key != name {
				claims[key] = value
			}
		}
		return claims
	}
	and := func(claims map[string]any, name string, value any) map[string]any {
		claims[name] = value
		return claims
	}
	asked := []string{"files:read", "notes:read"}
	opaque := authserver.TokenFacts{Scopes: asked}
	for name, test := range map[string]struct {
		answer map[string]any
		want   authserver.TokenFacts
	}{
		"a JWT": {
			map[string]any{"access_token": token(full), "expires_in": 9, "scope": "other"},
			authserver.TokenFacts{Readable: true, Audience: []string{resource}, Scopes: []string{"files:read"}, Lifetime: 5 * time.Minute},
		},
		"two audiences and a list of scopes": {
			map[string]any{"access_token": token(and(and(without(""), "aud", []string{resource, "b"}), "scope", []string{"x", "y z"}))},
			authserver.TokenFacts{Readable: true, Audience: []string{resource, "b"}, Scopes: []string{"x", "y z"}, Lifetime: 5 * time.Minute},
		},
		"scopes in scp": {
			map[string]any{"access_token": token(and(without("scope"), "scp", []string{"x"}))},
			authserver.TokenFacts{Readable: true, Audience: []string{resource}, Scopes: []string{"x"}, Lifetime: 5 * time.Minute},
		},
		"no scope in the token": {
			map[string]any{"access_token": token(without("scope")), "scope": "x y"},
			authserver.TokenFacts{Readable: true, Audience: []string{resource}, Scopes: []string{"x", "y"}, Lifetime: 5 * time.Minute},
		},
		"no scope anywhere": {
			map[string]any{"access_token": token(without("scope"))},
			authserver.TokenFacts{Readable: true, Audience: []string{resource}, Scopes: asked, Lifetime: 5 * time.Minute},
		},
		"no audience": {
			map[string]any{"access_token": token(without("aud"))},
			authserver.TokenFacts{Readable: true, Scopes: []string{"files:read"}, Lifetime: 5 * time.Minute},
		},
		"no beginning": {
			map[string]any{"access_token": token(without("iat")), "expires_in": 9},
			authserver.TokenFacts{Readable: true, Audience: []string{resource}, Scopes: []string{"files:read"}, Lifetime: 5 * time.Minute},
		},
		"no end, whatever the answer says": {
			map[string]any{"access_token": token(without("exp")), "expires_in": 9},
			authserver.TokenFacts{Readable: true, Audience: []string{resource}, Scopes: []string{"files:read"}},
		},
		"fractions of a second": {
			map[string]any{"access_token": token(and(without(""), "exp", float64(at)+0.5))},
			authserver.TokenFacts{Readable: true, Audience: []string{resource}, Scopes: []string{"files:read"}, Lifetime: 500 * time.Millisecond},
		},
		"an end in a far age": {
			map[string]any{"access_token": token(and(without(""), "exp", int64(253402300799)))},
			authserver.TokenFacts{Readable: true, Audience: []string{resource}, Scopes: []string{"files:read"}, Lifetime: longestLife},
		},
		"an opaque token":                 {map[string]any{"access_token": "aG9/x==", "expires_in": 300}, authserver.TokenFacts{Scopes: asked, Lifetime: 5 * time.Minute}},
		"an opaque token of fewer scopes": {map[string]any{"access_token": "a", "scope": "x"}, authserver.TokenFacts{Scopes: []string{"x"}}},
		"an opaque token of no scope":     {map[string]any{"access_token": "a", "scope": ""}, authserver.TokenFacts{Scopes: []string{}}},
		"null is absent":                  {map[string]any{"access_token": "a", "scope": nil, "expires_in": nil}, opaque},
		"an encrypted token":              {map[string]any{"access_token": "eyJhbGciOiJSU0EifQ.a.b.c.d"}, opaque},
		"three parts that are no JSON":    {map[string]any{"access_token": "a.b.c"}, opaque},
		"no algorithm":                    {map[string]any{"access_token": part(map[string]any{}) + "." + part(full) + "."}, opaque},
		"an end before the beginning":     {map[string]any{"access_token": token(and(without(""), "exp", at))}, opaque},
		"an end that is a text":           {map[string]any{"access_token": token(and(without(""), "exp", "never"))}, opaque},
		"an end below nought":             {map[string]any{"access_token": token(and(without(""), "exp", -1))}, opaque},
		"an audience that is a number":    {map[string]any{"access_token": token(and(without(""), "aud", 1))}, opaque},
		"a scope that is an object":       {map[string]any{"access_token": token(and(without(""), "scope", full))}, opaque},
		"an audience with a line break":   {map[string]any{"access_token": token(and(without(""), "aud", "a\nb"))}, opaque},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			test.answer["token_type"] = "Bearer"
			w.token = says(body(test.answer))
			got, err := w.examiner(t, Options{}).CanaryToken(t.Context(), w.tokenQuestion())
			if err != nil || !cmp.Equal(got, test.want) {
				t.Errorf("%v: %s", err, cmp.Diff(test.want, got))
			}
		})
	}
}

func TestAnswersThatAreNone(t *testing.T) {
	for name, answer := range map[string]string{
		"nothing":               "",
		"null":                  "null",
		"a list":                "[]",
		"no token":              body(map[string]any{"token_type": "Bearer"}),
		"an empty token":        body(map[string]any{"token_type": "Bearer", "access_token": ""}),
		"a token that is none":  body(map[string]any{"token_type": "Bearer", "access_token": 1}),
		"a null token":          body(map[string]any{"token_type": "Bearer", "access_token": nil}),
		"a token in caps only":  body(map[string]any{"token_type": "Bearer", "ACCESS_TOKEN": "a"}),
		"a token with a break":  body(map[string]any{"token_type": "Bearer", "access_token": "a\r\nb"}),
		"a token beyond ASCII":  body(map[string]any{"token_type": "Bearer", "access_token": "aé"}),
		"no type":               body(map[string]any{"access_token": "a"}),
		"a scope that is none":  body(map[string]any{"token_type": "Bearer", "access_token": "a", "scope": 1}),
		"a life that is a text": body(map[string]any{"token_type": "Bearer", "access_token": "a", "expires_in": "300"}),
		"a life below nought":   body(map[string]any{"token_type": "Bearer", "access_token": "a", "expires_in": -1}),
		"a life beyond numbers": "{\"token_type\":\"Bearer\",\"access_token\":\"a\",\"expires_in\":1e999}",
		"too much":              body(map[string]any{"token_type": "Bearer", "access_token": strings.Repeat("a", 2<<20)}),
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.token = says(answer)
			got, err := w.examiner(t, Options{}).CanaryToken(t.Context(), w.tokenQuestion())
			var failure *authserver.Error
			if !errors.As(err, &failure) || failure.Kind != authserver.Unavailable || failure.MaybeApplied || !cmp.Equal(got, authserver.TokenFacts{}) {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
}

func TestCanaryTokenRefused(t *testing.T) {
	for name, test := range map[string]struct {
		answer func(http.ResponseWriter, *http.Request)
		kind   authserver.Kind
		code   string
		after  time.Duration
		tries  int
	}{
		"the client":           {refuses(401, "invalid_client"), authserver.Unauthorized, "invalid_client", 0, 2},
		"the client with 400":  {refuses(400, "invalid_client"), authserver.Rejected, "invalid_client", 0, 2},
		"the scope":            {refuses(400, "invalid_scope"), authserver.Rejected, "invalid_scope", 0, 1},
		"the grant":            {refuses(400, "unauthorized_client"), authserver.Rejected, "unauthorized_client", 0, 1},
		"something unheard of": {refuses(400, "canary"), authserver.Rejected, "", 0, 1},
		"busy":                 {refuses(429, "slow_down"), authserver.Unavailable, "", 7 * time.Second, 1},
		"down":                 {refuses(503, ""), authserver.Unavailable, "", 7 * time.Second, 1},
		"broken":               {refuses(500, ""), authserver.Unavailable, "", 0, 1},
		"redirected": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "https://evil.example/token")
			w.WriteHeader(http.StatusTemporaryRedirect)
		}, authserver.Unavailable, exchange.CodeRedirectRefused, 0, 1},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.token = test.answer
			_, err := w.examiner(t, Options{}).CanaryToken(t.Context(), w.tokenQuestion())
			var failure *authserver.Error
			if !errors.As(err, &failure) || failure.Kind != test.kind || failure.Code != test.code || failure.RetryAfter != test.after {
				t.Errorf("%v", err)
			}
			if got := len(w.asked()); got != test.tries {
				t.Errorf("%d requests, want %d", got, test.tries)
			}
			if strings.Contains(err.Error(), "canary") || strings.Contains(err.Error(), secret) {
				t.Errorf("the error quotes: %v", err)
			}
		})
	}
}

func TestBothFormsOfBasic(t *testing.T) {
	for _, accepted := range []string{url.QueryEscape(secret), secret} {
		w := newWorld(t)
		w.token = func(rw http.ResponseWriter, r *http.Request) {
			if id, password, _ := r.BasicAuth(); id == "client-1" && password == accepted {
				says(body(map[string]any{"access_token": "a", "token_type": "bearer"}))(rw, r)
				return
			}
			refuses(http.StatusUnauthorized, "invalid_client")(rw, r)
		}
		if _, err := w.examiner(t, Options{}).CanaryToken(t.Context(), w.tokenQuestion()); err != nil {
			t.Errorf("%q: %v", accepted, err)
		}
		want := url.Values{"grant_type": {"client_credentials"}, "scope": {"files:read notes:read"}, "resource": {resource}}
		for _, r := range w.asked() {
			if r.method != http.MethodPost || !cmp.Equal(r.params, want) {
				t.Errorf("asked by %s: %s", r.method, cmp.Diff(want, r.params))
			}
		}
	}
}

func TestPrivateKey(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"", "/token"} {
		w := newWorld(t)
		w.token = func(rw http.ResponseWriter, r *http.Request) {
			parsed, err := jwt.ParseSigned(r.Form.Get("client_assertion"), []jose.SignatureAlgorithm{jose.ES256})
			var claims jwt.Claims
			if err != nil || parsed.Claims(&key.PublicKey, &claims) != nil || parsed.Headers[0].KeyID != "k1" {
				t.Errorf("assertion: %v", err)
			}
			if claims.Validate(jwt.Expected{Issuer: "client-1", Subject: "client-1", AnyAudience: jwt.Audience{w.URL + path}, Time: noon}) != nil {
				refuses(http.StatusBadRequest, "invalid_client")(rw, r)
				return
			}
			says(body(map[string]any{"access_token": "a", "token_type": "bearer"}))(rw, r)
		}
		q := w.tokenQuestion()
		q.Handle.AuthMethod, q.Handle.KeyID = methodKey, "k1"
		q.Handle.PrivateKey = authserver.NewSecret(string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw})))
		if _, err := w.examiner(t, Options{}).CanaryToken(t.Context(), q); err != nil {
			t.Errorf("audience %q: %v", path, err)
		}
	}
}

func TestNoTokenIsAskedForWithoutMeans(t *testing.T) {
	w := newWorld(t)
	for name, test := range map[string]struct {
		change func(*authserver.Handle)
		code   string
	}{
		"a foreign endpoint": {func(h *authserver.Handle) { h.TokenEndpoint = "https://elsewhere.example/token" }, CodeForeignEndpoint},
		"no endpoint":        {func(h *authserver.Handle) { h.TokenEndpoint = "" }, CodeForeignEndpoint},
		"a public client":    {func(h *authserver.Handle) { h.AuthMethod = "none" }, CodeNotAtHand},
		"no secret":          {func(h *authserver.Handle) { h.ClientSecret = authserver.Secret{} }, CodeNotAtHand},
		"no key":             {func(h *authserver.Handle) { h.AuthMethod = methodKey }, CodeNotAtHand},
		"a key that is none": {func(h *authserver.Handle) {
			h.AuthMethod, h.PrivateKey = methodKey, authserver.NewSecret("none")
		}, CodeNotAtHand},
	} {
		q := w.tokenQuestion()
		test.change(&q.Handle)
		_, err := w.examiner(t, Options{}).CanaryToken(t.Context(), q)
		var failure *authserver.Error
		if !errors.As(err, &failure) || failure.Kind != authserver.Rejected || failure.Code != test.code {
			t.Errorf("%s: %v", name, err)
		}
	}
	if asked := w.asked(); len(asked) != 0 {
		t.Errorf("asked: %v", asked)
	}
}

// TestBorrow holds that the token is lent with what it says, that what use
// returns comes back, and that nothing that is no bearer token is lent.
func TestBorrow(t *testing.T) {
	w := newWorld(t)
	used := errors.New("used")
	for name, test := range map[string]struct {
		answer func(http.ResponseWriter, *http.Request)
		lent   bool
		kind   authserver.Kind
	}{
		"a token": {says(body(map[string]any{
			"access_token": token(map[string]any{"aud": resource, "scope": "files:read"}), "token_type": "bearer",
		})), true, 0},
		"one bound to a key": {says(body(map[string]any{"access_token": "t", "token_type": "DPoP"})), false, authserver.Unavailable},
		"none":               {says(`{"token_type":"Bearer"}`), false, authserver.Unavailable},
		"a refusal":          {refuses(http.StatusBadRequest, "invalid_scope"), false, authserver.Rejected},
	} {
		w.token = test.answer
		lent := false
		err := w.examiner(t, Options{}).Borrow(t.Context(), w.tokenQuestion(), func(got authserver.Secret, facts authserver.TokenFacts) error {
			lent = strings.HasSuffix(got.Reveal(), ".c2ln") && cmp.Equal(facts.Audience, []string{resource})
			return used
		})
		var failure *authserver.Error
		if lent != test.lent || errors.Is(err, used) != test.lent || !test.lent && (!errors.As(err, &failure) || failure.Kind != test.kind) {
			t.Errorf("%s: lent: %v, %v", name, lent, err)
		}
	}
}

// TestScopesAreInTheClaimThatIsAskedFor reads the first that there is.
func TestScopesAreInTheClaimThatIsAskedFor(t *testing.T) {
	at := noon.Unix()
	for name, test := range map[string]struct {
		claims map[string]any
		want   []string
	}{
		"the first":  {map[string]any{"scp": "a b", "roles": []string{"c"}, "scope": "d"}, []string{"a", "b"}},
		"the second": {map[string]any{"roles": []string{"c"}, "scope": "d"}, []string{"c"}},
		"neither":    {map[string]any{"scope": "d"}, []string{"said"}},
	} {
		w := newWorld(t)
		test.claims["iat"], test.claims["exp"] = at, at+300
		w.token = says(body(map[string]any{"access_token": token(test.claims), "token_type": "Bearer", "scope": "said"}))
		question := w.tokenQuestion()
		question.ScopeClaims = []string{"scp", "roles"}
		got, err := w.examiner(t, Options{}).CanaryToken(t.Context(), question)
		if err != nil || !cmp.Equal(got.Scopes, test.want) || got.Audience != nil {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

// TestNothingIsLeftOfTheToken reads an answer from memory that it looks at
// afterwards.
func TestNothingIsLeftOfTheToken(t *testing.T) {
	w := newWorld(t)
	e := w.examiner(t, Options{})
	raw := []byte(body(map[string]any{"access_token": "canary-token", "token_type": "Bearer", "refresh_token": "canary-too"}))
	if _, err := e.examine(exchange.Call{}, exchange.Answer{Status: http.StatusOK, Header: http.Header{}, Body: raw}, authserver.TokenQuestion{}); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(raw), "canary") {
		t.Errorf("the body is still %q", raw)
	}
	answer, err := object([]byte(body(map[string]any{"access_token": "canary-token", "token_type": "Bearer"})))
	if err != nil {
		t.Fatal(err)
	}
	kept, err := answer.token()
	if err != nil || string(kept) != "canary-token" {
		t.Fatalf("%q, %v", kept, err)
	}
	answer.wipe()
	if strings.Contains(string(kept), "canary") {
		t.Errorf("the token is still %q", kept)
	}
}

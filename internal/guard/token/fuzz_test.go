// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package token

import (
	"errors"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/mcp-registrar/mcp-registrar/internal/guard"
)

func FuzzVerify(f *testing.F) {
	w := newWorld(f, nil)
	payload := asJSON(f, w.claim(nil))
	good := w.good(nil)
	for _, seed := range []string{
		good, "", "..", "a.b.c", "opaque", good + "=", good[:len(good)-1], good + ".x.y",
		unsigned(`{"alg":"none"}`, payload), unsigned(`{"alg":"ES256","crit":["b64"],"b64":false}`, payload),
		unsigned(`{"alg":"ES256","kid":"k1","jwk":{"kty":"EC"},"x5c":["AA=="],"typ":1}`, payload),
		unsigned(`{"alg":"ES256"}`, []byte(`{"iss":null,"aud":[[]],"exp":1e999,"scope":{}}`)),
		sign(f, jose.ES256, jose.JSONWebKey{Key: w.key, KeyID: "k2"}, "JWT", payload),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		got, err := w.Verify(t.Context(), guard.TokenQuestion{Raw: raw, Issuer: w.issuer, Audience: resource})
		if err == nil {
			if got.ClientID != "agent" {
				t.Errorf("accepted: %+v", got)
			}
			return
		}
		if failure, ok := errors.AsType[*guard.TokenError](err); !ok || failure.Reason == "" {
			t.Errorf("not a *guard.TokenError: %v", err)
		}
	})
}

func FuzzReadClaims(f *testing.F) {
	for _, seed := range []string{
		`{"active":true}`, `{"active":false,"aud":"a"}`, `{"active":true,"aud":[],"scope":[],"scp":"x","exp":1.5}`,
		`{"active":true,"client_id":"a","azp":"a","exp":1e10,"nbf":null}`, `{"active":1}`, `null`, `[`, "\xff", `{"aud": "a" }`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		active, said, err := readStanding(raw)
		if err != nil || !active {
			return
		}
		if len(said.scopes) > mostScopes || said.expires.After(time.Unix(lastSecond, 0)) {
			t.Errorf("%+v", said)
		}
		for _, text := range append(said.scopes, said.audience...) {
			if !usable(text) {
				t.Errorf("%q is not usable", text)
			}
		}
	})
}

func FuzzReadKeySet(f *testing.F) {
	for _, seed := range []string{
		`{"keys":[]}`, `{"keys":[{"kty":"oct","k":"AA"}]}`, `{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB"}]}`,
		`{"keys":[{"kty":"EC","crv":"P-256","x":"AA","y":"AA","x5c":["AA=="]}]}`, `{"keys":null}`, `{"keys":[null,1,"x"]}`,
		`{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		set, err := readKeySet(raw)
		if err != nil {
			return
		}
		for _, k := range set.keys {
			if len(k.algorithms) == 0 || fitting(k.public) == nil {
				t.Errorf("%+v is used", k)
			}
		}
	})
}

func BenchmarkVerifyCached(b *testing.B) {
	w := newWorld(b, nil)
	question := guard.TokenQuestion{Raw: w.good(nil), Issuer: w.issuer, Audience: resource}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := w.Verify(b.Context(), question); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerifyES256(b *testing.B) {
	w := newWorld(b, nil)
	question := guard.TokenQuestion{Raw: w.good(nil), Issuer: w.issuer, Audience: resource}
	b.ReportAllocs()
	for b.Loop() {
		w.verified.Clear()
		if _, err := w.Verify(b.Context(), question); err != nil {
			b.Fatal(err)
		}
	}
}

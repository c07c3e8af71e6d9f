// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package token

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/mcp-registrar/mcp-registrar/internal/guard"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
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
		got, err := w.Verify(t.Context(), shown(raw), guard.TokenQuestion{Issuer: w.issuer, Audience: resource})
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

// FuzzReadClaims reads what anybody says by whatever configuration: the client is
// always what a configured claim says and no other contradicts, scopes are those of
// the first configured claim, and what is bound to a key is never accepted.
func FuzzReadClaims(f *testing.F) {
	for _, seed := range [][3]string{
		{`{"active":true}`, "", ""}, {`{"active":false,"aud":"a"}`, "cid", "scp"},
		{`{"active":true,"aud":[],"scope":[],"scp":"x","exp":1.5}`, "", "scp roles"},
		{`{"active":true,"client_id":"a","azp":"a","exp":1e10,"nbf":null}`, "azp", ""},
		{`{"active":true,"cid":"a","client_id":"b","cnf":{"jkt":"x"}}`, "cid client_id", "scope"},
		{`{"active":true,"appid":"a","roles":["x"],"cnf":null,"typ":"Bearer"}`, "appid", "scp roles"},
		{`{"active":1}`, "", ""}, {`null`, "", ""}, {`[`, "", ""}, {"\xff", "", ""}, {`{"aud": "a" }`, "aud", "aud"},
	} {
		f.Add([]byte(seed[0]), seed[1], seed[2])
	}
	f.Fuzz(func(t *testing.T, raw []byte, clients, scopes string) {
		reading := policy.TokenReading{ClientIDClaims: strings.Fields(clients), ScopeClaims: strings.Fields(scopes)}
		active, said, err := readStanding(raw, reading)
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
		checkReading(t, raw, reading, said)
	})
}

// checkReading compares what was read with what another reader finds.
func checkReading(t *testing.T, raw []byte, reading policy.TokenReading, said claims) {
	t.Helper()
	var all map[string]any
	if err := json.Unmarshal(raw, &all); err != nil {
		t.Fatalf("read what is not JSON: %v", err)
	}
	if all["cnf"] != nil && said.misuse == nil {
		t.Error("what is bound to a key is accepted")
	}
	named := said.client == ""
	for _, name := range reading.ClientID() {
		named = named || all[name] == said.client
		if all[name] != nil && all[name] != said.client {
			t.Errorf("%s is %v, the client %q", name, all[name], said.client)
		}
	}
	if !named {
		t.Errorf("no configured claim is %q", said.client)
	}
	for _, name := range []string{"client_id", "azp"} {
		if said.client != "" && all[name] != nil && all[name] != said.client {
			t.Errorf("%s is %v, the client %q", name, all[name], said.client)
		}
	}
	first := slices.IndexFunc(reading.Scope(), func(name string) bool { return all[name] != nil })
	if (first < 0) != (said.scopes == nil) {
		t.Errorf("scopes %q by the claim %d of %q", said.scopes, first, reading.Scope())
	}
	for _, scope := range said.scopes {
		if text := fmt.Sprint(all[reading.Scope()[first]]); !strings.Contains(text, scope) {
			t.Errorf("the scope %q is not in %q", scope, text)
		}
	}
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
	raw, question := w.good(nil), guard.TokenQuestion{Issuer: w.issuer, Audience: resource}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := w.Verify(b.Context(), shown(raw), question); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerifyES256(b *testing.B) {
	w := newWorld(b, nil)
	raw, question := w.good(nil), guard.TokenQuestion{Issuer: w.issuer, Audience: resource}
	b.ReportAllocs()
	for b.Loop() {
		w.verified.Clear()
		if _, err := w.Verify(b.Context(), shown(raw), question); err != nil {
			b.Fatal(err)
		}
	}
}

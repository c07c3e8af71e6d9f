// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package token

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mcp-registrar/mcp-registrar/internal/guard"
)

func contextWithTimeout(t *testing.T, d time.Duration) (context.Context, context.CancelFunc) {
	t.Helper()
	return context.WithTimeout(t.Context(), d)
}

// standingOf returns what an issuer says of an active token, changed.
func (w *world) standingOf(changes map[string]any) map[string]any {
	said := w.claim(changes)
	if _, told := changes["active"]; !told {
		said["active"] = true
	}
	return said
}

func TestIntrospection(t *testing.T) {
	for name, c := range map[string]struct {
		changes map[string]any
		want    guard.Reason
	}{
		"active":            {nil, guard.ReasonAllowed},
		"inactive":          {map[string]any{"active": false}, guard.TokenInactive},
		"active as text":    {map[string]any{"active": "true"}, guard.TokenUnverifiable},
		"active as number":  {map[string]any{"active": 1}, guard.TokenUnverifiable},
		"nothing of active": {map[string]any{"active": nil}, guard.TokenUnverifiable},
		"wrong aud":         {map[string]any{"aud": "https://other.example"}, guard.TokenAudience},
		"no aud":            {map[string]any{"aud": nil}, guard.TokenAudience},
		"another issuer":    {map[string]any{"iss": "https://other.example"}, guard.TokenIssuer},
		"no issuer":         {map[string]any{"iss": nil}, guard.ReasonAllowed},
		"no client":         {map[string]any{"client_id": nil}, guard.TokenMalformed},
		"expired":           {map[string]any{"exp": noon.Unix()}, guard.TokenExpired},
		"no exp":            {map[string]any{"exp": nil}, guard.ReasonAllowed},
		"not yet valid":     {map[string]any{"nbf": noon.Unix() + 60}, guard.TokenNotYetValid},
		"exp in wrong form": {map[string]any{"exp": "soon"}, guard.TokenUnverifiable},
		"differing clients": {map[string]any{"azp": "other"}, guard.TokenUnverifiable},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, introspecting(Introspection{}))
			w.serve(askPath, says(w.standingOf(c.changes)))
			w.expect(name, "opaque", c.want)
		})
	}
}

// TestTwoDocuments holds what the second document of an issuer may add.
func TestTwoDocuments(t *testing.T) {
	for name, c := range map[string]struct {
		first, second map[string]any
		opaque, jwt   guard.Reason
	}{
		"the endpoint in the second": {map[string]any{"jwks_uri": keySetPath}, map[string]any{"introspection_endpoint": askPath}, guard.ReasonAllowed, guard.ReasonAllowed},
		"the keys in the second":     {map[string]any{"introspection_endpoint": askPath}, map[string]any{"jwks_uri": keySetPath}, guard.ReasonAllowed, guard.ReasonAllowed},
		"another key set": {map[string]any{"jwks_uri": keySetPath}, map[string]any{"introspection_endpoint": askPath, "jwks_uri": "/other"},
			guard.TokenUnverifiable, guard.TokenUnverifiable},
		"another endpoint": {map[string]any{"introspection_endpoint": askPath}, map[string]any{"introspection_endpoint": "/other", "jwks_uri": keySetPath},
			guard.TokenUnverifiable, guard.TokenUnverifiable},
		"the endpoint in neither": {map[string]any{"jwks_uri": keySetPath}, nil, guard.TokenUnverifiable, guard.ReasonAllowed},
		"the keys in neither":     {map[string]any{"introspection_endpoint": askPath}, nil, guard.ReasonAllowed, guard.TokenUnverifiable},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, introspecting(Introspection{}))
			w.serve(askPath, says(w.standingOf(nil)))
			for place, said := range map[string]map[string]any{wellKnownOAuth: c.first, wellKnownOpenID: c.second} {
				w.serve(place, nil)
				if said == nil {
					continue
				}
				document := map[string]any{"issuer": w.issuer}
				for member, path := range said {
					document[member] = w.issuer + path.(string)
				}
				w.serve(place, says(document))
			}
			w.expect(name, "opaque", c.opaque)
			w.expect(name, w.good(nil), c.jwt)
		})
	}
}

func TestTheQuestionIsAsTheStandardHasIt(t *testing.T) {
	w := newWorld(t, introspecting(Introspection{}))
	answer := says(w.standingOf(nil))
	w.serve(askPath, func(response http.ResponseWriter, r *http.Request) {
		id, secret, ok := r.BasicAuth()
		if r.Method != http.MethodPost || !ok || id != "guard" || secret != "s3cret" ||
			r.PostFormValue("token") != "opaque+/" || r.Header.Get("Content-Type") != "application/x-www-form-urlencoded" {
			response.WriteHeader(http.StatusUnauthorized)
			return
		}
		answer(response, r)
	})
	got, err := w.ask("opaque+/")
	want := guard.Token{
		Issuer: w.issuer, ClientID: "agent", Subject: "alice", ID: "t-1", Scopes: []string{"read", "write"},
		ExpiresAt: noon.Add(time.Hour), CheckAt: noon.Add(usualCache),
	}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
}

func TestAnswersHoldForAsLongAsTheyMay(t *testing.T) {
	w := newWorld(t, introspecting(Introspection{CacheFor: time.Minute}))
	w.serve(askPath, says(w.standingOf(map[string]any{"exp": noon.Add(90 * time.Second).Unix()})))
	asked := func(when string, want int) {
		t.Helper()
		if got := w.count(askPath); got != want {
			t.Errorf("%s: asked %d times, want %d", when, got, want)
		}
	}
	w.expect("first", "opaque", guard.ReasonAllowed)
	w.after(time.Minute - 1)
	w.expect("cached", "opaque", guard.ReasonAllowed)
	asked("cached", 1)
	w.after(1)
	got, err := w.ask("opaque")
	asked("cache end", 2)
	if want := noon.Add(90 * time.Second); err != nil || !got.CheckAt.Equal(want) {
		t.Errorf("check at %s, want exp %s: %v", got.CheckAt, want, err)
	}
	w.after(30 * time.Second)
	w.expect("exp", "opaque", guard.TokenExpired)

	w.serve(askPath, says(map[string]any{"active": false}))
	before := w.count(askPath)
	w.expect("inactive", "opaque", guard.TokenInactive)
	w.expect("inactive, cached", "opaque", guard.TokenInactive)
	asked("inactive", before+1)
	w.serve(askPath, says(w.standingOf(map[string]any{"exp": noon.Add(time.Hour).Unix()})))
	w.after(inactiveFor)
	w.expect("active after all", "opaque", guard.ReasonAllowed)
}

func TestOneTokenIsAskedAboutOnceAtATime(t *testing.T) {
	w := newWorld(t, introspecting(Introspection{}))
	w.serve(askPath, says(w.standingOf(nil)))
	var crowd sync.WaitGroup
	for range 50 {
		crowd.Go(func() { w.expect("crowd", "opaque", guard.ReasonAllowed) })
	}
	crowd.Wait()
	if got := w.count(askPath); got != 1 {
		t.Errorf("asked %d times for 50 at a time", got)
	}
}

func TestAnIssuerThatCannotBeAsked(t *testing.T) {
	for name, change := range map[string]func(w *world){
		"away":                   func(w *world) { w.goAway() },
		"its credential":         func(w *world) { w.serve(askPath, status(http.StatusUnauthorized)) },
		"no endpoint":            func(w *world) { w.jwksAt(w.issuer + keySetPath) },
		"not JSON":               func(w *world) { w.serve(askPath, status(http.StatusOK)) },
		"a redirect":             func(w *world) { w.serve(askPath, status(http.StatusTemporaryRedirect)) },
		"twice active":           func(w *world) { w.serve(askPath, writes(`{"active":false,"active":true}`)) },
		"2 MiB":                  func(w *world) { w.serve(askPath, writes(`{"active":true,"x":"`+strings.Repeat("x", 2<<20)+`"}`)) },
		"active, capital":        func(w *world) { w.serve(askPath, writes(`{"Active":true}`)) },
		"an answer that is null": func(w *world) { w.serve(askPath, writes(`null`)) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, introspecting(Introspection{}))
			change(w)
			w.expect(name, "opaque", guard.TokenUnverifiable)
		})
	}
}

func writes(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(body)) }
}

// TestT3TheCredentialStaysOnTheIssuersOrigin: the endpoint comes from the
// issuer's metadata, the credential from the configuration.
func TestT3TheCredentialStaysOnTheIssuersOrigin(t *testing.T) {
	other := newWorld(t, nil)
	w := newWorld(t, introspecting(Introspection{}))
	w.serve(wellKnownOAuth, says(map[string]any{"issuer": w.issuer, "introspection_endpoint": other.issuer + askPath}))
	w.expect("elsewhere", "opaque", guard.TokenUnverifiable)
	if got := other.count(askPath); got != 0 {
		t.Errorf("asked %d times", got)
	}
}

func TestJWTsAreIntrospectedWhereForced(t *testing.T) {
	for name, c := range map[string]struct {
		said   map[string]any
		want   guard.Reason
		scopes []string
	}{
		"as it is":       {map[string]any{"active": true}, guard.ReasonAllowed, []string{"read", "write"}},
		"inactive":       {map[string]any{"active": false}, guard.TokenInactive, nil},
		"fewer scopes":   {map[string]any{"active": true, "scope": "read admin"}, guard.ReasonAllowed, []string{"read"}},
		"no scopes":      {map[string]any{"active": true, "scope": ""}, guard.ReasonAllowed, []string{}},
		"another client": {map[string]any{"active": true, "client_id": "other"}, guard.TokenMalformed, nil},
		"other audience": {map[string]any{"active": true, "aud": "https://other.example"}, guard.TokenAudience, nil},
		"expired":        {map[string]any{"active": true, "exp": noon.Unix()}, guard.TokenExpired, nil},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, introspecting(Introspection{ForceIntrospection: true}))
			w.serve(askPath, says(c.said))
			got, err := w.ask(w.good(nil))
			if diff := cmp.Diff(c.scopes, got.Scopes); reasonOf(err) != c.want || diff != "" {
				t.Errorf("%v\n%s", err, diff)
			}
			if err == nil && !got.CheckAt.Equal(noon.Add(usualCache)) {
				t.Errorf("check at %s", got.CheckAt)
			}
			w.expect("a forged token", w.signedBy("k1", ecKey(t)), guard.TokenSignature)
			if asked := w.count(askPath); asked != 1 {
				t.Errorf("asked %d times", asked)
			}
		})
	}
}

// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package token

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/mcp-registrar/mcp-registrar/internal/guard"
)

func asMap(t *testing.T, raw []byte, name string, value any) map[string]any {
	t.Helper()
	var object map[string]any
	if err := json.Unmarshal(raw, &object); err != nil {
		t.Fatal(err)
	}
	object[name] = value
	return object
}

func (w *world) signedBy(id string, key any) string {
	w.t.Helper()
	return sign(w.t, jose.ES256, jose.JSONWebKey{Key: key, KeyID: id}, "", asJSON(w.t, w.claim(nil)))
}

func TestKeysRotate(t *testing.T) {
	w := newWorld(t, nil)
	second := ecKey(t)
	before, after := w.good(nil), w.signedBy("k2", second)
	w.expect("before", before, guard.ReasonAllowed)
	w.serve(keySetPath, says(setOf(public("k1", w.key), public("k2", second))))
	w.after(holdOff - time.Second)
	w.expect("within the hold-off", after, guard.TokenSignature)
	w.after(time.Second)
	w.expect("after it", after, guard.ReasonAllowed)
	w.expect("the first key", before, guard.ReasonAllowed)
	if got := w.count(keySetPath); got != 2 {
		t.Errorf("%d requests for keys, want 2", got)
	}

	w.serve(keySetPath, says(setOf(public("k2", second))))
	w.after(refreshAfter - time.Second)
	w.expect("removed, before the refresh", before, guard.ReasonAllowed)
	w.after(time.Second)
	w.eventually("removed, refreshed behind", before, guard.TokenSignature)
	w.expect("the key that is left", after, guard.ReasonAllowed)
}

func TestAKeyRemovedLongAgoIsNotUsedOnceMore(t *testing.T) {
	w := newWorld(t, nil)
	w.expect("before", w.good(nil), guard.ReasonAllowed)
	w.serve(keySetPath, says(map[string]any{"keys": []int{}}))
	w.after(waitAfter)
	w.expect("the first after a long time", w.good(nil), guard.TokenSignature)
}

func TestTheCacheEndsWithTheKeys(t *testing.T) {
	w := newWorld(t, nil)
	raw := w.good(nil)
	w.expect("before", raw, guard.ReasonAllowed)
	w.serve(keySetPath, says(setOf(public("k1", ecKey(t)))))
	w.after(holdOff)
	w.expect("an unknown key", w.signedBy("k9", w.key), guard.TokenSignature)
	w.expect("the key behind the kid is another", raw, guard.TokenSignature)
}

func TestRandomKidsCostOneFetch(t *testing.T) {
	w := newWorld(t, nil)
	w.expect("good", w.good(nil), guard.ReasonAllowed)
	for round := range 3 {
		w.after(holdOff)
		var flood sync.WaitGroup
		for n := range 50 {
			raw := w.signedBy(fmt.Sprintf("random-%d-%d", round, n), w.key)
			flood.Go(func() { w.expect("flood", raw, guard.TokenSignature) })
		}
		flood.Wait()
		if got := w.count(keySetPath); got != 2+round {
			t.Errorf("round %d: %d requests for keys, want %d", round, got, 2+round)
		}
	}
	if got := w.count(wellKnownOAuth); got != 1 {
		t.Errorf("%d requests for metadata, want 1", got)
	}
}

func TestGarbageAsksNobody(t *testing.T) {
	w := newWorld(t, nil)
	w.expect("garbage", "a.b.c", guard.TokenMalformed)
	w.expect("alg none", unsigned(`{"alg":"none"}`, []byte("{}")), guard.TokenAlgorithm)
	w.expect("another issuer's", w.good(map[string]any{"iss": "https://other.example"}), guard.TokenIssuer)
	if len(w.requests) != 0 {
		t.Errorf("requests: %v", w.requests)
	}
}

func TestTheIssuerIsAway(t *testing.T) {
	w := newWorld(t, nil)
	comeBack := w.goAway()
	raw := w.good(map[string]any{"exp": noon.Add(100 * time.Hour).Unix()})
	w.expect("keys unknown", raw, guard.TokenUnverifiable)
	w.expect("keys unknown, still", raw, guard.TokenUnverifiable)
	if got := w.count(wellKnownOAuth); got != 1 {
		t.Errorf("%d requests for metadata, want 1", got)
	}
	comeBack()
	w.after(holdOffUnknown)
	w.expect("back", raw, guard.ReasonAllowed)

	start := w.clock.Now()
	w.goAway()
	for range 20 {
		w.after(time.Hour)
		w.expect("keys known", raw, guard.ReasonAllowed)
	}
	w.eventually("a new kid", w.signedBy("k9", w.key), guard.TokenUnverifiable)
	w.clock.SetTime(start.Add(longestKept - time.Second))
	w.expect("keys known, at last", raw, guard.ReasonAllowed)
	w.after(time.Second)
	w.expect("keys known too long ago", raw, guard.TokenUnverifiable)
}

// TestAnIssuerThatHangsIsWaitedForOnce: as long as its keys are known, what it
// does not answer delays nobody.
func TestAnIssuerThatHangsIsWaitedForOnce(t *testing.T) {
	w := newWorld(t, nil)
	raw := w.good(map[string]any{"exp": noon.Add(10 * time.Hour).Unix()})
	w.expect("before", raw, guard.ReasonAllowed)
	w.goAway()
	w.after(waitAfter)
	w.expect("away", raw, guard.ReasonAllowed)
	release := make(chan struct{})
	defer close(release)
	for _, place := range []string{wellKnownOAuth, keySetPath} {
		w.serve(place, func(http.ResponseWriter, *http.Request) { <-release })
	}
	w.after(time.Hour)
	ctx, cancel := contextWithTimeout(t, requestLimit*9/10)
	defer cancel()
	if _, err := w.Verify(ctx, shown(raw), guard.TokenQuestion{Issuer: w.issuer, Audience: resource}); err != nil {
		t.Errorf("hanging: %v", err)
	}
}

func TestWhatWasVerifiedIsRemembered(t *testing.T) {
	w := newWorld(t, nil)
	raw := w.good(nil)
	w.expect("good", raw, guard.ReasonAllowed)
	i, err := w.Verifier.issuer(w.issuer)
	if err != nil {
		t.Fatal(err)
	}
	at := place{i, digestOf(question{raw: raw})}
	was, ok := w.remembered(at, noon.Add(verifiedFor-1))
	if !ok {
		t.Fatal("not remembered for a minute")
	}
	if _, ok := w.remembered(at, noon.Add(verifiedFor)); ok {
		t.Error("remembered for longer")
	}
	if same, err := i.keys.again(t.Context(), noon.Add(holdOff)); err != nil || same != was.keys || w.count(keySetPath) != 2 {
		t.Errorf("the same keys count as others: %v", err)
	}
}

func TestARequestDoesNotWaitLongerThanItsCaller(t *testing.T) {
	w := newWorld(t, nil)
	release := make(chan struct{})
	keys := says(setOf(public("k1", w.key)))
	w.serve(keySetPath, func(response http.ResponseWriter, r *http.Request) {
		<-release
		keys(response, r)
	})
	ctx, cancel := contextWithTimeout(t, 20*time.Millisecond)
	defer cancel()
	_, err := w.Verify(ctx, shown(w.good(nil)), guard.TokenQuestion{Issuer: w.issuer, Audience: resource})
	if reasonOf(err) != guard.TokenUnverifiable {
		t.Errorf("%v", err)
	}
	close(release)
	w.expect("the fetch went on", w.good(nil), guard.ReasonAllowed)
	if got := w.count(keySetPath); got != 1 {
		t.Errorf("%d requests for keys, want 1", got)
	}
}

// TestMetadata holds where metadata is looked for and what it may say.
func TestMetadata(t *testing.T) {
	huge := func(response http.ResponseWriter, _ *http.Request) {
		_, _ = response.Write([]byte(`{"keys":[],"x":"` + strings.Repeat("x", 2<<20) + `"}`))
	}
	elsewhere := func(target string) http.HandlerFunc {
		return func(response http.ResponseWriter, r *http.Request) {
			http.Redirect(response, r, target, http.StatusTemporaryRedirect)
		}
	}
	for name, c := range map[string]struct {
		change func(w *world)
		want   guard.Reason
	}{
		"OpenID Connect Discovery": {func(w *world) {
			w.serve(wellKnownOpenID, w.answers[wellKnownOAuth])
			w.serve(wellKnownOAuth, nil)
		}, guard.ReasonAllowed},
		"no metadata": {func(w *world) { w.serve(wellKnownOAuth, nil) }, guard.TokenUnverifiable},
		"issuer mismatch": {func(w *world) {
			w.serve(wellKnownOAuth, says(map[string]any{"issuer": w.issuer + "/", "jwks_uri": w.issuer + keySetPath}))
		}, guard.TokenUnverifiable},
		"no jwks_uri": {func(w *world) { w.serve(wellKnownOAuth, says(map[string]any{"issuer": w.issuer})) }, guard.TokenUnverifiable},
		"jwks_uri in the second document": {func(w *world) {
			w.serve(wellKnownOpenID, w.answers[wellKnownOAuth])
			w.serve(wellKnownOAuth, says(map[string]any{"issuer": w.issuer}))
		}, guard.ReasonAllowed},
		"jwks_uri in a second document of another issuer": {func(w *world) {
			w.serve(wellKnownOpenID, says(map[string]any{"issuer": w.issuer + "/", "jwks_uri": w.issuer + keySetPath}))
			w.serve(wellKnownOAuth, says(map[string]any{"issuer": w.issuer}))
		}, guard.TokenUnverifiable},
		"a page for a second document": {func(w *world) {
			w.serve(wellKnownOpenID, elsewhere("/elsewhere"))
			w.serve(wellKnownOAuth, says(map[string]any{"issuer": w.issuer}))
		}, guard.TokenUnverifiable},
		"a second document is not asked for": {func(w *world) {
			w.serve(wellKnownOpenID, says(map[string]any{"issuer": w.issuer, "jwks_uri": w.issuer + "/other"}))
		}, guard.ReasonAllowed},
		"metadata redirect": {func(w *world) { w.serve(wellKnownOAuth, elsewhere("/elsewhere")) }, guard.TokenUnverifiable},
		"metadata of 2 MiB": {func(w *world) { w.serve(wellKnownOAuth, huge) }, guard.TokenUnverifiable},
		"jwks redirect": {func(w *world) {
			w.serve("/elsewhere", w.answers[keySetPath])
			w.serve(keySetPath, elsewhere(w.issuer+"/elsewhere"))
		}, guard.TokenUnverifiable},
		"jwks of 2 MiB":                {func(w *world) { w.serve(keySetPath, huge) }, guard.TokenUnverifiable},
		"jwks no JSON":                 {func(w *world) { w.serve(keySetPath, says("x")) }, guard.TokenUnverifiable},
		"jwks not found":               {func(w *world) { w.serve(keySetPath, nil) }, guard.TokenUnverifiable},
		"too many keys":                {func(w *world) { w.serve(keySetPath, says(map[string]any{"keys": make([]int, mostKeys+1)})) }, guard.TokenUnverifiable},
		"jwks over http":               {func(w *world) { w.jwksAt("http://as.example/keys") }, guard.TokenUnverifiable},
		"jwks at no URL":               {func(w *world) { w.jwksAt("::") }, guard.TokenUnverifiable},
		"jwks at a file":               {func(w *world) { w.jwksAt("file:///etc/passwd") }, guard.TokenUnverifiable},
		"jwks at private":              {func(w *world) { w.jwksAt("https://10.0.0.1/keys") }, guard.TokenUnverifiable},
		"jwks at the cloud's metadata": {func(w *world) { w.jwksAt("https://169.254.169.254/keys") }, guard.TokenUnverifiable},
		"jwks on another port": {func(w *world) {
			other := newWorld(w.t, nil)
			other.serve(keySetPath, w.answers[keySetPath])
			w.jwksAt(other.issuer + keySetPath)
		}, guard.ReasonAllowed},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, nil)
			c.change(w)
			w.expect(name, w.good(nil), c.want)
			if w.count("/elsewhere") != 0 {
				t.Error("the redirect was followed")
			}
		})
	}
}

func (w *world) jwksAt(place string) {
	w.serve(wellKnownOAuth, says(map[string]any{"issuer": w.issuer, "jwks_uri": place}))
}

func TestMetadataOfAnIssuerWithAPath(t *testing.T) {
	for _, place := range []string{wellKnownOAuth + "/realms/a", wellKnownOpenID + "/realms/a", "/realms/a" + wellKnownOpenID} {
		w := newWorld(t, nil)
		w.serve(wellKnownOAuth, nil)
		origin := w.issuer
		w.issuer += "/realms/a"
		w.serve(place, says(map[string]any{"issuer": w.issuer, "jwks_uri": origin + keySetPath}))
		w.expect(place, w.good(nil), guard.ReasonAllowed)
	}
}

// TestT1AnIssuerElsewhereDoesNotReachThisMachine: the place of the keys comes
// from the issuer, not from the configuration.
func TestT1AnIssuerElsewhereDoesNotReachThisMachine(t *testing.T) {
	w := newWorld(t, nil)
	remote, err := newIssuer("https://as.example", Options{Clock: w.clock})
	if err != nil {
		t.Fatal(err)
	}
	for _, place := range []string{w.issuer + keySetPath, "https://localhost/keys", "https://[::1]/keys", "https://[::ffff:127.0.0.1]/keys"} {
		if _, err := remote.keySource(place); err == nil {
			t.Errorf("%s is asked", place)
		}
	}
	if _, err := remote.keySource("https://keys.example/keys"); err != nil {
		t.Errorf("another public origin: %v", err)
	}
}

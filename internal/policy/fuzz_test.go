// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"encoding/json"
	"math/rand/v2"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
)

// FuzzT5Registration asks for decisions about random facts with any annotations at
// any time, and holds the answer against what must always hold.
func FuzzT5Registration(f *testing.F) {
	f.Add(uint64(1), "2026-10-01T00:00:00Z", testOwner, "", "", int64(0))
	f.Add(uint64(2), "0001-01-01T00:00:00Z", " ", "true", "rotate", int64(-1))
	f.Add(uint64(3), "9999-12-31T23:59:59.999999999+23:59", "\x00", "false", "a,b", int64(1<<40))
	f.Add(uint64(4), "2026-09-01T12:00:00.0000000001Z", "\u200b", "\xff", "", int64(1))
	f.Add(uint64(5), "", "", "", "", int64(86400*30))
	f.Fuzz(func(t *testing.T, seed uint64, end, owner, paused, word string, after int64) {
		r := rand.New(rand.NewPCG(seed, 0))
		facts := randomFacts(r)
		objects := []metav1.Object{facts.Registration}
		for i := range facts.Grants {
			objects = append(objects, facts.Grants[i].Grant)
		}
		for _, object := range objects {
			annotated(r, object, end, owner, word)
		}
		if as := facts.AuthorizationServer.Object; as != nil && paused != "" {
			as = as.DeepCopy()
			as.Annotations = map[string]string{v1alpha1.AnnotationPaused: paused}
			facts.use(AuthorizationServerFact{Is: Present, Object: as})
		}
		at := now.Add(time.Duration(after%(1<<31)) * time.Second)
		d := Registration(facts, at)
		for _, violation := range violations(facts, at, d) {
			t.Error(violation)
		}
		requireIdentity(t, facts, at, d)
	})
}

// annotated gives an object some of the annotations.
func annotated(r *rand.Rand, object metav1.Object, end, owner, word string) {
	for key, value := range map[string]string{
		v1alpha1.AnnotationExpiresAt: end, v1alpha1.AnnotationOwner: owner,
		v1alpha1.AnnotationRequestedBy: word, v1alpha1.AnnotationChangedBy: word,
		v1alpha1.AnnotationRotate: word, v1alpha1.AnnotationAdopt: word,
	} {
		if value != "" && r.IntN(2) == 0 {
			annotate(object, key, value)
		}
	}
}

// requireIdentity holds that nothing is given without an owner, an end that can be
// read and has not come, and a grant in force.
func requireIdentity(t *testing.T, facts RegistrationFacts, at time.Time, d RegistrationDecision) {
	t.Helper()
	if d.Action != Register && (d.Action != Replace || d.Verdict.Standing != Allowed) {
		return
	}
	end, err := time.Parse(time.RFC3339, facts.Registration.Annotations[v1alpha1.AnnotationExpiresAt])
	switch {
	case strings.TrimSpace(facts.Registration.Annotations[v1alpha1.AnnotationOwner]) == "":
		t.Errorf("%s without an owner", d.Action)
	case err != nil || !at.Before(end):
		t.Errorf("%s at %s, with the end %q", d.Action, at, facts.Registration.Annotations[v1alpha1.AnnotationExpiresAt])
	case len(d.Grants) == 0 || len(d.Wish.Scopes) == 0:
		t.Errorf("%s without a grant", d.Action)
	case d.ExpiresAt.After(end):
		t.Errorf("%s until %s, beyond %s", d.Action, d.ExpiresAt, end)
	}
}

// FuzzAnnotations reads annotations: an end is what time.Parse makes of it or
// nothing, and it has come from that very instant on.
func FuzzAnnotations(f *testing.F) {
	for _, text := range []string{
		"2027-03-31T00:00:00Z", "2027-03-31t00:00:00z", "2027-02-29T00:00:00Z", "9998-12-31T23:30:00-01:00", "0000-01-01T00:00:00Z",
		"2027-03-31T24:00:00Z", "2027-03-31T00:00:00,5Z", "2027-03-31T00:00:60Z", " 2027-03-31T00:00:00Z", "2027-03-31T00:00:00+24:00",
		"10000-01-01T00:00:00Z", "", "\n", "tomorrow", "2027-03-31",
	} {
		f.Add(text, text)
	}
	f.Fuzz(func(t *testing.T, end, owner string) {
		reg := registration()
		annotate(reg, v1alpha1.AnnotationExpiresAt, end)
		annotate(reg, v1alpha1.AnnotationOwner, owner)
		read := readEnd(reg)
		parsed, err := time.Parse(time.RFC3339, end)
		known := err == nil && parsed.UTC().Year() >= 1 && parsed.UTC().Year() <= 9998
		if known != (read.verdict == nil) || known && !read.at.Equal(parsed) {
			t.Fatalf("%q is read as %s (%+v)", end, read.at, read.verdict)
		}
		if known && (expired(parsed.Add(-1), read.at) || !expired(parsed, read.at)) {
			t.Errorf("%q has not come when it has, or has when it has not", end)
		}
		if (readOwner(reg) == nil) != plainOwner(owner) {
			t.Errorf("owner %q", owner)
		}
		as := authorizationServer(func(as *v1alpha1.AuthorizationServer) {
			as.Annotations = map[string]string{v1alpha1.AnnotationPaused: owner}
		})
		if Paused(as) != (owner != "" && owner != "false") {
			t.Errorf("paused: %q", owner)
		}
	})
}

var ownerLine = regexp.MustCompile(`\A[^\pC\p{Zl}\p{Zp}]{1,256}\z`)

// plainOwner says in other words than the rules whether an owner is one. What is
// not assigned, for private use or no character at all says nothing either way in
// the rules.
func plainOwner(owner string) bool {
	unassigned := func(r rune) rune {
		if unicode.Is(unicode.Co, r) || (unicode.Is(unicode.C, r) && !unicode.In(r, unicode.Cc, unicode.Cf)) || r == utf8.RuneError {
			return 'x'
		}
		return r
	}
	return utf8.ValidString(owner) && ownerLine.MatchString(strings.Map(unassigned, owner)) && strings.TrimSpace(owner) == owner
}

// FuzzT17Keys gives any text as key set, as a place to fetch one from and as a
// redirect URI: private keys are never sent on, and no place that no pattern
// lists as a whole.
func FuzzT17Keys(f *testing.F) {
	for _, text := range []string{
		`{"keys":[{"kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}]}`,
		`{"keys":[{"kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM","d":"870MB6gfuTJ4HtUnUvYMyJpr5eUZNP4Bk43bVdj3eAE"}]}`,
		`{"keys":[{"kty":"oct","k":"AAAA"}]}`, `{"keys":[]}`, `{"keys":[null]}`, "null", "", strings.Repeat("[", 1000),
		"https://keys.example.com/a", "https://keys.example.com/a\n", "https://keys.example.com@evil.example/a", "http://127.0.0.1/a#b", "https://a/%2e%2e/b", "https://a/*",
	} {
		f.Add(text, `https://keys\.example\.com/.*`)
	}
	f.Add("https://keys.example.com/a|x", "a|https://keys.example.com/a")
	f.Add("x", "(?:")
	f.Fuzz(func(t *testing.T, text, pattern string) {
		requirePublic(t, text)
		requirePlainRedirect(t, text)
		facts := facts(func(f *RegistrationFacts) {
			privateKeyJWT(f.Registration)
			f.Registration.Spec.JWKSURI = text
			f.change(func(as *v1alpha1.AuthorizationServer) { as.Spec.Policy.JWKSURIPatterns = []string{pattern} })
		})
		d := Registration(facts, now)
		if text != "" && d.Action == Register && !listsWhole(pattern, text) {
			t.Errorf("%q is sent on, though %q does not list it", text, pattern)
		}
		facts.change(func(as *v1alpha1.AuthorizationServer) { as.Spec.Policy = nil })
		if d := Registration(facts, now); text != "" && d.Action == Register {
			t.Errorf("%q is sent on, though nothing lists it", text)
		}
	})
}

// listsWhole says in other words than the rules whether a pattern matches a text
// from its beginning to its end.
func listsWhole(pattern, text string) bool {
	expression, err := regexp.Compile(pattern)
	if err != nil {
		return false
	}
	expression.Longest()
	at := expression.FindStringIndex(text)
	return at != nil && at[0] == 0 && at[1] == len(text)
}

// requirePublic holds that a key set that is accepted has public members only, and
// is accepted again as it is sent.
func requirePublic(t *testing.T, text string) {
	t.Helper()
	sent, refusal := publicJWKS(text)
	if refusal != "" {
		return
	}
	var set struct{ Keys []map[string]any }
	if err := json.Unmarshal([]byte(sent), &set); err != nil || len(set.Keys) == 0 {
		t.Fatalf("%q is sent as %q (%v)", text, sent, err)
	}
	for _, key := range set.Keys {
		for _, member := range []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"} {
			if _, found := key[member]; found {
				t.Errorf("%q is sent with its member %s", text, member)
			}
		}
	}
	if again, refusal := publicJWKS(sent); refusal != "" || again != sent {
		t.Errorf("%q is sent as %q, which is read as %q (%s)", text, sent, again, refusal)
	}
}

// requirePlainRedirect holds that a redirect URI that is accepted is https, loopback
// or of a scheme that browsers do not act on, and is what it looks like.
func requirePlainRedirect(t *testing.T, text string) {
	t.Helper()
	if redirectRefusal(text) != "" {
		return
	}
	uri, err := url.Parse(text)
	if err != nil || uri.Opaque != "" || uri.User != nil || uri.Fragment != "" || strings.ContainsAny(text, "*#\\ \n\t") {
		t.Fatalf("%q is accepted", text)
	}
	host := uri.Hostname()
	switch uri.Scheme {
	case "https":
		if host == "" {
			t.Errorf("%q is accepted", text)
		}
	case "http":
		if host != "localhost" && host != "127.0.0.1" && host != "::1" {
			t.Errorf("%q is accepted", text)
		}
	case "javascript", "vbscript", "data", "file", "blob", "about", "ftp", "ws", "wss", "filesystem", "intent", "jar", "view-source":
		t.Errorf("%q is accepted", text)
	}
}

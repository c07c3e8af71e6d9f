// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package exchange

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
)

// tellingPart is how many characters of a secret in a row give it away.
const tellingPart = 8

// solid leaves out of a text what could stand between the parts of a secret.
func solid(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, text)
}

func backwards(text string) string {
	turned := []byte(text)
	slices.Reverse(turned)
	return string(turned)
}

const sentSecret = "s3cr et+/%-abcdefgh-ijkl"

// quoted is what is shown of an answer to a request with secrets in it.
func quoted(body string) string {
	c := Call{
		Quoted: true, ContentType: JSONType, Authorization: Bearer(authserver.NewSecret("initial-access-token-77")),
		Secrets: []authserver.Secret{authserver.NewSecret("the-management-token")},
		Body:    []byte(`{"client_name":"robot","client_secret":"chosen-secret-123","n":1}`),
	}
	return QuoteOf(c, Answer{Status: 400, Header: http.Header{"Content-Type": {JSONType}}, Body: []byte(body)}).Text()
}

func says(t *testing.T, code, description string) string {
	t.Helper()
	body, err := json.Marshal(map[string]string{"error": code, "error_description": description})
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func TestWhatIsQuoted(t *testing.T) {
	long := strings.Repeat("é", 65)
	for name, c := range map[string]struct{ code, description, want string }{
		"a reason":                {"invalid_client_metadata", "scope 'x' is not known", "scope 'x' is not known"},
		"no reason":               {"invalid_client_metadata", "", ""},
		"a code of its own":       {"weird_code", "no way", "weird_code: no way"},
		"a code of ours":          {"unusable_answer", "", "unusable_answer"},
		"several lines":           {"invalid_scope", "one\r\n  two\u2028three\ttwo", "one two three two"},
		"an end of the quotation": {"invalid_scope", "a\" or `b` or “c”", "a' or 'b' or 'c'"},
		"text that turns round":   {"invalid_scope", "a\u202eb\u2066c\u200bd\ufeff", "abcd"},
		"an escape":               {"invalid_scope", "\x1b[31mred", "[31mred"},
		"a URL":                   {"invalid_scope", "see https://evil.example/x?y for more", "see (…) for more"},
		"hosts and addresses":     {"invalid_scope", "see evil.example/x, WWW.evil.example or a@b.example.", "see (…) or (…)"},
		"a version is none":       {"invalid_scope", "v1.2 of and/or 3.5", "v1.2 of and/or 3.5"},
		"a JWT":                   {"invalid_scope", "bad eyJhbGciOiJIUzI1NiJ9 there", "bad (…) there"},
		"a long word":             {"invalid_scope", "name " + long + " is long", "name (…) is long"},
		"a long text":             {"invalid_scope", strings.Repeat("word ", 100), strings.Repeat("word ", 39) + "wo…"},
		"a secret that was sent":  {"invalid_scope", "bad chosen-secret-123", ""},
		"a part of it":            {"invalid_scope", "bad (secret-1…)", ""},
		"in pieces":               {"invalid_scope", "bad c h o s e n - s e c r e t", ""},
		"the initial token":       {"invalid_scope", "token initial-access-token-77 is spent", ""},
		"the management token":    {"invalid_scope", "the-management-token", ""},
		"in the code":             {"chosen-secret-123", "no", ""},
	} {
		if got := quoted(says(t, c.code, c.description)); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
	if got := quoted(`{"errorMessage":"Client name is too long"}`); got != "Client name is too long" {
		t.Errorf("Keycloak's: %q", got)
	}
	for name, body := range map[string]string{"a page": "<html>", "nothing": "", "a number": `{"error":7}`, "a list": "[]"} {
		if got := quoted(body); got != "" {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// What is sent as Basic, or in a form, is not shown in any form.
func TestCredentialsAreNotQuoted(t *testing.T) {
	secret := authserver.NewSecret(sentSecret)
	form := Call{Quoted: true, ContentType: FormType, Body: []byte("client_id=x&client_secret=s3cr+et%2B%2F%25-abcdefgh-ijkl&grant_type=client_credentials")}
	basic := Call{Quoted: true, Authorization: Basic("x", secret)}
	plain := Call{Quoted: true, Authorization: PlainBasic("x", sentSecret)}
	for _, c := range []Call{form, basic, plain} {
		for _, said := range []string{sentSecret, sentSecret[5:14], "s3cr+et%2B%2F%25", "x:" + sentSecret} {
			a := Answer{Status: 400, Body: []byte(says(t, "invalid_client", "got "+said))}
			if got := QuoteOf(c, a).Text(); got != "" {
				t.Errorf("%q is quoted as %q", said, got)
			}
		}
		if _, header, _ := strings.Cut(c.Authorization, " "); header != "" {
			if got := QuoteOf(c, Answer{Status: 400, Body: []byte(says(t, "invalid_client", header))}).Text(); got != "" {
				t.Errorf("the header is quoted as %q", got)
			}
		}
	}
}

// Only what is asked for one registration is quoted, and never in an error's text.
func TestWhoIsQuoted(t *testing.T) {
	e, err := New("https://as.example", Options{})
	if err != nil {
		t.Fatal(err)
	}
	answer := func(status int) Answer {
		return Answer{Status: status, Header: http.Header{"Content-Type": {JSONType}}, Body: []byte(says(t, "invalid_scope", "the words"))}
	}
	for _, c := range []struct {
		call   Call
		status int
		want   string
	}{
		{Call{Quoted: true}, 400, "the words"},
		{Call{Quoted: true}, 422, "the words"},
		{Call{}, 400, ""},
		{Call{Quoted: true}, 401, ""},
		{Call{Quoted: true, ContentType: FormType}, 401, "the words"},
		{Call{Quoted: true}, 409, ""},
		{Call{Quoted: true}, 404, ""},
		{Call{Quoted: true}, 500, ""},
	} {
		failure := e.Classify(c.call, answer(c.status))
		if got := failure.Quote.Text(); got != c.want {
			t.Errorf("%d to %+v: %q, want %q", c.status, c.call, got, c.want)
		}
		if text := fmt.Sprintf("%v %+v %#v", failure, failure, *failure); strings.Contains(text, "words") {
			t.Errorf("the error prints them: %s", text)
		}
	}
}

// Whatever a server says, what is shown is one short printable line without a secret.
func FuzzQuote(f *testing.F) {
	f.Add("invalid_scope", "see https://a.example\n\u202e chosen-secret-123", "chosen-secret-123")
	f.Add("x", strings.Repeat("é ", 300), "é")
	f.Add("\"", "a\xff\"b", "")
	f.Fuzz(func(t *testing.T, code, description, secret string) {
		body, err := json.Marshal(map[string]string{"error": code, "error_description": description})
		if err != nil {
			t.Skip()
		}
		c := Call{Quoted: true, Secrets: []authserver.Secret{authserver.NewSecret(secret)}}
		got := QuoteOf(c, Answer{Status: 400, Body: body}).Text()
		switch {
		case len(got) > longestQuote, !utf8.ValidString(got):
			t.Errorf("%d bytes, valid %t", len(got), utf8.ValidString(got))
		case strings.ContainsFunc(got, func(r rune) bool { return !unicode.IsPrint(r) }), strings.ContainsAny(got, "\"`"):
			t.Errorf("not one printable line: %q", got)
		case strings.Contains(got, "://"), strings.Contains(got, "@"):
			t.Errorf("an address: %q", got)
		case len(solid(secret)) >= tellingPart && strings.Contains(got, solid(secret)):
			t.Errorf("a secret: %q", got)
		}
	})
}

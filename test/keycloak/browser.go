// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package keycloak

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"html"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

// mostSteps bounds how many pages a login may take.
const mostSteps = 12

var (
	formAction  = regexp.MustCompile(`<form[^>]*\saction="([^"]*)"`)
	hiddenField = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)"`)
)

// Browser is a user's browser: it keeps cookies, and so the user's session.
type Browser struct {
	realm          *Realm
	user, password string
	client         *http.Client
}

// Login is an authorization request (RFC 6749 §4.1.1).
type Login struct {
	ClientID, RedirectURI, Scope, Resource string
	// Challenge and Method are code_challenge and code_challenge_method; empty
	// leaves them out.
	Challenge, Method string
}

// Landed is where a login ended: at the redirect URI with its query, or at a
// page of the server.
type Landed struct {
	// Query is that of the redirect; nil where the server kept the user.
	Query url.Values
	// Status and Page are the server's last answer where there was no redirect.
	Status int
	Page   string
}

// NewBrowser makes a browser of a user who is not logged in yet.
func (r *Realm) NewBrowser(t testing.TB, user, password string) *Browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &Browser{realm: r, user: user, password: password, client: &http.Client{
		Jar:           jar,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// NewVerifier makes a code verifier and its S256 challenge (RFC 7636 §4).
func NewVerifier() (verifier, challenge string) {
	verifier = rand.Text() + rand.Text()
	sum := sha256.Sum256([]byte(verifier))
	return verifier, base64.RawURLEncoding.EncodeToString(sum[:])
}

// Authorize goes through the authorization endpoint: it fills in the login form
// and consents, as often as it is asked to.
func (b *Browser) Authorize(t testing.TB, login Login) Landed {
	t.Helper()
	answer := b.visit(t, http.MethodGet, b.realm.authorizationURL(login), nil)
	for range mostSteps {
		if location := answer.Header.Get("Location"); location != "" {
			if strings.HasPrefix(location, login.RedirectURI) {
				return landed(t, location)
			}
			answer = b.visit(t, http.MethodGet, b.absolute(location), nil)
			continue
		}
		form := b.fill(string(answer.Body))
		action := formAction.FindStringSubmatch(string(answer.Body))
		if form == nil || action == nil {
			return Landed{Status: answer.Status, Page: string(answer.Body)}
		}
		answer = b.visit(t, http.MethodPost, b.absolute(html.UnescapeString(action[1])), form)
	}
	t.Fatalf("a login of more than %d steps; the last status is %d", mostSteps, answer.Status)
	return Landed{}
}

// CodeFlow logs in with S256 and redeems the code.
func (b *Browser) CodeFlow(t testing.TB, login Login, secret string) TokenAnswer {
	t.Helper()
	verifier, challenge := NewVerifier()
	login.Challenge, login.Method = challenge, "S256"
	landed := b.Authorize(t, login)
	code := landed.Query.Get("code")
	if code == "" {
		t.Fatalf("no code: %v, status %d: %.500s", landed.Query, landed.Status, landed.Page)
	}
	return b.realm.Token(t, login.ClientID, secret, url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "code_verifier": {verifier},
		"redirect_uri": {login.RedirectURI},
	})
}

// fill returns what a user would enter into the form of a page; nil if it is
// neither a login nor a question for consent.
func (b *Browser) fill(page string) url.Values {
	form := url.Values{}
	for _, field := range hiddenField.FindAllStringSubmatch(page, -1) {
		form.Set(html.UnescapeString(field[1]), html.UnescapeString(field[2]))
	}
	switch {
	case strings.Contains(page, `name="password"`):
		form.Set("username", b.user)
		form.Set("password", b.password)
	case strings.Contains(page, `name="accept"`):
		form.Set("accept", "Yes")
	default:
		return nil
	}
	return form
}

func (r *Realm) authorizationURL(login Login) string {
	query := url.Values{
		"response_type": {"code"}, "client_id": {login.ClientID},
		"redirect_uri": {login.RedirectURI}, "state": {rand.Text()},
	}
	for name, value := range map[string]string{
		"scope": login.Scope, "resource": login.Resource,
		"code_challenge": login.Challenge, "code_challenge_method": login.Method,
	} {
		if value != "" {
			query.Set(name, value)
		}
	}
	return r.Issuer + "/protocol/openid-connect/auth?" + query.Encode()
}

func (b *Browser) absolute(location string) string {
	if strings.HasPrefix(location, "/") {
		return b.realm.URL + location
	}
	return location
}

func (b *Browser) visit(t testing.TB, method, target string, form url.Values) Answer {
	t.Helper()
	header := http.Header{}
	if form != nil {
		header.Set("Content-Type", formType)
	}
	answer, err := send(t.Context(), b.client, method, target, header, []byte(form.Encode()))
	if err != nil {
		t.Fatalf("%s: %v", method, err)
	}
	return answer
}

func landed(t testing.TB, location string) Landed {
	t.Helper()
	parsed, err := url.Parse(location)
	if err != nil {
		t.Fatal(err)
	}
	return Landed{Query: parsed.Query()}
}

// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"crypto/rand"
	"html"
	"io"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

// account is a person who logs in; the zero value is never asked to.
type account struct{ name, password string }

// visitor is a person's browser and the client that they use. It stops at the
// redirect URI, so that nobody needs to listen there.
type visitor struct {
	party
	account

	client             *http.Client
	endpoint, redirect string
}

func newVisitor(t *testing.T, p party, redirect string, who account) *visitor {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	v := &visitor{party: p, account: who, redirect: redirect}
	v.client = &http.Client{Jar: jar, CheckRedirect: func(next *http.Request, _ []*http.Request) error {
		if strings.HasPrefix(next.URL.String(), redirect+"?") {
			return http.ErrUseLastResponse
		}
		return nil
	}}
	var metadata struct {
		AuthorizationEndpoint string `json:"authorization_endpoint"`
	}
	getJSON(t.Context(), t, p.issuer+"/.well-known/openid-configuration", &metadata)
	v.endpoint = metadata.AuthorizationEndpoint
	return v
}

func s256(challenge string) url.Values {
	return url.Values{"code_challenge": {challenge}, "code_challenge_method": {"S256"}}
}

func plain(verifier string) url.Values {
	return url.Values{"code_challenge": {verifier}, "code_challenge_method": {"plain"}}
}

// plainByDefault is a challenge without a method, which means plain (RFC 7636
// §4.3).
func plainByDefault(verifier string) url.Values { return url.Values{"code_challenge": {verifier}} }

// visit goes through the authorization endpoint, and through login and consent
// where there are such pages. It returns what arrived at the redirect URI, nil if nothing did, and
// the status of the last answer.
func (v *visitor) visit(t *testing.T, proof url.Values) (arrived url.Values, status int) {
	t.Helper()
	query := url.Values{
		"response_type": {"code"}, "client_id": {v.id}, "redirect_uri": {v.redirect}, "state": {rand.Text()},
		"scope": {v.scope}, "resource": {v.resources}, "audience": {v.resources},
	}
	maps.Copy(query, proof)
	response, page := v.send(t, http.MethodGet, v.endpoint+"?"+query.Encode(), nil)
	for range mostPages {
		action, form := v.fill(page)
		if form == nil || response.StatusCode != http.StatusOK {
			break
		}
		next, err := response.Request.URL.Parse(action)
		if err != nil {
			t.Fatal(err)
		}
		response, page = v.send(t, http.MethodPost, next.String(), form)
	}
	location, err := response.Location()
	if err != nil {
		return nil, response.StatusCode
	}
	arrived = location.Query()
	if arrived.Get("state") != query.Get("state") {
		t.Errorf("state %q came back as %q", query.Get("state"), arrived.Get("state"))
	}
	return arrived, response.StatusCode
}

func (v *visitor) send(t *testing.T, method, address string, form url.Values) (*http.Response, string) {
	t.Helper()
	response, page, err := fetch(t.Context(), v.client, method, address, form)
	if err != nil {
		t.Fatal(err)
	}
	return response, page
}

// fetch asks for a page as a browser does.
func fetch(ctx context.Context, client *http.Client, method, address string, form url.Values) (*http.Response, string, error) {
	request, err := http.NewRequestWithContext(ctx, method, address, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, "", err
	}
	if form != nil {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, "", err
	}
	defer response.Body.Close()
	page, err := io.ReadAll(response.Body)
	return response, string(page), err
}

// mostPages is how many forms there may be on the way: a login and a consent.
const mostPages = 2

var (
	formAction  = regexp.MustCompile("<form[^>]*\\saction=\"([^\"]+)\"")
	hiddenField = regexp.MustCompile("<input type=\"hidden\" name=\"([^\"]*)\" value=\"([^\"]*)\"")
)

// fill is what a person enters into the form of a page, and where it is sent;
// nil if it asks neither for a login nor for consent.
func (a account) fill(page string) (action string, form url.Values) {
	found := formAction.FindStringSubmatch(page)
	if found == nil || a.name == "" {
		return "", nil
	}
	form = url.Values{}
	for _, field := range hiddenField.FindAllStringSubmatch(page, -1) {
		form.Set(html.UnescapeString(field[1]), html.UnescapeString(field[2]))
	}
	switch {
	case strings.Contains(page, "name=\"password\""):
		form.Set("username", a.name)
		form.Set("password", a.password)
	case strings.Contains(page, "name=\"accept\""):
		form.Set("accept", "Yes")
	default:
		return "", nil
	}
	return html.UnescapeString(found[1]), form
}

// code gets a code for a challenge.
func (v *visitor) code(t *testing.T, proof url.Values) string {
	t.Helper()
	arrived, status := v.visit(t, proof)
	if arrived.Get("code") == "" {
		t.Fatalf("no code: status %d, %s: %s", status, arrived.Get("error"), arrived.Get("error_description"))
	}
	return arrived.Get("code")
}

// requireRefused asks for a code and is refused before any login: by an error
// at the redirect URI, or by a page.
func (v *visitor) requireRefused(t *testing.T, what string, proof url.Values) {
	t.Helper()
	fresh := newVisitor(t, v.party, v.redirect, account{})
	arrived, status := fresh.visit(t, proof)
	switch {
	case arrived.Get("code") != "":
		t.Errorf("%s: there is a code", what)
	case arrived == nil && status != http.StatusBadRequest && status != http.StatusForbidden:
		t.Errorf("%s: the answer is %d", what, status)
	case arrived != nil && arrived.Get("error") != "invalid_request":
		t.Errorf("%s: the error is %q", what, arrived.Get("error"))
	}
}

// redeem gives a code back for tokens. An empty verifier is not sent.
func (v *visitor) redeem(t *testing.T, code, verifier string) reply {
	t.Helper()
	form := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {v.redirect}, "resource": {v.resources}}
	if verifier != "" {
		form.Set("code_verifier", verifier)
	}
	return v.request(t, form)
}

func (v *visitor) refresh(t *testing.T, token string) reply {
	t.Helper()
	return v.request(t, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}})
}

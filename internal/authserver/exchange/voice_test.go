// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package exchange

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
)

const (
	page     = "text/html"
	jsonType = "application/json"
)

func said(status int, kind, body string, challenges ...string) Answer {
	header := http.Header{"Www-Authenticate": challenges}
	if kind != "" {
		header.Set("Content-Type", kind)
	}
	return Answer{Status: status, Header: header, Body: []byte(body)}
}

func newTested(t *testing.T) *Exchange {
	t.Helper()
	e, err := New("https://as.example/tenant", Options{Now: func() time.Time { return noon }})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// refusals are answers of real servers, and of those who stand in front of
// them.
var refusals = map[string]struct {
	answer Answer
	want   Voice
}{
	"oidc-provider":    {said(401, jsonType+"; charset=utf-8", `{"error":"invalid_token","error_description":"invalid token provided"}`, `Bearer realm="https://as.example/tenant", error="invalid_token"`), Own},
	"hydra":            {said(401, jsonType, `{"error":"The request could not be authorized","status_code":401}`), Own},
	"hydra's 404":      {said(404, jsonType, `{"error":"Unable to locate the resource","error_description":""}`), Own},
	"keycloak":         {said(401, jsonType, `{"error":"HTTP 401 Unauthorized"}`, "Bearer"), Own},
	"keycloak's 409":   {said(409, jsonType, `{"errorMessage":"Client x already exists"}`), Own},
	"spring":           {said(401, "", "", `Bearer error="invalid_token", error_description="Invalid, or \"gone\""`), Own},
	"devas":            {said(401, jsonType, `{"error":"invalid_client"}`, `Basic realm="devas"`), Own},
	"problem":          {said(401, "application/problem+json", `{"error":"invalid_token"}`), Own},
	"no type":          {said(404, "", `{"error":"not_found"}`), Own},
	"405":              {Answer{Status: 405, Header: http.Header{"Allow": {"POST"}}}, Own},
	"own realm":        {said(403, "text/plain", "no", `Bearer realm="https://as.example"`), Own},
	"bare":             {said(401, "text/plain", "no", "Bearer"), Bare},
	"bare, other case": {said(401, "", "", "bearer "), Bare},
	"unknown error":    {said(401, "", "", `Bearer error="gateway_says_no"`), Bare},

	"page":              {said(401, page, "<html>"), Strange},
	"404 page":          {said(404, page, "<html>"), Strange},
	"410 page":          {said(410, page, "<html>", "Bearer"), Strange},
	"JSON in a page":    {said(404, page, `{"error":"not_found"}`), Strange},
	"no error":          {said(404, jsonType, `{"status":"ok"}`), Strange},
	"empty error":       {said(404, jsonType, `{"error":""}`), Strange},
	"error as object":   {said(404, jsonType, `{"error":{"code":404}}`), Strange},
	"list":              {said(404, jsonType, `[]`), Strange},
	"cut off":           {Answer{Status: 404, Body: []byte(`{"error":"a"}`), BodyErr: errors.New("cut")}, Strange},
	"basic":             {said(401, page, "<html>", `Basic realm="proxy"`), Strange},
	"negotiate":         {said(401, page, "", "Negotiate", "NTLM"), Strange},
	"bearer in a realm": {said(401, page, "", `Basic realm="Bearer error=invalid_token"`), Strange},
	"another name":      {said(401, page, "", `Bearer realm="gateway"`), Strange},
	"another name, too": {said(401, page, "", `Bearer realm="gateway", error="invalid_token"`), Strange},
	"another origin":    {said(401, jsonType, `{"error":"invalid_token"}`, `Bearer realm="https://sso.example/"`), Strange},
	"another port":      {said(401, "", "", `Basic realm="x", Bearer realm="https://as.example:8443", error="invalid_token"`), Strange},
	"another resource":  {said(401, jsonType, `{"error":"invalid_token"}`, `Bearer resource_metadata="https://mcp.example/.well-known/oauth-protected-resource"`), Strange},
	"405 page":          {Answer{Status: 405, Header: http.Header{"Allow": {"GET"}}, Body: []byte("<html>")}, Strange},
	"405 of a filter":   {Answer{Status: 405, Header: http.Header{}}, Strange},
	"501 page":          {said(501, page, "<html>"), Strange},
}

func TestWhoseWordsARefusalIsIn(t *testing.T) {
	e := newTested(t)
	for name, c := range refusals {
		if got := e.Refusal(c.answer); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
		failure := e.Classify(Call{Op: "testing", Effect: true, Missing: "missing"}, c.answer)
		if strange := failure.Kind == authserver.Unavailable; strange != (c.want == Strange) || failure.MaybeApplied != strange {
			t.Errorf("%s: %v, maybe applied %t", name, failure, failure.MaybeApplied)
		}
	}
}

func TestARedirectIsNobodysWord(t *testing.T) {
	e := newTested(t)
	for _, status := range []int{300, 301, 302, 303, 307, 308} {
		failure := e.Classify(Call{Effect: true}, said(status, jsonType, `{"error":"invalid_token"}`))
		if failure.Kind != authserver.Unavailable || failure.Code != CodeRedirectRefused || !failure.MaybeApplied {
			t.Errorf("%d: %v", status, failure)
		}
	}
}

func TestWhenAChangeIsDone(t *testing.T) {
	for name, c := range map[string]struct {
		answer Answer
		want   bool
	}{
		"204":            {said(204, "", ""), true},
		"200":            {said(200, "", ""), true},
		"200 with JSON":  {said(200, jsonType, `{"deleted":true}`), true},
		"a page":         {said(200, page, "<html>maintenance"), false},
		"JSON in a page": {said(200, page, "{}"), false},
		"a list":         {said(200, jsonType, "[]"), false},
		"a text":         {said(200, "text/plain", "OK"), false},
		"202":            {said(202, "", ""), false},
		"cut off":        {Answer{Status: 200, BodyErr: errors.New("cut")}, false},
		"a redirect":     {said(302, "", ""), false},
	} {
		if got := c.answer.Done(); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

func FuzzChallenge(f *testing.F) {
	for _, c := range refusals {
		f.Add(strings.Join(c.answer.Header.Values("WWW-Authenticate"), ", "))
	}
	f.Add(`Bearer realm="a\"b", x==, ,=,"`)
	e, err := New("https://as.example", Options{Now: func() time.Time { return noon }})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, header string) {
		got := e.Refusal(said(401, page, "<html>", header))
		if got != Strange && !strings.Contains(strings.ToLower(header), "bearer") {
			t.Errorf("%q: %d", header, got)
		}
	})
}

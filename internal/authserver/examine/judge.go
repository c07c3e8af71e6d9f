// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package examine

import (
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver/exchange"
)

// verdict is what an answer of the authorization endpoint means.
type verdict int

const (
	// unclear: neither of the others.
	unclear verdict = iota
	// refused: an error that may be about the challenge.
	refused
	// ledOn: the way to a login.
	ledOn
	// admitted: a code.
	admitted
	// later: the server cannot say now.
	later
)

// asked is what an answer is an answer to.
type asked struct {
	attempt

	state string
	// ours says that a URL is on the issuer's origin.
	ours func(uri string) bool
}

// judge looks at the status, at where a redirect leads and at the type of a
// page. What a page says is for people, and not read.
func (q asked) judge(a exchange.Answer) verdict {
	switch a.Status {
	case http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect:
		return q.judgeRedirect(a.Header.Values("Location"))
	case http.StatusBadRequest, http.StatusForbidden:
		return refused
	case http.StatusOK:
		if isPage(a.Header.Get("Content-Type")) {
			return ledOn
		}
	}
	return unclear
}

func isPage(contentType string) bool {
	kind, _, err := mime.ParseMediaType(contentType)
	return err == nil && (kind == "text/html" || kind == "application/xhtml+xml")
}

func (q asked) judgeRedirect(locations []string) verdict {
	if len(locations) != 1 {
		return unclear
	}
	target, err := url.Parse(locations[0])
	if err != nil || target.User != nil {
		return unclear
	}
	if !target.IsAbs() {
		target = q.endpoint.ResolveReference(target)
	}
	params, err := url.ParseQuery(target.RawQuery)
	if err != nil {
		return unclear
	}
	if leadsTo(target, params, q.redirect) {
		return q.judgeResponse(params, target.Fragment)
	}
	return q.judgeElsewhere(target, params)
}

// judgeResponse judges an authorization response (RFC 6749 §4.1.2). Of the
// errors of §4.1.2.1 only invalid_request can be about the challenge (RFC 7636
// §4.4.1); access_denied, invalid_scope, unauthorized_client, login_required
// and the like come whatever it is.
func (q asked) judgeResponse(params url.Values, fragment string) verdict {
	inFragment, err := url.ParseQuery(fragment)
	switch {
	case params.Get("code") != "", err == nil && inFragment.Get("code") != "":
		return admitted
	case len(params["error"]) != 1, !slices.Equal(params["state"], []string{q.state}):
		return unclear
	}
	switch params.Get("error") {
	case "invalid_request":
		return refused
	case "server_error", "temporarily_unavailable":
		return later
	}
	return unclear
}

// judgeElsewhere judges a redirect to another place than the redirect URI: to
// a login, or to an error page. An error page counts on the issuer's origin
// only. To the endpoint itself under another spelling is neither.
func (q asked) judgeElsewhere(target *url.URL, params url.Values) verdict {
	switch {
	case target.Scheme != "https" && target.Scheme != "http", target.Host == "":
		return unclear
	case strings.TrimSuffix(target.EscapedPath(), "/") == strings.TrimSuffix(q.endpoint.EscapedPath(), "/"):
		return unclear
	case !isErrorPage(target, params):
		return ledOn
	case !q.ours(target.String()):
		return unclear
	case params.Has("error") && !slices.Equal(params["error"], []string{"invalid_request"}):
		return unclear
	}
	return refused
}

// isErrorPage says that the path or the parameters of a URL speak of an error.
func isErrorPage(target *url.URL, params url.Values) bool {
	for name := range params {
		if strings.HasPrefix(strings.ToLower(name), "error") {
			return true
		}
	}
	return strings.Contains(strings.ToLower(target.Path), "error")
}

// leadsTo says that a URL is the redirect URI with parameters added. Both are
// compared in their parts and without normalisation, but for what means the
// same in every URI (RFC 3986 §6.2.2.1, §6.2.3).
func leadsTo(target *url.URL, params url.Values, redirect *url.URL) bool {
	if target.Scheme != redirect.Scheme || host(target) != host(redirect) ||
		path(target) != path(redirect) || target.Opaque != redirect.Opaque || target.User != nil {
		return false
	}
	own, err := url.ParseQuery(redirect.RawQuery)
	if err != nil {
		return false
	}
	for name, values := range own {
		if !slices.Equal(params[name], values) {
			return false
		}
	}
	return true
}

func host(u *url.URL) string {
	port := u.Port()
	if port == map[string]string{"https": "443", "http": "80"}[u.Scheme] {
		port = ""
	}
	return strings.ToLower(u.Hostname()) + ":" + port
}

func path(u *url.URL) string {
	if u.Host != "" && u.Path == "" {
		return "/"
	}
	return u.EscapedPath()
}

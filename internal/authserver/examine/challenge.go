// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package examine

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"maps"
	"net/http"
	"net/url"
	"strings"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/exchange"
)

const challengeOp = "asking for a code"

// pageTypes are what a browser asks for: some servers answer anybody else with
// a status in place of the way to a login.
const pageTypes = "text/html,application/xhtml+xml"

// ChallengeRequired sends the authorization request (RFC 6749 §4.1.1) without a
// challenge and with a plain one. Where both are refused, it sends the same
// request with an S256 challenge: only if that is led on, the refusals were
// for the challenge and not for something else. Unclear, with nothing sent,
// where the endpoint is not on the issuer's origin.
func (e *Examiner) ChallengeRequired(ctx context.Context, q authserver.ChallengeQuestion) (authserver.Answer, error) {
	attempt, ok := e.newAttempt(q)
	if !ok {
		return authserver.Unclear, nil
	}
	refusedAll := true
	for _, proof := range []url.Values{{}, plain()} {
		said, err := e.try(ctx, attempt, proof)
		switch {
		case err != nil:
			return authserver.Unclear, err
		case said == admitted, said == ledOn && !e.options.LoginFirst:
			return authserver.No, nil
		case said != refused:
			refusedAll = false
		}
	}
	if !refusedAll {
		return authserver.Unclear, nil
	}
	said, err := e.try(ctx, attempt, s256())
	if err != nil {
		return authserver.Unclear, err
	}
	if said == ledOn || said == admitted {
		return authserver.Yes, nil
	}
	return authserver.Unclear, nil
}

// attempt is an authorization request but for its challenge.
type attempt struct {
	endpoint *url.URL
	redirect *url.URL
	params   url.Values
}

func (e *Examiner) newAttempt(q authserver.ChallengeQuestion) (attempt, bool) {
	if !e.exchange.Ours(q.AuthorizationEndpoint) || q.ClientID == "" {
		return attempt{}, false
	}
	endpoint, err := url.Parse(q.AuthorizationEndpoint)
	if err != nil {
		return attempt{}, false
	}
	redirect, err := url.Parse(q.RedirectURI)
	if err != nil || !redirect.IsAbs() || redirect.User != nil || redirect.Fragment != "" {
		return attempt{}, false
	}
	params := url.Values{
		"response_type": {"code"}, "client_id": {q.ClientID}, "redirect_uri": {q.RedirectURI},
	}
	if len(q.Scopes) > 0 {
		params.Set("scope", strings.Join(q.Scopes, " "))
	}
	if q.Resource != "" {
		params.Set("resource", q.Resource)
	}
	return attempt{endpoint: endpoint, redirect: redirect, params: params}, true
}

// try sends one authorization request with a state of its own. The query of
// the endpoint is kept (RFC 6749 §3.1).
func (e *Examiner) try(ctx context.Context, a attempt, proof url.Values) (verdict, error) {
	params, state := maps.Clone(a.params), rand.Text()
	maps.Copy(params, proof)
	params.Set("state", state)
	whole := *a.endpoint
	whole.RawQuery = strings.TrimPrefix(whole.RawQuery+"&"+params.Encode(), "&")
	c := exchange.Call{Op: challengeOp, Method: http.MethodGet, URL: whole.String(), Accept: pageTypes}
	got, err := e.exchange.Send(ctx, c)
	if err != nil {
		return unclear, err
	}
	if passing(got.Status) {
		return unclear, e.exchange.Classify(c, got)
	}
	said := asked{attempt: a, state: state, ours: e.exchange.Ours}.judge(got)
	if said == later {
		return unclear, &authserver.Error{
			Kind: authserver.Unavailable, Op: challengeOp, Status: got.Status, Code: CodePassing,
		}
	}
	return said, nil
}

// passing says that a status is about the server's state and not about the
// request.
func passing(status int) bool {
	switch status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return true
	}
	return status >= http.StatusInternalServerError
}

// plain is a challenge that is the verifier itself (RFC 7636 §4.2).
func plain() url.Values {
	return url.Values{"code_challenge": {newVerifier()}, "code_challenge_method": {"plain"}}
}

func s256() url.Values {
	digest := sha256.Sum256([]byte(newVerifier()))
	return url.Values{
		"code_challenge":        {base64.RawURLEncoding.EncodeToString(digest[:])},
		"code_challenge_method": {"S256"},
	}
}

// newVerifier makes a code verifier (RFC 7636 §4.1: 43 to 128 characters).
func newVerifier() string { return rand.Text() + rand.Text() }

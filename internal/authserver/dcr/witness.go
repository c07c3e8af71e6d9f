// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package dcr

import (
	"context"
	"crypto/rand"
	"maps"
	"net/http"
	"net/url"
	"time"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/exchange"
)

const (
	methodNone  = "none"
	methodBasic = "client_secret_basic"
	methodKey   = "private_key_jwt"
)

// anyRedirect is sent where the client has no redirect URI: the server must
// refuse the code before it looks at it.
const anyRedirect = "http://127.0.0.1/"

// largestSkew is how far the server's clock may be from ours for its refusal
// of a signed assertion to mean the client and not the time.
const largestSkew = time.Minute

// testimony is one way to introduce oneself as the client.
type testimony struct {
	authorization string
	form          url.Values
}

// witness asks the token endpoint whether it knows the client, by redeeming a
// made-up code: it answers invalid_client to an unknown client and something
// else to a known one (RFC 6749 §5.2). It also answers invalid_client to a
// known client with a wrong credential, so that this counts only with the
// current credential at hand, in every form that servers accept.
func (s *Server) witness(ctx context.Context, op string, handle authserver.Handle) (absent bool, err error) {
	if handle.ClientID == "" || handle.TokenEndpoint == "" || !s.exchange.Ours(handle.TokenEndpoint) {
		return false, nil
	}
	testimonies := s.testimonies(handle)
	for _, t := range testimonies {
		refused, err := s.hear(ctx, op, handle, t)
		if err != nil || !refused {
			return false, err
		}
	}
	return len(testimonies) > 0, nil
}

// testimonies returns every introduction that must be refused before the
// client counts as unknown; none if there can be no proof.
func (s *Server) testimonies(handle authserver.Handle) []testimony {
	switch {
	case handle.AuthMethod == methodNone:
		return []testimony{{form: url.Values{"client_id": {handle.ClientID}}}}
	case handle.Uncertain:
		return nil
	case handle.AuthMethod == methodBasic && !handle.ClientSecret.IsZero():
		return basics(handle.ClientID, handle.ClientSecret)
	case handle.AuthMethod == methodKey && !handle.PrivateKey.IsZero():
		return s.assertions(handle)
	}
	return nil
}

// basics encodes as RFC 6749 §2.3.1 says, and also as servers expect that
// forget to decode.
func basics(id string, secret authserver.Secret) []testimony {
	plain := exchange.PlainBasic(id, secret.Reveal())
	encoded := exchange.Basic(id, secret)
	if plain == encoded {
		return []testimony{{authorization: encoded}}
	}
	return []testimony{{authorization: encoded}, {authorization: plain}}
}

// assertions returns one signed assertion for each audience that servers insist
// on. An unusable key gives none.
func (s *Server) assertions(handle authserver.Handle) []testimony {
	var list []testimony
	for _, audience := range []string{s.config.Issuer, handle.TokenEndpoint} {
		form, err := exchange.Assertion(handle, audience, s.options.Now())
		if err != nil {
			return nil
		}
		list = append(list, testimony{form: form})
	}
	return list
}

func (s *Server) hear(ctx context.Context, op string, handle authserver.Handle, t testimony) (bool, error) {
	form := url.Values{
		"grant_type":    {"authorization_code"},
		"code":          {rand.Text() + rand.Text()},
		"code_verifier": {rand.Text() + rand.Text()},
		"redirect_uri":  {anyRedirect},
	}
	if handle.RedirectURI != "" {
		form.Set("redirect_uri", handle.RedirectURI)
	}
	maps.Copy(form, t.form)
	c := exchange.Call{
		Op: op, Method: http.MethodPost, URL: handle.TokenEndpoint, ContentType: exchange.FormType,
		Authorization: t.authorization, Body: []byte(form.Encode()),
	}
	got, err := s.exchange.Send(ctx, c)
	if err != nil {
		return false, err
	}
	if handle.AuthMethod == methodKey && s.skewed(got) {
		return false, nil
	}
	return s.judge(c, got)
}

// judge says whether the token endpoint refused the client itself.
func (s *Server) judge(c exchange.Call, a exchange.Answer) (refused bool, err error) {
	switch a.Status {
	case http.StatusOK:
		return false, nil
	case http.StatusBadRequest, http.StatusUnauthorized:
		switch exchange.ErrorCode(a) {
		case "invalid_client":
			return true, nil
		case "invalid_grant", "unauthorized_client", "unsupported_grant_type", "invalid_request", "invalid_scope":
			return false, nil
		}
	}
	failure := s.exchange.Classify(c, a)
	failure.Kind = authserver.Unavailable
	return false, failure
}

// skewed says that the clocks differ too much, or that this cannot be told.
func (s *Server) skewed(a exchange.Answer) bool {
	date, err := http.ParseTime(a.Header.Get("Date"))
	if err != nil {
		return true
	}
	return s.options.Now().Sub(date).Abs() > largestSkew
}

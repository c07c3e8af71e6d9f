// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package dcr

import (
	"context"
	"crypto/rand"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/exchange"
)

const (
	methodNone  = "none"
	methodBasic = authserver.SecretBasic
	methodPost  = authserver.SecretPost
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

// saying is what the token endpoint says of a client.
type saying int

const (
	// silent: it could not be asked, or what it says proves nothing.
	silent saying = iota
	// knowsClient: it takes the client for one of its own.
	knowsClient
	// refusesClient: it refuses the client in every form.
	refusesClient
)

// witness asks the token endpoint whether it knows the client, by redeeming a
// made-up code: it answers invalid_client to an unknown client and something
// else to a known one (RFC 6749 §5.2). It also answers invalid_client to a
// known client with a wrong credential, so that this counts only with the
// current credential at hand, in every form that servers accept.
func (s *Server) witness(ctx context.Context, op string, handle authserver.Handle) (saying, error) {
	if !s.askable(handle) {
		return silent, nil
	}
	for _, t := range s.testimonies(handle) {
		said, err := s.hear(ctx, op, handle, t)
		if err != nil || said != refusesClient {
			return said, err
		}
	}
	return refusesClient, nil
}

// askable says that the token endpoint can be asked about a client.
func (s *Server) askable(handle authserver.Handle) bool {
	return handle.ClientID != "" && handle.TokenEndpoint != "" && s.exchange.Ours(handle.TokenEndpoint) &&
		len(s.testimonies(handle)) > 0
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
	case handle.AuthMethod == methodPost && !handle.ClientSecret.IsZero():
		return []testimony{{form: url.Values{
			"client_id": {handle.ClientID}, "client_secret": {handle.ClientSecret.Reveal()},
		}}}
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

func (s *Server) hear(ctx context.Context, op string, handle authserver.Handle, t testimony) (saying, error) {
	code, err := s.redeem(ctx, op, handle, t)
	switch {
	case err != nil, code == aboutTime:
		return silent, err
	case code == "invalid_client":
		return refusesClient, nil
	}
	return knowsClient, nil
}

// wrongSecret is Keycloak's invalid_client for a client that it knows:
// unauthorized_client, with the status of the other.
const wrongSecret = "unauthorized_client, 401"

// tokenErrors are those of RFC 6749 §5.2.
var tokenErrors = []string{
	"invalid_client", "invalid_grant", "unauthorized_client", "unsupported_grant_type", "invalid_request", "invalid_scope",
}

// aboutTime stands for an answer to an assertion that may be about the time.
const aboutTime = "the clocks differ"

// redeem asks for a token for a made-up code and returns the error code that
// the token endpoint answers with; empty for a token.
func (s *Server) redeem(ctx context.Context, op string, handle authserver.Handle, t testimony) (string, error) {
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
		return "", err
	}
	code, err := s.judge(c, got)
	if err == nil && handle.AuthMethod == methodKey && s.skewed(got) {
		return aboutTime, nil
	}
	return code, err
}

// judge reads an answer of the token endpoint: a token, or an error of RFC 6749
// §5.2 in the form of that section. All else is nobody's word.
func (s *Server) judge(c exchange.Call, a exchange.Answer) (code string, err error) {
	switch a.Status {
	case http.StatusOK:
		fields, err := exchange.Read(c, a)
		if err == nil && fields.Visible("access_token", exchange.LongToken) == "" {
			err = exchange.Useless(c, a, fields.Err())
		}
		return "", err
	case http.StatusBadRequest, http.StatusUnauthorized:
		switch code := exchange.ErrorCode(a); {
		case code == "unauthorized_client" && a.Status == http.StatusUnauthorized:
			return wrongSecret, nil
		case slices.Contains(tokenErrors, code):
			return code, nil
		}
	}
	failure := s.exchange.Classify(c, a)
	failure.Kind = authserver.Unavailable
	return "", failure
}

// skewed says that the clocks differ too much, or that this cannot be told.
func (s *Server) skewed(a exchange.Answer) bool {
	date, err := http.ParseTime(a.Header.Get("Date"))
	if err != nil {
		return true
	}
	return s.options.Now().Sub(date).Abs() > largestSkew
}

// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package examine

import (
	"context"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/exchange"
)

const tokenOp = "asking for a token"

const (
	methodBasic = authserver.SecretBasic
	methodPost  = authserver.SecretPost
	methodKey   = "private_key_jwt"
)

// introduction is one way for a client to introduce itself.
type introduction struct {
	authorization string
	form          url.Values
}

// CanaryToken asks for a token with the client's own credential, in each form
// that servers insist on until one is accepted. It says what the token holds,
// and keeps nothing of it.
func (e *Examiner) CanaryToken(ctx context.Context, q authserver.TokenQuestion) (authserver.TokenFacts, error) {
	c, got, err := e.obtain(ctx, q)
	if err != nil {
		return authserver.TokenFacts{}, err
	}
	return e.examine(c, got, q)
}

// Borrow asks for a token as CanaryToken does and lends it.
func (e *Examiner) Borrow(
	ctx context.Context, q authserver.TokenQuestion, use func(authserver.Secret, authserver.TokenFacts) error,
) error {
	c, got, err := e.obtain(ctx, q)
	if err != nil {
		return err
	}
	token, lent := bearer(got.Body)
	facts, err := e.examine(c, got, q)
	if err != nil {
		return err
	}
	if lent != nil {
		return exchange.Useless(c, got, lent)
	}
	return use(token, facts)
}

// obtain asks for a token, in each form of introduction, and returns the answer
// that holds it.
func (e *Examiner) obtain(ctx context.Context, q authserver.TokenQuestion) (exchange.Call, exchange.Answer, error) {
	if !e.exchange.Ours(q.Handle.TokenEndpoint) {
		return exchange.Call{}, exchange.Answer{}, cannotAsk(CodeForeignEndpoint)
	}
	failure := cannotAsk(CodeNotAtHand)
	for _, self := range e.introductions(q.Handle) {
		c := e.tokenCall(q, self)
		got, err := e.exchange.Send(ctx, c)
		if err != nil {
			return exchange.Call{}, exchange.Answer{}, err
		}
		if got.Status == http.StatusOK {
			return c, got, nil
		}
		failure = e.exchange.Classify(c, got)
		if exchange.ErrorCode(got) != "invalid_client" {
			break
		}
	}
	return exchange.Call{}, exchange.Answer{}, failure
}

func cannotAsk(code string) *authserver.Error {
	return &authserver.Error{Kind: authserver.Rejected, Op: tokenOp, Code: code}
}

func (e *Examiner) introductions(handle authserver.Handle) []introduction {
	switch {
	case handle.AuthMethod == methodBasic && !handle.ClientSecret.IsZero():
		encoded := exchange.Basic(handle.ClientID, handle.ClientSecret)
		as := exchange.PlainBasic(handle.ClientID, handle.ClientSecret.Reveal())
		if as == encoded {
			return []introduction{{authorization: encoded}}
		}
		return []introduction{{authorization: encoded}, {authorization: as}}
	case handle.AuthMethod == methodPost && !handle.ClientSecret.IsZero():
		return []introduction{{form: url.Values{
			"client_id": {handle.ClientID}, "client_secret": {handle.ClientSecret.Reveal()},
		}}}
	case handle.AuthMethod == methodKey && !handle.PrivateKey.IsZero():
		return e.assertions(handle)
	}
	return nil
}

// assertions returns one signed assertion for each audience that servers insist
// on. An unusable key gives none.
func (e *Examiner) assertions(handle authserver.Handle) []introduction {
	var list []introduction
	for _, audience := range []string{e.config.Issuer, handle.TokenEndpoint} {
		form, err := exchange.Assertion(handle, audience, e.options.Now())
		if err != nil {
			return nil
		}
		list = append(list, introduction{form: form})
	}
	return list
}

func (e *Examiner) tokenCall(q authserver.TokenQuestion, self introduction) exchange.Call {
	form := url.Values{"grant_type": {"client_credentials"}}
	if len(q.Scopes) > 0 {
		form.Set("scope", strings.Join(q.Scopes, " "))
	}
	if q.Resource != "" {
		form.Set("resource", q.Resource)
	}
	maps.Copy(form, self.form)
	return exchange.Call{
		Op: tokenOp, Method: http.MethodPost, Quoted: true, Secrets: []authserver.Secret{q.Handle.ClientSecret}, URL: q.Handle.TokenEndpoint, ContentType: exchange.FormType,
		Authorization: self.authorization, Body: []byte(form.Encode()),
	}
}

func (e *Examiner) examine(c exchange.Call, a exchange.Answer, q authserver.TokenQuestion) (authserver.TokenFacts, error) {
	defer clear(a.Body)
	if a.BodyErr != nil {
		return authserver.TokenFacts{}, exchange.Useless(c, a, nil)
	}
	facts, err := readToken(a.Body, q, e.issued(a))
	if err != nil {
		return authserver.TokenFacts{}, exchange.Useless(c, a, err)
	}
	return facts, nil
}

// issued is the time of an answer by the server's own clock, where it says so.
func (e *Examiner) issued(a exchange.Answer) time.Time {
	if date, err := http.ParseTime(a.Header.Get("Date")); err == nil {
		return date
	}
	return e.options.Now()
}

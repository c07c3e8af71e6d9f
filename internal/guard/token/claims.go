// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package token

import (
	"errors"
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-jose/go-jose/v4/json"

	"github.com/mcp-registrar/mcp-registrar/internal/guard"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

const (
	longestText   = 4096
	mostScopes    = 256
	mostAudiences = 256
	// lastSecond is the end of the year 9999, the last instant that RFC 3339
	// can write.
	lastSecond = 253402300799
)

var (
	errClaims   = errors.New("the claims are not an object with each member once")
	errMember   = errors.New("a claim is not of the right form")
	errClients  = errors.New("the claims that name its client differ")
	errNoClient = errors.New("no claim names its client")
	errNoIssuer = errors.New("it names no issuer")
	errNoExpiry = errors.New("it has no exp")
	errAudience = errors.New("it is not for the audience of the server")
	errExpired  = errors.New("exp is past")
	errEarly    = errors.New("nbf or iat is in the future")
)

// claims is what a token says, or an issuer of it. What is not said is empty.
type claims struct {
	issuer, client, subject, id string
	// also is the client by client_id or azp where these are not what names it.
	also string
	// misuse is why it is no bearer access token; nil where it may be one.
	misuse error

	audience []string
	// scopes is nil where nothing is said of them.
	scopes []string

	expires, notBefore, issuedAt time.Time
}

// members are those of a JSON object, by exact name. The first error is kept.
type members struct {
	raw map[string]json.RawMessage
	err error
}

// readMembers reads an object that has each member once.
func readMembers(raw []byte) (*members, error) {
	read := &members{}
	if !utf8.Valid(raw) || json.Unmarshal(raw, &read.raw) != nil || read.raw == nil {
		return nil, errClaims
	}
	return read, nil
}

func readClaims(raw []byte, reading policy.TokenReading) (claims, error) {
	m, err := readMembers(raw)
	if err != nil {
		return claims{}, err
	}
	return m.claims(reading)
}

// readStanding reads an introspection answer (RFC 7662 §2.2).
func readStanding(raw []byte, reading policy.TokenReading) (bool, claims, error) {
	m, err := readMembers(raw)
	if err != nil {
		return false, claims{}, errAnswer
	}
	var active *bool
	if json.Unmarshal(m.raw["active"], &active) != nil || active == nil {
		return false, claims{}, errAnswer
	}
	if !*active {
		return false, claims{}, nil
	}
	said, err := m.claims(reading)
	return true, said, err
}

func (m *members) claims(reading policy.TokenReading) (claims, error) {
	said := claims{
		issuer: m.text("iss"), subject: m.text("sub"), id: m.text("jti"), misuse: m.misuse(),
		client: m.client(reading.ClientID()), also: m.client([]string{"client_id", "azp"}),
		audience: m.texts("aud"), scopes: m.scopes(reading.Scope()),
		expires: m.instant("exp"), notBefore: m.instant("nbf"), issuedAt: m.instant("iat"),
	}
	if said.client != "" && said.also != "" && said.client != said.also {
		m.fail(errClients)
	}
	return said, m.err
}

// client is what claims that name the client say, which must be the same; empty
// where there is none of them.
func (m *members) client(names []string) string {
	var client string
	for _, name := range names {
		switch said := m.text(name); {
		case client == "":
			client = said
		case said != "" && said != client:
			m.fail(errClients)
		}
	}
	return client
}

func (m *members) fail(err error) {
	if m.err == nil {
		m.err = err
	}
}

// has says that a member is there and not null.
func (m *members) has(name string) bool {
	raw := m.raw[name]
	return len(raw) > 0 && string(raw) != "null"
}

func (m *members) read(name string, into any) bool {
	if !m.has(name) {
		return false
	}
	if json.Unmarshal(m.raw[name], into) != nil {
		m.fail(errMember)
		return false
	}
	return true
}

// text reads a string, which is never empty: what says nothing is left out.
func (m *members) text(name string) string {
	var value string
	if m.read(name, &value) && !usable(value) {
		m.fail(errMember)
		return ""
	}
	return value
}

// usable refuses texts that are empty, too long, or that logs would show as
// something else.
func usable(text string) bool {
	return text != "" && len(text) <= longestText && !strings.ContainsFunc(text, func(r rune) bool {
		return r < ' ' || r == 0x7f || r == utf8.RuneError
	})
}

// texts reads a string or an array of strings.
func (m *members) texts(name string) []string {
	if !m.has(name) {
		return nil
	}
	if m.raw[name][0] == '"' {
		return []string{m.text(name)}
	}
	var values []string
	m.read(name, &values)
	if len(values) > mostAudiences || slices.ContainsFunc(values, func(value string) bool { return !usable(value) }) {
		m.fail(errMember)
		return nil
	}
	return values
}

// scopes reads the first claim of scopes that there is, as scope (RFC 9068
// §2.2.3); each is a list with spaces or an array.
func (m *members) scopes(names []string) []string {
	first := slices.IndexFunc(names, m.has)
	if first < 0 {
		return nil
	}
	name := names[first]
	var values []string
	if m.raw[name][0] == '"' {
		var list string
		m.read(name, &list)
		values = strings.FieldsFunc(list, func(r rune) bool { return r == ' ' })
	} else {
		m.read(name, &values)
	}
	if len(values) > mostScopes || slices.ContainsFunc(values, func(value string) bool { return !isScope(value) }) {
		m.fail(errMember)
		return nil
	}
	slices.Sort(values)
	return append([]string{}, slices.Compact(values)...)
}

// isScope says that a text is a scope-token (RFC 6749 §3.3).
func isScope(text string) bool {
	return usable(text) && !strings.ContainsFunc(text, func(r rune) bool {
		return r <= ' ' || r > '~' || r == '"' || r == '\\'
	})
}

// instant reads a NumericDate (RFC 7519 §2). What is beyond a second is cut off.
func (m *members) instant(name string) time.Time {
	var seconds float64
	if !m.read(name, &seconds) {
		return time.Time{}
	}
	if seconds < 1 || seconds > lastSecond {
		m.fail(errMember)
		return time.Time{}
	}
	return time.Unix(int64(math.Floor(seconds)), 0).UTC()
}

// complete says what a JWT leaves out (RFC 9068 §2.2); the audience is for judge.
func (c claims) complete() error {
	switch {
	case c.issuer == "":
		return errNoIssuer
	case c.client == "":
		return errNoClient
	case c.expires.IsZero():
		return errNoExpiry
	}
	return nil
}

// judge says whether a token is for the audience and its time is now. From exp
// on it is over, without leeway.
func (c claims) judge(q question, now time.Time, skew time.Duration) error {
	latest := now.Add(skew)
	switch {
	case !q.Reading.IsFor(q.Audience, c.audience, c.scopes):
		return refuse(guard.TokenAudience, errAudience)
	case !c.expires.IsZero() && !now.Before(c.expires):
		return &guard.TokenError{Reason: guard.TokenExpired, Err: errExpired, Said: c.token(q.Issuer, time.Time{})}
	case c.notBefore.After(latest) || c.issuedAt.After(latest):
		return refuse(guard.TokenNotYetValid, errEarly)
	}
	return nil
}

// narrowedBy is what holds where the issuer says more of a JWT: the least of
// both.
func (c claims) narrowedBy(said claims) (claims, error) {
	for _, client := range []string{said.client, said.also} {
		if client != "" && client != c.client {
			return claims{}, refuse(guard.TokenMalformed, errContradiction)
		}
	}
	if said.audience != nil {
		c.audience = said.audience
	}
	if said.scopes != nil {
		c.scopes = slices.DeleteFunc(slices.Clone(c.scopes), func(scope string) bool { return !slices.Contains(said.scopes, scope) })
	}
	if !said.expires.IsZero() && said.expires.Before(c.expires) {
		c.expires = said.expires
	}
	if said.notBefore.After(c.notBefore) {
		c.notBefore = said.notBefore
	}
	return c, nil
}

func (c claims) token(issuer string, checkAt time.Time) guard.Token {
	return guard.Token{
		Issuer: issuer, ClientID: c.client, Subject: c.subject, ID: c.id,
		Scopes: slices.Clip(c.scopes), ExpiresAt: c.expires, CheckAt: checkAt,
	}
}

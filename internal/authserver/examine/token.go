// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package examine

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/exchange"
)

const (
	mostItems = 1000
	// longestLife is beyond every bound, and within what time.Duration holds.
	longestLife = 100 * 365 * 24 * time.Hour
	// lastSecond is the end of the year 9999.
	lastSecond = 253402300799
)

var (
	errNotObject = errors.New("not a JSON object")
	errMember    = errors.New("a member is missing or not of the right form")
	errNotJWT    = errors.New("not a JWT")
)

// members are those of a JSON object, by exact name.
type members map[string]json.RawMessage

// wipe overwrites the values, so that no token stays in memory for longer than
// it is looked at.
func (m members) wipe() {
	for _, raw := range m {
		clear(raw)
	}
}

func object(raw []byte) (members, error) {
	var m members
	if err := json.Unmarshal(raw, &m); err != nil || m == nil {
		return nil, errNotObject
	}
	return m, nil
}

// has says that a member is there and not null.
func (m members) has(name string) bool {
	raw, there := m[name]
	return there && !bytes.Equal(bytes.TrimSpace(raw), []byte("null"))
}

// readToken reads a token answer (RFC 6749 §5.1) and the token in it. The
// token's signature is not verified: it came over TLS from whom it is about,
// and is examined, not trusted. A token that is no JWT, or whose claims nobody
// can use, is opaque, which is no error.
func readToken(body []byte, q authserver.TokenQuestion, issued time.Time) (authserver.TokenFacts, error) {
	answer, err := object(body)
	if err != nil {
		return authserver.TokenFacts{}, err
	}
	defer answer.wipe()
	token, err := answer.token()
	if err != nil {
		return authserver.TokenFacts{}, err
	}
	defer clear(token)
	said, err := answer.said(q.Scopes)
	if err != nil {
		return authserver.TokenFacts{}, err
	}
	claims, err := payload(token)
	if err != nil {
		return said, nil
	}
	defer claims.wipe()
	read, err := claims.facts(q.ScopeClaims, said.Scopes, issued)
	if err != nil {
		return said, nil
	}
	return read, nil
}

// said is what the answer says of the token.
func (m members) said(asked []string) (authserver.TokenFacts, error) {
	facts := authserver.TokenFacts{Scopes: append([]string{}, asked...)}
	if m.has("scope") {
		scopes, err := m.list("scope", true)
		if err != nil {
			return authserver.TokenFacts{}, err
		}
		facts.Scopes = scopes
	}
	if m.has("expires_in") {
		seconds, err := m.seconds("expires_in")
		if err != nil {
			return authserver.TokenFacts{}, err
		}
		facts.Lifetime = life(seconds)
	}
	return facts, nil
}

// token returns access_token, which is printable ASCII (RFC 6749 appendix
// A.12), of an answer with a token_type. Where nothing in it is escaped it is
// not copied, so that wiping the members wipes it.
func (m members) token() ([]byte, error) {
	if kind, err := m.text("token_type"); err != nil || kind == "" {
		return nil, errMember
	}
	token := bytes.TrimSpace(m["access_token"])
	if bytes.ContainsRune(token, '\\') {
		var text string
		if err := json.Unmarshal(token, &text); err != nil {
			return nil, errMember
		}
		token = []byte(`"` + text + `"`)
	}
	if len(token) < 3 || token[0] != '"' {
		return nil, errMember
	}
	token = token[1 : len(token)-1]
	if bytes.ContainsFunc(token, func(r rune) bool { return r < ' ' || r > '~' }) {
		return nil, errMember
	}
	return token, nil
}

// bearer copies the token out of an answer, if it is one that is sent as it is
// (RFC 6750).
func bearer(body []byte) (authserver.Secret, error) {
	answer, err := object(body)
	if err != nil {
		return authserver.Secret{}, err
	}
	defer answer.wipe()
	if kind, err := answer.text("token_type"); err != nil || !strings.EqualFold(kind, "Bearer") {
		return authserver.Secret{}, errMember
	}
	token, err := answer.token()
	if err != nil {
		return authserver.Secret{}, err
	}
	return authserver.NewSecret(string(token)), nil
}

func (m members) text(name string) (string, error) {
	var value string
	if err := json.Unmarshal(m[name], &value); err != nil || !printable(value, exchange.LongToken) {
		return "", errMember
	}
	return value, nil
}

func printable(value string, longest int) bool {
	return len(value) <= longest && !strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r == 0x7f })
}

// list reads a member that is a string or an array of strings. A string is one
// element, or one for each of its words.
func (m members) list(name string, words bool) ([]string, error) {
	if text, err := m.text(name); err == nil {
		if words {
			return append([]string{}, strings.Fields(text)...), nil
		}
		return []string{text}, nil
	}
	var values []string
	if err := json.Unmarshal(m[name], &values); err != nil || len(values) > mostItems {
		return nil, errMember
	}
	for _, value := range values {
		if !printable(value, exchange.LongText) {
			return nil, errMember
		}
	}
	return append([]string{}, values...), nil
}

// seconds reads a number of seconds, which may have a fraction (RFC 7519 §2).
func (m members) seconds(name string) (float64, error) {
	var value float64
	if err := json.Unmarshal(m[name], &value); err != nil || value < 0 || value > lastSecond {
		return 0, errMember
	}
	return value, nil
}

func life(seconds float64) time.Duration {
	if seconds >= longestLife.Seconds() {
		return longestLife
	}
	return time.Duration(seconds * float64(time.Second)).Round(time.Millisecond)
}

// usualScopeClaims hold scopes: some servers call the claim of RFC 9068 §2.2.3
// scp.
var usualScopeClaims = []string{"scope", "scp"}

// facts is what the claims of a JWT say; scopes where they say none.
func (m members) facts(scopeClaims, scopes []string, issued time.Time) (authserver.TokenFacts, error) {
	read := authserver.TokenFacts{Readable: true, Scopes: scopes}
	var err error
	if m.has("aud") {
		if read.Audience, err = m.list("aud", false); err != nil {
			return authserver.TokenFacts{}, err
		}
	}
	if len(scopeClaims) == 0 {
		scopeClaims = usualScopeClaims
	}
	if first := slices.IndexFunc(scopeClaims, m.has); first >= 0 {
		if read.Scopes, err = m.list(scopeClaims[first], true); err != nil {
			return authserver.TokenFacts{}, err
		}
	}
	read.Lifetime, err = m.lifetime(issued)
	return read, err
}

// payload decodes the middle of a signed JWT (RFC 7515 §7.1), whose first part
// must name an algorithm.
func payload(token []byte) (members, error) {
	parts := bytes.Split(token, []byte("."))
	if len(parts) != 3 {
		return nil, errNotJWT
	}
	var sections [2]members
	for i := range sections {
		decoded := make([]byte, base64.RawURLEncoding.DecodedLen(len(parts[i])))
		n, err := base64.RawURLEncoding.Decode(decoded, parts[i])
		if err == nil {
			sections[i], err = object(decoded[:n])
		}
		clear(decoded)
		if err != nil {
			return nil, errNotJWT
		}
	}
	if algorithm, err := sections[0].text("alg"); err != nil || algorithm == "" {
		return nil, errNotJWT
	}
	return sections[1], nil
}

// lifetime is exp - iat, and 0 for a token without end. Without iat the token
// was issued with the answer.
func (m members) lifetime(issued time.Time) (time.Duration, error) {
	if !m.has("exp") {
		return 0, nil
	}
	end, err := m.seconds("exp")
	if err != nil {
		return 0, err
	}
	begin := float64(issued.Unix())
	if m.has("iat") {
		if begin, err = m.seconds("iat"); err != nil {
			return 0, err
		}
	}
	if end <= begin {
		return 0, errNotJWT
	}
	return life(end - begin), nil
}

// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package exchange

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
)

const (
	// longestQuote bounds what is shown of a server's words, in bytes.
	longestQuote = 200
	// longestWord bounds a word in them, in characters: what is longer is a key, a
	// token, or what a tenant made up.
	longestWord = 64
	// tellingPart is how many characters of a secret in a row give it away.
	tellingPart = 8
	// leftOut stands for a word that is not shown.
	leftOut = "(…)"
)

// sentMembers are those of a body that hold a secret, in whatever way it is written.
var sentMembers = []string{
	"client_secret", "secret", "client_assertion", "code", "code_verifier", "refresh_token", "token",
}

// address finds words that lead elsewhere: URLs, hosts with a path, mail addresses.
// The beginning of a JWT is never a word.
var address = regexp.MustCompile(`(?i)://|@|\A\W*www\.|[[:alnum:]]\.[[:alnum:]]+(:[0-9]+)?/|eyJ[[:alnum:]_-]{8}`)

// QuoteOf is what the server says of a request that it refuses (RFC 6749 §5.2, RFC 7591
// §3.2.2): one line of printable text without addresses, with the error code where that
// is not a known one. It is nothing where any part of a secret is in it, and for a
// call that is not to be quoted.
func QuoteOf(c Call, a Answer) authserver.Quote {
	if !c.Quoted || !a.Refuses() {
		return authserver.Quote{}
	}
	fields, err := LookInto(a.Body)
	if err != nil {
		return authserver.Quote{}
	}
	var parts []string
	for _, name := range []string{"error", "error_description", "errorMessage"} {
		said := cut(fields.Echo(name), LongText)
		if said == "" || name == "error" && slices.Contains(knownCodes, said) {
			continue
		}
		parts = append(parts, said)
	}
	return authserver.NewQuote(quotable(strings.Join(parts, ": "), c.secrets(), string(c.Body)))
}

// quoteOfRefusal is what the server says of a request that it refuses for what it asks.
func quoteOfRefusal(c Call, a Answer) authserver.Quote {
	switch a.Status {
	case http.StatusBadRequest, http.StatusUnprocessableEntity:
		return QuoteOf(c, a)
	case http.StatusUnauthorized:
		if c.ContentType == FormType {
			// At a token endpoint this is about the client too (RFC 6749 §5.2).
			return QuoteOf(c, a)
		}
	}
	return authserver.Quote{}
}

// quotable cleans what a server said of what was sent; empty where it tells of a secret.
func quotable(said string, secrets []string, sent string) string {
	plain, bare := solid(said), stripped(unescaped(said))
	for _, secret := range secrets {
		if tells(plain, solid(secret)) || tellsStripped(bare, stripped(secret)) {
			return ""
		}
	}
	words := strings.Fields(strings.Map(shownRune, strings.ToValidUTF8(said, "")))
	for i, word := range words {
		if unfitWord(word, sent) {
			words[i] = leftOut
		}
	}
	line := strings.Join(slices.CompactFunc(words, func(a, b string) bool { return a == leftOut && b == leftOut }), " ")
	if len(line) > longestQuote {
		line = strings.TrimSpace(cut(line, longestQuote-len("…"))) + "…"
	}
	return line
}

// shownRune is how a character is shown: white space of any kind as a space, what
// would end the quotation as what does not, and nothing for what nobody sees.
func shownRune(r rune) rune {
	switch {
	case unicode.IsSpace(r), unicode.In(r, unicode.Zl, unicode.Zp):
		return ' '
	case r == '"', r == '`', r == '“', r == '”':
		return '\''
	case !unicode.IsPrint(r):
		return -1
	}
	return r
}

// solid leaves out of a text what could stand between the parts of a secret.
func solid(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, text)
}

// unfitWord reports whether a word is not to be shown.
func unfitWord(word, sent string) bool {
	return len([]rune(word)) > longestWord || address.MatchString(word) || unknownCode(word, sent)
}

// tellsStripped is tells for texts without case and marks, forwards and backwards. What
// is short then could be in any text.
func tellsStripped(text, secret string) bool {
	return len(secret) >= tellingPart && (tells(text, secret) || tells(text, backwards(secret)))
}

// stripped is what is left of a text without case and marks: its letters and digits.
func stripped(text string) string {
	return strings.Map(func(r rune) rune {
		if r > unicode.MaxASCII || !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			return -1
		}
		return unicode.ToLower(r)
	}, text)
}

func backwards(text string) string {
	turned := []byte(text)
	slices.Reverse(turned)
	return string(turned)
}

// escape finds characters that are written by their number: in URLs, in JSON, in HTML.
var escape = regexp.MustCompile(`(?i)%([0-9a-f]{2})|\\u([0-9a-f]{4})|&#x([0-9a-f]{1,6});|&#([0-9]{1,7});`)

// unescaped writes those characters themselves.
func unescaped(text string) string {
	return escape.ReplaceAllStringFunc(text, func(written string) string {
		groups, base := escape.FindStringSubmatch(written), 16
		if groups[4] != "" {
			base = 10
		}
		number, err := strconv.ParseInt(strings.Join(groups[1:], ""), base, 32)
		if err != nil {
			return written
		}
		return string(rune(number))
	})
}

// code finds what could be a key, a token or a coding of one.
var code = regexp.MustCompile(`[A-Za-z0-9+/=_-]{16,}`)

// unknownCode reports whether a word has something in it that could be a code, with
// letters and digits, and was not sent.
func unknownCode(word, sent string) bool {
	return slices.ContainsFunc(code.FindAllString(word, -1), func(found string) bool {
		return strings.ContainsAny(found, "0123456789") && !strings.Contains(sent, found)
	})
}

// tells reports whether a text has a secret in it, or a telling part of one.
func tells(text, secret string) bool {
	if len(secret) < tellingPart {
		return secret != "" && strings.Contains(text, secret)
	}
	if len(text) < tellingPart {
		return false
	}
	parts := make(map[string]bool, len(text))
	for i := range len(text) - tellingPart + 1 {
		parts[text[i:i+tellingPart]] = true
	}
	for i := range len(secret) - tellingPart + 1 {
		if parts[secret[i:i+tellingPart]] {
			return true
		}
	}
	return false
}

// secrets are what was sent that must not come back, in each form in which it was
// sent, and what else the caller named.
func (c Call) secrets() []string {
	var found []string
	add := func(value string) {
		if value != "" {
			found = append(found, value, url.QueryEscape(value))
		}
	}
	for _, secret := range c.Secrets {
		add(secret.Reveal())
	}
	if target, err := url.Parse(c.URL); err == nil {
		for _, values := range target.Query() {
			for _, value := range values {
				add(value)
			}
		}
	}
	scheme, credential, _ := strings.Cut(c.Authorization, " ")
	add(credential)
	if decoded, err := base64.StdEncoding.DecodeString(credential); err == nil && scheme == "Basic" {
		_, password, _ := strings.Cut(string(decoded), ":")
		add(password)
		if plain, err := url.QueryUnescape(password); err == nil {
			add(plain)
		}
	}
	for _, value := range c.sentValues() {
		add(value)
	}
	return found
}

// sentValues are the secrets in the body.
func (c Call) sentValues() []string {
	var values []string
	switch c.ContentType {
	case FormType:
		form, err := url.ParseQuery(string(c.Body))
		if err != nil {
			return []string{string(c.Body)}
		}
		for _, name := range sentMembers {
			values = append(values, form[name]...)
		}
	case JSONType:
		var members map[string]json.RawMessage
		if json.Unmarshal(c.Body, &members) != nil {
			return []string{string(c.Body)}
		}
		for _, name := range sentMembers {
			var value string
			if json.Unmarshal(members[name], &value) == nil {
				values = append(values, value)
			}
		}
	}
	return values
}

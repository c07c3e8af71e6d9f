// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package exchange

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/quotation"
)

// longestQuote bounds what is shown of a server's words, in bytes.
const longestQuote = 200

// sentMembers are those of a body that hold a secret, in whatever way it is written.
var sentMembers = []string{
	"client_secret", "secret", "client_assertion", "code", "code_verifier", "refresh_token", "token",
}

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
	return authserver.NewQuote(quotation.Clean(strings.Join(parts, ": "), quotation.Options{
		Secrets: c.secrets(), Sent: string(c.Body), Longest: longestQuote,
	}))
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

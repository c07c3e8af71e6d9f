// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

// refuse completes a refusal: its status, its challenge (RFC 6750 §3, RFC 9728
// §5.1) and its words. What no token helps against has no challenge, and is the
// answer to the request where it has one: whoever is told by the status goes and
// gets a token.
func (e *Engine) refuse(server Server, r Request, v Verdict) Verdict {
	v.Server, v.Status, v.Code = server, v.Reason.status(), v.Reason.Code()
	v.Text = v.words(r.Message)
	switch {
	case v.Status == http.StatusUnauthorized && v.Reason == TokenMissing:
		v.Challenge = challengeOf(server, "", "", e.asks(server, r, v))
	case v.Status == http.StatusUnauthorized:
		v.Challenge = challengeOf(server, "invalid_token", v.Text, e.asks(server, r, v))
	case v.Status == http.StatusBadRequest:
		v.Challenge = challengeOf(server, "invalid_request", v.Text, nil)
	case v.Reason == Reason(policy.RefusedScopeMissing):
		v.Challenge = challengeOf(server, "insufficient_scope", v.Text, further(v.Token.Scopes, v.Decision.StepUp))
	case v.Status == http.StatusForbidden && r.Message.answerable():
		v.Status = http.StatusOK
	}
	return v
}

// asks are the scopes to log in for: the first ones, and beside them what somebody had
// whose token is not good any more, or whose session it is, as far as it is still granted.
// Who logged in for the first scopes alone would have to log in again for each of the
// others, and some clients give up on the second refusal of one request.
func (e *Engine) asks(server Server, r Request, v Verdict) []string {
	first, had := e.register.FirstScopes(server), v.Token
	if had.ClientID == "" {
		had = v.said
	}
	if had.ClientID == "" && r.Session != "" {
		// It allows nothing, and only tells what to log in for again.
		had.ClientID, had.Scopes = e.sessions.last(r.session())
	}
	if had.ClientID == "" {
		return first
	}
	return further(policy.StillGiven(e.facts(server, had), e.clock.Now()), first)
}

// mostScopes is how long the scopes in a challenge may be together that a token
// has already.
const mostScopes = 4096

// further are the scopes of a token with those that it lacks: a client asks for
// what it is told, and would lose what it has.
func further(has, lacks []string) []string {
	var scopes []string
	size := 0
	for _, scope := range has {
		if size += len(scope) + 1; size > mostScopes {
			break
		}
		if isScope(scope) && !slices.Contains(lacks, scope) {
			scopes = append(scopes, scope)
		}
	}
	return append(scopes, lacks...)
}

// isScope says that a text is a scope-token (RFC 6749 §3.3).
func isScope(text string) bool {
	return text != "" && !strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' })
}

// challengeOf is the challenge with an error, where there is one, and scopes.
func challengeOf(server Server, failure, description string, scopes []string) string {
	params := challenge{{"resource_metadata", MetadataURL(server.Resource)}}
	if failure != "" {
		params = append(params, [2]string{"error", failure}, [2]string{"error_description", description})
	}
	if len(scopes) > 0 {
		params = append(params, [2]string{"scope", strings.Join(scopes, " ")})
	}
	return params.String()
}

// challenge are the parameters of a WWW-Authenticate header.
type challenge [][2]string

// String is the header's value. No value has a double quote or a backslash.
func (c challenge) String() string {
	var text strings.Builder
	text.WriteString("Bearer")
	for i, param := range c {
		separator := ","
		if i == 0 {
			separator = ""
		}
		fmt.Fprintf(&text, `%s %s="%s"`, separator, param[0], quotable.Replace(param[1]))
	}
	return text.String()
}

var quotable = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\r", " ", "\n", " ")

// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"errors"
	"net/http"

	"github.com/modelcontextprotocol/go-sdk/oauthex"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

// anonymousCalls are made without a token. Each must be refused; of the last,
// only a server that speaks its revision has to know that it is one.
var anonymousCalls = []call{
	{method: methodInitialize, revision: sessionful},
	{method: methodTools, revision: sessionful},
	{method: methodTools, revision: stateless},
}

// anonymous makes the calls without a token, and follows the challenge. A server
// that does not answer the first is left alone.
func (c *conversation) anonymous(ctx context.Context) {
	var leads []string
	challenged := false
	for i, m := range anonymousCalls {
		got, err := c.send(ctx, m, false)
		if err != nil {
			if i == 0 {
				c.facts.Contact = contactOf(err)
				return
			}
			c.facts.Anonymous = append(c.facts.Anonymous, policy.AnswerPassing)
			continue
		}
		c.facts.Contact = policy.Contacted
		answer, lead := judge(got)
		if answer == policy.AnswerAccepted {
			c.end(ctx, got.header.Get(sessionHeader), authserver.Secret{})
		}
		if m.revision == stateless && (answer == policy.AnswerRefused || answer == policy.AnswerOdd) {
			continue
		}
		challenged = challenged || answer == policy.AnswerChallenged
		c.facts.Anonymous = append(c.facts.Anonymous, answer)
		if lead != "" {
			leads = append(leads, lead)
		}
	}
	if challenged {
		c.follow(ctx, leads)
	}
}

// judge says what an answer to a call without a token is, and where its
// challenge leads to.
func judge(got reply) (answer policy.ProbeAnswer, lead string) {
	switch {
	case got.status == http.StatusUnauthorized:
		lead, is := challenge(got.header)
		if is {
			return policy.AnswerChallenged, lead
		}
		return policy.AnswerRefused, ""
	case got.passing(), got.succeeded() && got.err != nil && !errors.Is(got.err, errNoMessage) && !tooLarge(got.err):
		return policy.AnswerPassing, ""
	case got.gave(), got.succeeded() && got.stream:
		return policy.AnswerAccepted, ""
	case got.succeeded() && got.message == nil, got.status == http.StatusNotFound, got.status == http.StatusMethodNotAllowed:
		return policy.AnswerOdd, ""
	}
	return policy.AnswerRefused, ""
}

// challenge looks for a Bearer challenge, and for its resource_metadata. Values
// that cannot be read are none.
func challenge(header http.Header) (lead string, found bool) {
	for _, value := range header.Values("WWW-Authenticate") {
		challenges, err := oauthex.ParseWWWAuthenticate([]string{value})
		if err != nil {
			continue
		}
		for _, one := range challenges {
			if one.Scheme != "bearer" {
				continue
			}
			found = true
			if lead = one.Params["resource_metadata"]; lead != "" {
				return lead, true
			}
		}
	}
	return lead, found
}

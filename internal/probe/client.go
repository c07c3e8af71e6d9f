// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/modelcontextprotocol/go-sdk/oauthex"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

// mostPages bounds how far a list of tools is followed.
const mostPages = 20

type borrower = func(ctx context.Context, resource string, use func(authserver.Secret, authserver.TokenFacts) error) error

// byClient asks for the tools with a token for the server, and offers one of
// another audience.
func (c *conversation) byClient(ctx context.Context, borrow borrower) {
	revision := stateless
	err := borrow(ctx, c.resource, func(token authserver.Secret, _ authserver.TokenFacts) error {
		revision = c.list(ctx, token)
		return nil
	})
	if err != nil {
		c.facts.Trouble = troubleOf(err)
		return
	}
	if c.facts.Trouble == policy.TroubleRefused || c.facts.Trouble == policy.TroubleNoAnswer {
		return
	}
	c.facts.Audience = policy.AudienceUnclear
	err = borrow(ctx, "", func(token authserver.Secret, facts authserver.TokenFacts) error {
		if c.foreign(facts) {
			c.facts.Audience = c.offer(ctx, revision, token)
		}
		return nil
	})
	if err != nil {
		// A server that gives no token without a resource is a careful one.
		c.facts.Audience = policy.AudienceUnclear
	}
}

// foreign says that a token is for another server: no server refuses one of its
// own, also where it is not strict about a slash at the end.
func (c *conversation) foreign(facts authserver.TokenFacts) bool {
	return facts.Readable && !c.tokens.IsFor(c.audience, facts.Audience, facts.Scopes) && !oauthex.MatchesResource(facts.Audience, c.audience)
}

// troubleOf says why there is no token.
func troubleOf(err error) policy.ProbeTrouble {
	var failure *authserver.Error
	if errors.As(err, &failure) && failure.Kind != authserver.Unavailable {
		return policy.TroubleNoToken
	}
	return policy.TroubleNoAnswer
}

// offer offers a token of another audience.
func (c *conversation) offer(ctx context.Context, revision string, token authserver.Secret) policy.ProbeAudience {
	m := call{method: methodTools, revision: revision, token: token}
	if revision == sessionful {
		m.method = methodInitialize
	}
	got, err := c.send(ctx, m, false)
	switch {
	case err != nil:
	case got.refusing():
		return policy.AudienceCompared
	case got.gave(), got.succeeded() && got.stream:
		c.end(ctx, got.header.Get(sessionHeader), token)
		return policy.AudienceIgnored
	}
	return policy.AudienceUnclear
}

// list asks for the tools, without a session first, and returns the revision
// that the server speaks.
func (c *conversation) list(ctx context.Context, token authserver.Secret) string {
	first, err := c.send(ctx, call{method: methodTools, revision: stateless, token: token}, true)
	switch {
	case err != nil || first.passing():
		c.facts.Trouble = policy.TroubleNoAnswer
		return stateless
	case first.refusing():
		c.facts.Trouble = policy.TroubleRefused
		return stateless
	case first.gave():
		c.pages(ctx, call{method: methodTools, revision: stateless, token: token}, first)
		return stateless
	}
	c.inSession(ctx, token)
	return sessionful
}

// inSession asks for the tools in a session of its own.
func (c *conversation) inSession(ctx context.Context, token authserver.Secret) {
	begun, err := c.send(ctx, call{method: methodInitialize, revision: sessionful, token: token}, true)
	switch {
	case err != nil || begun.passing():
		c.facts.Trouble = policy.TroubleNoAnswer
		return
	case begun.refusing():
		c.facts.Trouble = policy.TroubleRefused
		return
	case !begun.gave():
		c.facts.Trouble = policy.TroubleNoTools
		return
	}
	m := call{method: methodTools, revision: agreed(begun), session: begun.header.Get(sessionHeader), token: token}
	defer c.end(ctx, m.session, token)
	ready := m
	ready.method, ready.notification = methodInitialized, true
	if _, err := c.send(ctx, ready, false); err != nil {
		c.facts.Trouble = policy.TroubleNoAnswer
		return
	}
	first, err := c.send(ctx, m, true)
	if err != nil {
		c.facts.Trouble = policy.TroubleNoAnswer
		return
	}
	c.pages(ctx, m, first)
}

// agreed is the revision that the server chose: an older one is spoken too.
func agreed(begun reply) string {
	var result struct {
		ProtocolVersion string `json:"protocolVersion"`
	}
	if err := json.Unmarshal(begun.message.Result, &result); err != nil || result.ProtocolVersion == "" || result.ProtocolVersion >= stateless {
		return sessionful
	}
	return result.ProtocolVersion
}

// pages takes the tools of the first page and of those after it.
func (c *conversation) pages(ctx context.Context, m call, page reply) {
	var found snapshot
	for n := range mostPages {
		if page.lacksMethod() && m.cursor == "" {
			break
		}
		next, err := found.add(page)
		if err != nil {
			c.facts.Trouble = policy.TroubleNoTools
			return
		}
		if next == "" || n == mostPages-1 {
			break
		}
		m.cursor = next
		if page, err = c.send(ctx, m, true); err != nil {
			c.facts.Trouble = policy.TroubleNoAnswer
			return
		}
	}
	c.facts.ToolsAre, c.facts.Tools = policy.Present, found.tools()
}

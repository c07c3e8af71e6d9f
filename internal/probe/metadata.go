// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/oauthex"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver/dialguard"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

const wellKnown = "/.well-known/oauth-protected-resource"

func tooLarge(err error) bool { return errors.Is(err, dialguard.ErrTooLarge) }

// follow fetches the metadata: from where the challenges lead, or, where none
// leads anywhere, from the well-known places.
func (c *conversation) follow(ctx context.Context, leads []string) {
	for _, lead := range leads {
		if place, err := url.Parse(lead); err != nil || !c.origin.Includes(place) {
			c.facts.MetadataIs = policy.MetadataForeign
			return
		}
	}
	if len(leads) > 0 {
		if c.fetch(ctx, leads[0]); c.facts.MetadataIs == policy.MetadataAbsent {
			c.facts.MetadataIs = policy.MetadataAstray
		}
		return
	}
	for _, place := range c.wellKnown() {
		if c.fetch(ctx, place); c.facts.MetadataIs != policy.MetadataAbsent {
			return
		}
	}
}

// wellKnown are the places of the metadata (RFC 9728 §3.1): that of the
// resource, then that of its origin.
func (c *conversation) wellKnown() []string {
	resource, err := url.Parse(c.resource)
	if err != nil {
		return nil
	}
	root := *resource
	root.Path, root.RawPath, root.RawQuery = wellKnown, "", ""
	if suffix := strings.TrimSuffix(resource.EscapedPath(), "/"); suffix != "" || resource.RawQuery != "" {
		own := resource.Scheme + "://" + resource.Host + wellKnown + suffix
		if resource.RawQuery != "" {
			own += "?" + resource.RawQuery
		}
		return []string{own, root.String()}
	}
	return []string{root.String()}
}

// fetch fetches the metadata from one place.
func (c *conversation) fetch(ctx context.Context, place string) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, place, http.NoBody)
	if err != nil {
		return
	}
	req.Header.Set("Accept", jsonType)
	answer, err := c.client.Do(req)
	if err != nil {
		c.facts.MetadataIs = policy.MetadataUnavailable
		return
	}
	defer answer.Body.Close()
	if (reply{status: answer.StatusCode}).passing() {
		c.facts.MetadataIs = policy.MetadataUnavailable
		return
	}
	if kind, _, err := mime.ParseMediaType(answer.Header.Get("Content-Type")); answer.StatusCode == http.StatusOK && err == nil && kind == jsonType {
		c.readMetadata(answer.Body)
	}
}

func (c *conversation) readMetadata(body io.Reader) {
	raw, err := io.ReadAll(body)
	if err != nil && !tooLarge(err) {
		c.facts.MetadataIs = policy.MetadataUnavailable
		return
	}
	var read oauthex.ProtectedResourceMetadata
	if err != nil || json.Unmarshal(raw, &read) != nil || read.Resource == "" {
		return
	}
	c.facts.MetadataIs = policy.MetadataFound
	c.facts.Metadata = policy.ProbeMetadata{
		Resource: read.Resource, AuthorizationServers: read.AuthorizationServers, Scopes: read.ScopesSupported,
	}
}

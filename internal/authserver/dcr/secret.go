// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package dcr

import (
	"cmp"
	"context"
	"regexp"
	"strings"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/exchange"
)

// mask is how servers show a secret that they do not show: as signs that are
// all the same, or as a hash that names its algorithm.
var mask = regexp.MustCompile(`\A([*•.xX#-]+|.{0,8}\*{3,}.{0,8}|\{[^{}]*\}.*|\$[0-9A-Za-z-]+\$.*)\z`)

// Masked says that a secret is shown as servers show one that they do not show.
func Masked(secret authserver.Secret) bool { return mask.MatchString(secret.Reveal()) }

// hidden is a secret that is not shown.
const hidden = "********"

// issued is the secret in the answer to a registration: nothing but that has it.
func issued(fields *exchange.Object) authserver.Secret {
	return authserver.NewSecret(fields.Visible("client_secret", exchange.LongText))
}

// shown is the secret in a later answer: what no secret can be is one that is not
// shown, and nothing that is wrong with the rest.
func shown(fields *exchange.Object) authserver.Secret {
	text := fields.Echo("client_secret")
	if len(text) > exchange.LongText || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' }) {
		text = hidden
	}
	return authserver.NewSecret(text)
}

// Settle decides which secret of a client that was read counts. One that is not
// the handle's takes its place only if the token endpoint accepted it; otherwise
// the handle's stays if that is accepted. Where neither was seen to be, there is
// none, and the client is doubtful. Nothing is sent where the secrets agree.
func (s *Server) Settle(ctx context.Context, op string, handle authserver.Handle, client *authserver.Client) {
	read := client.Secret
	handle.AuthMethod = cmp.Or(handle.AuthMethod, client.Registered.AuthMethod)
	if s.undisputed(handle, client) {
		return
	}
	client.Secret = authserver.Secret{}
	if !read.Equal(handle.ClientSecret) && !Masked(read) && s.accepts(ctx, op, handle, read) == knowsClient {
		client.Secret = read
		return
	}
	if s.accepts(ctx, op, handle, handle.ClientSecret) == knowsClient {
		client.Secret = handle.ClientSecret
		return
	}
	client.SecretDoubtful = true
}

// SettleWritten decides the same of the answer to a write, by which a server may
// renew a secret (RFC 7592 §2.2): one that cannot be tried is believed, and is
// doubtful.
func (s *Server) SettleWritten(ctx context.Context, op string, handle authserver.Handle, client *authserver.Client) {
	read := client.Secret
	handle.AuthMethod = cmp.Or(handle.AuthMethod, client.Registered.AuthMethod)
	if s.undisputed(handle, client) {
		return
	}
	if !Masked(read) {
		switch s.accepts(ctx, op, handle, read) {
		case knowsClient:
			return
		case silent:
			client.SecretDoubtful = true
			return
		case refusesClient:
		}
	}
	client.Secret = authserver.Secret{}
	if s.accepts(ctx, op, handle, handle.ClientSecret) == knowsClient {
		client.Secret = handle.ClientSecret
		return
	}
	client.SecretDoubtful = true
}

// undisputed says that there is nothing to decide: no secret is shown, or the
// one at hand. A secret that the client does not authenticate with is left for
// the caller to see where there must be none, and dropped otherwise.
func (s *Server) undisputed(handle authserver.Handle, client *authserver.Client) bool {
	switch {
	case client.Secret.IsZero():
		return true
	case handle.AuthMethod == methodKey:
		client.Secret = authserver.Secret{}
		return true
	case !authserver.SharedSecret(handle.AuthMethod):
		return true
	}
	return client.Secret.Equal(handle.ClientSecret) && !Masked(client.Secret)
}

// accepts asks the token endpoint about one secret.
func (s *Server) accepts(ctx context.Context, op string, handle authserver.Handle, secret authserver.Secret) saying {
	handle.ClientSecret, handle.Uncertain = secret, false
	if secret.IsZero() || !s.askable(handle) {
		return silent
	}
	said := silent
	for _, t := range s.testimonies(handle) {
		code, err := s.redeem(ctx, op, handle, t)
		switch {
		case err != nil:
			return silent
		case code == "", code == "invalid_grant", code == "unauthorized_client":
			return knowsClient
		case code == "invalid_client", code == wrongSecret:
			said = refusesClient
		default:
			return silent
		}
	}
	return said
}

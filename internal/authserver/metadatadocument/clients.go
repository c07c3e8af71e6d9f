// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package metadatadocument

import (
	"context"
	"regexp"
	"slices"
	"strings"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
)

// name is what a client id may have after the base URL: characters that nobody
// encodes, decodes or resolves (RFC 3986 section 2.3).
var name = regexp.MustCompile(`\A[0-9A-Za-z_-][0-9A-Za-z._~-]{0,127}\z`)

// Register serves the document of a new client. The authorization server is
// only asked whether it fetches documents.
func (s *Server) Register(ctx context.Context, wish authserver.ClientMetadata) (authserver.Client, error) {
	const op = "registering client"
	path, err := s.path(ctx, op, wish.ID)
	if err != nil {
		return authserver.Client{}, err
	}
	if _, code := write(wish.ID, wish); code != "" {
		return authserver.Client{}, rejected(op, code)
	}
	metadata, err := s.known(ctx)
	if err != nil {
		return authserver.Client{}, err
	}
	methods := metadata.TokenEndpointAuthMethods
	if wish.AuthMethod == methodPrivateKey && len(methods) > 0 && !slices.Contains(methods, methodPrivateKey) {
		return authserver.Client{}, rejected(op, CodeAuthMethodUnsupported)
	}
	if _, found, err := s.host.look(ctx, path); err != nil || found {
		return authserver.Client{}, taken(op, err)
	}
	return s.publish(path, wish), nil
}

// taken is the error of a document that is there already, or may be.
func taken(op string, err error) error {
	if err != nil {
		return &authserver.Error{Kind: authserver.Unavailable, Op: op, Code: CodeUnsettled, Err: err}
	}
	return &authserver.Error{Kind: authserver.Conflict, Op: op}
}

// Find says whether the client is there: served by this process, or held back
// by what is on record. That it is not means that no process serves it as soon
// as the same is on record there.
func (s *Server) Find(ctx context.Context, handle authserver.Handle) (authserver.Client, bool, error) {
	const op = "finding client"
	_, document, found, err := s.owned(ctx, op, handle)
	if err != nil || !found {
		return authserver.Client{}, false, err
	}
	return authserver.Client{ID: handle.ClientID, Registered: kept(document.Registered)}, true, nil
}

// Replace serves another document in place of the client's.
func (s *Server) Replace(ctx context.Context, handle authserver.Handle, wish authserver.ClientMetadata) (authserver.Client, error) {
	const op = "replacing client"
	path, _, found, err := s.owned(ctx, op, handle)
	if err != nil {
		return authserver.Client{}, err
	}
	if !found {
		return authserver.Client{}, &authserver.Error{Kind: authserver.Unauthorized, Op: op}
	}
	wish.ID = handle.ClientID
	if _, code := write(wish.ID, wish); code != "" {
		return authserver.Client{}, rejected(op, code)
	}
	return s.publish(path, wish), nil
}

// Disable is Rejected: a document is served or it is not.
func (s *Server) Disable(context.Context, authserver.Handle) error {
	return rejected("disabling client", "")
}

// CheckAccess is Rejected: nothing is asked of the authorization server.
func (s *Server) CheckAccess(context.Context) error { return rejected("checking access", "") }

// List is Rejected: there is no client without a registration.
func (s *Server) List(context.Context, string) (authserver.Page, error) {
	return authserver.Page{}, rejected("listing clients", "")
}

// Tidy is Rejected: scopes are words of a document.
func (s *Server) Tidy(context.Context, authserver.Tidying) (more bool, err error) {
	return false, rejected("deleting scopes", "")
}

// Revoke serves the document no longer, from this process at once. It needs
// neither the authorization server nor the record: what this process cannot
// look up it still must not serve.
func (s *Server) Revoke(ctx context.Context, handle authserver.Handle) error {
	const op = "revoking client"
	path, err := s.path(ctx, op, handle.ClientID)
	if err != nil {
		return err
	}
	document, found, err := s.host.look(ctx, path)
	if err == nil && found && !owns(handle, document) {
		return &authserver.Error{Kind: authserver.Conflict, Op: op}
	}
	s.host.withdraw(path)
	return nil
}

// owned looks for the client of a handle. Conflict: it is another's, and the
// handle does not say that it may be.
func (s *Server) owned(ctx context.Context, op string, handle authserver.Handle) (string, authserver.Document, bool, error) {
	path, err := s.path(ctx, op, handle.ClientID)
	if err != nil {
		return "", authserver.Document{}, false, err
	}
	document, found, err := s.host.look(ctx, path)
	switch {
	case err != nil:
		return "", authserver.Document{}, false, taken(op, err)
	case found && !handle.Adopting && !owns(handle, document):
		return "", authserver.Document{}, false, taken(op, nil)
	case !found && !s.host.settled(path):
		return "", authserver.Document{}, false, &authserver.Error{Kind: authserver.Unavailable, Op: op, Code: CodeUnsettled}
	}
	return path, document, found, nil
}

func owns(handle authserver.Handle, document authserver.Document) bool {
	return handle.Owner != "" && document.Registered.SoftwareID == handle.Owner
}

// path is that of the document of a client id under the base URL.
func (s *Server) path(ctx context.Context, op, id string) (string, error) {
	if ctx.Err() != nil {
		return "", gaveUp(ctx, op)
	}
	last, ours := strings.CutPrefix(id, s.traits.IDPrefix)
	if !ours || !name.MatchString(last) {
		return "", rejected(op, CodeInvalidClientID)
	}
	return authserver.DocumentPath(id), nil
}

// publish has the host serve the document of a wish.
func (s *Server) publish(path string, wish authserver.ClientMetadata) authserver.Client {
	s.host.publish(path, authserver.Document{ID: wish.ID, Registered: kept(wish), CopySeconds: s.config.CopySeconds})
	return authserver.Client{ID: wish.ID, Registered: kept(wish)}
}

// kept is a copy of what is registered of a wish.
func kept(m authserver.ClientMetadata) authserver.ClientMetadata {
	m.ID, m.Secret, m.Audiences, m.TokenLifetime = "", authserver.Secret{}, nil, 0
	m.GrantTypes, m.ResponseTypes = slices.Clone(m.GrantTypes), slices.Clone(m.ResponseTypes)
	m.RedirectURIs, m.Scopes, m.Contacts = slices.Clone(m.RedirectURIs), slices.Clone(m.Scopes), slices.Clone(m.Contacts)
	return m
}

func rejected(op, code string) error {
	return &authserver.Error{Kind: authserver.Rejected, Op: op, Code: code}
}

// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package devas

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"net/url"
	"slices"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// VerifyAuthRequest finds the client and holds the redirect URI against the
// registered ones. Its errors are shown and never sent to the redirect URI.
func (e *engine) VerifyAuthRequest(_ context.Context, r *op.Request[oidc.AuthRequest]) (*op.ClientRequest[oidc.AuthRequest], error) {
	rec, ok := e.storage.registry.get(r.Data.ClientID)
	if !ok {
		return nil, op.NewStatusError(oidc.ErrInvalidClient().WithDescription("unknown client"), http.StatusBadRequest)
	}
	if !rec.redirectAllowed(r.Data.RedirectURI) {
		return nil, oidc.ErrInvalidRequestRedirectURI().WithDescription("redirect_uri is not registered")
	}
	if len(r.Data.Scopes) == 0 {
		// The engine refuses a request without scope. The empty scope passes
		// there and is dropped again by opClient.IsScopeAllowed.
		r.Data.Scopes = []string{""}
	}
	return &op.ClientRequest[oidc.AuthRequest]{Request: r, Client: opClient{rec}}, nil
}

// Authorize consents for the user and answers with a code. Its errors are
// sent to the redirect URI.
func (e *engine) Authorize(ctx context.Context, r *op.ClientRequest[oidc.AuthRequest]) (*op.Redirect, error) {
	if r.Data.RequestParam != "" {
		return nil, oidc.ErrRequestNotSupported()
	}
	if !e.switches().challengeAccepted(r.Data) {
		return nil, oidc.ErrInvalidRequest().WithDescription("code_challenge with code_challenge_method S256 is required")
	}
	rec, err := ownClient(r.Client)
	if err != nil {
		return nil, err
	}
	scopes, err := e.grantable(rec, r.Data.Scopes)
	if err != nil {
		return nil, err
	}
	resources, err := rec.resources(r.Form)
	if err != nil {
		return nil, err
	}
	request := &authRequest{
		id: rand.Text(), clientID: rec.id, consent: rand.Text(), scopes: scopes, resources: resources,
		authTime: e.clock.Now(), sent: r.Data,
	}
	e.storage.grants.consentTo(request)
	location, err := op.BuildAuthResponseCallbackURL(ctx, request, e.Provider())
	if err != nil {
		return nil, err
	}
	return op.NewRedirect(location), nil
}

func ownClient(client op.Client) (*record, error) {
	c, ok := client.(opClient)
	if !ok {
		return nil, errNotUsed
	}
	return c.record, nil
}

// grantable is what a client gets for the scopes it asks for: these and no
// others, or all it registered if it asks for none.
func (e *engine) grantable(rec *record, asked []string) ([]string, error) {
	asked = slices.DeleteFunc(slices.Clone(asked), func(s string) bool { return s == "" })
	if len(asked) == 0 {
		return rec.scopes(), nil
	}
	for _, scope := range asked {
		if !rec.allows(scope, e.supported) {
			return nil, oidc.ErrInvalidScope().WithDescription("the client may not ask for this scope")
		}
	}
	return asked, nil
}

// stillGrantable is what is left of granted scopes after the registration changed.
func (e *engine) stillGrantable(rec *record, granted []string) []string {
	return slices.DeleteFunc(slices.Clone(granted), func(s string) bool { return !rec.allows(s, e.supported) })
}

// resourcesOf reads the resource indicators of RFC 8707.
func resourcesOf(form url.Values) ([]string, error) {
	resources := form["resource"]
	for _, raw := range resources {
		if u, err := url.Parse(raw); err != nil || !u.IsAbs() || u.Fragment != "" {
			return nil, oidc.ErrInvalidTarget().WithDescription("resource must be an absolute URI without fragment")
		}
	}
	return resources, nil
}

// resources are what a client asks a token or a consent for.
func (rec *record) resources(form url.Values) ([]string, error) {
	if rec.hydra == nil {
		return resourcesOf(form)
	}
	asked, err := rec.hydraAudience(form)
	if err != nil {
		return nil, oidc.ErrInvalidRequest().WithDescription("%s", err.Error())
	}
	return asked, nil
}

// audience is that of a token of a consent: Hydra lets nobody narrow it.
func (rec *record) audience(consented []string, form url.Values) ([]string, error) {
	if rec.hydra != nil {
		return consented, nil
	}
	return audienceOf(consented, form)
}

// audienceOf is the audience of a token for the resources now asked for, out
// of those consented to.
func audienceOf(consented []string, form url.Values) ([]string, error) {
	asked, err := resourcesOf(form)
	if err != nil {
		return nil, err
	}
	if len(asked) == 0 {
		return consented, nil
	}
	for _, resource := range asked {
		if len(consented) > 0 && !slices.Contains(consented, resource) {
			return nil, oidc.ErrInvalidTarget().WithDescription("the resource was not consented to")
		}
	}
	return asked, nil
}

// addIssuer puts the iss parameter of RFC 9207 into an authorization
// response, be it a code or an error.
func addIssuer(header http.Header, issuer string) error {
	location := header.Get("Location")
	if location == "" {
		return nil
	}
	u, err := url.Parse(location)
	if err != nil {
		return errors.New("the authorization response is not a URL")
	}
	query := u.Query()
	query.Set("iss", issuer)
	u.RawQuery = query.Encode()
	header.Set("Location", u.String())
	return nil
}

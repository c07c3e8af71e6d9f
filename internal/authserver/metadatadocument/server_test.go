// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package metadatadocument

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/contract"
)

func wantError(t *testing.T, what string, err error, kind authserver.Kind, code string) {
	t.Helper()
	var got *authserver.Error
	if !errors.As(err, &got) || got.Kind != kind || got.Code != code || got.MaybeApplied {
		t.Errorf("%s: %v, want %s %s", what, err, kind, code)
	}
}

func TestTraits(t *testing.T) {
	got := Traits(authserver.Config{BaseURL: base, CopySeconds: 90})
	want := authserver.Traits{
		OwnClientID: true, IDPrefix: base + "/", TwoKeys: true, SharedSecretUnsupported: true, CopyLifetime: 90 * time.Second,
	}
	if got != want {
		t.Errorf("%+v", got)
	}
}

func TestABaseURLThatNoClientIDMayBeginWithIsRejected(t *testing.T) {
	host := NewHost(HostOptions{Now: time.Now})
	for _, bad := range []string{
		"", "http://clients.example.com/mcp", "HTTPS://clients.example.com", "https://", "https:///mcp", "https://:443/mcp",
		"https://clients.example.com/", "https://clients.example.com/mcp/", "https://u@clients.example.com/mcp",
		"https://clients.example.com/mcp?", "https://clients.example.com/mcp?a=b", "https://clients.example.com/mcp#a",
		"https://clients.example.com/./mcp", "https://clients.example.com/mcp/..", "https://clients.example.com/%2e%2E/mcp",
		"https://clients.example.com/.%2e", "https://clients.example.com//mcp", "https://clients.example.com\\mcp", "https://clients example.com",
	} {
		_, err := New(authserver.Config{BaseURL: bad}, host, nil)
		wantError(t, bad, err, authserver.Rejected, CodeInvalidConfig)
	}
	for _, good := range []string{"https://clients.example.com", base, "https://[2001:db8::1]:8443/a.b/..c/%20", "https://xn--bcher-kva.example/mcp"} {
		if _, err := New(authserver.Config{BaseURL: good}, host, nil); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
}

func TestAServerThatFetchesNoDocumentsIsRejected(t *testing.T) {
	w := newWorld(t)
	w.asked.metadata.ClientIDMetadataDocument = false
	_, err := w.server.Discover(t.Context())
	wantError(t, "discover", err, authserver.Rejected, CodeUnsupported)
	_, err = w.server.Register(t.Context(), wish(mine))
	wantError(t, "register", err, authserver.Rejected, CodeUnsupported)
	w.want(t, "what was not registered", myPath, http.StatusNotFound)

	w.asked.metadata.ClientIDMetadataDocument = true
	handle := w.register(t, wish(mine))
	calls := w.asked.calls
	w.register(t, wish(base+"/mcpr-two"))
	if w.asked.calls != calls {
		t.Error("the metadata is read again for each client")
	}
	w.asked.metadata.ClientIDMetadataDocument = false
	if _, err := w.server.Discover(t.Context()); err == nil {
		t.Fatal("no error")
	}
	_, err = w.server.Register(t.Context(), wish(base+"/mcpr-three"))
	wantError(t, "after it stopped to fetch", err, authserver.Rejected, CodeUnsupported)

	// What takes away does not ask.
	w.asked.err = &authserver.Error{Kind: authserver.Unavailable, Op: "x"}
	if _, err := w.server.Replace(t.Context(), handle, wish(mine)); err != nil {
		t.Error(err)
	}
	if err := w.server.Revoke(t.Context(), handle); err != nil || w.found(t, handle) {
		t.Error(err)
	}
	_, err = w.server.Register(t.Context(), wish(base+"/mcpr-four"))
	wantError(t, "while it is away", err, authserver.Unavailable, "")
}

func TestWhatCannotBeInADocumentIsRejected(t *testing.T) {
	public := contract.Keyed(contract.NewKey(t)).JWKS
	keyed := func(jwks, uri string) func(*authserver.ClientMetadata) {
		return func(m *authserver.ClientMetadata) {
			m.AuthMethod, m.JWKS, m.JWKSURI = "private_key_jwt", jwks, uri
		}
	}
	method := func(method string) func(*authserver.ClientMetadata) {
		return func(m *authserver.ClientMetadata) { m.AuthMethod = method }
	}
	for name, c := range map[string]struct {
		change func(*authserver.ClientMetadata)
		code   string
	}{
		"a secret":             {method("client_secret_basic"), CodeAuthMethodUnsupported},
		"a secret in the body": {method("client_secret_post"), CodeAuthMethodUnsupported},
		"a secret as key":      {method("client_secret_jwt"), CodeAuthMethodUnsupported},
		"no method":            {method(""), CodeAuthMethodUnsupported},
		"no keys":              {keyed("", ""), CodeInvalidMetadata},
		"keys twice":           {keyed(public, "https://a.example/keys"), CodeInvalidMetadata},
		"no JSON":              {keyed("{", ""), CodeInvalidMetadata},
		"an empty set":         {keyed(`{"keys":[]}`, ""), CodeInvalidMetadata},
		"a private key":        {keyed(`{"keys":[{"kty":"EC","crv":"P-256","x":"a","y":"b","d":"c"}]}`, ""), CodeInvalidMetadata},
		"a private key, in D":  {keyed(`{"keys":[{"kty":"RSA","n":"a","e":"AQAB","D":"c"}]}`, ""), CodeInvalidMetadata},
		"a symmetric key":      {keyed(`{"keys":[{"kty":"oct","k":"a"}]}`, ""), CodeInvalidMetadata},
		"a key of no kind":     {keyed(`{"keys":[{"x":"a"}]}`, ""), CodeInvalidMetadata},
		"the second private":   {keyed(strings.TrimSuffix(public, "]}")+`,{"kty":"OKP","x":"a","d":"b"}]}`, ""), CodeInvalidMetadata},
		"too much":             {func(m *authserver.ClientMetadata) { m.RedirectURIs = slicesOf("https://a.example/callback", 200) }, CodeTooLarge},
		"no id":                {func(m *authserver.ClientMetadata) { m.ID = "" }, CodeInvalidClientID},
		"another host":         {func(m *authserver.ClientMetadata) { m.ID = "https://other.example/mcp/a" }, CodeInvalidClientID},
		"the base itself":      {func(m *authserver.ClientMetadata) { m.ID = base + "/" }, CodeInvalidClientID},
		"a deeper path":        {func(m *authserver.ClientMetadata) { m.ID = base + "/a/b" }, CodeInvalidClientID},
		"dots":                 {func(m *authserver.ClientMetadata) { m.ID = base + "/.." }, CodeInvalidClientID},
		"an encoded id":        {func(m *authserver.ClientMetadata) { m.ID = base + "/%61" }, CodeInvalidClientID},
		"a query":              {func(m *authserver.ClientMetadata) { m.ID = base + "/a?b" }, CodeInvalidClientID},
		"a new line":           {func(m *authserver.ClientMetadata) { m.ID = base + "/a\n" }, CodeInvalidClientID},
	} {
		w := newWorld(t)
		m := wish(mine)
		c.change(&m)
		_, err := w.server.Register(t.Context(), m)
		wantError(t, name, err, authserver.Rejected, c.code)
		if live := w.live(); len(live) > 0 {
			t.Errorf("%s: %v", name, live)
		}
		if c.code == CodeInvalidClientID {
			continue
		}
		handle := w.register(t, wish(mine))
		_, err = w.server.Replace(t.Context(), handle, m)
		wantError(t, name+" as replacement", err, authserver.Rejected, c.code)
		if got := w.scope(t); got != "forecast.read alerts.read" {
			t.Errorf("%s: scope %q after a refused replacement", name, got)
		}
	}
}

func slicesOf(text string, n int) []string {
	values := make([]string, n)
	for i := range values {
		values[i] = text
	}
	return values
}

func TestAMethodThatTheServerDoesNotHaveIsRejected(t *testing.T) {
	w := newWorld(t)
	m := contract.Keyed(contract.NewKey(t))
	m.ID = mine
	w.asked.metadata.TokenEndpointAuthMethods = []string{"client_secret_basic"}
	_, err := w.server.Register(t.Context(), m)
	wantError(t, "private_key_jwt", err, authserver.Rejected, CodeAuthMethodUnsupported)
	// A public client has no method; few servers list that.
	w.register(t, wish(base+"/mcpr-public"))
}

func TestAProcessThatServesNothingRevokesOnly(t *testing.T) {
	asked := discovery{metadata: authserver.Metadata{ClientIDMetadataDocument: true}}
	server, err := New(authserver.Config{BaseURL: base}, nil, &asked)
	if err != nil {
		t.Fatal(err)
	}
	handle := authserver.Handle{ClientID: mine, Owner: "me"}
	_, err = server.Discover(t.Context())
	wantError(t, "discover", err, authserver.Rejected, CodeNotServed)
	_, err = server.Register(t.Context(), wish(mine))
	wantError(t, "register", err, authserver.Rejected, CodeNotServed)
	_, _, err = server.Find(t.Context(), handle)
	wantError(t, "find", err, authserver.Unavailable, CodeUnsettled)
	_, err = server.Replace(t.Context(), handle, wish(mine))
	wantError(t, "replace", err, authserver.Unavailable, CodeUnsettled)
	if err := server.Revoke(t.Context(), handle); err != nil {
		t.Error(err)
	}
	if _, found, err := server.Find(t.Context(), handle); found || err != nil {
		t.Errorf("after the revocation: %t, %v", found, err)
	}
}

// TestT20WhatCannotBeLookedUpIsNotAbsent: a process that does not know what is
// on record proves nothing, but revokes.
func TestT20WhatCannotBeLookedUpIsNotAbsent(t *testing.T) {
	w := newWorld(t).withRecord()
	w.record.put(recorded(mine))
	handle := authserver.Handle{ClientID: base + "/mcpr-other", Owner: wish(mine).SoftwareID}
	for name, change := range map[string]func(){
		"an old record": func() { w.record.unknown = true },
		"no cache":      func() { w.record.err = errors.New("no cache") },
	} {
		w.record.unknown, w.record.err = false, nil
		change()
		_, found, err := w.server.Find(t.Context(), handle)
		wantError(t, name+": find", err, authserver.Unavailable, CodeUnsettled)
		_, replaceErr := w.server.Replace(t.Context(), handle, wish(mine))
		wantError(t, name+": replace", replaceErr, authserver.Unavailable, CodeUnsettled)
		if found {
			t.Errorf("%s: found", name)
		}
	}
	if err := w.server.Revoke(t.Context(), handle); err != nil || w.found(t, handle) {
		t.Errorf("revoke: %v", err)
	}
}

func TestTheMetadataIsAskedForOnce(t *testing.T) {
	w := newWorld(t)
	w.server.asking <- struct{}{}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := w.server.known(ctx)
	wantError(t, "while another asks", err, authserver.Unavailable, "")
	<-w.server.asking
	if _, err := w.server.known(t.Context()); err != nil || w.asked.calls != 1 {
		t.Errorf("%d calls, %v", w.asked.calls, err)
	}
}

// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package keycloak

import (
	"errors"
	"testing"
	"time"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
)

func (w *world) change(change func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change()
}

// Each way in which the register's account can lack access has a code of its own, also
// while a token is held that is good for some time.
func TestWhyAccessIsLacking(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	server := w.connect(t, Options{})
	if err := server.CheckAccess(t.Context()); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		bend func()
		kind authserver.Kind
		code string
	}{
		"another secret":                  {func() { w.secret = "rotated" }, authserver.Unauthorized, CodeAdminRefused},
		"no role":                         {func() { w.role = "" }, authserver.Unauthorized, CodeMissingRole},
		"a role that may only ask":        {func() { w.role = "query" }, authserver.Unauthorized, CodeMissingRole},
		"a role that may only look":       {func() { w.role = "view" }, authserver.Unauthorized, CodeMissingRole},
		"a token endpoint that is broken": {func() { w.refuse = 500 }, authserver.Unavailable, ""},
	} {
		w.change(c.bend)
		var failure *authserver.Error
		if err := server.CheckAccess(t.Context()); !errors.As(err, &failure) || failure.Kind != c.kind || failure.Code != c.code {
			t.Errorf("%s: %v", name, err)
		}
		w.change(func() { w.secret, w.role, w.refuse = adminSecret, "manage", 0 })
		if err := server.CheckAccess(t.Context()); err != nil {
			t.Errorf("after %s: %v", name, err)
		}
	}
	elsewhere, err := New(authserver.Config{
		Issuer: w.URL + "/realms/none", BaseURL: w.URL, Realm: "none", MaxInFlight: 1,
		AdminID: registrar, AdminPassword: authserver.NewSecret(adminSecret),
	}, Options{Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	defer elsewhere.Close()
	var failure *authserver.Error
	if err := elsewhere.CheckAccess(t.Context()); !errors.As(err, &failure) || failure.Kind != authserver.Rejected || failure.Code != CodeRealmNotFound {
		t.Errorf("a realm that is not there: %v", err)
	}
}

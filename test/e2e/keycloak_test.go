// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"net/http/httptest"
	"os"
	"sync"
	"testing"

	"github.com/mcp-registrar/mcp-registrar/test/keycloak"
)

// shared is the one Keycloak of all tests: it starts with the first that asks,
// and TestMain ends it. Each test has realms of its own. It trusts the servers of
// net/http/httptest, which all have one certificate.
var shared struct {
	once   sync.Once
	server *keycloak.Server
	dir    string
	err    error
}

func sharedKeycloak(t *testing.T) *keycloak.Server {
	t.Helper()
	shared.once.Do(func() {
		if shared.dir, shared.err = os.MkdirTemp("", "keycloak-e2e-"); shared.err == nil {
			tls := httptest.NewTLSServer(nil)
			defer tls.Close()
			shared.server, shared.err = keycloak.Run(context.WithoutCancel(t.Context()), shared.dir, tls.Certificate())
		}
	})
	if shared.err != nil {
		t.Fatalf("starting Keycloak: %v", shared.err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the end of Keycloak's log:\n%s", tail(t, shared.server.Log))
		}
	})
	return shared.server
}

// stopKeycloak ends the shared server, if there is one.
func stopKeycloak() error {
	if shared.server != nil {
		if err := shared.server.Stop(); err != nil {
			return err
		}
	}
	return os.RemoveAll(shared.dir)
}

// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package metadatadocument

import (
	"errors"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/contract"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/dcr"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/examine"
	"github.com/mcp-registrar/mcp-registrar/test/devas"
)

// TestContractWithTheDevelopmentServer runs the suite with an authorization
// server that fetches the documents, and keeps no copies.
func TestContractWithTheDevelopmentServer(t *testing.T) {
	contract.Run(t, func(t *testing.T) contract.Subject {
		w := &world{host: NewHost(HostOptions{Now: time.Now})}
		ingress := httptest.NewTLSServer(w.host)
		t.Cleanup(ingress.Close)
		as, err := devas.New(devas.Options{MetadataDocuments: ingress.Client()})
		if err != nil {
			t.Fatal(err)
		}
		if err := as.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = as.Close() })
		config := authserver.Config{Issuer: as.Issuer(), BaseURL: ingress.URL + "/mcp"}
		discovery, err := dcr.New(config, dcr.Options{Now: time.Now})
		if err != nil {
			t.Fatal(err)
		}
		if w.server, err = New(config, w.host, discovery); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(w.server.Close)
		examiner, err := examine.New(config, examine.Options{Now: time.Now})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(examiner.Close)
		return contract.Subject{
			Server: w.server, Live: w.live,
			Remove: func(id string) { w.host.withdraw(authserver.DocumentPath(id)) },
			Token: func(t *testing.T, handle authserver.Handle) bool {
				_, err := examiner.CanaryToken(t.Context(), authserver.TokenQuestion{Handle: handle})
				var refused *authserver.Error
				if err != nil && (!errors.As(err, &refused) || refused.Kind == authserver.Unavailable) {
					t.Errorf("asking for a token: %v", err)
				}
				return err == nil
			},
		}
	})
}

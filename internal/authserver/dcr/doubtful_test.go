// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package dcr

import (
	"testing"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/contract"
)

// A token that may be an old one proves nothing by its refusal, also after somebody
// answered the deletion in the server's place.
func TestOldTokenProvesNothing(t *testing.T) {
	w := newWorld(t)
	server := w.connect(t)
	wish := contract.Wish()
	wish.AuthMethod = "client_secret_basic"
	client, err := server.Register(t.Context(), wish)
	if err != nil {
		t.Fatal(err)
	}
	handle := contract.HandleOf(t, server, client)
	handle.Uncertain, handle.TokenDoubtful = true, true
	handle.ManagementToken = authserver.NewSecret("outdated-token")
	stance := contract.Stance{Status: 204}
	w.stand(&stance, false, contract.Revoke)
	if err := server.Revoke(t.Context(), handle); err != nil {
		t.Fatal(err)
	}
	w.stand(nil, false)
	handle.Deleted = true
	_, found, err := server.Find(t.Context(), handle)
	if err == nil && !found {
		t.Errorf("the client lives and is proven to be gone (method %s)", handle.AuthMethod)
	}
}

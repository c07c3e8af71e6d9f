// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"testing"
)

func TestRunTellsItsAddressesAndEnds(t *testing.T) {
	runs(t, func(ready addresses) []string {
		return []string{ready.Issuer + "/.well-known/oauth-authorization-server", ready.Admin + "/clients"}
	}, "--rotate=put", "--latency=1ms", "--scopes-supported=read write")
}

func TestRunAsHydra(t *testing.T) {
	runs(t, func(ready addresses) []string {
		return []string{ready.Issuer + "/.well-known/openid-configuration", ready.Hydra + "/admin/clients"}
	}, "--hydra")
}

type addresses struct{ Issuer, Admin, Hydra string }

// runs starts the command, asks for what it tells the addresses of, and ends it.
func runs(t *testing.T, targets func(addresses) []string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	reader, writer := io.Pipe()
	result := make(chan error, 1)
	go func() {
		result <- run(ctx, args, writer)
	}()
	var ready addresses
	if err := json.NewDecoder(reader).Decode(&ready); err != nil {
		t.Fatal(err)
	}
	for _, target := range targets(ready) {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, target, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		if err := resp.Body.Close(); err != nil || resp.StatusCode != http.StatusOK {
			t.Errorf("%s: %d %v", target, resp.StatusCode, err)
		}
	}
	cancel()
	if err := <-result; err != nil {
		t.Errorf("ending: %v", err)
	}
}

func TestRunRefusesBadFlags(t *testing.T) {
	for _, args := range [][]string{{"--rotate=sometimes"}, {"--addr=0.0.0.0:0"}, {"--latency=-1s"}, {"extra"}, {"--access-token-lifetime=x"}, {"--hydra-addr=0.0.0.0:0"}} {
		if err := run(t.Context(), args, io.Discard); err == nil {
			t.Errorf("accepted %v", args)
		}
	}
}

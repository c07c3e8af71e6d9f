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
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	reader, writer := io.Pipe()
	result := make(chan error, 1)
	go func() {
		result <- run(ctx, []string{"--rotate=put", "--latency=1ms", "--scopes-supported=read write"}, writer)
	}()
	var ready struct{ Issuer, Admin string }
	if err := json.NewDecoder(reader).Decode(&ready); err != nil {
		t.Fatal(err)
	}
	for _, target := range []string{ready.Issuer + "/.well-known/oauth-authorization-server", ready.Admin + "/clients"} {
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
	for _, args := range [][]string{{"--rotate=sometimes"}, {"--addr=0.0.0.0:0"}, {"--latency=-1s"}, {"extra"}, {"--access-token-lifetime=x"}} {
		if err := run(t.Context(), args, io.Discard); err == nil {
			t.Errorf("accepted %v", args)
		}
	}
}

// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// scopes are what the authorization servers know.
var scopes = []string{"files:read", "files:write", "notes:read"}

// startOIDCProvider installs and starts oidc-provider and returns its address,
// which is its issuer unless the environment names another.
func (w *world) startOIDCProvider(t *testing.T, environment ...string) string {
	t.Helper()
	install := exec.CommandContext(t.Context(), "npm", "ci", "--prefer-offline")
	install.Dir = "oidcprovider"
	if out, err := install.CombinedOutput(); err != nil {
		t.Fatalf("installing oidc-provider: %v\n%s", err, out)
	}
	server := exec.CommandContext(context.WithoutCancel(t.Context()), "node", append([]string{"server.js"}, scopes...)...)
	server.Dir = install.Dir
	server.Env = append(append(os.Environ(), "INITIAL_ACCESS_TOKEN="+w.initialToken), environment...)
	log, err := os.Create(filepath.Join(t.ArtifactDir(), "oidc-provider.log"))
	if err != nil {
		t.Fatal(err)
	}
	server.Stderr = log
	stdin, err := server.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := server.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(stdin.Close(), server.Wait(), log.Close()); err != nil {
			t.Errorf("stopping oidc-provider: %v", err)
		}
		if t.Failed() {
			t.Logf("the end of oidc-provider's log:\n%s", tail(t, log.Name()))
		}
	})
	var said struct{ Address string }
	line, err := bufio.NewReader(stdout).ReadBytes('\n')
	if err := errors.Join(err, json.Unmarshal(line, &said)); err != nil {
		t.Fatalf("starting oidc-provider: %v\n%s", err, tail(t, log.Name()))
	}
	return said.Address
}

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
	return w.startOIDCProviderWith(t, scopes, environment...)
}

// startOIDCProviderWith is startOIDCProvider with scopes of one's own.
func (w *world) startOIDCProviderWith(t *testing.T, scopes []string, environment ...string) string {
	t.Helper()
	install := exec.CommandContext(t.Context(), "npm", "ci", "--prefer-offline")
	install.Dir = "oidcprovider"
	if out, err := install.CombinedOutput(); err != nil {
		t.Fatalf("installing oidc-provider: %v\n%s", err, out)
	}
	return w.startProgram(t, install.Dir, append([]string{"INITIAL_ACCESS_TOKEN=" + w.initialToken}, environment...),
		append([]string{"node", "server.js"}, scopes...)...)
}

// startProgram starts an authorization server that is a program of a folder, and
// returns its address, which the program prints when it listens. It ends when its
// standard input does.
func (w *world) startProgram(t *testing.T, folder string, environment []string, command ...string) string {
	t.Helper()
	server := exec.CommandContext(context.WithoutCancel(t.Context()), command[0], command[1:]...)
	server.Dir, server.Env = folder, append(os.Environ(), environment...)
	log, err := os.CreateTemp(t.ArtifactDir(), filepath.Base(folder)+"-*.log")
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
			t.Errorf("stopping %s: %v", folder, err)
		}
		if t.Failed() {
			t.Logf("the end of the log of %s:\n%s", folder, tail(t, log.Name()))
		}
	})
	var said struct{ Address string }
	line, err := bufio.NewReader(stdout).ReadBytes('\n')
	if err := errors.Join(err, json.Unmarshal(line, &said)); err != nil {
		t.Fatalf("starting %s: %v\n%s", folder, err, tail(t, log.Name()))
	}
	return said.Address
}

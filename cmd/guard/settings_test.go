// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestFlagsOfBrowsersAndConnections(t *testing.T) {
	t.Parallel()
	const server = "--server=team/calc=http://127.0.0.1/mcp"
	s, err := parse(quiet(), []string{"--server=team/calc=h2c://127.0.0.1/mcp", "--allow-origin=https://a.example.com", "--allow-origin=http://localhost:1", "--upstream-idle-timeout=0"})
	if err != nil || len(s.origins) != 2 || s.upstreamIdle != 0 {
		t.Errorf("%+v, %v", s, err)
	}
	if s, err = parse(quiet(), []string{server}); err != nil || s.upstreamIdle != 4*time.Second || s.origins != nil {
		t.Errorf("%+v, %v", s, err)
	}
	for argument, says := range map[string]string{
		"--allow-origin=*":                      "no wildcards",
		"--allow-origin=null":                   "sandboxed",
		"--allow-origin=https://a.example.com/": "this one is https://a.example.com",
		"--allow-origin=app.example.com":        "https://app.example.com",
		"--upstream-idle-timeout=10m":           "from 0s to 5m",
		"--upstream-idle-timeout=-1s":           "from 0s to 5m",
		"--server=team/x=h2://127.0.0.1/mcp":    "http://127.0.0.1:3000/mcp",
	} {
		if _, err := parse(quiet(), []string{server, argument}); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", argument, err)
		}
	}
}

func TestKeysOfTheRecordOfCalls(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "keys")
	s, err := parse(quiet(), []string{"--server=team/calc=http://127.0.0.1/mcp", "--audit-key-file=" + path})
	if err != nil || s.auditKeyFile != path {
		t.Fatalf("%+v, %v", s, err)
	}
	if keys, err := auditKeys(""); err != nil || !keys.IsZero() {
		t.Errorf("no file: %v", err)
	}
	for content, says := range map[string]string{"": "there is no key", "secret": "line 1 of the keys is not 64 hexadecimal digits", strings.Repeat("0a1b", 16): ""} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		keys, err := auditKeys(path)
		switch {
		case says == "" && (err != nil || len(keys.IDs()) != 1):
			t.Errorf("%q: %v, %v", content, keys.IDs(), err)
		case says != "" && (err == nil || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), "--audit-key-file") || strings.Contains(err.Error(), "secret")):
			t.Errorf("%q: %v", content, err)
		}
	}
	if _, err := auditKeys(path + "x"); err == nil || !strings.Contains(err.Error(), "reading --audit-key-file") {
		t.Errorf("no such file: %v", err)
	}
}

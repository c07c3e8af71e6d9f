// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
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

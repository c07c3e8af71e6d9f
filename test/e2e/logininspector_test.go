// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// inspectorUser is the command line of the Inspector (its option --cli): a process for
// each request, which keeps its tokens in the home folder. It follows nothing.
type inspectorUser struct {
	loginSetting
	home, browserProgram string
}

// inspectorLogin is the Inspector, which is told that a person is there.
func inspectorLogin() loginClient {
	return loginClient{
		name: "Inspector (--cli)", version: pinned("@modelcontextprotocol/inspector"), redirect: anyRedirect, single: true,
		notes: map[string]string{"login": " (4)"},
		start: func(t *testing.T, s loginSetting) loginUser {
			t.Helper()
			return &inspectorUser{loginSetting: s, home: t.TempDir(), browserProgram: browserProgram(t)}
		},
	}
}

// does implements loginUser.
func (u *inspectorUser) does(t *testing.T, do, tool string, arguments map[string]any) nodeAnswer {
	t.Helper()
	switch do {
	case "connect", "list":
		return u.run(t, "--method", "tools/list")
	case "call":
		given, err := json.Marshal(arguments)
		if err != nil {
			t.Fatal(err)
		}
		return u.run(t, "--method", "tools/call", "--tool-name", tool, "--tool-args-json", string(given))
	}
	t.Fatalf("the Inspector has no command for %s", do)
	return nodeAnswer{}
}

func (u *inspectorUser) run(t *testing.T, arguments ...string) nodeAnswer {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), loginPatience)
	defer cancel()
	command := exec.CommandContext(ctx, "node", append([]string{
		"node_modules/@modelcontextprotocol/inspector/clients/launcher/build/index.js", "--cli", u.endpoint, "--transport", "http",
		"--client-id", u.clientID, "--callback-url", u.redirect, "--format", "json",
	}, arguments...)...)
	command.Dir = loginFolder
	command.Env = append(os.Environ(), "HOME="+u.home, "MCP_AUTO_OPEN_ENABLED=true", "BROWSER="+u.browserProgram, "BROWSER_URL="+u.browser)
	// Whether it may ask for more.
	command.Stdin = strings.NewReader("y\n")
	said, err := command.Output()
	if ctx.Err() != nil {
		return nodeAnswer{Message: noAnswer}
	}
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return nodeAnswer{Message: shownBy(exit.Stderr, said)}
	}
	if err != nil {
		t.Fatal(err)
	}
	return resultOf(t, said)
}

// resultOf is what the Inspector prints of a result.
func resultOf(t *testing.T, said []byte) nodeAnswer {
	t.Helper()
	var printed struct{ Result json.RawMessage }
	var result struct {
		Tools   []struct{ Name string }
		Content []struct{ Text string }
		IsError bool
	}
	err := json.Unmarshal(said, &printed)
	if printed.Result == nil {
		printed.Result = said
	}
	if err := errors.Join(err, json.Unmarshal(printed.Result, &result)); err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	answer := nodeAnswer{OK: !result.IsError}
	for _, listed := range result.Tools {
		answer.Tools = append(answer.Tools, listed.Name)
	}
	for _, part := range result.Content {
		answer.Text += part.Text
	}
	if result.IsError {
		answer.Message = answer.Text
	}
	return answer
}

// shownBy is what the Inspector shows of an error: the message that it prints last, as
// JSON.
func shownBy(stderr, stdout []byte) string {
	lines := strings.Split(strings.TrimSpace(string(stderr)), "\n")
	var printed struct {
		Error struct{ Message, Cause string }
	}
	if json.Unmarshal([]byte(lines[len(lines)-1]), &printed) == nil && printed.Error.Message != "" {
		return strings.TrimSpace(printed.Error.Message + " " + printed.Error.Cause)
	}
	return fmt.Sprintf("%s%s", stderr, stdout)
}

// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/modelcontextprotocol/go-sdk/oauthex"
)

// sdkUser is a session of the Go SDK: its own, or one with a program that speaks by its
// standard input and output for it.
type sdkUser struct {
	transport mcp.Transport
	session   *mcp.ClientSession
	progress  chan struct{}
	following chan nodeAnswer
}

// does implements loginUser.
func (u *sdkUser) does(t *testing.T, do, tool string, arguments map[string]any) nodeAnswer {
	t.Helper()
	params := &mcp.CallToolParams{Name: tool, Arguments: arguments}
	switch do {
	case "connect":
		return u.connect(t)
	case "list":
		return u.list(t)
	case "call":
		return u.call(t, params)
	case "begin":
		params.SetProgressToken("progress")
		u.following = make(chan nodeAnswer, 1)
		go func() { u.following <- u.call(t, params) }()
		select {
		case <-u.progress:
			return nodeAnswer{OK: true}
		case answer := <-u.following:
			return answer
		}
	case "end":
		return <-u.following
	}
	t.Fatalf("there is no command %s", do)
	return nodeAnswer{}
}

func (u *sdkUser) connect(t *testing.T) nodeAnswer {
	t.Helper()
	u.progress = make(chan struct{}, 1)
	client := mcp.NewClient(&mcp.Implementation{Name: "login", Version: "1.0.0"}, &mcp.ClientOptions{
		ProgressNotificationHandler: func(context.Context, *mcp.ProgressNotificationClientRequest) {
			select {
			case u.progress <- struct{}{}:
			default:
			}
		},
	})
	connected := make(chan error, 1)
	go func() {
		var err error
		// What it is given ends the session, too.
		u.session, err = client.Connect(t.Context(), u.transport, nil)
		connected <- err
	}()
	select {
	case err := <-connected:
		if err != nil {
			return nodeAnswer{Message: err.Error()}
		}
	case <-time.After(loginPatience):
		return nodeAnswer{Message: noAnswer}
	}
	// A session that was refused cannot be ended well.
	t.Cleanup(func() { _ = u.session.Close() })
	return nodeAnswer{OK: true}
}

const (
	// loginPatience is for how long a person waits for a client that shows nothing.
	loginPatience = 20 * time.Second
	noAnswer      = "no answer"
)

func (u *sdkUser) list(t *testing.T) nodeAnswer {
	t.Helper()
	listed, err := u.session.ListTools(t.Context(), nil)
	if err != nil {
		return nodeAnswer{Message: err.Error()}
	}
	answer := nodeAnswer{OK: true}
	for _, tool := range listed.Tools {
		answer.Tools = append(answer.Tools, tool.Name)
	}
	return answer
}

func (u *sdkUser) call(t *testing.T, params *mcp.CallToolParams) nodeAnswer {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), loginPatience)
	defer cancel()
	called, err := u.session.CallTool(ctx, params)
	switch {
	case ctx.Err() != nil:
		return nodeAnswer{Message: noAnswer}
	case err != nil:
		return nodeAnswer{Message: err.Error()}
	}
	var text strings.Builder
	for _, content := range called.Content {
		if part, ok := content.(*mcp.TextContent); ok {
			text.WriteString(part.Text)
		}
	}
	if called.IsError {
		return nodeAnswer{Message: text.String()}
	}
	return nodeAnswer{OK: true, Text: text.String()}
}

// goLogin is the Go SDK with its handler of the code flow.
func goLogin() loginClient {
	return loginClient{
		name: "Go SDK", version: module("github.com/modelcontextprotocol/go-sdk"), redirect: anyRedirect, streaming: true, notes: map[string]string{"expiry": " (3)"},
		start: func(t *testing.T, s loginSetting) loginUser {
			t.Helper()
			handler, err := auth.NewAuthorizationCodeHandler(&auth.AuthorizationCodeHandlerConfig{
				PreregisteredClient: &oauthex.ClientCredentials{ClientID: s.clientID},
				RedirectURL:         s.redirect, RequestRefreshToken: len(s.grants) > 1,
				AuthorizationCodeFetcher: s.codes(t),
			})
			if err != nil {
				t.Fatal(err)
			}
			return &sdkUser{transport: &mcp.StreamableClientTransport{Endpoint: s.endpoint, OAuthHandler: handler}}
		},
	}
}

// module is the version of a module that go.mod requires.
func module(path string) string {
	content, err := os.ReadFile("../../go.mod")
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(content)) {
		if version, found := strings.CutPrefix(strings.TrimSpace(line), path+" v"); found {
			return version
		}
	}
	return ""
}

// codes listens at the redirect URI, and gets codes by the browser.
func (s loginSetting) codes(t *testing.T) auth.AuthorizationCodeFetcher {
	t.Helper()
	arrived := make(chan url.Values, 1)
	at, err := url.Parse(s.redirect)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", at.Host)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{ReadHeaderTimeout: patience, Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		arrived <- r.URL.Query()
	})}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		if err := errors.Join(server.Close(), <-served); !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	return func(ctx context.Context, args *auth.AuthorizationArgs) (*auth.AuthorizationResult, error) {
		_, page, err := fetch(ctx, http.DefaultClient, http.MethodGet, s.browser+url.QueryEscape(args.URL), nil)
		var seen struct{ Shown string }
		if err := errors.Join(err, json.Unmarshal([]byte(page), &seen)); err != nil {
			return nil, err
		}
		if seen.Shown != "" {
			return nil, fmt.Errorf("the browser shows: %s", seen.Shown)
		}
		got := <-arrived
		if failure := got.Get("error"); failure != "" {
			return nil, fmt.Errorf("%s %s", failure, got.Get("error_description"))
		}
		return &auth.AuthorizationResult{Code: got.Get("code"), State: got.Get("state"), Iss: got.Get("iss")}, nil
	}
}

// remoteLogin is mcp-remote, before which stands a client that speaks to programs only.
func remoteLogin() loginClient {
	return loginClient{
		name: "mcp-remote", version: pinned("mcp-remote"),
		redirect: func(t *testing.T) string {
			t.Helper()
			_, port, err := net.SplitHostPort(freeAddress(t))
			if err != nil {
				t.Fatal(err)
			}
			return "http://localhost:" + port + "/oauth/callback"
		},
		start: func(t *testing.T, s loginSetting) loginUser {
			t.Helper()
			at, err := url.Parse(s.redirect)
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			log, err := os.Create(filepath.Join(t.ArtifactDir(), "mcp-remote.log"))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if t.Failed() {
					t.Logf("what mcp-remote said:\n%s", tail(t, log.Name()))
				}
				if err := log.Close(); err != nil {
					t.Error(err)
				}
			})
			command := exec.CommandContext(t.Context(), "node", "node_modules/mcp-remote/dist/proxy.js", s.endpoint, at.Port(),
				"--auth-timeout", "10", "--static-oauth-client-info", fmt.Sprintf(`{"client_id":%q}`, s.clientID))
			command.Dir, command.Stderr = loginFolder, log
			command.Env = append(os.Environ(), "MCP_REMOTE_CONFIG_DIR="+dir, "BROWSER="+browserProgram(t), "BROWSER_URL="+s.browser)
			return &sdkUser{transport: &mcp.CommandTransport{Command: command, TerminateDuration: 5 * time.Second}}
		},
	}
}

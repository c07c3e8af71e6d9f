// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
)

// loginFolder is the npm project with the clients that log in.
const loginFolder = "loginclients"

// loginSetting is what a person enters into a client.
type loginSetting struct {
	endpoint, clientID, redirect string
	// browser is what a URL to open is appended to.
	browser string
	grants  []v1alpha1.GrantType
}

// loginUser is a client at work; see loginclients/login.js for what it can be told.
type loginUser interface {
	does(t *testing.T, do, tool string, arguments map[string]any) nodeAnswer
}

// loginClient is a client that people use.
type loginClient struct {
	name, version string
	// redirect chooses its redirect URI.
	redirect func(t *testing.T) string
	start    func(t *testing.T, s loginSetting) loginUser
}

// loginClients are all, and what waits until they are installed.
type loginClients struct {
	all       []loginClient
	installed func(t *testing.T)
}

func newLoginClients(t *testing.T) *loginClients {
	t.Helper()
	node := installNode(t, loginFolder)
	return &loginClients{
		all: []loginClient{
			nodeLogin("TypeScript SDK 2", "client"), nodeLogin("TypeScript SDK 1", "sdk"),
		},
		installed: func(t *testing.T) {
			t.Helper()
			node()
		},
	}
}

// anyRedirect is a redirect URI on loopback, as native clients have it.
func anyRedirect(t *testing.T) string {
	t.Helper()
	return "http://" + freeAddress(t) + callbackPath
}

// nodeLogin is a generation of the TypeScript SDK.
func nodeLogin(name, generation string) loginClient {
	return loginClient{
		name: name, version: pinned("@modelcontextprotocol/" + generation), redirect: anyRedirect,
		start: func(t *testing.T, s loginSetting) loginUser {
			t.Helper()
			return startUser(t, loginFolder, s.environment(), "node", "login.js", generation, s.endpoint)
		},
	}
}

// environment is how programs are told what a person entered.
func (s loginSetting) environment() []string {
	kinds := []string{"authorization_code"}
	if len(s.grants) > 1 {
		kinds = append(kinds, "refresh_token")
	}
	return []string{
		"CLIENT_ID=" + s.clientID, "REDIRECT_URI=" + s.redirect, "BROWSER_URL=" + s.browser, "GRANT_TYPES=" + strings.Join(kinds, " "),
	}
}

// pinned is the version of an npm package that is installed.
func pinned(name string) string {
	var project struct{ Dependencies map[string]string }
	content, err := os.ReadFile(filepath.Join(loginFolder, "package.json"))
	if err != nil || json.Unmarshal(content, &project) != nil {
		return ""
	}
	return project.Dependencies[name]
}

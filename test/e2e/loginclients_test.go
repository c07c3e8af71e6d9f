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

const (
	// loginFolder is the npm project with the clients that log in.
	loginFolder = "loginclients"
	// pythonFolder has those in Python, and what the first generation of the SDK needs;
	// fastMCPFolder has what the second needs.
	pythonFolder = "loginpython"
)

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
	// single says that it is a program for one request, which logs in for each.
	single bool
	// impatient says that it opens the browser in place of a refresh where the guard is
	// the first to find that the token has expired.
	impatient bool
	// streaming says that it ends where the stream that it keeps open is refused, which may
	// come before the answer to what it asks for next.
	streaming bool
	// notes point to what docs/clients.md says of what fails, by column.
	notes map[string]string
}

// loginClients are all, and what waits until they are installed.
type loginClients struct {
	all       []loginClient
	installed func(t *testing.T)
}

// newLoginClients begins to install them. Those in Python are left out where there is no
// Python with venv.
func newLoginClients(t *testing.T) *loginClients {
	t.Helper()
	node, one, two := installPackages(t, loginFolder), pythonFor(t, pythonFolder), pythonFor(t, fastMCPFolder)
	first := nodeLogin("TypeScript SDK 1", "sdk")
	first.notes = map[string]string{"call": " (2)"}
	c := &loginClients{all: []loginClient{
		nodeLogin("TypeScript SDK 2", "client"), first, goLogin(), remoteLogin(), inspectorLogin(),
	}}
	c.installed = func(t *testing.T) {
		t.Helper()
		if python := one(); python != "" {
			c.all = append(c.all, pythonLogin("Python SDK 1", "mcp", python, pythonFolder, "sdk"))
		}
		if python := two(); python != "" {
			c.all = append(c.all,
				pythonLogin("Python SDK 2", "mcp", python, fastMCPFolder, "sdk"), pythonLogin("FastMCP", "fastmcp", python, fastMCPFolder, "fastmcp"))
		}
		node()
	}
	return c
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

// pythonLogin is a kind of client in Python, of what the requirements of a folder say.
func pythonLogin(name, project, python, requirements, kind string) loginClient {
	return loginClient{
		name: name, version: required(requirements, project), redirect: anyRedirect, impatient: true,
		start: func(t *testing.T, s loginSetting) loginUser {
			t.Helper()
			return startUser(t, pythonFolder, append(s.environment(), "BROWSER="+browserProgram(t)+" %s &"), python, "login.py", kind, s.endpoint)
		},
	}
}

// browserProgram is the program that clients start to open the browser.
func browserProgram(t *testing.T) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join(loginFolder, "browser.js"))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// required is the version of a project that requirements pin.
func required(folder, project string) string {
	content, err := os.ReadFile(filepath.Join(folder, "requirements.txt"))
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(content)) {
		if version, found := strings.CutPrefix(line, project+"=="); found {
			return strings.TrimRight(version, " \\\n")
		}
	}
	return ""
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

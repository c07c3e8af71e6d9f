// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/mcp-registrar/mcp-registrar/test/env"
)

// pages is a client that runs in pages of two origins, in a real browser: the guard
// lets those of the first call.
type pages struct {
	welcome, foreign *httptest.Server
	// program is the browser.
	program string
	// asked is a way by an Envoy that answers browsers as the page says.
	asked *way
}

// browsers are names of Chromium without a window, or that can do without.
var browsers = []string{"chromium-headless-shell", "chromium", "google-chrome"}

// newPages looks for a browser. Where everything must be there, in CI, it is an error
// that there is none.
func newPages(t *testing.T) *pages {
	t.Helper()
	p := &pages{}
	for _, name := range browsers {
		if path, err := exec.LookPath(name); err == nil && p.program == "" {
			p.program = path
		}
	}
	if p.program == "" && os.Getenv("CI") != "" {
		t.Fatalf("there is no browser: none of %s", strings.Join(browsers, ", "))
	}
	page := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.ServeFile(w, r, filepath.Join(conformanceFolder, "page.html"))
	})
	p.welcome, p.foreign = httptest.NewServer(page), httptest.NewServer(page)
	t.Cleanup(p.welcome.Close)
	t.Cleanup(p.foreign.Close)
	return p
}

// stand starts the Envoy before a server.
func (p *pages) stand(t *testing.T, e *envoys, m *measured) {
	t.Helper()
	filter, policy := readCORS(t)
	policy = strings.ReplaceAll(policy, "https://app.example.com", p.welcome.URL)
	p.asked = e.before(t, "pages", hostOf(t, m.direct), slices.Concat(under(filter, 10), under(policy, 16))...)
	e.create(t, newGuardedServer(e.namespace, p.asked.server, e.as, p.asked.resource, m.tools))
}

// readCORS reads, from the page about the boundary, what is put into the example for
// pages to call: the filter, and its policy for a route.
func readCORS(t *testing.T) (filter, policy string) {
	t.Helper()
	root, err := env.ModuleRoot()
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(filepath.Join(root, "docs", "boundary.md"))
	if err != nil {
		t.Fatal(err)
	}
	for block := range strings.SplitSeq(string(content), "```yaml\n") {
		block, _, _ = strings.Cut(block, "```")
		switch {
		case strings.Contains(block, "filters.http.cors.v3.CorsPolicy"):
			policy = block
		case strings.Contains(block, "filters.http.cors.v3.Cors"):
			filter = block
		}
	}
	if filter == "" || policy == "" {
		t.Fatal("docs/boundary.md does not tell of Envoy's CORS filter")
	}
	return filter, policy
}

// under is a change that puts a block in the place of its first line, which stands at
// a column.
func under(block string, column int) (change []string) {
	indent := strings.Repeat(" ", column)
	block = indent + strings.ReplaceAll(strings.TrimSuffix(block, "\n"), "\n", "\n"+indent) + "\n"
	first, _, _ := strings.Cut(block, "\n")
	return []string{first + "\n", block}
}

// pageSaw is what a page sees of an answer: an error, if the browser lets it see
// nothing.
type pageSaw struct {
	Status                          int
	Challenge, Session, Body, Error string
}

// visit has the browser open the page at one of the origins.
func (p *pages) visit(t *testing.T, origin *httptest.Server, endpoint, resource, token string) map[string]pageSaw {
	t.Helper()
	query := url.Values{"endpoint": {endpoint}, "metadata": {metadataOf(resource)}, "token": {token}, "tool": {plainTool}}
	browser := exec.CommandContext(t.Context(), p.program, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
		"--no-first-run", "--user-data-dir="+t.TempDir(), "--virtual-time-budget=60000", "--dump-dom", origin.URL+"/?"+query.Encode())
	var log bytes.Buffer
	browser.Stderr = &log
	dom, err := browser.Output()
	_, rest, _ := strings.Cut(string(dom), `<pre id="seen">`)
	text, _, _ := strings.Cut(rest, "</pre>")
	seen := map[string]pageSaw{}
	if err := errors.Join(err, json.Unmarshal([]byte(html.UnescapeString(text)), &seen)); err != nil {
		t.Fatalf("the browser: %v\n%s\n%s", err, dom, log.String())
	}
	return seen
}

// testPages has pages call by the guard, and by an Envoy that asks it.
func testPages(t *testing.T, b *boundary, p *pages, m *measured) {
	if p.program == "" {
		t.Skipf("there is no browser: none of %s", strings.Join(browsers, ", "))
	}
	proxied := &way{server: m.proxied.server, resource: m.proxied.resource}
	for name, v := range map[string]*way{"the guard": proxied, "an Envoy": p.asked} {
		t.Run(name, func(t *testing.T) {
			_, registered := v.client(t, b, v.server+"-page", scopeLooks)
			token := b.accessToken(t, registered, v.resource, scopeLooks)
			if v == proxied {
				b.awaitAllowed(t, v.server, plainTool, token)
			} else {
				v.await(t, plainTool, token)
			}
			t.Run("by a page that may", func(t *testing.T) { requireServed(t, v, p.visit(t, p.welcome, v.resource, v.resource, token)) })
			t.Run("by another page", func(t *testing.T) { requireShut(t, v, p.visit(t, p.foreign, v.resource, v.resource, token)) })
		})
	}
}

// requireServed holds that a page can do what any client can.
func requireServed(t *testing.T, v *way, seen map[string]pageSaw) {
	t.Helper()
	g := NewWithT(t)
	for step, status := range map[string]int{
		"metadata": http.StatusOK, "refused": http.StatusUnauthorized, "initialized": http.StatusOK, "told": http.StatusAccepted,
		"called": http.StatusOK, "unknown": http.StatusOK, "ended": http.StatusNoContent,
	} {
		g.Expect(seen[step].Error).To(BeEmpty(), step)
		g.Expect(seen[step].Status).To(Equal(status), "%s: %s", step, seen[step].Body)
	}
	g.Expect(seen["metadata"].Body).To(ContainSubstring(`"resource":"` + v.resource + `"`))
	g.Expect(seen["refused"].Challenge).To(ContainSubstring(`resource_metadata="` + metadataOf(v.resource) + `"`))
	g.Expect(seen["initialized"].Session).NotTo(BeEmpty(), "the page does not see its session")
	g.Expect(seen["called"].Body).To(ContainSubstring(`"result"`))
	g.Expect(seen["unknown"].Body).To(ContainSubstring("ToolUnknown"))
}

// requireShut holds that a page of another origin sees what is public, and nothing
// else.
func requireShut(t *testing.T, v *way, seen map[string]pageSaw) {
	t.Helper()
	g := NewWithT(t)
	g.Expect(seen["metadata"].Error).To(BeEmpty())
	g.Expect(seen["metadata"].Body).To(ContainSubstring(`"resource":"` + v.resource + `"`))
	for _, step := range []string{"refused", "initialized", "told", "called", "unknown", "ended"} {
		g.Expect(seen[step].Error).To(ContainSubstring("Failed to fetch"), "%s: %+v", step, seen[step])
	}
}

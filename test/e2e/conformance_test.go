// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"sigs.k8s.io/yaml"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
)

const (
	// conformanceFolder holds the conformance suite of MCP, a program for Node.js,
	// and Envoy, which is a package for Python.
	conformanceFolder = "conformance"
	// everythingPackage is the server of the Go SDK that the suite is run against.
	everythingPackage = "github.com/modelcontextprotocol/go-sdk/conformance/everything-server"
	// plainTool is a tool of it that needs nothing, and lateTool one that it has from
	// some check on.
	plainTool = "test_simple_text"
	lateTool  = "__transient_tool_for_list_changed"
)

// TestConformance runs the server scenarios of the official conformance suite
// against a server, and against the same server behind the guard: as a proxy, and
// asked by an Envoy that is configured by the example. What passes there must pass
// here. What was never tried with an Envoy, or with a browser, follows.
func TestConformance(t *testing.T) {
	installed, envoyInstalled := installPackages(t, conformanceFolder), installEnvoy(t)
	everything := buildEverything(t)
	w := startWorld(t)
	b := newBoundary(t, w)
	installed()
	e := &envoys{boundary: b, program: envoyInstalled(), checks: freeAddress(t)}
	all := []*measured{
		newMeasured(t, e, everything, "2025-11-25", "sessions", "-stateless=false"),
		newMeasured(t, e, everything, "2026-07-28", "stateless", "-stateless=true"),
	}
	called, p := e.newCalled(t), newPages(t)
	p.stand(t, e, all[0])
	targets := []string{b.namespace + "/" + called.server, b.namespace + "/" + p.asked.server}
	for _, m := range all {
		targets = append(targets, b.behind(m.proxied.server, m.direct), b.namespace+"/"+m.asked.server)
	}
	b.guard.start(t, w, b.kubeconfig, targets, "--ext-authz-bind-address="+e.checks, "--allow-origin="+p.welcome.URL)
	for _, m := range all {
		m.proxied.open(t, b)
		m.asked.open(t, b)
	}
	t.Run("side by side", func(t *testing.T) {
		for _, m := range all {
			t.Run(m.revision, func(t *testing.T) { t.Parallel(); testConformance(t, m) })
		}
		t.Run("an Envoy asks the guard", func(t *testing.T) { t.Parallel(); testEnvoy(t, b, called) })
		t.Run("pages in a browser call", func(t *testing.T) { t.Parallel(); testPages(t, b, p, all[0]) })
	})
	b.guard.stop(t)
	t.Run("an Envoy lets nothing pass without the guard", func(t *testing.T) { testGuardAway(t, all[1].asked) })
}

// measured is a server that is measured by a revision of MCP.
type measured struct {
	revision string
	// direct is where the server is.
	direct string
	// proxied and asked are ways to it: through the guard, and through an Envoy that
	// asks the guard.
	proxied, asked *way
	// tools are by scope.
	tools map[v1alpha1.ScopeName][]string
}

// way is a way to a server, with somebody in front who has a token.
type way struct {
	// server is the name of the MCPServer.
	server   string
	porter   *porter
	resource string
	path     string
}

// endpoint is where a client without a token calls.
func (v *way) endpoint() string { return v.porter.URL + v.path }

// newMeasured starts the server, and an Envoy before it, and has MCPServers for it.
func newMeasured(t *testing.T, e *envoys, program, revision, name, how string) *measured {
	t.Helper()
	address := freeAddress(t)
	startListening(t, "everything-"+name, address, program, "-http="+address, how)
	m := &measured{revision: revision, direct: "http://" + address + "/mcp"}
	m.tools = map[v1alpha1.ScopeName][]string{scopeLooks: append(dialGo(t, m.direct, "").list(t), lateTool)}
	m.proxied = &way{server: name, path: "/" + name, resource: e.guard.resource(name), porter: newPorter(t)}
	m.proxied.porter.leads("http://" + e.guard.address)
	m.asked = e.before(t, name+"-envoy", address)
	for _, v := range []*way{m.proxied, m.asked} {
		e.create(t, newGuardedServer(e.namespace, v.server, e.as, v.resource, m.tools))
	}
	return m
}

// open gives who stands in front a token of a client that may do everything at the
// server, and returns when the guard lets it.
func (v *way) open(t *testing.T, b *boundary) {
	t.Helper()
	_, p := v.client(t, b, v.server+"-suite", scopeLooks, scopeActs)
	token := b.accessToken(t, p, v.resource, scopeLooks+" "+scopeActs)
	v.porter.token.Store(&token)
	v.await(t, plainTool, "")
}

// client registers a client with scopes of the server. The Go SDK sends a secret in
// the body.
func (v *way) client(t *testing.T, b *boundary, name string, scopes ...v1alpha1.ScopeName) (*v1alpha1.MCPClientRegistration, party) {
	t.Helper()
	reg := b.newRegistration(name, v1alpha1.AuthMethodClientSecretPost)
	b.create(t, reg, b.grantAt(v.server, name, name, scopes...))
	var names []string
	for _, scope := range scopes {
		names = append(names, string(scope))
	}
	return reg, b.readyAtGuard(t, reg, names...)
}

// await waits until a tool can be called.
func (v *way) await(t *testing.T, tool, token string) {
	t.Helper()
	NewWithT(t).Eventually(func() string { return v.caller().call(t, tool, nil, token).reason }, patience, often).Should(BeEmpty())
}

// buildEverything builds the server of the Go SDK, and returns where it is.
func buildEverything(t *testing.T) (program string) {
	t.Helper()
	program = filepath.Join(t.TempDir(), "everything")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, everythingPackage).CombinedOutput(); err != nil {
		t.Fatalf("building the server of the Go SDK: %v\n%s", err, out)
	}
	return program
}

// startListening starts a program, and returns when it listens at an address. It is
// killed at the end of the test.
func startListening(t *testing.T, name, address, program string, arguments ...string) {
	t.Helper()
	log, err := os.Create(filepath.Join(t.ArtifactDir(), name+".log"))
	if err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(context.WithoutCancel(t.Context()), program, arguments...)
	command.Stdout, command.Stderr = log, log
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		err := command.Process.Kill()
		// It was killed, and says so.
		_ = command.Wait()
		if err := errors.Join(err, log.Close()); err != nil {
			t.Errorf("stopping %s: %v", name, err)
		}
		if t.Failed() {
			t.Logf("the end of the log of %s:\n%s", name, tail(t, log.Name()))
		}
	})
	NewWithT(t).Eventually(func() error {
		connection, err := new(net.Dialer).DialContext(t.Context(), "tcp", address)
		if err != nil {
			return err
		}
		return connection.Close()
	}, patience, often).Should(Succeed(), func() string { return fmt.Sprintf("%s does not listen:\n%s", name, tail(t, log.Name())) })
}

// testConformance compares each check of the suite.
func testConformance(t *testing.T, m *measured) {
	required := readRequirements(t, m.revision)
	direct := runSuite(t, m.revision, "direct", m.direct)
	requireConforms(t, required, direct)
	for name, at := range map[string]*way{"proxy": m.proxied, "envoy": m.asked} {
		t.Run(name, func(t *testing.T) { requireSame(t, direct, runSuite(t, m.revision, name, at.endpoint())) })
	}
}

// requirements are what the suite runs for a revision, as it says itself.
type requirements struct {
	Server    []string
	NotScored []struct{ Scenario, Leg, Reason string } `json:"not_scored"`
}

func readRequirements(t *testing.T, revision string) requirements {
	t.Helper()
	var r requirements
	content, err := os.ReadFile(filepath.Join(conformanceFolder, "node_modules", "@modelcontextprotocol", "conformance", "requirements", revision+".yaml"))
	if err := errors.Join(err, yaml.Unmarshal(content, &r)); err != nil {
		t.Fatal(err)
	}
	return r
}

// checked is what the suite says of one check.
type checked struct {
	ID, Status, ErrorMessage string
	Scenario                 string `json:"-"`
}

const (
	checkPassed = "SUCCESS"
	checkFailed = "FAILURE"
)

// runSuite runs the server scenarios of a revision, and returns what became of the
// checks, by scenario, id, and how often a scenario had that id before.
func runSuite(t *testing.T, revision, name, url string) map[string]checked {
	t.Helper()
	dir := filepath.Join(t.ArtifactDir(), revision+"-"+name)
	command := exec.CommandContext(t.Context(), suiteNode(t),
		filepath.Join("node_modules", "@modelcontextprotocol", "conformance", "dist", "index.js"),
		"server", "--url="+url, "--requirements="+revision, "--output-dir="+dir)
	command.Dir = conformanceFolder
	began := time.Now()
	out, err := command.CombinedOutput()
	// It ends with 1 if a check failed: which is seen by the checks.
	if exit := (*exec.ExitError)(nil); err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 1) {
		t.Fatalf("running the suite: %v\n%s", err, out)
	}
	found := readChecks(t, dir)
	if len(found) == 0 {
		t.Fatalf("the suite checked nothing:\n%s", out)
	}
	t.Logf("%s %s: %s in %s", revision, name, countChecks(found), time.Since(began).Round(100*time.Millisecond))
	return found
}

// suiteNode is the Node.js that comes with the suite: it needs version 22.
func suiteNode(t *testing.T) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(conformanceFolder, "node_modules", "node-linux-*", "bin", "node"))
	if err != nil {
		t.Fatal(err)
	}
	if len(found) == 0 {
		// Other systems must have it.
		return "node"
	}
	path, err := filepath.Abs(found[0])
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// resultFolder is the name of a folder with results: the scenario and the time.
var resultFolder = regexp.MustCompile(`^server-(.+)-\d{4}-\d\d-\d\dT[\d-]+Z$`)

func readChecks(t *testing.T, dir string) map[string]checked {
	t.Helper()
	folders, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]checked{}
	for _, folder := range folders {
		name := resultFolder.FindStringSubmatch(folder.Name())
		if name == nil {
			t.Fatalf("the suite left %s", folder.Name())
		}
		var checks []checked
		content, err := os.ReadFile(filepath.Join(dir, folder.Name(), "checks.json"))
		if err := errors.Join(err, json.Unmarshal(content, &checks)); err != nil {
			t.Fatal(err)
		}
		for _, c := range checks {
			c.Scenario = name[1]
			key := c.Scenario + "/" + c.ID
			for n := 2; found[key].ID != ""; n++ {
				key = fmt.Sprintf("%s/%s#%d", c.Scenario, c.ID, n)
			}
			found[key] = c
		}
	}
	return found
}

// countChecks says how many checks ended how.
func countChecks(checks map[string]checked) string {
	count := map[string]int{}
	for _, c := range checks {
		count[c.Status]++
	}
	var said []string
	for _, status := range slices.Sorted(maps.Keys(count)) {
		said = append(said, fmt.Sprintf("%d %s", count[status], status))
	}
	return strings.Join(said, ", ")
}

// requireConforms holds that the suite checked each scenario, and that without the
// guard none of those fails that a revision requires: else there would be nothing to
// compare. What fails there is told.
func requireConforms(t *testing.T, required requirements, direct map[string]checked) {
	t.Helper()
	ran, excused := map[string]bool{}, map[string]string{}
	for _, c := range direct {
		ran[c.Scenario] = true
	}
	expected := slices.Clone(required.Server)
	for _, further := range required.NotScored {
		if further.Leg == "server" {
			expected = append(expected, further.Scenario)
			excused[further.Scenario] = further.Reason
		}
	}
	for _, scenario := range expected {
		if !ran[scenario] {
			t.Errorf("the suite has no check of %s", scenario)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(direct)) {
		c := direct[key]
		if c.Status == checkFailed && excused[c.Scenario] == "" {
			t.Errorf("%s fails without the guard: %s", key, c.ErrorMessage)
			continue
		}
		if c.Status != checkPassed {
			t.Logf("without the guard %s is %s (%s): %s", key, c.Status, excused[c.Scenario], c.ErrorMessage)
		}
	}
}

// requireSame compares the checks of a server with those of the server behind the
// guard: none is missing, none is new, and each ends as it does without.
func requireSame(t *testing.T, direct, through map[string]checked) {
	t.Helper()
	for _, key := range slices.Sorted(maps.Keys(direct)) {
		switch c, ran := through[key]; {
		case !ran:
			t.Errorf("%s was not checked through the guard", key)
		case c.Status != direct[key].Status:
			t.Errorf("%s is %s, and %s through the guard: %s", key, direct[key].Status, c.Status, c.ErrorMessage)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(through)) {
		if c := through[key]; direct[key].ID == "" {
			t.Errorf("%s is checked through the guard only: %s %s", key, c.Status, c.ErrorMessage)
		}
	}
}

// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build node && linux

package node

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/mcp-registrar/mcp-registrar/test/devas"
	"github.com/mcp-registrar/mcp-registrar/test/env"
)

// writes are the requests that change something at an authorization server.
var writes = []devas.Operation{devas.Register, devas.Replace, devas.Delete}

func (s *story) install(t *testing.T) {
	s.values = chartValues{MetricsPort: freePort(t), HealthPort: freePort(t), LogLevel: "info"}
	s.helm(t, "install", release, "charts/mcp-registrar", "--namespace="+operatorNamespace, "--create-namespace",
		"--values="+s.values.write(t, s.machine))
	manager := s.managerPod(t, "")
	t.Logf("pod %s is ready", manager.name)
}

func (s *story) register(t *testing.T) {
	s.apply(t, fmt.Sprintf(infrastructure, s.as.Issuer()))
	s.await(t, "Ready", "default", "authorizationservers", "devas")
	s.newClient(t, "first")
}

// newClient makes a registration with a grant through kubectl, waits until it is
// Ready, and checks that the authorization server knows the client.
func (s *story) newClient(t *testing.T, name string) {
	t.Helper()
	started := time.Now()
	s.apply(t, fmt.Sprintf(client, name, inAnHour()))
	s.await(t, "Ready", "team", "mcpclientregistrations", name)
	took := time.Since(started)
	id := s.kubectl(t, "get", "mcpclientregistrations", name, "--namespace=team", "--output=jsonpath={.status.clientID}")
	if !slices.Contains(s.known(), id) {
		t.Errorf("%s is Ready as client %q, but the authorization server knows %q", name, id, s.known())
	}
	secret := s.kubectl(t, "get", "secret", name+"-mcp-client", "--namespace=team", "--output=name")
	t.Logf("%s: Ready after %.1fs, client %s, %s", name, took.Seconds(), id, secret)
	s.clients[name] = id
}

func (s *story) known() []string {
	var ids []string
	for _, c := range s.as.Clients() {
		ids = append(ids, c.ID)
	}
	return ids
}

func inAnHour() string { return time.Now().Add(time.Hour).UTC().Format(time.RFC3339) }

func (s *story) takeOver(t *testing.T) {
	before := s.managerPod(t, "")
	started := time.Now()
	s.kubectl(t, "delete", "pod", before.name, "--namespace="+operatorNamespace, "--wait=false")
	after := s.managerPod(t, before.name)
	t.Logf("pod %s in place of %s after %.1fs", after.name, before.name, time.Since(started).Seconds())
	s.newClient(t, "second")
	t.Logf("a new registration is Ready %.1fs after the deletion", time.Since(started).Seconds())
}

// upgrade changes what makes a new pod: the ports, so that both pods can be on the
// one node at a time, and the log level.
func (s *story) upgrade(t *testing.T) {
	before := s.managerPod(t, "")
	s.as.ResetCounts()
	started := time.Now()
	s.values = chartValues{MetricsPort: freePort(t), HealthPort: freePort(t), LogLevel: "debug"}
	s.helm(t, "upgrade", release, "charts/mcp-registrar", "--namespace="+operatorNamespace,
		"--values="+s.values.write(t, s.machine))
	after := s.managerPod(t, before.name)
	t.Logf("pod %s in place of %s after %.1fs", after.name, before.name, time.Since(started).Seconds())
	s.newClient(t, "third")
	s.requireWrites(t, map[devas.Operation]int{devas.Register: 1})
	s.requireReady(t, "first", "second", "third")
}

// requireWrites checks how often the authorization server was written to since the
// upgrade began: a client that was there before it is not written again.
func (s *story) requireWrites(t *testing.T, want map[devas.Operation]int) {
	t.Helper()
	counts := s.as.Counts()
	said := []string{}
	for _, operation := range writes {
		said = append(said, fmt.Sprintf("%s %d", operation, counts.Total(operation)))
		if got := counts.Total(operation); got != want[operation] {
			t.Errorf("%s: %d requests since the upgrade, want %d", operation, got, want[operation])
		}
	}
	t.Logf("requests to the authorization server since the upgrade: %s", strings.Join(said, ", "))
}

func (s *story) requireReady(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		s.await(t, "Ready", "team", "mcpclientregistrations", name)
		if !slices.Contains(s.known(), s.clients[name]) {
			t.Errorf("%s is Ready, but the authorization server does not know client %s", name, s.clients[name])
		}
	}
}

// expiry moves the end of one registration away, and that of another close.
func (s *story) expiry(t *testing.T) {
	const soon = 5 * time.Second
	later := time.Now().Add(2 * time.Hour).UTC().Format(time.RFC3339)
	s.expire(t, "first", later)
	NewWithT(t).Eventually(func() string {
		return s.kubectl(t, "get", "mcpclientregistrations", "first", "--namespace=team", "--output=jsonpath={.status.expiresAt}")
	}, patience, often).Should(Equal(later))
	due := time.Now().Add(soon).UTC()
	s.expire(t, "second", due.Format(time.RFC3339Nano))
	s.await(t, "Ready=False", "team", "mcpclientregistrations", "second")
	reason := s.kubectl(t, "get", "mcpclientregistrations", "second", "--namespace=team",
		`--output=jsonpath={.status.conditions[?(@.type=="Ready")].reason}`)
	if reason != "Expired" {
		t.Errorf("the registration is not Ready because of %q, want Expired", reason)
	}
	s.requireRevoked(t, due)
	s.requireReady(t, "first", "third")
	s.requireWrites(t, map[devas.Operation]int{devas.Register: 1, devas.Delete: 1})
}

func (s *story) expire(t *testing.T, name, at string) {
	t.Helper()
	s.kubectl(t, "annotate", "--overwrite", "--namespace=team", "mcpclientregistrations", name, "mcp-registrar.dev/expires-at="+at)
}

// requireRevoked checks at the authorization server that the second client is gone
// since its end, and not before.
func (s *story) requireRevoked(t *testing.T, due time.Time) {
	t.Helper()
	id := s.clients["second"]
	if slices.Contains(s.known(), id) {
		t.Errorf("client %s is expired but the authorization server knows it", id)
	}
	for _, entry := range s.as.Log() {
		if entry.Operation != devas.Delete || entry.ClientID != id {
			continue
		}
		t.Logf("client %s was revoked %s after its end", id, entry.Time.Sub(due).Round(time.Millisecond))
		if entry.Time.Before(due) {
			t.Errorf("client %s was revoked at %s, before its end at %s", id, entry.Time, due)
		}
		return
	}
	t.Errorf("client %s was not deleted by request", id)
}

func (s *story) uninstall(t *testing.T) {
	s.helm(t, "uninstall", release, "--namespace="+operatorNamespace, "--wait")
	NewWithT(t).Eventually(func() string {
		return s.kubectl(t, "get", "deployments,pods,serviceaccounts", "--namespace="+operatorNamespace,
			"--selector=app.kubernetes.io/instance="+release, "--output=name")
	}, patience, often).Should(BeEmpty(), "the manager is still there")
	root, err := env.ModuleRoot()
	if err != nil {
		t.Fatal(err)
	}
	definitions, err := filepath.Glob(filepath.Join(root, "config", "crd", "bases", "*.yaml"))
	if err != nil || len(definitions) == 0 {
		t.Fatalf("no CRDs: %v", err)
	}
	kinds := s.kubectl(t, "get", "customresourcedefinitions", "--output=name")
	if got := strings.Count(kinds, ".mcp-registrar.dev"); got != len(definitions) {
		t.Errorf("%d CRDs are left, want %d:\n%s", got, len(definitions), kinds)
	}
	objects := s.kubectl(t, "get", "authorizationservers,mcpservers,mcpclientregistrations,scopegrants", "--all-namespaces", "--output=name")
	if got := len(strings.Fields(objects)); got != 8 {
		t.Errorf("%d objects are left, want one authorization server, one server, three registrations and their grants:\n%s", got, objects)
	}
	for _, name := range []string{"first", "third"} {
		if !slices.Contains(s.known(), s.clients[name]) {
			t.Errorf("client %s was taken away by uninstalling", s.clients[name])
		}
	}
	s.requireWrites(t, map[devas.Operation]int{devas.Register: 1, devas.Delete: 1})
}

// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/audit"
)

const (
	// guardNamespace is where guards have their account and their Leases.
	guardNamespace = "mcp-guard"
	guardAccount   = "guard"
)

// guard is the product's guard, running.
type guard struct {
	name string
	cmd  *exec.Cmd
	// address is where the proxy listens, metrics and health the other two.
	address, metrics, health string
	// log and audit are files.
	log, audit string
	// binary is another guard than the one in bin, environment further variables of it.
	binary      string
	environment []string
	// ended is closed when the process has ended, with err.
	ended chan struct{}
	err   error
}

// prepareGuards makes the account of guards, with the two roles that the chart
// has for them and nothing else, and returns a kubeconfig for it.
func (w *world) prepareGuards(t *testing.T) (kubeconfig string) {
	t.Helper()
	subjects := []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: guardNamespace, Name: guardAccount}}
	w.create(t,
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: guardNamespace}},
		&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: guardNamespace, Name: guardAccount}},
		&rbacv1.ClusterRoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: guardAccount}, Subjects: subjects,
			RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: release + "-guard"},
		},
		&rbacv1.RoleBinding{
			ObjectMeta: metav1.ObjectMeta{Namespace: guardNamespace, Name: guardAccount}, Subjects: subjects,
			RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: release + "-guard-lease"},
		},
	)
	account, err := w.plane.ServiceAccountConfig(t.Context(), guardNamespace, guardAccount)
	if err != nil {
		t.Fatal(err)
	}
	kubeconfig = filepath.Join(w.root.TempDir(), "guard-kubeconfig")
	if err := w.plane.Kubeconfig(kubeconfig, account); err != nil {
		t.Fatal(err)
	}
	return kubeconfig
}

// newGuard chooses the addresses and files of a guard that is not started yet:
// the resource of a server has the address in it.
func (w *world) newGuard(t *testing.T, name string) *guard {
	t.Helper()
	dir := w.root.ArtifactDir()
	return &guard{
		name: name, address: freeAddress(t), metrics: freeAddress(t), health: freeAddress(t),
		log: filepath.Join(dir, name+".log"), audit: filepath.Join(dir, name+".jsonl"), ended: make(chan struct{}),
	}
}

// resource is the resource identifier of a server that is reached at the guard
// itself.
func (g *guard) resource(name string) string { return "http://" + g.address + "/" + name }

// start runs the binary, as its account, in front of servers: each an argument
// of --server. It returns when the guard is ready, and lives as long as the world.
func (g *guard) start(t *testing.T, w *world, kubeconfig string, servers []string, further ...string) {
	t.Helper()
	arguments := []string{
		"--bind-address=" + g.address, "--metrics-bind-address=" + g.metrics, "--health-probe-bind-address=" + g.health,
		"--audit-log=" + g.audit, "--audit-key-file=" + g.auditKey(t), "--identity=" + g.name, "--lease-namespace=" + guardNamespace, "--log-level=debug",
	}
	for _, server := range servers {
		arguments = append(arguments, "--server="+server)
	}
	log, err := os.Create(g.log)
	if err != nil {
		t.Fatal(err)
	}
	binary := g.binary
	if binary == "" {
		binary = built(t, "guard")
	}
	g.cmd = exec.CommandContext(context.WithoutCancel(t.Context()), binary, append(arguments, further...)...)
	g.cmd.Env = append([]string{"KUBECONFIG=" + kubeconfig}, g.environment...)
	g.cmd.Stdout, g.cmd.Stderr = log, log
	if err := errors.Join(g.cmd.Start(), log.Close()); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(g.ended)
		g.err = g.cmd.Wait()
	}()
	w.root.Cleanup(func() { g.end(w.root) })
	w.seen.mu.Lock()
	w.seen.logs = append(w.seen.logs, g.log, g.audit)
	w.seen.mu.Unlock()
	NewWithT(t).Eventually(g.readiness(t), patience, often).Should(Equal(http.StatusOK), "the guard is not ready")
}

// auditKey is the file with the key of the guard's record, beside it for verifyAudit.
func (g *guard) auditKey(t *testing.T) string {
	t.Helper()
	path := g.audit + ".key"
	if _, err := os.Stat(path); err == nil {
		return path
	}
	if err := os.WriteFile(path, audit.NewKey(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// readiness is the status of /readyz; 0 while nobody answers.
func (g *guard) readiness(t *testing.T) func() int {
	return func() int {
		status, _ := g.get(t, "http://"+g.health+"/readyz")
		return status
	}
}

// page is what the guard shows of its metrics.
func (g *guard) page(t *testing.T) string {
	t.Helper()
	status, body := g.get(t, "http://"+g.metrics+"/metrics")
	if status != http.StatusOK {
		t.Fatalf("the metrics of the guard: %d %s", status, body)
	}
	return body
}

func (g *guard) get(t *testing.T, address string) (status int, body string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err.Error()
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, err.Error()
	}
	return response.StatusCode, string(content)
}

func (g *guard) signal(t *testing.T, signal syscall.Signal) {
	t.Helper()
	if err := g.cmd.Process.Signal(signal); err != nil {
		t.Fatalf("%s has ended on its own: %v", g.name, err)
	}
}

// stop tells the guard to end; it must end well, and soon.
func (g *guard) stop(t *testing.T) {
	t.Helper()
	if err := g.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Errorf("%s has ended on its own: %v", g.name, err)
	}
	select {
	case <-g.ended:
	case <-time.After(stopTimeout):
		t.Errorf("after SIGTERM %s still runs after %s", g.name, stopTimeout)
		if err := g.cmd.Process.Kill(); err != nil {
			t.Errorf("killing %s: %v", g.name, err)
		}
		<-g.ended
	}
	if g.err != nil {
		t.Errorf("%s ended with: %v", g.name, g.err)
	}
}

// end is the last that happens to a guard; it shows the log if a test failed.
func (g *guard) end(t *testing.T) {
	select {
	case <-g.ended:
	default:
		g.stop(t)
	}
	if t.Failed() {
		t.Logf("the end of the log of %s:\n%s", g.name, tail(t, g.log))
	}
}

// newGuardedServer is an MCPServer whose resource is where clients reach it. The
// tools are by scope; grants of every tier need nobody.
func newGuardedServer(namespace, name, as, resource string, tools map[v1alpha1.ScopeName][]string) *v1alpha1.MCPServer {
	server := &v1alpha1.MCPServer{
		TypeMeta: metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "MCPServer"},
		ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace, Name: name, Annotations: map[string]string{v1alpha1.AnnotationOwner: "team-files@example.com"},
		},
		Spec: v1alpha1.MCPServerSpec{
			Resource: resource, AuthorizationServerRef: v1alpha1.AuthorizationServerReference{Name: as},
			Grants: &v1alpha1.GrantPolicy{AutoApprovedTiers: &[]v1alpha1.Tier{v1alpha1.TierRead, v1alpha1.TierWrite, v1alpha1.TierElevated}},
		},
	}
	tiers := map[v1alpha1.ScopeName]v1alpha1.Tier{scopeLooks: v1alpha1.TierRead, scopeActs: v1alpha1.TierElevated, scopeMore: v1alpha1.TierWrite}
	for _, scope := range []v1alpha1.ScopeName{scopeLooks, scopeActs, scopeMore} {
		server.Spec.Scopes = append(server.Spec.Scopes, v1alpha1.Scope{Name: scope, Tier: tiers[scope], Tools: tools[scope]})
	}
	return server
}

// The scopes of guarded servers: one to look, one for what should rarely be done,
// and one that nobody is granted.
const (
	scopeLooks = "files:read"
	scopeActs  = "files:write"
	scopeMore  = "notes:read"
)

// grantAt is a grant of scopes of a guarded server in the namespace of the scene.
func (s *scene) grantAt(server, name, registration string, scopes ...v1alpha1.ScopeName) *v1alpha1.ScopeGrant {
	grant := s.newGrant(name, registration, scopes...)
	grant.Spec.ServerRef = v1alpha1.ServerReference{Name: server}
	grant.Spec.Reason = "monthly close, ticket FIN-1234"
	return grant
}

// accessToken asks for an access token for a resource with scopes.
func (w *world) accessToken(t *testing.T, p party, resource, scope string) string {
	t.Helper()
	answer := p.ask(t, scope, resource)
	if answer.AccessToken == "" {
		t.Fatalf("no token for %s with %s: %d %s", resource, scope, answer.Status, answer.Error)
	}
	w.seen.keep(answer.AccessToken, "access token")
	return answer.AccessToken
}

// deletes deletes a registration as a person would, and returns when kubectl did.
func (s *scene) deletes(t *testing.T, registrations ...string) time.Time {
	t.Helper()
	arguments := append([]string{"delete", "mcpclientregistration", "-n", s.namespace, "--wait=false"}, registrations...)
	if _, err := s.plane.RunKubectl(t.Context(), arguments...); err != nil {
		t.Fatal(fmt.Errorf("deleting: %w", err))
	}
	return time.Now()
}

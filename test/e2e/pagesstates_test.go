// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/test/mcpserver"
)

// states are what brings about each state of the world that the table names.
func (r *readers) states() map[string]func(*testing.T) {
	return map[string]func(*testing.T){
		"the operator runs":                 r.operatorRuns,
		"the samples":                       r.samples,
		"a token for reading":               r.tokenForReading,
		"the auditor has expired":           r.auditorHasExpired,
		"the auditor is registered":         func(t *testing.T) { r.awaitReady(t, "mcpreg", "payments", "auditor", "True/Ready") },
		"alice has asked":                   r.aliceHasAsked,
		"the credentials are kept":          r.credentialsAreKept,
		"writing waits for an approval":     r.writingWaits,
		"the approval is withdrawn":         r.approvalIsWithdrawn,
		"the approval is void":              r.approvalIsVoid,
		"mcp/ is applied":                   r.folderIsApplied,
		"incident-4711.yaml is written":     r.incidentIsWritten,
		"the denial is enforced":            r.denialIsEnforced,
		"a resource is taken":               r.resourceIsTaken,
		"a revocation is blocked":           r.revocationIsBlocked,
		"a client may be orphaned":          r.clientMayBeOrphaned,
		"a server is not manageable":        r.serverIsNotManageable,
		"a clock is wrong":                  r.clockIsWrong,
		"the initial access token is wrong": r.initialTokenIsWrong,
		"the new token is at hand":          func(*testing.T) { r.variables["TOKEN"] = r.world.initialToken },
		"the record is lost":                r.recordIsLost,
		"a record has no registration":      r.recordHasNoRegistration,
		"the end of the record is published": func(t *testing.T) {
			r.await(t, "cluster admin", `kubectl -n mcp-registrar-system get configmap mcp-registrar-audit-heads -o jsonpath='{.data}'`, "sequence")
		},
		"the record was rotated once":               r.rotatedOnce,
		"the record goes on":                        r.recordGoesOn,
		"a status is refused":                       r.statusIsRefused,
		"many clients are revoked":                  r.manyAreRevoked,
		"kcadm.sh is logged in":                     r.keycloakIsLoggedIn,
		"the reconciler is registered":              r.reconcilerIsRegistered,
		"two lines are gone":                        r.twoLinesAreGone,
		"audit.jsonl is the example":                r.auditExample,
		"a guard is deployed":                       r.guardIsDeployed,
		"clients live on the server":                r.clientsLiveOnTheServer,
		"the operator has ended":                    func(t *testing.T) { r.world.manager.stop(t); r.guard.stop(t) },
		"nothing is installed":                      r.nothingIsInstalled,
		"the pods run":                              r.podsRun,
		"the installer may do all in the namespace": r.installerHasTheNamespace,
	}
}

// await waits until what a command of somebody answers holds a text.
func (r *readers) await(t *testing.T, by, line, text string) {
	t.Helper()
	NewWithT(t).Eventually(func() string {
		said, err := r.runs(t, r.people[by], "", line)
		return fmt.Sprint(said, err)
	}, patience, 4*often).Should(ContainSubstring(text), line)
}

// awaitReady waits until an object is ready, or is not for a reason.
func (r *readers) awaitReady(t *testing.T, kind, namespace, name, want string) {
	t.Helper()
	r.await(t, "cluster admin", fmt.Sprintf(
		`kubectl -n %s get %s %s -o jsonpath='{range .status.conditions[?(@.type=="Ready")]}{.status}/{.reason}{end}'`, namespace, kind, name), want)
}

// operatorRuns starts the manager of the release that a page had installed, and makes the
// people whom docs/helm.md binds the roles to.
func (r *readers) operatorRuns(t *testing.T) {
	r.world = startWorldOn(t, r.plane, renderChart(t, "audit.log="+filepath.Join(r.dir, "audit.jsonl")))
	r.does(t, "cluster admin", "kubectl apply -f config/samples/namespaces.yaml && kubectl apply -f "+filepath.Join(r.root, "test", "chart", "testdata", "bindings.yaml"))
	r.does(t, "cluster admin", `kubectl create rolebinding edits -n payments --clusterrole=edit --user=tess
		kubectl create serviceaccount flux -n payments
		kubectl create rolebinding flux -n payments --clusterrole=mcp-registrar-client-developer --serviceaccount=payments:flux
		kubectl create namespace ci && kubectl apply -f config/gitops/ci`)
	r.newReader(t, "platform", "paul", "platform-team")
	r.newReader(t, "server owner", "otto", "team-invoices")
	r.people["approver"] = r.people["server owner"]
	r.newReader(t, "developer", "dora", "team-payments")
	r.newReader(t, "team", "tess", "team-payments")
	r.newReader(t, "alice", "alice", "team-payments", "team-invoices")
	r.newReader(t, "auditor", "anna", "auditors")
	r.newAccount(t, "flux", "payments", "flux")
	r.newAccount(t, "pipeline", "ci", "mcp-plan")
	r.await(t, "team", "kubectl -n payments auth can-i get secrets", "yes")
	r.world.awaitPolicies(t)
}

// newAccount is a ServiceAccount that is called so in the table.
func (r *readers) newAccount(t *testing.T, called, namespace, name string) {
	t.Helper()
	config, err := r.plane.ServiceAccountConfig(t.Context(), namespace, name)
	if err != nil {
		t.Fatal(err)
	}
	p := &person{name: name, home: t.TempDir()}
	p.kubeconfig = filepath.Join(p.home, "kubeconfig")
	if err := r.plane.Kubeconfig(p.kubeconfig, config); err != nil {
		t.Fatal(err)
	}
	r.people[called] = p
}

// samples are those of config/samples, behind a guard, each made by whose it is.
func (r *readers) samples(t *testing.T) {
	if r.guard == nil {
		r.startServers(t)
	}
	for who, kinds := range map[string]string{
		"platform": "AuthorizationServer", "server owner": "MCPServer", "approver": "ScopeGrantApproval",
		"developer": "MCPClientRegistration ScopeGrant",
	} {
		var items []any
		for _, object := range r.adapted(t) {
			if slices.Contains(strings.Fields(kinds), object.GetKind()) && object.GetNamespace() != "assistants" {
				items = append(items, object.Object)
			}
		}
		r.apply(t, who, items...)
	}
	var items []any
	for _, object := range r.adapted(t) {
		if object.GetNamespace() == "assistants" {
			items = append(items, object.Object)
		}
	}
	r.apply(t, "cluster admin", items...)
	r.awaitReady(t, "mcpreg", "payments", "reconciler", "True/Ready")
	r.awaitReady(t, "mcpreg", "payments", "auditor", "True/Ready")
	r.awaitReady(t, "mcpreg", "assistants", "desktop", "True/Ready")
	r.await(t, "team", `kubectl -n payments get secret reconciler-oauth -o go-template='{{.data.scope | base64decode}}'`, "invoices:write")
}

// startServers starts an authorization server and a guard before an MCP server.
func (r *readers) startServers(t *testing.T) {
	t.Helper()
	r.as = r.world.startDevAS(t)
	r.world.create(t, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: operatorNamespace, Name: "company-initial-access-token"}, StringData: map[string]string{"token": r.world.initialToken},
	})
	upstream := startSample(t, mcpserver.Options{Stateless: true})
	r.guard = r.world.newGuard(t, "guard")
	kubeconfig := r.world.prepareGuards(t)
	r.variables["ISSUER"], r.variables["RESOURCE"] = r.as.Issuer(), r.guard.resource("mcp")
	r.variables["END"] = instant(time.Now().Add(300 * 24 * time.Hour))
	var first []any
	for _, object := range r.adapted(t) {
		if object.GetKind() == "AuthorizationServer" || object.GetKind() == "MCPServer" {
			first = append(first, object.Object)
		}
	}
	r.apply(t, "cluster admin", first...)
	r.guard.start(t, r.world, kubeconfig, []string{"invoices/invoices=" + upstream.URL()})
}

// adapted are the samples, with the addresses of this machine and ends to come.
func (r *readers) adapted(t *testing.T) []unstructured.Unstructured {
	t.Helper()
	tools := map[string][]any{
		"invoices:read": {mcpserver.ToolRead, mcpserver.ToolList, mcpserver.ToolFollow}, "invoices:write": {mcpserver.ToolPay},
	}
	var objects []unstructured.Unstructured
	for document := range strings.SplitSeq(r.does(t, "anybody", "kubectl kustomize config/samples"), "\n---\n") {
		var object unstructured.Unstructured
		if err := yaml.Unmarshal([]byte(document), &object.Object); err != nil {
			t.Fatal(err)
		}
		if annotations := object.GetAnnotations(); annotations[v1alpha1.AnnotationExpiresAt] != "" {
			annotations[v1alpha1.AnnotationExpiresAt] = instant(time.Now().Add(300 * 24 * time.Hour))
			object.SetAnnotations(annotations)
		}
		spec, _ := object.Object["spec"].(map[string]any)
		switch object.GetKind() {
		case "AuthorizationServer":
			spec["issuer"] = r.as.Issuer()
		case "MCPServer":
			spec["resource"], spec["boundary"], spec["guardNamespaces"] = r.guard.resource("mcp"), "Guarded", []any{guardNamespace}
			scopes := spec["scopes"].([]any)
			for _, scope := range scopes {
				scope := scope.(map[string]any)
				scope["tools"] = tools[scope["name"].(string)]
			}
			spec["scopes"] = append(scopes, map[string]any{"name": "invoices:void", "tier": "Elevated", "tools": []any{mcpserver.ToolVoid}})
		}
		objects = append(objects, object)
	}
	return objects
}

// apply applies objects as somebody; for some seconds after the CRDs were created, what
// stamps an object does not know its schema.
func (r *readers) apply(t *testing.T, by string, items ...any) {
	t.Helper()
	content, err := json.Marshal(map[string]any{"apiVersion": "v1", "kind": "List", "items": items})
	if err != nil {
		t.Fatal(err)
	}
	r.writes(t, "objects.json", string(content))
	NewWithT(t).Eventually(func() string {
		said, err := r.runs(t, r.people[by], "", "kubectl apply -f objects.json")
		return fmt.Sprint(said, err)
	}, patience, 10*often).Should(HaveSuffix("<nil>"), "applied by %s", by)
}

// writes is a file where people work.
func (r *readers) writes(t *testing.T, name, content string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(r.dir, name), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// client is a file with a registration of the team payments and a grant.
func (r *readers) client(t *testing.T, name, as, server, scope string) {
	t.Helper()
	r.writes(t, name+".yaml", fmt.Sprintf(`apiVersion: mcp-registrar.dev/v1alpha1
kind: MCPClientRegistration
metadata:
  name: %[1]s
  namespace: payments
  annotations: {mcp-registrar.dev/owner: team-payments@example.com, mcp-registrar.dev/expires-at: %[3]q}
spec:
  authorizationServerRef: {name: %[2]s}
  clientName: %[1]s
  applicationType: Web
  grantTypes: [ClientCredentials]
  tokenEndpointAuthMethod: ClientSecretBasic
---
apiVersion: mcp-registrar.dev/v1alpha1
kind: ScopeGrant
metadata:
  name: %[1]s
  namespace: payments
  annotations: {mcp-registrar.dev/owner: team-payments@example.com, mcp-registrar.dev/expires-at: %[3]q}
spec:
  clientRef: {name: %[1]s}
  serverRef: {name: %[4]s, namespace: invoices}
  scopes: [%[5]s]
  reason: Reads.
`, name, as, r.variables["END"], server, scope))
}

// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	. "github.com/onsi/gomega"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/test/devas"
	"github.com/mcp-registrar/mcp-registrar/test/env"
)

// applier is the account that a GitOps controller applies with.
const applier = "system:serviceaccount:flux-system:kustomize-controller"

// directory holds manifests; a GitOps controller's account applies them.
type directory struct {
	*world
	as  *devas.Server
	dir string
	bot *person
}

// TestGitOps keeps the samples in a directory, as a GitOps controller does.
func TestGitOps(t *testing.T) {
	w := startWorld(t)
	w.awaitPolicies(t)
	r := newDirectory(t, w, w.startDevAS(t))
	r.bot.does(t, r.apply()...)
	r.allReady(t)
	steps := []struct {
		name string
		test func(*testing.T, *directory)
	}{
		{"the diff is clean after the operator has worked", testDiffIsClean},
		{"the operator owns nothing but status", testOwnership},
		{"whoever applies is who asked", testApplierAsks},
		{"a renewal is one line and keeps the client", testRenewalCommit},
		{"a lapsed entry does not fail the apply", testLapsedEntry},
		{"a pipeline tries a change and cannot make it", testPlan},
		{"pruning revokes", testPruning},
	}
	for _, step := range steps {
		if !t.Run(step.name, func(t *testing.T) { step.test(t, r) }) {
			t.FailNow()
		}
	}
}

// newDirectory writes the samples into a directory, for the authorization
// server of this world.
func newDirectory(t *testing.T, w *world, as *devas.Server) *directory {
	t.Helper()
	w.create(t, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "flux-system"}}, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "ci"}})
	r := &directory{world: w, as: as, dir: t.TempDir(), bot: w.newAccount(t, "flux-system", "kustomize-controller")}
	all := []string{"get", "list", "watch", "create", "update", "patch", "delete"}
	w.create(t, &rbacv1.ClusterRole{
		ObjectMeta: metav1.ObjectMeta{Name: "kustomize-controller"},
		Rules: []rbacv1.PolicyRule{
			{APIGroups: []string{v1alpha1.GroupVersion.Group}, Resources: []string{"authorizationservers", "mcpservers", "mcpclientregistrations", "scopegrants"}, Verbs: all},
			{APIGroups: []string{""}, Resources: []string{"namespaces", "configmaps"}, Verbs: all},
		},
	}, &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "kustomize-controller"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "kustomize-controller"},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: "flux-system", Name: "kustomize-controller"}},
	})
	w.awaitMay(t, applier, metav1.NamespaceDefault, authorizationv1.ResourceAttributes{Verb: "create", Resource: "scopegrants"})
	root, err := env.ModuleRoot()
	if err != nil {
		t.Fatal(err)
	}
	ends, end := regexp.MustCompile(`expires-at: ".*"`), fmt.Sprintf("expires-at: %q", instant(inAnHour()))
	for _, name := range []string{"namespaces", "authorizationserver", "mcpserver", "mcpclientregistration", "scopegrant"} {
		content, err := os.ReadFile(filepath.Join(root, "config", "samples", name+".yaml"))
		if err != nil {
			t.Fatal(err)
		}
		text := strings.ReplaceAll(string(content), "https://auth.example.com", as.Issuer())
		text = strings.ReplaceAll(text, "company-initial-access-token", "initial-access-token")
		// kubectl goes by file name; GitOps tools apply namespaces first.
		r.write(t, strings.Replace(name, "namespaces", "00-namespaces", 1), ends.ReplaceAllString(text, end))
	}
	return r
}

// newAccount makes a ServiceAccount that kubectl can be run as.
func (w *world) newAccount(t *testing.T, namespace, name string) *person {
	t.Helper()
	w.create(t, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}})
	return w.asAccount(t, namespace, name)
}

func (w *world) asAccount(t *testing.T, namespace, name string) *person {
	t.Helper()
	config, err := w.plane.ServiceAccountConfig(t.Context(), namespace, name)
	if err != nil {
		t.Fatal(err)
	}
	p := &person{name: name, home: t.TempDir()}
	p.kubeconfig = filepath.Join(p.home, "kubeconfig")
	if err := w.plane.Kubeconfig(p.kubeconfig, config); err != nil {
		t.Fatal(err)
	}
	return p
}

func (r *directory) path(name string) string { return filepath.Join(r.dir, name+".yaml") }

func (r *directory) write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(r.path(name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (r *directory) read(t *testing.T, name string) string {
	t.Helper()
	content, err := os.ReadFile(r.path(name))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// apply is how Flux applies, in words of kubectl.
func (r *directory) apply(more ...string) []string {
	return append([]string{"apply", "--server-side", "--field-manager=flux", "-f", r.dir}, more...)
}

// governed are all objects of the product.
func (r *directory) governed(t *testing.T) []conditioned {
	t.Helper()
	var found []conditioned
	var issuers v1alpha1.AuthorizationServerList
	var servers v1alpha1.MCPServerList
	var registrations v1alpha1.MCPClientRegistrationList
	var grants v1alpha1.ScopeGrantList
	for _, list := range []client.ObjectList{&issuers, &servers, &registrations, &grants} {
		if err := r.List(t.Context(), list); err != nil {
			t.Fatal(err)
		}
	}
	for i := range issuers.Items {
		found = append(found, &issuers.Items[i])
	}
	for i := range servers.Items {
		found = append(found, &servers.Items[i])
	}
	for i := range registrations.Items {
		found = append(found, &registrations.Items[i])
	}
	for i := range grants.Items {
		found = append(found, &grants.Items[i])
	}
	return found
}

func (r *directory) allReady(t *testing.T) {
	t.Helper()
	NewWithT(t).Eventually(func() map[string]string {
		unready := map[string]string{}
		for _, object := range r.governed(t) {
			if state := condition(object, v1alpha1.ConditionReady); state != "True/Ready" {
				unready[fmt.Sprintf("%T/%s", object, object.GetName())] = state
			}
		}
		return unready
	}, patience, often).Should(BeEmpty())
}

// registration reads a registration of the namespace payments.
func (r *directory) registration(t *testing.T, name string) *v1alpha1.MCPClientRegistration {
	t.Helper()
	reg := &v1alpha1.MCPClientRegistration{ObjectMeta: metav1.ObjectMeta{Namespace: "payments", Name: name}}
	if err := r.Get(t.Context(), client.ObjectKeyFromObject(reg), reg); err != nil {
		t.Fatal(err)
	}
	return reg
}

// testDiffIsClean holds for the tool's own way to apply and for kubectl's old
// one.
func testDiffIsClean(t *testing.T, r *directory) {
	// The operator's own counts follow some seconds later, and kubectl reads an
	// object more than once: again until it rests.
	for _, way := range [][]string{{"diff", "--server-side", "--field-manager=flux", "-f", r.dir}, {"diff", "-f", r.dir}} {
		NewWithT(t).Eventually(func() error {
			said, err := r.bot.kubectl(t, way...)
			if err != nil {
				return fmt.Errorf("%w\n%s", err, said)
			}
			return nil
		}, patience, time.Second).Should(Succeed(), strings.Join(way, " "))
	}
	NewWithT(t).Eventually(func() string {
		before := versions(r.governed(t))
		r.bot.does(t, r.apply()...)
		if after := versions(r.governed(t)); !maps.Equal(before, after) {
			return fmt.Sprintf("%v\n%v", before, after)
		}
		return ""
	}, patience, time.Second).Should(BeEmpty(), "applying the same again changes something")
}

func versions(objects []conditioned) map[string]string {
	all := map[string]string{}
	for _, object := range objects {
		all[fmt.Sprintf("%T/%s/%s", object, object.GetNamespace(), object.GetName())] = object.GetResourceVersion()
	}
	return all
}

func testOwnership(t *testing.T, r *directory) {
	operators := 0
	for _, object := range r.governed(t) {
		for _, entry := range object.GetManagedFields() {
			var owned map[string]any
			if err := json.Unmarshal(entry.FieldsV1.GetRawBytes(), &owned); err != nil {
				t.Fatal(err)
			}
			if entry.Manager == "flux" {
				continue
			}
			operators++
			if fields := slices.Collect(maps.Keys(owned)); !slices.Equal(fields, []string{"f:status"}) || entry.Subresource != "status" {
				t.Errorf("%T %s: %s (%s, subresource %q) owns %s", object, object.GetName(), entry.Manager, entry.Operation, entry.Subresource, entry.FieldsV1.GetRawString())
			}
		}
	}
	if operators < 8 {
		t.Errorf("the operator wrote the status of %d objects only", operators)
	}
}

func testApplierAsks(t *testing.T, r *directory) {
	for _, object := range r.governed(t) {
		switch object.(type) {
		case *v1alpha1.MCPClientRegistration, *v1alpha1.ScopeGrant:
			if by := object.GetAnnotations()[v1alpha1.AnnotationRequestedBy]; by != applier {
				t.Errorf("%T %s was asked for by %q, want %q", object, object.GetName(), by, applier)
			}
		}
	}
}

func testRenewalCommit(t *testing.T, r *directory) {
	g := NewWithT(t)
	before := r.registration(t, "auditor")
	later := instant(inAnHour().Add(time.Hour))
	for _, name := range []string{"mcpclientregistration", "scopegrant"} {
		old := fmt.Sprintf("expires-at: %q", before.Annotations[v1alpha1.AnnotationExpiresAt])
		r.write(t, name, strings.ReplaceAll(r.read(t, name), old, fmt.Sprintf("expires-at: %q", later)))
	}
	r.bot.does(t, r.apply()...)
	g.Eventually(func() string { return instant(r.registration(t, "auditor").Status.ExpiresAt.Time) }, patience, often).Should(Equal(later))
	after := r.registration(t, "auditor")
	g.Expect(after.Status.ClientID).To(Equal(before.Status.ClientID))
	g.Expect(after.Generation).To(Equal(before.Generation))
	g.Expect(after.Annotations).To(HaveKeyWithValue(v1alpha1.AnnotationChangedBy, applier))
	r.allReady(t)
	testDiffIsClean(t, r)
}

// lapsed is an entry of the directory whose end has passed long ago.
const lapsed = `apiVersion: mcp-registrar.dev/v1alpha1
kind: MCPClientRegistration
metadata:
  name: forgotten
  namespace: payments
  annotations:
    mcp-registrar.dev/owner: team-payments@example.com
    mcp-registrar.dev/expires-at: "2025-12-31T00:00:00Z"
spec:
  authorizationServerRef: {name: company}
  clientName: Forgotten job
  applicationType: Web
  grantTypes: [ClientCredentials]
  tokenEndpointAuthMethod: ClientSecretBasic
---
apiVersion: mcp-registrar.dev/v1alpha1
kind: ScopeGrant
metadata:
  name: forgotten
  namespace: payments
  annotations:
    mcp-registrar.dev/owner: team-payments@example.com
    mcp-registrar.dev/expires-at: "2025-12-31T00:00:00Z"
spec:
  clientRef: {name: forgotten}
  serverRef: {name: invoices, namespace: invoices}
  scopes: [invoices:read]
`

func testLapsedEntry(t *testing.T, r *directory) {
	g := NewWithT(t)
	r.write(t, "forgotten", lapsed)
	said := r.bot.does(t, r.apply()...)
	g.Expect(said).To(And(ContainSubstring("Warning: "), ContainSubstring("mcp-registrar.dev/expires-at has passed already")))
	reg := &v1alpha1.MCPClientRegistration{ObjectMeta: metav1.ObjectMeta{Namespace: "payments", Name: "forgotten"}}
	grant := &v1alpha1.ScopeGrant{ObjectMeta: reg.ObjectMeta}
	for _, object := range []conditioned{reg, grant} {
		g.Eventually(r.ready(t, object), patience, often).Should(Equal("False/" + v1alpha1.ReasonExpired))
		g.Expect(kstatusOf(t, r.world, object)).To(Equal(status.FailedStatus))
		told := meta.FindStatusCondition(object.GetConditions(), v1alpha1.ConditionStalled)
		g.Expect(told.Message).To(ContainSubstring("move the annotation mcp-registrar.dev/expires-at forward to renew"))
	}
	for _, registered := range r.as.Clients() {
		g.Expect(registered.Name).NotTo(ContainSubstring("Forgotten"))
	}
	testDiffIsClean(t, r)

	r.write(t, "forgotten", strings.ReplaceAll(lapsed, "2025-12-31T00:00:00Z", instant(inAnHour())))
	r.bot.does(t, r.apply()...)
	r.allReady(t)
	testDiffIsClean(t, r)
}

// testPlan is the step of a pipeline, with the files that are shipped for it.
func testPlan(t *testing.T, r *directory) {
	g := NewWithT(t)
	root, err := env.ModuleRoot()
	g.Expect(err).NotTo(HaveOccurred())
	if _, err := r.plane.RunKubectl(t.Context(), "apply", "-f", filepath.Join(root, "config", "gitops", "ci")); err != nil {
		t.Fatal(err)
	}
	plan := r.asAccount(t, "ci", "mcp-plan")
	try := func(more ...string) (string, error) {
		files := []string{"-f", r.path("mcpclientregistration"), "-f", r.path("scopegrant")}
		return plan.kubectl(t, slices.Concat([]string{"apply", "--server-side", "--field-manager=flux", "--force-conflicts"}, files, more)...)
	}
	good := r.read(t, "mcpclientregistration")
	g.Eventually(func() string {
		said, err := try()
		return fmt.Sprint(said, err)
	}, patience, often).Should(ContainSubstring("run kubectl with --dry-run=server"), "the pipeline can write")
	said, err := try("--dry-run=server")
	g.Expect(err).NotTo(HaveOccurred(), said)

	r.write(t, "mcpclientregistration", strings.ReplaceAll(good, "mcp-registrar.dev/owner: team-payments@example.com\n", "example.com/team: payments\n"))
	said, err = try("--dry-run=server")
	g.Expect(err).To(HaveOccurred())
	g.Expect(said).To(ContainSubstring("mcp-registrar.dev/owner"))
	r.write(t, "mcpclientregistration", good)
	r.allReady(t)
}

// testPruning takes an entry out of the directory, and then everything.
func testPruning(t *testing.T, r *directory) {
	g := NewWithT(t)
	gone := r.registration(t, "forgotten").Status.ClientID
	kept := r.registration(t, "reconciler").Status.ClientID
	// An apply set holds objects of one namespace.
	var ours []string
	for document := range strings.SplitSeq(r.read(t, "mcpclientregistration")+"---\n"+r.read(t, "scopegrant"), "---\n") {
		if strings.Contains(document, "namespace: payments\n") {
			ours = append(ours, document)
		}
	}
	set := filepath.Join(t.TempDir(), "payments.yaml")
	if err := os.WriteFile(set, []byte(strings.Join(ours, "---\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	prune := "KUBECTL_APPLYSET=true kubectl apply --server-side --field-manager=flux --prune --applyset=configmap/mcp -n payments -f " + set
	if said, err := r.bot.shell(t, prune+" -f "+r.path("forgotten")); err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	g.Expect(r.as.Deleted()).To(BeEmpty(), "an apply that prunes nothing revoked a client")
	said, err := r.bot.shell(t, prune)
	g.Expect(err).NotTo(HaveOccurred(), said)
	g.Expect(said).To(ContainSubstring("forgotten pruned"))
	g.Eventually(r.as.Deleted, patience, often).Should(ConsistOf(gone))
	g.Expect(r.registration(t, "reconciler").Status.ClientID).To(Equal(kept))
	g.Eventually(func() int { return len(r.governed(t)) }, patience, often).Should(Equal(8), "objects are left over")

	r.bot.does(t, "delete", "--wait", "--timeout=1m", "-f", r.path("mcpclientregistration"))
	g.Expect(r.as.Clients()).To(BeEmpty())
	g.Expect(r.as.Deleted()).To(ContainElement(kept))
}

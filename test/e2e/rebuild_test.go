// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/test/devas"
)

// TestRebuild applies one directory to a cluster and, when nobody looks after that
// any more, to a fresh one with the same authorization server.
func TestRebuild(t *testing.T) {
	first := startWorld(t)
	as := first.startDevAS(t)
	repository := newRepository(t, first, as.Issuer())
	want := repository.want()

	olga := repository.apply(t, first)
	awaitStandings(t, first, repository, want)
	olga.approve(t, first, repository.statusApproved)
	approved := maps.Clone(want)
	approved["ScopeGrant robot-releases"] = "True/Ready"
	awaitStandings(t, first, repository, approved)
	requireClients(t, as, 0, map[string]string{
		"robot": readScope + " " + releaseScope, "importer": readScope + " " + releaseScope,
	})
	left := as.Clients()
	first.manager.stop(t)

	second := startWorld(t)
	second.useInitialToken(t, first.initialToken)
	as.ResetCounts()
	repository.apply(t, second)
	awaitStandings(t, second, repository, want)
	requireClients(t, as, len(left), map[string]string{
		"robot": readScope, "importer": readScope + " " + releaseScope,
	})
	repository.requireLapsed(t, second)
	requireUntouched(t, as, left)
	t.Run("an owner approves again what was approved in the status alone", func(t *testing.T) {
		approver := second.newPerson(t, "ophelia", map[string]string{serverOwner: billing, grantApprover: billing})
		approver.approve(t, second, repository.statusApproved)
		awaitStandings(t, second, repository, approved)
		requireClients(t, as, len(left), map[string]string{
			"robot": readScope + " " + releaseScope, "importer": readScope + " " + releaseScope,
		})
		requireUntouched(t, as, left)
	})
}

// repository is a directory of manifests, as it is kept under version control.
type repository struct {
	directory string
	objects   []conditioned
	// statusApproved is the grant that rests on nothing but a decision in its
	// status; lapsed is a registration whose end has passed.
	statusApproved *v1alpha1.ScopeGrant
	lapsed         *v1alpha1.MCPClientRegistration
}

func newRepository(t *testing.T, w *world, issuer string) *repository {
	t.Helper()
	s := &scene{world: w, as: "devas", namespace: team}
	server := newInvoices("devas")
	r := &repository{
		directory:      t.TempDir(),
		statusApproved: s.grantOf("robot-releases", "robot", releaseScope),
		lapsed:         s.newRegistration("lapsed", v1alpha1.AuthMethodClientSecretBasic),
	}
	r.lapsed.Annotations[v1alpha1.AnnotationExpiresAt] = "2026-01-31T00:00:00Z"
	r.objects = []conditioned{
		newAuthorizationServer("devas", issuer), server,
		s.newRegistration("robot", v1alpha1.AuthMethodClientSecretBasic), s.grantOf("robot-reads", "robot", readScope), r.statusApproved,
		s.newRegistration("importer", v1alpha1.AuthMethodPrivateKeyJWT), s.grantOf("importer-reads", "importer", readScope),
		s.grantOf("importer-releases", "importer", releaseScope),
		r.lapsed, s.grantOf("lapsed-reads", "lapsed", readScope),
	}
	manifests := []client.Object{}
	for _, name := range []string{team, billing} {
		manifests = append(manifests, &corev1.Namespace{
			TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Namespace"}, ObjectMeta: metav1.ObjectMeta{Name: name},
		})
	}
	for _, object := range r.objects {
		manifests = append(manifests, object)
	}
	manifests = append(manifests, beforehand(billing, "invoices", team, "importer", releaseScope, inAnHour()))
	for i, manifest := range manifests {
		content, err := yaml.Marshal(manifest)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(r.directory, fmt.Sprintf("%02d.yaml", i)), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

// apply applies the directory as a pipeline does, which asks for everything in
// it, and returns an owner of the server.
func (r *repository) apply(t *testing.T, w *world) *person {
	t.Helper()
	w.awaitPolicies(t)
	pipeline := w.newPipeline(t)
	said, err := pipeline.kubectl(t, "apply", "-f", r.directory)
	if err != nil {
		t.Fatalf("kubectl apply of the directory: %v\n%s", err, said)
	}
	var warned bool
	for line := range strings.Lines(said) {
		warned = warned || strings.HasPrefix(line, "Warning: ") && strings.Contains(line, "has passed already (2026-01-31T00:00:00Z)") &&
			strings.Contains(line, "move the annotation forward to renew")
	}
	if !warned {
		t.Errorf("kubectl apply does not warn of the entry that has lapsed:\n%s", said)
	}
	return w.newPerson(t, "olga", map[string]string{serverOwner: billing, grantApprover: billing})
}

// want is the Ready condition of each object before anybody has approved.
func (r *repository) want() map[string]string {
	want := map[string]string{}
	for _, object := range r.objects {
		want[r.name(object)] = "True/Ready"
	}
	want[r.name(r.statusApproved)] = "False/" + v1alpha1.ReasonApprovalRequired
	want[r.name(r.lapsed)] = "False/" + v1alpha1.ReasonExpired
	want["ScopeGrant lapsed-reads"] = "False/" + v1alpha1.ReasonNotApplied
	return want
}

// name is the kind and the name of an object; one that was read has no TypeMeta.
func (r *repository) name(object client.Object) string {
	_, kind, _ := strings.Cut(fmt.Sprintf("%T", object), ".")
	return kind + " " + object.GetName()
}

// awaitStandings waits until all objects are as wanted.
func awaitStandings(t *testing.T, w *world, r *repository, want map[string]string) {
	t.Helper()
	NewWithT(t).Eventually(func() map[string]string {
		got := map[string]string{}
		for _, object := range r.objects {
			read := object.DeepCopyObject().(conditioned)
			read.SetResourceVersion("")
			got[r.name(object)] = w.ready(t, read)()
		}
		return got
	}, patience, often).Should(Equal(want))
}

// requireClients waits until the clients after the first few have these scopes,
// by the name of their registrations.
func requireClients(t *testing.T, as *devas.Server, first int, want map[string]string) {
	t.Helper()
	NewWithT(t).Eventually(func() map[string]string {
		got := map[string]string{}
		for _, c := range as.Clients()[first:] {
			name, _, _ := strings.Cut(c.Name, " ")
			got[name] = c.Scope
		}
		return got
	}, patience, often).Should(Equal(want))
}

// requireLapsed checks that the entry that has lapsed fails with its remedy, and
// that nothing else became of it.
func (r *repository) requireLapsed(t *testing.T, w *world) {
	t.Helper()
	g := NewWithT(t)
	g.Expect(w.ready(t, r.lapsed)()).To(Equal("False/" + v1alpha1.ReasonExpired))
	g.Expect(kstatusOf(t, w, r.lapsed)).To(Equal(status.FailedStatus))
	told := meta.FindStatusCondition(r.lapsed.Status.Conditions, v1alpha1.ConditionReady).Message
	g.Expect(told).To(And(ContainSubstring("expired at 2026-01-31T00:00:00Z"), ContainSubstring("move the annotation mcp-registrar.dev/expires-at forward to renew")))
	g.Expect(r.lapsed.Status.ClientID).To(BeEmpty())
}

// requireUntouched checks that clients are as they were, and that nobody has
// asked for any of them.
func requireUntouched(t *testing.T, as *devas.Server, left []devas.Client) {
	t.Helper()
	g := NewWithT(t)
	g.Expect(as.Clients()[:len(left)]).To(Equal(left))
	for _, entry := range as.Log() {
		for _, old := range left {
			g.Expect(entry.ClientID).NotTo(Equal(old.ID), "%s of a client of the cluster before", entry.Operation)
		}
	}
}

// newPipeline is a user who applies everything, as a GitOps tool does.
func (w *world) newPipeline(t *testing.T) *person {
	t.Helper()
	config, err := w.plane.UserConfig("system:serviceaccount:flux-system:kustomize-controller", "system:masters")
	if err != nil {
		t.Fatal(err)
	}
	p := &person{name: "pipeline", home: t.TempDir()}
	p.kubeconfig = filepath.Join(p.home, "kubeconfig")
	if err := w.plane.Kubeconfig(p.kubeconfig, config); err != nil {
		t.Fatal(err)
	}
	return p
}

// useInitialToken has the operator register with the token of another world.
func (w *world) useInitialToken(t *testing.T, token string) {
	t.Helper()
	var secret corev1.Secret
	if err := w.Get(t.Context(), types.NamespacedName{Namespace: operatorNamespace, Name: "initial-access-token"}, &secret); err != nil {
		t.Fatal(err)
	}
	secret.StringData = map[string]string{"token": token}
	if err := w.Update(t.Context(), &secret); err != nil {
		t.Fatal(err)
	}
	w.initialToken = token
	w.seen.keep(token, "initial access token")
}

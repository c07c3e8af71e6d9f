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
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
)

// TestRestoredObjects creates the objects of a cluster again in another one, from a dump
// of the kind that backup tools make: without status, UIDs and what the API server keeps,
// by an admin who made none of them. The cluster that they are from is gone, and its
// clients are left at the authorization server.
func TestRestoredObjects(t *testing.T) {
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
	backup := dump(t, first)
	former := first.clusterUID(t)
	first.manager.stop(t)
	left := as.Clients()

	second := startWorld(t)
	second.useInitialToken(t, first.initialToken)
	second.awaitPolicies(t)
	carla := second.newClusterAdmin(t, "carla")
	for _, name := range []string{team, billing} {
		carla.does(t, "create", "namespace", name)
	}
	as.ResetCounts()
	backup.restore(t, carla)

	t.Run("everything is as it was, but what was looked at is looked at again", func(t *testing.T) {
		awaitStandings(t, second, repository, want)
		requireClients(t, as, len(left), map[string]string{
			"robot": readScope, "importer": readScope + " " + releaseScope,
		})
		second.requireCredentials(t, repository)
	})
	t.Run("who asked is who asked", func(t *testing.T) {
		for _, object := range repository.objects {
			read := object.DeepCopyObject().(client.Object)
			if err := second.Get(t.Context(), client.ObjectKeyFromObject(object), read); err != nil {
				t.Fatal(err)
			}
			before, after := backup.annotations[repository.name(object)], read.GetAnnotations()
			for _, key := range []string{v1alpha1.AnnotationRequestedBy, v1alpha1.AnnotationChangedBy} {
				if before[key] != after[key] || strings.Contains(after[key], carla.name) {
					t.Errorf("%s: %s is %q, and was %q", repository.name(object), key, after[key], before[key])
				}
			}
		}
	})
	t.Run("clients of another cluster are left alone", func(t *testing.T) {
		requireUntouched(t, as, left)
		NewWithT(t).Eventually(func() (int32, error) {
			var server v1alpha1.AuthorizationServer
			err := second.Get(t.Context(), types.NamespacedName{Name: "devas"}, &server)
			return server.Status.Clients.PossibleOrphans, err
		}, patience, often).Should(Equal(int32(len(left))), "they are counted")
	})
	t.Run("they are revoked once the cluster is said to be gone", func(t *testing.T) {
		carla.does(t, "patch", "authorizationserver.mcp-registrar.dev", "devas", "--type=merge", "-p", fmt.Sprintf(`{"spec":{"formerClusters":[%q]}}`, former))
		NewWithT(t).Eventually(func() []string {
			var lives []string
			for _, now := range as.Clients() {
				for _, old := range left {
					if now.ID == old.ID {
						lives = append(lives, now.ID)
					}
				}
			}
			return lives
		}, patience, often).Should(BeEmpty())
		awaitStandings(t, second, repository, want)
		requireClients(t, as, 0, map[string]string{
			"robot": readScope, "importer": readScope + " " + releaseScope,
		})
	})
}

// objects are those of a dump, in the order in which backup tools create them.
type objects struct {
	list []unstructured.Unstructured
	// annotations are those of each, by kind and name.
	annotations map[string]map[string]string
}

// dump reads what there is to restore: the Secrets of the teams and the records of the
// operator, and all objects of ours.
func dump(t *testing.T, w *world) objects {
	t.Helper()
	dumped := objects{annotations: map[string]map[string]string{}}
	for _, what := range [][]string{
		{"secrets", "-n", team}, {"secrets", "-n", operatorNamespace, "--field-selector=type=" + string(v1alpha1.SecretTypeRecord)},
		{"authorizationservers.mcp-registrar.dev"}, {"mcpclientregistrations.mcp-registrar.dev", "-A"}, {"mcpservers.mcp-registrar.dev", "-A"},
		{"scopegrantapprovals.mcp-registrar.dev", "-A"}, {"scopegrants.mcp-registrar.dev", "-A"},
	} {
		said, err := w.plane.RunKubectl(t.Context(), append([]string{"get", "-o", "json"}, what...)...)
		if err != nil {
			t.Fatal(err)
		}
		var list unstructured.UnstructuredList
		if err := json.Unmarshal([]byte(said), &list); err != nil {
			t.Fatal(err)
		}
		if len(list.Items) == 0 {
			t.Fatalf("no %s", what[0])
		}
		for _, object := range list.Items {
			strip(&object)
			dumped.list = append(dumped.list, object)
			dumped.annotations[object.GetKind()+" "+object.GetName()] = object.GetAnnotations()
		}
	}
	return dumped
}

// strip takes from an object what Velero does, and labels it as Velero does.
func strip(object *unstructured.Unstructured) {
	delete(object.Object, "status")
	for _, field := range []string{"uid", "resourceVersion", "generation", "creationTimestamp", "managedFields"} {
		unstructured.RemoveNestedField(object.Object, "metadata", field)
	}
	labels := object.GetLabels()
	if labels == nil {
		labels = map[string]string{}
	}
	labels["velero.io/backup-name"], labels["velero.io/restore-name"] = "nightly", "nightly-20261130"
	object.SetLabels(labels)
}

// restore creates the objects, one by one.
func (o objects) restore(t *testing.T, p *person) {
	t.Helper()
	for i, object := range o.list {
		content, err := json.Marshal(object.Object)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(p.home, fmt.Sprintf("%03d.json", i))
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		said, err := p.kubectl(t, "create", "-f", path)
		if lookedAt := object.GetKind() == "ScopeGrantApproval" && strings.Contains(string(content), `"grantRef"`); err != nil && !lookedAt {
			t.Errorf("%s %s: %v\n%s", object.GetKind(), object.GetName(), err, said)
		} else if lookedAt {
			t.Logf("what was looked at: %s", said)
		}
	}
}

// newClusterAdmin is a user with the role cluster-admin.
func (w *world) newClusterAdmin(t *testing.T, name string) *person {
	t.Helper()
	p := w.newPerson(t, name, nil)
	w.create(t, &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "cluster-admin"},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: name}},
	})
	return p
}

// requireCredentials waits until the credentials of each client are those of the client
// that there is.
func (w *world) requireCredentials(t *testing.T, r *repository) {
	t.Helper()
	for _, object := range r.objects {
		reg, ok := object.(*v1alpha1.MCPClientRegistration)
		if !ok || reg == r.lapsed {
			continue
		}
		NewWithT(t).Eventually(func(g Gomega) {
			var read v1alpha1.MCPClientRegistration
			g.Expect(w.Get(t.Context(), client.ObjectKeyFromObject(reg), &read)).To(Succeed())
			var secret corev1.Secret
			g.Expect(w.Get(t.Context(), client.ObjectKey{Namespace: reg.Namespace, Name: secretName(reg)}, &secret)).To(Succeed())
			g.Expect(read.Status.ClientID).NotTo(BeEmpty())
			g.Expect(string(secret.Data["client_id"])).To(Equal(read.Status.ClientID))
		}, patience, often).Should(Succeed())
	}
}

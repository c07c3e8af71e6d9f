// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package env

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// patience bounds the wait for what a controller or the API server does later.
const patience = time.Minute

func TestControlPlane(t *testing.T) {
	c := StartForTest(t, Options{ControllerManager: true})
	admin := clientsFor(t, c.Config)
	t.Run("an object whose owner is deleted is garbage-collected", func(t *testing.T) {
		testGarbageCollection(t, admin)
	})
	t.Run("a deleted namespace goes with what is in it", func(t *testing.T) {
		testNamespaceDeletion(t, admin)
	})
	t.Run("a service account is itself and may do nothing more than it was given", func(t *testing.T) {
		testServiceAccount(t, c, admin)
	})
	t.Run("a user is itself and may do nothing more than it was given", func(t *testing.T) {
		cfg, err := c.UserConfig("dana", "platform")
		if err != nil {
			t.Fatal(err)
		}
		requireUser(t, cfg, "dana", "platform")
		requireNoSecrets(t, cfg, "dana")
	})
	t.Run("client and server are of the pinned version", func(t *testing.T) {
		testVersions(t, c)
	})
	t.Run("admission policies are enforced", func(t *testing.T) {
		testAdmissionPolicies(t, c, admin)
	})
	t.Run("a kubeconfig replaces a file that others can read", func(t *testing.T) {
		testKubeconfigMode(t, c)
	})
}

func TestStartInstallsTheCRDsOfTheRepository(t *testing.T) {
	c := StartForTest(t, Options{CRDs: true})
	root, err := ModuleRoot()
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(root, "config", "crd", "bases", "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.RunKubectl(t.Context(), "api-resources", "--api-group=mcp-registrar.dev", "--output=name")
	if err != nil {
		t.Fatal(err)
	}
	if served := strings.Fields(out); len(files) == 0 || len(served) != len(files) {
		t.Errorf("got resources %q for %d CRD files", served, len(files))
	}
}

func testGarbageCollection(t *testing.T, admin kubernetes.Interface) {
	maps := admin.CoreV1().ConfigMaps(metav1.NamespaceDefault)
	owner, err := maps.Create(t.Context(), configMap("owner"), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	owned := configMap("owned")
	owned.OwnerReferences = []metav1.OwnerReference{
		{APIVersion: "v1", Kind: "ConfigMap", Name: owner.Name, UID: owner.UID},
	}
	if _, err := maps.Create(t.Context(), owned, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := maps.Delete(t.Context(), owner.Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the owned object is gone", func(ctx context.Context) (bool, error) {
		_, err := maps.Get(ctx, owned.Name, metav1.GetOptions{})
		return gone(err)
	})
}

func testNamespaceDeletion(t *testing.T, admin kubernetes.Interface) {
	namespace := createNamespace(t, admin, "leaving")
	maps := admin.CoreV1().ConfigMaps(namespace)
	if _, err := maps.Create(t.Context(), configMap("content"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := admin.CoreV1().Namespaces().Delete(t.Context(), namespace, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the namespace is gone", func(ctx context.Context) (bool, error) {
		_, err := admin.CoreV1().Namespaces().Get(ctx, namespace, metav1.GetOptions{})
		return gone(err)
	})
	if _, err := maps.Get(t.Context(), "content", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("content of the deleted namespace: got error %v, want not found", err)
	}
}

func testServiceAccount(t *testing.T, c *ControlPlane, admin kubernetes.Interface) {
	namespace := createNamespace(t, admin, "accounts")
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "robot"}}
	if _, err := admin.CoreV1().ServiceAccounts(namespace).Create(t.Context(), account, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	cfg, err := c.ServiceAccountConfig(t.Context(), namespace, "robot")
	if err != nil {
		t.Fatal(err)
	}
	requireUser(t, cfg, "system:serviceaccount:accounts:robot", "system:serviceaccounts:accounts")
	requireNoSecrets(t, cfg, "system:serviceaccount:accounts:robot")
	if _, err := c.ServiceAccountConfig(t.Context(), namespace, "nobody"); !apierrors.IsNotFound(err) {
		t.Errorf("token of a service account that does not exist: got error %v, want not found", err)
	}
}

func testVersions(t *testing.T, c *ControlPlane) {
	if os.Getenv(assetsVariable) != "" {
		t.Skipf("%s chooses the versions", assetsVariable)
	}
	out, err := c.RunKubectl(t.Context(), "version", "--output=json")
	if err != nil {
		t.Fatal(err)
	}
	type version struct{ GitVersion, Major, Minor string }
	var got struct{ ClientVersion, ServerVersion version }
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatal(err)
	}
	want := version{GitVersion: pinnedVersion(t), Major: "1", Minor: "37"}
	if got.ClientVersion != want || got.ServerVersion != want {
		t.Errorf("got client %+v and server %+v, want both %+v", got.ClientVersion, got.ServerVersion, want)
	}
}

func pinnedVersion(t *testing.T) string {
	t.Helper()
	root, err := ModuleRoot()
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(filepath.Join(root, "test", "controlplane", "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	match := regexp.MustCompile(`k8s\.io/kubernetes (v1\.37\.\d+)`).FindSubmatch(content)
	if match == nil {
		t.Fatal("no pinned version of Kubernetes in test/controlplane/go.mod")
	}
	return string(match[1])
}

func testAdmissionPolicies(t *testing.T, c *ControlPlane, admin kubernetes.Interface) {
	if err := c.Apply(t.Context(), "testdata/policies.yaml"); err != nil {
		t.Fatal(err)
	}
	namespace := createNamespace(t, admin, "governed")
	maps := admin.CoreV1().ConfigMaps(namespace)
	dryRun := metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}}
	eventually(t, "the validating policy refuses", func(ctx context.Context) (bool, error) {
		_, err := maps.Create(ctx, configMap("forbidden"), dryRun)
		return err != nil && strings.Contains(err.Error(), "this name is refused"), nil
	})
	eventually(t, "the mutating policy labels", func(ctx context.Context) (bool, error) {
		// While the policy is new it may refuse.
		created, err := maps.Create(ctx, configMap("allowed"), dryRun)
		return err == nil && created.Labels["mutated"] == "true", nil
	})
}

func testKubeconfigMode(t *testing.T, c *ControlPlane) {
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(path, []byte("old"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := c.Kubeconfig(path, c.Config); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("got mode %o, want 600", info.Mode().Perm())
	}
}

func clientsFor(t *testing.T, cfg *rest.Config) kubernetes.Interface {
	t.Helper()
	clients, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return clients
}

func requireUser(t *testing.T, cfg *rest.Config, name, group string) {
	t.Helper()
	review, err := clientsFor(t, cfg).AuthenticationV1().SelfSubjectReviews().
		Create(t.Context(), &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	user := review.Status.UserInfo
	if user.Username != name || !strings.Contains(strings.Join(user.Groups, " "), group) {
		t.Errorf("the API server sees user %q in groups %q, want %q in %q", user.Username, user.Groups, name, group)
	}
}

func requireNoSecrets(t *testing.T, cfg *rest.Config, name string) {
	t.Helper()
	_, err := clientsFor(t, cfg).CoreV1().Secrets(metav1.NamespaceDefault).List(t.Context(), metav1.ListOptions{})
	if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), name) {
		t.Errorf("listing secrets: got error %v, want forbidden to %q", err, name)
	}
}

func createNamespace(t *testing.T, admin kubernetes.Interface, name string) string {
	t.Helper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if _, err := admin.CoreV1().Namespaces().Create(t.Context(), namespace, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	return name
}

func configMap(name string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}}
}

func eventually(t *testing.T, what string, condition wait.ConditionWithContextFunc) {
	t.Helper()
	if err := wait.PollUntilContextTimeout(t.Context(), 100*time.Millisecond, patience, true, condition); err != nil {
		t.Errorf("waiting until %s: %v", what, err)
	}
}

func gone(err error) (bool, error) {
	if apierrors.IsNotFound(err) {
		return true, nil
	}
	return false, err
}

// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	. "github.com/onsi/gomega"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
)

// TestAcceptance is the life of clients at oidc-provider and at the development
// authorization server, side by side in one cluster under one manager.
func TestAcceptance(t *testing.T) {
	w := startWorld(t)
	issuers := map[string]string{"oidc-provider": w.startOIDCProvider(t), "devas": w.startDevAS(t).Issuer()}
	t.Run("metrics are for those whom RBAC lets", func(t *testing.T) { testMetricsEndpoint(t, w) })
	t.Run("at", func(t *testing.T) {
		for name, issuer := range issuers {
			w.connect(t, name, issuer)
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				testLife(t, w, name, issuer)
			})
		}
		t.Run("kubectl delete waits for an authorization server that is down", func(t *testing.T) {
			t.Parallel()
			testDeleteWaits(t, w)
		})
		t.Run("the four objects become Ready in any order", func(t *testing.T) {
			t.Parallel()
			testAnyOrder(t, w, issuers["oidc-provider"])
		})
		t.Run("kubectl apply of the four objects in one file", func(t *testing.T) {
			t.Parallel()
			testKubectlApply(t, w, issuers["oidc-provider"])
		})
	})
	t.Run("no secret is shown", func(t *testing.T) { testNoSecretIsShown(t, w, "access token") })
}

func testLife(t *testing.T, w *world, as, issuer string) {
	for name, test := range map[string]func(*testing.T, *world, string){
		"a client gets a token with the Secret alone":                         testTokenWithSecretAlone,
		"a second grant adds its scope and its end removes it":                testSecondGrant,
		"an interactive client completes the code flow with S256 only":        testCodeFlow,
		"at expires-at the client is gone":                                    testExpiry,
		"a renewal before the end keeps the client and one after it does not": testRenewal,
		"kubectl delete ends after the client is gone":                        testKubectlDelete,
		"deleting a namespace with ten registrations":                         testNamespace,
		"what a client rests on goes":                                         testCauses,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, w, as)
		})
	}
	t.Run("the AuthorizationServer object goes", func(t *testing.T) {
		t.Parallel()
		testAuthorizationServerGone(t, w, as, issuer)
	})
}

// fourObjects are one of each kind, the AuthorizationServer with a name of its own.
func fourObjects(t *testing.T, w *world, issuer string) (*scene, []client.Object) {
	t.Helper()
	namespace := w.namespace(t)
	s := &scene{world: w, as: namespace, namespace: namespace}
	return s, []client.Object{
		newAuthorizationServer(s.as, issuer), s.newServer(),
		s.newRegistration("robot", v1alpha1.AuthMethodClientSecretBasic), s.newGrant("robot", "robot", "files:read"),
	}
}

func testAnyOrder(t *testing.T, w *world, issuer string) {
	orders := permutations(4)
	if len(orders) != 24 {
		t.Fatalf("got %d orders", len(orders))
	}
	for _, order := range orders {
		t.Run(fmt.Sprint(order), func(t *testing.T) {
			t.Parallel()
			s, objects := fourObjects(t, w, issuer)
			for _, i := range order {
				s.create(t, objects[i])
			}
			for _, object := range objects {
				NewWithT(t).Eventually(s.ready(t, object.(conditioned)), patience, often).Should(Equal("True/Ready"))
			}
			p := s.waitReady(t, objects[2].(*v1alpha1.MCPClientRegistration))
			if answer := p.ask(t, p.scope, p.resources); answer.AccessToken == "" {
				t.Errorf("no token: %+v", answer)
			}
		})
	}
}

// permutations are all orders of the first n numbers.
func permutations(n int) [][]int {
	if n == 0 {
		return [][]int{{}}
	}
	var all [][]int
	for _, shorter := range permutations(n - 1) {
		for at := range n {
			all = append(all, slices.Insert(slices.Clone(shorter), at, n-1))
		}
	}
	return all
}

func testKubectlApply(t *testing.T, w *world, issuer string) {
	s, objects := fourObjects(t, w, issuer)
	var documents []byte
	for _, object := range slices.Backward(objects) {
		document, err := yaml.Marshal(object)
		if err != nil {
			t.Fatal(err)
		}
		documents = append(append(documents, "---\n"...), document...)
	}
	file := filepath.Join(t.TempDir(), "four.yaml")
	if err := os.WriteFile(file, documents, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := w.plane.RunKubectl(t.Context(), "apply", "-f", file); err != nil {
		t.Fatal(err)
	}
	if _, err := w.plane.RunKubectl(t.Context(), "wait", "--for=condition=Ready", "--timeout=60s", "-f", file); err != nil {
		t.Fatal(err)
	}
	s.waitReady(t, objects[2].(*v1alpha1.MCPClientRegistration))
	if _, err := w.plane.RunKubectl(t.Context(), "apply", "-f", file); err != nil {
		t.Errorf("applying the same file again: %v", err)
	}
}

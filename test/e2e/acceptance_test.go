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
	"github.com/mcp-registrar/mcp-registrar/test/env"
	"github.com/mcp-registrar/mcp-registrar/test/keycloak"
)

// TestAcceptance is the life of clients at every kind of authorization server,
// side by side in one cluster under one manager.
func TestAcceptance(t *testing.T) {
	rendered, documents := renderChart(t, "documents.enabled=true"), freeAddress(t)
	rendered.serveDocuments(t, documents)
	plane := env.StartForTest(t, env.Options{Manifests: []string{rendered.manifests}, ControllerManager: true})
	w := startWorldOn(t, plane, rendered)
	venues, server := w.venues(t, documents), sharedKeycloak(t)
	seen := w.watch(t, server)
	t.Run("metrics are for those whom RBAC lets", func(t *testing.T) { testMetricsEndpoint(t, w) })
	t.Run("at", func(t *testing.T) {
		for name, at := range venues {
			w.connectTo(t, at.object)
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				testLife(t, w, at)
			})
		}
		for name, test := range map[string]func(*testing.T, *world, *keycloak.Server){
			"a deletion that fails":        testTwoPhases,
			"policies of an administrator": testRegistrationPolicies,
			"credentials that come late":   testLateCredentials,
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				test(t, w, server)
			})
		}
		t.Run("kubectl delete waits for an authorization server that is down", func(t *testing.T) {
			t.Parallel()
			testDeleteWaits(t, w)
		})
		issuer := venues["oidc-provider"].object.Spec.Issuer
		t.Run("the four objects become Ready in any order", func(t *testing.T) {
			t.Parallel()
			testAnyOrder(t, w, issuer)
		})
		t.Run("kubectl apply of the four objects in one file", func(t *testing.T) {
			t.Parallel()
			testKubectlApply(t, w, issuer)
		})
	})
	t.Run("what an administrator changed is repaired", func(t *testing.T) { testDriftRepaired(t, seen) })
	t.Run("the inventory counts what there is", func(t *testing.T) { testInventory(t, seen) })
	for name, at := range venues {
		if at.live != nil {
			t.Run("nobody is left at "+name, func(t *testing.T) { testNobodyLeft(t, w, at) })
		}
	}
	t.Run("no secret is shown", func(t *testing.T) { testNoSecretIsShown(t, w, "access token", "refresh token") })
}

// testLife is all that may happen to clients.
func testLife(t *testing.T, w *world, at venue) {
	if at.rotations > 0 {
		t.Run("a busy client is never refused while its keys are replaced", func(t *testing.T) {
			t.Parallel()
			testRotation(t, w, at)
		})
	}
	for name, test := range map[string]func(*testing.T, *world, venue){
		"a client gets a token with the Secret alone":                         testTokenWithSecretAlone,
		"a second grant adds its scope and its end removes it":                testSecondGrant,
		"an interactive client completes the code flow with S256 only":        testCodeFlow,
		"a suspended client gets nothing, nor by what it had before":          testSuspension,
		"what is done to the Secret is undone":                                testSecretRestored,
		"at expires-at the client is gone":                                    testExpiry,
		"a renewal before the end keeps the client and one after it does not": testRenewal,
		"kubectl delete ends after the client is gone":                        testKubectlDelete,
		"deleting a namespace with ten registrations":                         testNamespace,
		"what a client rests on goes":                                         testCauses,
		"the AuthorizationServer object goes":                                 testAuthorizationServerGone,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, w, at)
		})
	}
}

// testNobodyLeft is the last test of an authorization server: its clients are
// those that registrations name, and no others.
func testNobodyLeft(t *testing.T, w *world, at venue) {
	var registrations v1alpha1.MCPClientRegistrationList
	named := func() []string {
		if err := w.List(t.Context(), &registrations); err != nil {
			t.Fatal(err)
		}
		ids := []string{}
		for i := range registrations.Items {
			reg := &registrations.Items[i]
			if reg.Spec.AuthorizationServerRef.Name == at.object.Name && reg.Status.ClientID != "" {
				ids = append(ids, reg.Status.ClientID)
			}
		}
		return ids
	}
	if len(named()) == 0 {
		t.Skip("no test made a client there")
	}
	NewWithT(t).Eventually(func(g Gomega) { g.Expect(at.live(t)).To(ConsistOf(named())) }, patience, often).Should(Succeed())
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

// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package crashmatrix

import (
	"fmt"
	"hash/fnv"
	"sync/atomic"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	testclock "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/test/env"
)

// oneIn is how many cases there are for each that runs on a real API server.
const oneIn = 40

// TestCrashMatrixOnAPIServer runs a part of the cases on a real API server,
// always the same, so that the one in memory is held to the truth.
func TestCrashMatrixOnAPIServer(t *testing.T) {
	scheme := newScheme(t)
	cluster := env.StartForTest(t, env.Options{CRDs: true})
	direct, err := client.New(cluster.Config, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	home := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: operatorNamespace}}
	if err := direct.Create(t.Context(), home); err != nil {
		t.Fatal(err)
	}
	var serial atomic.Int64
	m := &matrix{cases: map[string]map[string]int{}, chosen: chosen, twin: inMemory(scheme)}
	m.meant = func(p personality, o operation, method v1alpha1.TokenEndpointAuthMethod) bool {
		return hash(p.name+o.name)%3 == hash(string(method))%3
	}
	m.scene = func(t *testing.T, p personality, method v1alpha1.TokenEndpointAuthMethod) *scene {
		name := fmt.Sprintf("case-%d", serial.Add(1))
		return newScene(t.Context(), scheme, name, func(*testclock.FakePassiveClock) client.Client { return direct }, p, method)
	}
	m.run(t)
	m.report(t, 30)
}

func hash(text string) uint32 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(text))
	return h.Sum32()
}

func chosen(name string) bool { return hash(name)%oneIn == 0 }

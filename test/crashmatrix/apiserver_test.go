// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package crashmatrix

import (
	"context"
	"fmt"
	"hash/fnv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
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
		server := func(now *testclock.FakePassiveClock) client.Client {
			return &dated{Client: direct, clock: now, born: map[types.UID]metav1.Time{}}
		}
		return newScene(t.Context(), scheme, name, server, p, method)
	}
	m.run(t)
	m.report(t, 30)
}

// dated is an API server at which the time is that of the scene. By its own clock
// objects would be as old as the machine is slow.
type dated struct {
	client.Client
	clock clock.PassiveClock

	mu   sync.Mutex
	born map[types.UID]metav1.Time
}

// Create implements client.Client.
func (d *dated) Create(ctx context.Context, object client.Object, opts ...client.CreateOption) error {
	err := d.Client.Create(ctx, object, opts...)
	if err == nil {
		d.mu.Lock()
		d.born[object.GetUID()] = metav1.NewTime(d.clock.Now().Truncate(time.Second))
		d.mu.Unlock()
	}
	d.date(object)
	return err
}

// Get implements client.Client.
func (d *dated) Get(ctx context.Context, key client.ObjectKey, object client.Object, opts ...client.GetOption) error {
	err := d.Client.Get(ctx, key, object, opts...)
	d.date(object)
	return err
}

// List implements client.Client.
func (d *dated) List(ctx context.Context, list client.ObjectList, opts ...client.ListOption) error {
	if err := d.Client.List(ctx, list, opts...); err != nil {
		return err
	}
	return apimeta.EachListItem(list, func(item runtime.Object) error {
		if object, ok := item.(client.Object); ok {
			d.date(object)
		}
		return nil
	})
}

// Update implements client.Client.
func (d *dated) Update(ctx context.Context, object client.Object, opts ...client.UpdateOption) error {
	err := d.Client.Update(ctx, object, opts...)
	d.date(object)
	return err
}

// date puts the time of the scene on an object that was made in it.
func (d *dated) date(object client.Object) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if at, known := d.born[object.GetUID()]; known {
		object.SetCreationTimestamp(at)
	}
}

func hash(text string) uint32 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(text))
	return h.Sum32()
}

func chosen(name string) bool { return hash(name)%oneIn == 0 }

// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build bench

package bench

import (
	"context"
	"fmt"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/test/operator"
)

const (
	server = "files"
	scope  = "files:read"
)

// registration is a confidential client and the grant that it needs.
func (b *bench) registration(name string, until time.Time) []client.Object {
	return registration(name, until)
}

func registration(name string, until time.Time) []client.Object {
	about := metav1.ObjectMeta{Namespace: operator.TeamNamespace, Name: name, Annotations: operator.Identity(until)}
	return []client.Object{
		&v1alpha1.MCPClientRegistration{ObjectMeta: *about.DeepCopy(), Spec: v1alpha1.MCPClientRegistrationSpec{
			AuthorizationServerRef: v1alpha1.AuthorizationServerReference{Name: operator.AuthorizationServer},
			ClientName:             name, ApplicationType: v1alpha1.ApplicationWeb,
			GrantTypes:              []v1alpha1.GrantType{v1alpha1.GrantClientCredentials},
			TokenEndpointAuthMethod: v1alpha1.AuthMethodClientSecretBasic,
		}},
		&v1alpha1.ScopeGrant{ObjectMeta: *about.DeepCopy(), Spec: v1alpha1.ScopeGrantSpec{
			ClientRef: v1alpha1.LocalReference{Name: name}, ServerRef: v1alpha1.ServerReference{Name: server},
			Scopes: []v1alpha1.ScopeName{scope},
		}},
	}
}

func (b *bench) create(t *testing.T, objects []client.Object) {
	t.Helper()
	for _, object := range objects {
		if err := b.Create(t.Context(), object); err != nil {
			t.Fatal(err)
		}
	}
}

func names(prefix string, n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf("%s-%05d", prefix, i)
	}
	return all
}

// each does something with every name, many at a time.
func each(t *testing.T, names []string, do func(ctx context.Context, i int) error) {
	t.Helper()
	group, ctx := errgroup.WithContext(t.Context())
	group.SetLimit(writers)
	for i := range names {
		group.Go(func() error { return do(ctx, i) })
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
}

// readiness notes when registrations became Ready, as a watch tells it.
type readiness struct {
	at      map[string]time.Time
	missing map[string]bool
	done    chan error
}

// watchReady begins to watch; wait ends when all names were seen Ready.
func (b *bench) watchReady(t *testing.T, names []string) *readiness {
	t.Helper()
	seen := &readiness{at: map[string]time.Time{}, missing: map[string]bool{}, done: make(chan error, 1)}
	for _, name := range names {
		seen.missing[name] = true
	}
	watcher, err := b.watch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for seen.follow(watcher); err == nil && len(seen.missing) > 0; seen.follow(watcher) {
			// An API server ends watches when it likes; a new one begins with
			// what there is.
			if watcher, err = b.watch(t.Context()); err != nil {
				break
			}
		}
		seen.done <- err
	}()
	return seen
}

func (b *bench) watch(ctx context.Context) (watch.Interface, error) {
	return b.Watch(ctx, &v1alpha1.MCPClientRegistrationList{}, client.InNamespace(operator.TeamNamespace))
}

// follow notes what a watch tells until nothing is missing or the watch ends.
func (r *readiness) follow(watcher watch.Interface) {
	defer watcher.Stop()
	for len(r.missing) > 0 {
		event, open := <-watcher.ResultChan()
		if !open {
			return
		}
		reg, ok := event.Object.(*v1alpha1.MCPClientRegistration)
		if ok && r.missing[reg.Name] && meta.IsStatusConditionTrue(reg.Status.Conditions, v1alpha1.ConditionReady) {
			r.at[reg.Name] = time.Now()
			delete(r.missing, reg.Name)
		}
	}
}

func (r *readiness) wait(t *testing.T) {
	t.Helper()
	select {
	case err := <-r.done:
		if err != nil {
			t.Fatal(err)
		}
	case <-t.Context().Done():
		t.Fatal(t.Context().Err())
	}
}

func (b *bench) awaitReady(t *testing.T, names []string) {
	t.Helper()
	b.watchReady(t, names).wait(t)
}

// eventually polls until a condition holds.
func eventually(t *testing.T, what string, bound time.Duration, holds func(ctx context.Context) (bool, error)) {
	t.Helper()
	if err := wait.PollUntilContextTimeout(t.Context(), 50*time.Millisecond, bound, true, holds); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// bareLoader writes what no operator can do without, and nothing else, for as
// many objects and as many at a time. It returns how many objects a second
// that makes: the ceiling of this machine.
func bareLoader(t *testing.T, path string) float64 {
	t.Helper()
	var ceiling float64
	t.Run("bare-loader", func(t *testing.T) {
		b := &bench{Stage: newStage(t, path, switchesOff)}
		all := names("bare", *objects)
		before, err := processorTimes()
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		each(t, all, func(ctx context.Context, i int) error { return b.bareObject(ctx, all[i]) })
		took := time.Since(start)
		after, err := processorTimes()
		if err != nil {
			t.Fatal(err)
		}
		ceiling = float64(*objects) / took.Seconds()
		say(t, "bare loader", "%d objects in %s: %.1f objects/s, 7 writes each (2 of them the user's)", *objects, took.Round(time.Millisecond), ceiling)
		say(t, "bare loader", "processor time per object: %s", shares(before, after, *objects))
	})
	return ceiling
}

// bareObject makes the user's two objects, and writes for a confidential
// client: record before and after the request, credentials, two statuses.
func (b *bench) bareObject(ctx context.Context, name string) error {
	objects := registration(name, time.Now().Add(time.Hour))
	reg, _ := objects[0].(*v1alpha1.MCPClientRegistration)
	grant, _ := objects[1].(*v1alpha1.ScopeGrant)
	record := secret(operator.Namespace, "registration-"+name, 300)
	conditions := bareConditions()
	steps := []func() error{
		func() error { return b.Create(ctx, reg) },
		func() error { return b.Create(ctx, grant) },
		func() error { return b.Create(ctx, record) },
		func() error {
			record.Data = secret("", "", 1400).Data
			return b.Update(ctx, record)
		},
		func() error { return b.Create(ctx, secret(operator.TeamNamespace, name+"-mcp-client", 600)) },
		func() error {
			reg.Status = v1alpha1.MCPClientRegistrationStatus{ObservedGeneration: 1, ClientID: name, Conditions: conditions}
			return b.Status().Update(ctx, reg)
		},
		func() error {
			grant.Status = v1alpha1.ScopeGrantStatus{ObservedGeneration: 1, Conditions: conditions}
			return b.Status().Update(ctx, grant)
		},
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

func secret(namespace, name string, size int) *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Data:       map[string][]byte{"data": make([]byte, size)},
	}
}

func bareConditions() []metav1.Condition {
	var all []metav1.Condition
	for _, kind := range []string{"Accepted", "Registered", "Ready"} {
		all = append(all, metav1.Condition{
			Type: kind, Status: metav1.ConditionTrue, Reason: kind, Message: "the client is registered as wished", LastTransitionTime: metav1.Now(),
		})
	}
	return all
}

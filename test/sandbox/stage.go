// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"context"
	"fmt"
	"reflect"
	"slices"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/recorder"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
)

// stage is the manager that controllers.Setup sees: what is not served here fails
// loudly.
type stage struct {
	manager.Manager
	sandbox *Sandbox
}

func (s stage) GetClient() client.Client             { return watched{s.sandbox.Client, s.sandbox} }
func (s stage) GetAPIReader() client.Reader          { return watched{s.sandbox.Client, s.sandbox} }
func (s stage) GetFieldIndexer() client.FieldIndexer { return s.sandbox }
func (s stage) GetScheme() *runtime.Scheme           { return s.sandbox.scheme }
func (s stage) GetCache() cache.Cache                { return nil }
func (s stage) GetLogger() logr.Logger               { return logr.Discard() }

// GetRESTMapper knows nothing: there are no admission policies.
func (s stage) GetRESTMapper() meta.RESTMapper { return meta.NewDefaultRESTMapper(nil) }

func (s stage) GetControllerOptions() config.Controller {
	return config.Controller{SkipNameValidation: new(true), RecoverPanic: new(false)}
}

func (s stage) GetEventRecorder(string) recorder.EventRecorder { return unheard{} }

// Add keeps the controllers, by name, and starts nothing.
func (s stage) Add(runnable manager.Runnable) error {
	reconciler, ok := runnable.(reconcile.Reconciler)
	if !ok {
		return nil
	}
	name := reflect.Indirect(reflect.ValueOf(runnable)).FieldByName("Name")
	if !name.IsValid() {
		return fmt.Errorf("%T has no name", runnable)
	}
	s.sandbox.controllers[name.String()] = reconciler
	return nil
}

// unheard takes events.
type unheard struct{ events.AnnotatedEventRecorder }

func (unheard) Eventf(_, _ runtime.Object, _, _, _, _ string, _ ...any) {}

// IndexField implements client.FieldIndexer.
func (s *Sandbox) IndexField(_ context.Context, object client.Object, field string, values client.IndexerFunc) error {
	s.indexes[reflect.TypeOf(object).Elem().Name()+"/"+field] = values
	return nil
}

// watched is the operator's client: it looks up indexes, and what it writes wakes
// those who watch it.
type watched struct {
	client.Client
	sandbox *Sandbox
}

// List looks a field up in its index.
func (w watched) List(ctx context.Context, list client.ObjectList, options ...client.ListOption) error {
	var o client.ListOptions
	o.ApplyOptions(options)
	selector := o.FieldSelector
	o.FieldSelector = nil
	if err := w.Client.List(ctx, list, &o); err != nil || selector == nil {
		return err
	}
	items, err := meta.ExtractList(list)
	if err != nil {
		return err
	}
	for _, requirement := range selector.Requirements() {
		items = slices.DeleteFunc(items, func(item runtime.Object) bool {
			object, ok := item.(client.Object)
			return !ok || !slices.Contains(w.sandbox.valuesOf(object, requirement.Field), requirement.Value)
		})
	}
	return meta.SetList(list, items)
}

func (s *Sandbox) valuesOf(object client.Object, field string) []string {
	index := s.indexes[reflect.TypeOf(object).Elem().Name()+"/"+field]
	if index == nil {
		return nil
	}
	return index(object)
}

// Create writes and wakes.
func (w watched) Create(ctx context.Context, object client.Object, options ...client.CreateOption) error {
	object.SetUID(types.UID(fmt.Sprintf("made-%d", w.sandbox.serial)))
	err := w.Client.Create(ctx, object, options...)
	w.sandbox.wakeAfter(object)
	return err
}

// Update writes and wakes.
func (w watched) Update(ctx context.Context, object client.Object, options ...client.UpdateOption) error {
	err := w.Client.Update(ctx, object, options...)
	w.sandbox.wakeAfter(object)
	return err
}

// Delete writes and wakes.
func (w watched) Delete(ctx context.Context, object client.Object, options ...client.DeleteOption) error {
	err := w.Client.Delete(ctx, object, options...)
	w.sandbox.wakeAfter(object)
	return err
}

// Status returns what writes status and wakes.
func (w watched) Status() client.SubResourceWriter { return statuses{w.Client.Status(), w} }

type statuses struct {
	client.SubResourceWriter
	watched watched
}

// Update writes and wakes.
func (s statuses) Update(ctx context.Context, object client.Object, options ...client.SubResourceUpdateOption) error {
	before, ok := object.DeepCopyObject().(client.Object)
	if !ok {
		return fmt.Errorf("%T is no object", object)
	}
	if err := s.watched.Client.Get(ctx, client.ObjectKeyFromObject(object), before); err != nil {
		return err
	}
	err := s.SubResourceWriter.Update(ctx, object, options...)
	if old, is := before.(*v1alpha1.AuthorizationServer); is && err == nil {
		return s.watched.sandbox.wakeUsers(ctx, old, object)
	}
	s.watched.sandbox.wakeAfter(object)
	return err
}

// wakeUsers wakes the registrations of an authorization server that became another
// one to them.
func (s *Sandbox) wakeUsers(ctx context.Context, before *v1alpha1.AuthorizationServer, object client.Object) error {
	after, ok := object.(*v1alpha1.AuthorizationServer)
	if !ok || equality.Semantic.DeepEqual(before.Status.Metadata, after.Status.Metadata) &&
		slices.Equal(before.Status.Capabilities, after.Status.Capabilities) && before.Status.ObservedGeneration == after.Status.ObservedGeneration {
		return nil
	}
	var regs v1alpha1.MCPClientRegistrationList
	if err := s.Client.List(ctx, &regs); err != nil {
		return err
	}
	for _, reg := range regs.Items {
		if reg.Spec.AuthorizationServerRef.Name == after.Name {
			s.wake(task{Registrations, client.ObjectKeyFromObject(&reg)}, s.Clock.Now())
		}
	}
	return nil
}

// wakeAfter wakes those who watch what the operator itself writes.
func (s *Sandbox) wakeAfter(object client.Object) {
	switch o := object.(type) {
	case *corev1.Secret:
		if name := o.Labels[v1alpha1.LabelAuthorizationServer]; name != "" {
			s.wake(task{AuthorizationServers, types.NamespacedName{Name: name}}, s.Clock.Now().Add(countDelay))
		}
	case *v1alpha1.MCPClientRegistration:
		for t := range s.due {
			if t.controller == Grants && t.key.Namespace == o.Namespace {
				s.wake(t, s.Clock.Now())
			}
		}
	}
}

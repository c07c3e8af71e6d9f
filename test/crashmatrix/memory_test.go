// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package crashmatrix

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strconv"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
)

// memory is an API server in memory, as far as the reconcilers can tell:
// optimistic concurrency, preconditions, generations, the status subresource,
// finalizers, merge patches. The same cases run on a real API server too, which
// is what holds it to the truth. One goroutine uses it.
type memory struct {
	// Client is nil: what is not served here fails loudly.
	client.Client
	scheme  *runtime.Scheme
	clock   clock.PassiveClock
	objects map[string]client.Object
	serial  int
	version int
}

func newMemory(scheme *runtime.Scheme, now clock.PassiveClock) *memory {
	return &memory{scheme: scheme, clock: now, objects: map[string]client.Object{}}
}

func (m *memory) Scheme() *runtime.Scheme { return m.scheme }

func (m *memory) kind(object runtime.Object) schema.GroupVersionKind {
	gvk, err := apiutil.GVKForObject(object, m.scheme)
	if err != nil {
		return schema.GroupVersionKind{Kind: fmt.Sprintf("%T", object)}
	}
	return gvk
}

func (m *memory) key(object client.Object) string {
	return m.kind(object).Kind + "/" + object.GetNamespace() + "/" + object.GetName()
}

func (m *memory) resource(object client.Object) schema.GroupResource {
	gvk := m.kind(object)
	return schema.GroupResource{Group: gvk.Group, Resource: gvk.Kind}
}

// custom says that a kind has generations and the status subresource.
func (m *memory) custom(object client.Object) bool {
	return m.kind(object).Group == "mcp-registrar.dev"
}

func (m *memory) notFound(object client.Object) error {
	return apierrors.NewNotFound(m.resource(object), object.GetName())
}

func (m *memory) conflict(object client.Object) error {
	return apierrors.NewConflict(m.resource(object), object.GetName(), errors.New("the object has been modified"))
}

// Get implements client.Reader.
func (m *memory) Get(_ context.Context, key types.NamespacedName, object client.Object, _ ...client.GetOption) error {
	object.SetName(key.Name)
	object.SetNamespace(key.Namespace)
	stored, found := m.objects[m.key(object)]
	if !found {
		return m.notFound(object)
	}
	assign(object, stored)
	return nil
}

// List implements client.Reader.
func (m *memory) List(_ context.Context, list client.ObjectList, options ...client.ListOption) error {
	var o client.ListOptions
	o.ApplyOptions(options)
	if o.FieldSelector != nil && !o.FieldSelector.Empty() {
		return apierrors.NewBadRequest("field label not supported: " + o.FieldSelector.String())
	}
	var found []client.Object
	kind := itemKind(m.kind(list).Kind)
	for _, object := range m.objects {
		if m.kind(object).Kind == kind {
			found = append(found, object)
		}
	}
	return fill(list, found, &o)
}

// Create implements client.Writer.
func (m *memory) Create(_ context.Context, object client.Object, _ ...client.CreateOption) error {
	if home, found := m.objects["Namespace//"+object.GetNamespace()]; found && home.GetDeletionTimestamp() != nil {
		return apierrors.NewForbidden(m.resource(object), object.GetName(), errors.New("the namespace is being terminated"))
	}
	if _, found := m.objects[m.key(object)]; found {
		return apierrors.NewAlreadyExists(m.resource(object), object.GetName())
	}
	if object.GetResourceVersion() != "" {
		return apierrors.NewBadRequest("resourceVersion should not be set on objects to be created")
	}
	m.serial++
	next := clean(object)
	next.SetUID(types.UID(fmt.Sprintf("uid-%d", m.serial)))
	next.SetCreationTimestamp(metav1.NewTime(m.clock.Now().Truncate(1e9)))
	if m.custom(object) {
		next.SetGeneration(1)
		status := field(next, "Status")
		status.SetZero()
		status.FieldByName("ObservedGeneration").SetInt(-1)
	}
	m.store(next)
	assign(object, next)
	return nil
}

// Update implements client.Writer.
func (m *memory) Update(_ context.Context, object client.Object, _ ...client.UpdateOption) error {
	return m.replace(object, func(old, next client.Object) client.Object {
		field(next, "Status").Set(field(old, "Status"))
		return next
	})
}

// Patch implements client.Writer: merge patches only.
func (m *memory) Patch(ctx context.Context, object client.Object, patch client.Patch, _ ...client.PatchOption) error {
	stored, found := m.objects[m.key(object)]
	if !found {
		return m.notFound(object)
	}
	data, err := patch.Data(object)
	if err != nil {
		return err
	}
	if patch.Type() != types.MergePatchType {
		return apierrors.NewBadRequest("not a merge patch")
	}
	var change map[string]any
	if err := json.Unmarshal(data, &change); err != nil {
		return err
	}
	next := blank(stored)
	if err := encode(merge(decode(stored), change), next); err != nil {
		return apierrors.NewBadRequest(err.Error())
	}
	if err := m.Update(ctx, next); err != nil {
		return err
	}
	assign(object, next)
	return nil
}

// Delete implements client.Writer.
func (m *memory) Delete(_ context.Context, object client.Object, options ...client.DeleteOption) error {
	var o client.DeleteOptions
	o.ApplyOptions(options)
	stored, found := m.objects[m.key(object)]
	if !found {
		return m.notFound(object)
	}
	if p := o.Preconditions; p != nil && ((p.UID != nil && *p.UID != stored.GetUID()) ||
		(p.ResourceVersion != nil && *p.ResourceVersion != stored.GetResourceVersion())) {
		return m.conflict(object)
	}
	if len(stored.GetFinalizers()) == 0 {
		delete(m.objects, m.key(object))
		return nil
	}
	if stored.GetDeletionTimestamp() != nil {
		return nil
	}
	next := clean(stored)
	now := metav1.NewTime(m.clock.Now().Truncate(1e9))
	next.SetDeletionTimestamp(&now)
	if m.custom(next) {
		next.SetGeneration(next.GetGeneration() + 1)
	}
	m.store(next)
	return nil
}

// Status implements client.StatusClient.
func (m *memory) Status() client.SubResourceWriter { return memoryStatus{memory: m} }

type memoryStatus struct {
	// SubResourceWriter is nil: what is not served here fails loudly.
	client.SubResourceWriter
	memory *memory
}

// Update implements client.SubResourceWriter.
func (s memoryStatus) Update(_ context.Context, object client.Object, _ ...client.SubResourceUpdateOption) error {
	return s.memory.replace(object, func(old, next client.Object) client.Object {
		kept := blank(old)
		assign(kept, old)
		field(kept, "Status").Set(field(next, "Status"))
		return kept
	})
}

// replace stores an object in place of the version that it was read as, after
// what the request may not change was taken from the old one.
func (m *memory) replace(object client.Object, keep func(old, next client.Object) client.Object) error {
	stored, found := m.objects[m.key(object)]
	if !found {
		return m.notFound(object)
	}
	if v := object.GetResourceVersion(); v != "" && v != stored.GetResourceVersion() {
		return m.conflict(object)
	}
	if uid := object.GetUID(); uid != "" && uid != stored.GetUID() {
		return m.conflict(object)
	}
	next := clean(object)
	next.SetUID(stored.GetUID())
	next.SetCreationTimestamp(stored.GetCreationTimestamp())
	next.SetDeletionTimestamp(stored.GetDeletionTimestamp())
	next.SetGeneration(stored.GetGeneration())
	next.SetResourceVersion(stored.GetResourceVersion())
	if m.custom(object) {
		next = keep(stored, next)
		if !equality.Semantic.DeepEqual(field(stored, "Spec").Interface(), field(next, "Spec").Interface()) {
			next.SetGeneration(stored.GetGeneration() + 1)
		}
	}
	switch {
	case next.GetDeletionTimestamp() != nil && len(next.GetFinalizers()) == 0:
		delete(m.objects, m.key(object))
	case !equality.Semantic.DeepEqual(stored, next):
		m.store(next)
	}
	assign(object, next)
	return nil
}

func (m *memory) store(object client.Object) {
	m.version++
	object.SetResourceVersion(strconv.Itoa(m.version))
	kept := blank(object)
	assign(kept, object)
	m.objects[m.key(object)] = kept
}

// merge applies a merge patch (RFC 7386).
func merge(target, patch map[string]any) map[string]any {
	if target == nil {
		target = map[string]any{}
	}
	for key, value := range patch {
		change, nested := value.(map[string]any)
		switch {
		case value == nil:
			delete(target, key)
		case nested:
			old, _ := target[key].(map[string]any)
			target[key] = merge(old, change)
		default:
			target[key] = value
		}
	}
	return target
}

// field is the spec or the status of an object.
func field(object client.Object, name string) reflect.Value {
	return reflect.ValueOf(object).Elem().FieldByName(name)
}

// blank is an empty object of the kind of another.
func blank(object client.Object) client.Object {
	empty, ok := reflect.TypeAssert[client.Object](reflect.New(reflect.TypeOf(object).Elem()))
	if !ok {
		return nil
	}
	return empty
}

// clean is a copy of an object as it comes back from an API server: instants
// in whole seconds, nothing shared.
func clean(object client.Object) client.Object {
	next := blank(object)
	data, err := json.Marshal(object)
	if err == nil {
		err = json.Unmarshal(data, next)
	}
	if err != nil {
		next.SetName("unreadable: " + err.Error())
	}
	return next
}

func decode(object client.Object) map[string]any {
	document := map[string]any{}
	data, err := json.Marshal(object)
	if err == nil {
		err = json.Unmarshal(data, &document)
	}
	if err != nil {
		return map[string]any{"unreadable": err.Error()}
	}
	return document
}

func encode(document map[string]any, object client.Object) error {
	data, err := json.Marshal(document)
	if err != nil {
		return err
	}
	return json.Unmarshal(data, object)
}

// assign makes an object equal to another of its kind.
func assign(object, from client.Object) {
	reflect.ValueOf(object).Elem().Set(reflect.ValueOf(from.DeepCopyObject()).Elem())
}

// itemKind is the kind of what a list holds.
func itemKind(list string) string { return list[:len(list)-len("List")] }

// fill puts what a list asks for into it, but for its field selector.
func fill(list client.ObjectList, objects []client.Object, o *client.ListOptions) error {
	var items []runtime.Object
	for _, object := range objects {
		if o.Namespace != "" && object.GetNamespace() != o.Namespace {
			continue
		}
		if o.LabelSelector != nil && !o.LabelSelector.Matches(labelsOf(object)) {
			continue
		}
		items = append(items, object.DeepCopyObject())
	}
	sortByName(items)
	return meta.SetList(list, items)
}

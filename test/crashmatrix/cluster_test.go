// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package crashmatrix

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
)

// cluster is the API server of one case with what a watch of it has shown:
// every version of every kind, oldest first. Caches read from there.
type cluster struct {
	client.Client
	versions map[string][]view
	indexes  map[string]client.IndexerFunc
	// woken says that a watch has shown what a reconciler is woken by.
	woken bool
	// seen is told of each change.
	seen func(old, object client.Object)
}

// view is all objects of a kind at one moment.
type view map[client.ObjectKey]client.Object

func newCluster(c client.Client) *cluster {
	return &cluster{Client: c, versions: map[string][]view{}, indexes: map[string]client.IndexerFunc{}}
}

// IndexField implements client.FieldIndexer.
func (c *cluster) IndexField(_ context.Context, object client.Object, field string, values client.IndexerFunc) error {
	c.indexes[kindOf(object)+"/"+field] = values
	return nil
}

// kindOf names the kind of an object or of the items of a list.
func kindOf(object runtime.Object) string {
	name := fmt.Sprintf("%T", object)
	return strings.TrimSuffix(name[strings.LastIndex(name, ".")+1:], "List")
}

// watched says that the manager's cache holds an object: all but the Secrets
// of teams.
func watched(kind, namespace string) bool {
	return kind != "Secret" || namespace == operatorNamespace
}

// latest is the number of the last version of a kind, -1 where there is none.
func (c *cluster) latest(kind string) int { return len(c.versions[kind]) - 1 }

// at is a version of a kind.
func (c *cluster) at(kind string, version int) view {
	if version < 0 || version > c.latest(kind) {
		return view{}
	}
	return c.versions[kind][version]
}

// learn looks at an object after somebody wrote it.
func (c *cluster) learn(ctx context.Context, object client.Object) error {
	kind, key := kindOf(object), client.ObjectKeyFromObject(object)
	now, ok := object.DeepCopyObject().(client.Object)
	if !ok {
		return fmt.Errorf("%T is no object", object)
	}
	err := c.Get(ctx, key, now)
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("looking at what was written: %w", err)
	}
	old, known := c.at(kind, c.latest(kind))[key]
	next := maps.Clone(c.at(kind, c.latest(kind)))
	switch {
	case apierrors.IsNotFound(err) && !known:
		return nil
	case apierrors.IsNotFound(err):
		delete(next, key)
		now = nil
	case known && old.GetResourceVersion() == now.GetResourceVersion():
		return nil
	default:
		next[key] = now
	}
	c.versions[kind] = append(c.versions[kind], next)
	c.woken = c.woken || wakes(kind, old, now)
	if c.seen != nil {
		c.seen(old, now)
	}
	return nil
}

// wakes says that the watches of the reconciler of registrations pass a change:
// see changed, released and usableChanged in the package controllers.
func wakes(kind string, old, now client.Object) bool {
	if kind == "Secret" {
		return now != nil && now.GetNamespace() == operatorNamespace && now.GetAnnotations()[v1alpha1.AnnotationRelease] != "" &&
			(old == nil || !maps.Equal(old.GetAnnotations(), now.GetAnnotations()))
	}
	if old == nil || now == nil {
		return true
	}
	return old.GetGeneration() != now.GetGeneration() || !maps.Equal(old.GetAnnotations(), now.GetAnnotations()) ||
		!slices.Equal(old.GetFinalizers(), now.GetFinalizers())
}

// wakesBetween says that the watches pass something between two versions.
func (c *cluster) wakesBetween(kind string, from, to int) bool {
	before, after := c.at(kind, from), c.at(kind, to)
	for key, object := range after {
		if old := before[key]; old != object && wakes(kind, old, object) {
			return true
		}
	}
	for key, object := range before {
		if _, there := after[key]; !there && wakes(kind, object, nil) {
			return true
		}
	}
	return false
}

// get reads an object from a version of its kind, as a cache would.
func (c *cluster) get(version int, key client.ObjectKey, object client.Object) error {
	kind := kindOf(object)
	if !watched(kind, key.Namespace) {
		return fmt.Errorf("the cache holds no %s of namespace %q", kind, key.Namespace)
	}
	found, there := c.at(kind, version)[key]
	if !there {
		return apierrors.NewNotFound(v1alpha1.GroupVersion.WithResource(kind).GroupResource(), key.Name)
	}
	assign(object, found)
	return nil
}

// list reads objects from a version of their kind, as a cache would: by one
// indexed field.
func (c *cluster) list(version int, list client.ObjectList, o *client.ListOptions) error {
	kind := kindOf(list)
	if !watched(kind, o.Namespace) {
		return fmt.Errorf("the cache holds no %s of namespace %q", kind, o.Namespace)
	}
	var found []client.Object
	for _, object := range c.at(kind, version) {
		if !watched(kind, object.GetNamespace()) {
			continue
		}
		selected, err := c.selected(kind, object, o)
		if err != nil {
			return err
		}
		if selected {
			found = append(found, object)
		}
	}
	return fill(list, found, o)
}

func (c *cluster) selected(kind string, object client.Object, o *client.ListOptions) (bool, error) {
	if o.FieldSelector == nil {
		return true, nil
	}
	for _, requirement := range o.FieldSelector.Requirements() {
		values, found := c.indexes[kind+"/"+requirement.Field]
		if !found {
			return false, fmt.Errorf("%s has no index %s", kind, requirement.Field)
		}
		if !slices.Contains(values(object), requirement.Value) {
			return false, nil
		}
	}
	return true, nil
}

func labelsOf(object client.Object) labels.Set { return object.GetLabels() }

func sortByName(items []runtime.Object) {
	name := func(item runtime.Object) string {
		object, ok := item.(client.Object)
		if !ok {
			return ""
		}
		return object.GetNamespace() + "/" + object.GetName()
	}
	slices.SortFunc(items, func(a, b runtime.Object) int { return strings.Compare(name(a), name(b)) })
}

// The writes of people: what they do is seen at once.

func (c *cluster) create(ctx context.Context, object client.Object) error {
	if err := c.Create(ctx, object); err != nil {
		return fmt.Errorf("creating %T %s: %w", object, object.GetName(), err)
	}
	return c.learn(ctx, object)
}

func (c *cluster) remove(ctx context.Context, object client.Object) error {
	if err := c.Delete(ctx, object); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("deleting %T %s: %w", object, object.GetName(), err)
	}
	return c.learn(ctx, object)
}

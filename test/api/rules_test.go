// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package api

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// rule is one question to the API server: the object of the table, edited, is
// created; with an update it is stored, edited again and updated.
type rule struct {
	name   string
	create []edit
	update []edit
	// want holds every cause of the refusal, "field: message", in full. An
	// object without causes must be admitted.
	want []string
}

// check puts each rule to the API server.
func check(t *testing.T, base func() *unstructured.Unstructured, rules []rule) {
	t.Helper()
	c, namespace := useCluster(t)
	for _, r := range rules {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			object := edited(base(), r.create...)
			if !clusterScoped(object.GetKind()) {
				object.SetNamespace(namespace)
			}
			err := ask(t, c, object, r.update)
			if diff := cmp.Diff(r.want, causes(t, err)); diff != "" {
				t.Errorf("the API server's refusal differs (-want +got)\n%s", diff)
			}
		})
	}
}

func ask(t *testing.T, c *cluster, object *unstructured.Unstructured, update []edit) error {
	t.Helper()
	if update == nil {
		return c.Create(t.Context(), object, client.DryRunAll)
	}
	place(object, object.GetNamespace())
	if err := c.Create(t.Context(), object); err != nil {
		t.Fatalf("the object to update was refused: %v", err)
	}
	return c.Update(t.Context(), edited(object, update...), client.DryRunAll)
}

// notAllChecked is no cause: an object that breaks a bound is not asked about
// its rules.
const notAllChecked = "Invalid value: null: some validation rules were not checked because the object was invalid; " +
	"correct the existing errors to complete validation"

// causes are the reasons of a refusal in the order of the alphabet.
func causes(t *testing.T, err error) []string {
	t.Helper()
	if err == nil {
		return nil
	}
	status := (*apierrors.StatusError)(nil)
	if !errors.As(err, &status) || !apierrors.IsInvalid(err) || status.ErrStatus.Details == nil {
		t.Fatalf("the API server does not say that the object is invalid: %v", err)
	}
	var list []string
	for _, cause := range status.ErrStatus.Details.Causes {
		if cause.Message != notAllChecked {
			list = append(list, cause.Field+": "+cause.Message)
		}
	}
	slices.Sort(list)
	return list
}

// edit changes an object before it is sent.
type edit func(object map[string]any)

// set puts a JSON value at a dotted path, below "spec" unless it begins with
// "metadata". Each object gets its own copy of a map or a list: rules that name
// the same one run at the same time.
func set(path string, value any) edit {
	return func(object map[string]any) {
		at := object
		steps := steps(path)
		for _, step := range steps[:len(steps)-1] {
			next, ok := at[step].(map[string]any)
			if !ok {
				next = map[string]any{}
				at[step] = next
			}
			at = next
		}
		at[steps[len(steps)-1]] = copied(value)
	}
}

func copied(value any) any {
	switch value := value.(type) {
	case map[string]any, []any:
		return runtime.DeepCopyJSONValue(value)
	default:
		return value
	}
}

// unset removes what is at a dotted path.
func unset(path string) edit {
	return func(object map[string]any) {
		unstructured.RemoveNestedField(object, steps(path)...)
	}
}

func steps(path string) []string {
	list := strings.Split(path, ".")
	if list[0] != "metadata" {
		list = append([]string{"spec"}, list...)
	}
	return list
}

func edited(object *unstructured.Unstructured, edits ...edit) *unstructured.Unstructured {
	for _, e := range edits {
		e(object.Object)
	}
	return object
}

// edits makes a list of edits read like one.
func edits(list ...edit) []edit { return list }

func list[T any](values ...T) []any {
	all := make([]any, 0, len(values))
	for _, value := range values {
		all = append(all, value)
	}
	return all
}

// many returns n values that differ.
func many[T any](n int, value func(i int) T) []any {
	all := make([]any, 0, n)
	for i := range n {
		all = append(all, value(i))
	}
	return all
}

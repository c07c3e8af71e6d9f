// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package api

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// dryRun keeps a status from being stored.
var dryRun = &client.SubResourceUpdateOptions{UpdateOptions: client.UpdateOptions{DryRun: []string{"All"}}}

// TestStatusInstants: the format date-time of a schema takes texts that Go does
// not read. The rules refuse them in every field that holds an instant.
func TestStatusInstants(t *testing.T) {
	const (
		good = "2027-03-31T00:00:00Z"
		bad  = "2027-03-31T00:00:00Zt"

		unread   = ": Invalid date-time formatted string " + bad + ": parsing time \"" + bad + "\": extra text: \"Zt\" evaluating rule: "
		inList   = `: Invalid value: "array"` + unread + "lastTransitionTime must be an RFC 3339 instant, for example " + good
		byItself = `: Invalid value: "string"` + unread + "must be an RFC 3339 instant, for example " + good
	)
	c, namespace := useCluster(t)
	for _, table := range []struct {
		base   func() *unstructured.Unstructured
		field  string
		status func(instant string) map[string]any
		want   string
	}{
		{base: authorizationServer, field: "status.conditions", status: condition, want: inList},
		{base: mcpServer, field: "status.conditions", status: condition, want: inList},
		{base: desktop, field: "status.conditions", status: condition, want: inList},
		{base: scopeGrant, field: "status.conditions", status: condition, want: inList},
		{base: approval, field: "status.conditions", status: condition, want: inList},
		{base: desktop, field: "status.expiresAt", status: instantAt("expiresAt"), want: byItself},
		{base: desktop, field: "status.registeredAt", status: instantAt("registeredAt"), want: byItself},
		{base: desktop, field: "status.term.startedAt", status: termFrom, want: byItself},
		{base: desktop, field: "status.revocation.dueAt", status: revocationDue, want: byItself},
		{base: scopeGrant, field: "status.expiresAt", status: instantAt("expiresAt"), want: byItself},
	} {
		object := table.base()
		t.Run(object.GetKind()+" "+table.field, func(t *testing.T) {
			place(object, namespace)
			if err := c.Create(t.Context(), object); err != nil {
				t.Fatal(err)
			}
			object.Object["status"] = table.status(good)
			if err := c.Status().Update(t.Context(), object.DeepCopy(), dryRun); err != nil {
				t.Errorf("an instant is refused: %v", err)
			}
			object.Object["status"] = table.status(bad)
			err := c.Status().Update(t.Context(), object.DeepCopy(), dryRun)
			if diff := cmp.Diff([]string{table.field + table.want}, causes(t, err)); diff != "" {
				t.Errorf("the API server's refusal differs (-want +got)\n%s", diff)
			}
		})
	}
}

func condition(instant string) map[string]any {
	return map[string]any{"conditions": list(map[string]any{
		"type": "Ready", "status": "True", "reason": "Ready", "message": "", "lastTransitionTime": instant,
	})}
}

func instantAt(field string) func(instant string) map[string]any {
	return func(instant string) map[string]any { return map[string]any{field: instant} }
}

func termFrom(instant string) map[string]any {
	return map[string]any{"term": map[string]any{"startedAt": instant, "expiresAt": "2027-03-31T00:00:00Z"}}
}

func revocationDue(instant string) map[string]any {
	return map[string]any{"revocation": map[string]any{"cause": "Expired", "dueAt": instant}}
}

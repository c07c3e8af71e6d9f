// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package api

import (
	"testing"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func TestUnseenObjects(t *testing.T) {
	c, namespace := useCluster(t)
	for _, base := range kinds() {
		object := base()
		t.Run(object.GetKind(), func(t *testing.T) {
			t.Parallel()
			place(object, namespace)
			// Whoever creates an object cannot say that it was seen.
			edited(object, func(o map[string]any) { o["status"] = map[string]any{"observedGeneration": int64(1)} })
			if err := c.Create(t.Context(), object); err != nil {
				t.Fatal(err)
			}
			observed, found, err := unstructured.NestedInt64(object.Object, "status", "observedGeneration")
			if err != nil || !found || observed != -1 {
				t.Errorf("status.observedGeneration of an unseen object is %d (found: %t, %v), want -1", observed, found, err)
			}
			result, err := status.Compute(object)
			if err != nil {
				t.Fatal(err)
			}
			if result.Status != status.InProgressStatus {
				t.Errorf("kstatus computes %s (%s) for an unseen object, want %s", result.Status, result.Message, status.InProgressStatus)
			}
		})
	}
}

// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package env

import (
	"path/filepath"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestAStoreIsPutBack(t *testing.T) {
	c := StartForTest(t, Options{})
	admin := clientsFor(t, c.Config)
	namespace := createNamespace(t, admin, "put-back")
	put := func(name string) {
		t.Helper()
		if _, err := admin.CoreV1().ConfigMaps(namespace).Create(t.Context(), configMap(name), metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	put("before")
	copied := filepath.Join(t.TempDir(), "copy")
	if err := c.CopyStore(t.Context(), copied); err != nil {
		t.Fatal(err)
	}
	put("after")
	if err := c.PutBack(t.Context(), copied); err != nil {
		t.Fatal(err)
	}
	for name, there := range map[string]bool{"before": true, "after": false} {
		_, err := admin.CoreV1().ConfigMaps(namespace).Get(t.Context(), name, metav1.GetOptions{})
		if there != (err == nil) || !there && !apierrors.IsNotFound(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

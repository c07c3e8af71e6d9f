// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/audit"
)

const (
	// auditKeyName is the name of the Secret with the keys of the audit stream.
	auditKeyName = "mcp-registrar-audit-key"
	// auditKeyMember holds them in it, as a key file.
	auditKeyMember = "keys"
)

// AuditKeys returns the keys of the operator's audit stream, from the Secret in its
// namespace. Where there is none it is made, with one random key. One that is there
// is never written: keys are added and removed by people. The reader must read from
// the API server.
func AuditKeys(ctx context.Context, live client.Reader, writer client.Writer, namespace string) (audit.Keys, error) {
	keys, err := readAuditKeys(ctx, live, namespace)
	if !apierrors.IsNotFound(err) {
		return keys, err
	}
	err = writer.Create(ctx, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace, Name: auditKeyName, Labels: map[string]string{v1alpha1.LabelManagedBy: v1alpha1.ManagedByValue},
		},
		Type: v1alpha1.SecretTypeAuditKey,
		Data: map[string][]byte{auditKeyMember: audit.NewKey()},
	})
	// Another replica may have been first.
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return audit.Keys{}, wrap("making the Secret "+auditKeyName, err)
	}
	return readAuditKeys(ctx, live, namespace)
}

func readAuditKeys(ctx context.Context, live client.Reader, namespace string) (audit.Keys, error) {
	var secret corev1.Secret
	if err := live.Get(ctx, types.NamespacedName{Namespace: namespace, Name: auditKeyName}, &secret); err != nil {
		return audit.Keys{}, fmt.Errorf("reading the Secret %s: %w", auditKeyName, err)
	}
	if secret.Type != v1alpha1.SecretTypeAuditKey {
		return audit.Keys{}, fmt.Errorf("the Secret %s is not of the type %s: remove it, so that the operator makes one", auditKeyName, v1alpha1.SecretTypeAuditKey)
	}
	keys, err := audit.ParseKeys(secret.Data[auditKeyMember])
	if err != nil {
		return audit.Keys{}, fmt.Errorf("reading the member %s of the Secret %s: %w", auditKeyMember, auditKeyName, err)
	}
	return keys, nil
}

// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
)

const secretsOnly = "mcp-registrar-secrets"

// secretOf is a Secret of a type in a namespace.
func secretOf(kind corev1.SecretType, namespace string, labels map[string]string) *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "s-" + suffix(), Namespace: namespace, Labels: labels},
		Type:       kind, Data: map[string][]byte{"client_id": []byte("x")},
	}
}

// The operator has its own token here, and the roles of config/rbac: it writes what it
// makes, and no other Secret, whatever its role lets it.
func TestTheOperatorWritesItsOwnSecretsOnly(t *testing.T) {
	own := map[string]string{v1alpha1.LabelManagedBy: v1alpha1.ManagedByValue}
	types, label := []string{"Secrets of its own types only"}, []string{"with the label app.kubernetes.io/managed-by"}
	token := secretOf(corev1.SecretTypeServiceAccountToken, metav1.NamespaceSystem, own)
	token.Annotations = map[string]string{corev1.ServiceAccountNameKey: "clusterrole-aggregation-controller"}
	ofOperator := secretOf(corev1.SecretTypeServiceAccountToken, systemNamespace, own)
	ofOperator.Annotations = map[string]string{corev1.ServiceAccountNameKey: "mcp-registrar-manager"}
	theirs := given(t, admin, secretOf(corev1.SecretTypeOpaque, clientsNamespace, nil))
	labelled := given(t, admin, secretOf(corev1.SecretTypeOpaque, clientsNamespace, own))
	mine := given(t, operator, secretOf(v1alpha1.SecretTypeCredentials, clientsNamespace, own))
	stripped := given(t, operator, secretOf(v1alpha1.SecretTypeCredentials, clientsNamespace, own))
	must(t, admin, patching(stripped, fields{"metadata": fields{"labels": fields{v1alpha1.LabelManagedBy: nil}}}))
	keys := given(t, operator, secretOf(v1alpha1.SecretTypeAuditKey, systemNamespace, own))
	kept := []string{"makes the keys of its audit stream and does not change or delete them"}
	doomed := given(t, operator, secretOf(v1alpha1.SecretTypeCredentials, clientsNamespace, own))
	must(t, admin, patching(doomed, fields{"metadata": fields{"labels": fields{v1alpha1.LabelManagedBy: nil}}}))
	create := func(secret *corev1.Secret) func(*testing.T, client.Client) error {
		return func(t *testing.T, c client.Client) error {
			return c.Create(t.Context(), secret.DeepCopy(), client.DryRunAll)
		}
	}
	write := func(secret *corev1.Secret, labels map[string]string) func(*testing.T, client.Client) error {
		return func(t *testing.T, c client.Client) error {
			whole := stored(t, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: secret.Name, Namespace: secret.Namespace}})
			whole.Data, whole.Labels = map[string][]byte{"client_id": []byte("y")}, labels
			return c.Update(t.Context(), whole)
		}
	}
	remove := func(secret *corev1.Secret) func(*testing.T, client.Client) error {
		return func(t *testing.T, c client.Client) error {
			return c.Delete(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: secret.Name, Namespace: secret.Namespace}})
		}
	}
	try(t, []attempt{
		{"a token of another account", operator, create(token), secretsOnly, types},
		{"a token of its own account", operator, create(ofOperator), secretsOnly, types},
		{"a bootstrap token", operator, create(secretOf(corev1.SecretTypeBootstrapToken, metav1.NamespaceSystem, own)), secretsOnly, types},
		{"an opaque one", operator, create(secretOf(corev1.SecretTypeOpaque, clientsNamespace, own)), secretsOnly, types},
		{"a certificate in its own namespace", operator, create(secretOf(corev1.SecretTypeOpaque, systemNamespace, own)), secretsOnly, types},
		{"credentials without the label", operator, create(secretOf(v1alpha1.SecretTypeCredentials, clientsNamespace, nil)), secretsOnly, label},
		{"credentials with another's label", operator, create(secretOf(v1alpha1.SecretTypeCredentials, clientsNamespace, map[string]string{v1alpha1.LabelManagedBy: "helm"})), secretsOnly, label},
		{"another's changed", operator, write(theirs, nil), secretsOnly, types},
		{"another's labelled as its own", operator, write(theirs, own), secretsOnly, types},
		{"another's with its label", operator, write(labelled, own), secretsOnly, types},
		{"another's deleted", operator, remove(theirs), secretsOnly, types},
		{"another's with its label deleted", operator, remove(labelled), secretsOnly, types},
		{"its own without the label", operator, write(mine, nil), secretsOnly, label},
		{"credentials", operator, create(secretOf(v1alpha1.SecretTypeCredentials, clientsNamespace, own)), "", nil},
		{"a record", operator, create(secretOf(v1alpha1.SecretTypeRecord, systemNamespace, own)), "", nil},
		{"keys of the audit stream", operator, create(secretOf(v1alpha1.SecretTypeAuditKey, systemNamespace, own)), "", nil},
		{"keys of the audit stream without the label", operator, create(secretOf(v1alpha1.SecretTypeAuditKey, systemNamespace, nil)), secretsOnly, label},
		{"keys of the audit stream changed", operator, write(keys, own), secretsOnly, kept},
		{"keys of the audit stream deleted", operator, remove(keys), secretsOnly, kept},
		{"keys of the audit stream changed by a cluster admin", admin, write(keys, own), "", nil},
		{"its own changed", operator, write(mine, own), "", nil},
		{"its own that lost the label, mended", operator, write(stripped, own), "", nil},
		{"its own deleted", operator, remove(mine), "", nil},
		{"its own that lost the label, deleted", operator, remove(doomed), "", nil},
		// Nobody else is held to it.
		{"an opaque one by a tenant", tenant, create(secretOf(corev1.SecretTypeOpaque, clientsNamespace, nil)), "", nil},
		{"another's deleted by the tenant", tenant, remove(theirs), "", nil},
		{"a token by a cluster admin", admin, create(token), "", nil},
		{"an opaque one by an account of a cluster admin", deployer, create(secretOf(corev1.SecretTypeOpaque, clientsNamespace, nil)), "", nil},
	})
}

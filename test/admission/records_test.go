// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
)

const records = "mcp-registrar-records"

func newRecord(t *testing.T) *corev1.Secret {
	t.Helper()
	return given(t, operator, record("registration-"+suffix(), clientsNamespace))
}

func TestRecordsBelongToTheOperator(t *testing.T) {
	r := newRecord(t)
	words := []string{"a registration record is written by the operator only", "for example mcp-registrar.dev/release"}
	release := []string{"lets go of a client whose revocation is not proven", "verb release on mcpclientregistrations"}
	releasing := annotations(v1alpha1.AnnotationRelease, "rita: the server is gone")
	own := record("registration-"+suffix(), clientsNamespace)
	own.Namespace = clientsNamespace
	released := record("registration-"+suffix(), clientsNamespace)
	with(released, v1alpha1.AnnotationRelease, "x")
	credentials := record("credentials-"+suffix(), clientsNamespace)
	credentials.Namespace, credentials.Type = clientsNamespace, v1alpha1.SecretTypeCredentials
	bare := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "bare-" + suffix(), Namespace: systemNamespace}, Type: v1alpha1.SecretTypeRecord}
	given(t, admin, bare)
	unlabelled := record("registration-"+suffix(), clientsNamespace)
	unlabelled.Labels = nil
	elsewhere := given(t, operator, record("registration-"+suffix(), serversNamespace))
	try(t, []attempt{
		{"made by who may write Secrets", tenant, one(record("registration-"+suffix(), clientsNamespace)), records, words},
		{"made by who may release", releaser, one(record("registration-"+suffix(), clientsNamespace)), records, words},
		{"restored by who may write Secrets and restore", restorer, one(record("registration-"+suffix(), clientsNamespace)), records, words},
		{"made without the label", tenant, one(unlabelled), records, words},
		{"made in another namespace", tenant, one(own), records, words},
		{"made released by the operator", operator, one(released), records, release},
		{"data", tenant, patching(r, fields{"data": fields{"record.json": "e30K"}}), records, words},
		{"data by who may release", releaser, patching(r, fields{"data": fields{"record.json": "e30K"}}), records, words},
		{"data added as text", releaser, patching(r, fields{"stringData": fields{"more": "x"}}), records, words},
		{"label taken off", releaser, patching(r, fields{"metadata": fields{"labels": fields{v1alpha1.LabelRegistrationUID: nil}}}), records, words},
		{"label put on", releaser, patching(bare, fields{"metadata": fields{"labels": fields{v1alpha1.LabelRegistrationUID: "x"}}}), records, words},
		{"given to another namespace", releaser, patching(r, annotations("mcp-registrar.dev/registration-namespace", "x")), records, words},
		{"left to the garbage collector", releaser, patching(r, fields{"metadata": fields{"ownerReferences": []fields{
			{"apiVersion": "v1", "kind": "Secret", "name": "gone", "uid": "gone"},
		}}}), records, words},
		{"made immutable", releaser, patching(r, fields{"immutable": true}), records, words},
		{"released by who may write Secrets", tenant, patching(r, releasing), records, release},
		{"released by the operator", operator, patching(r, releasing), records, release},
		{"released by who may release elsewhere", releaser, patching(elsewhere, releasing), records, release},
		{"released", releaser, patching(r, releasing), "", nil},
		{"reworded by who may write Secrets", tenant, patching(r, annotations(v1alpha1.AnnotationRelease, "tina")), records, release},
		{"taken back by who may write Secrets", tenant, patching(r, annotations(v1alpha1.AnnotationRelease, nil)), records, release},
		{"taken up by the operator", operator, updating(r.DeepCopy(), func(r *corev1.Secret) {
			without(r, v1alpha1.AnnotationRelease)
			r.Data["record.json"] = []byte(`{"released":"x"}`)
		}), "", nil},
		{"released and taken back", releaser, func(t *testing.T, c client.Client) error {
			if err := patching(r, releasing)(t, c); err != nil {
				return err
			}
			return patching(r, annotations(v1alpha1.AnnotationRelease, nil))(t, c)
		}, "", nil},
		{"released by an admin", admin, patching(elsewhere, releasing), "", nil},
		{"a lost one released by who may release in its namespace", releaser, one(lost()), records, release},
		{"a lost one released by an admin", admin, one(lost()), "", nil},
		{"a lost one restored by an admin", admin, one(record("registration-"+suffix(), clientsNamespace)), "", nil},
		{"credentials are not records", tenant, one(credentials), "", nil},
	})
}

// lost is what a person puts in the place of a record that is lost.
func lost() *corev1.Secret {
	empty := with(record("registration-"+suffix(), clientsNamespace), v1alpha1.AnnotationRelease, "jane: record lost")
	empty.Data = nil
	return empty
}

func TestRecordsAreDeletedByTheOperator(t *testing.T) {
	w := use(t)
	words := []string{"a registration record is deleted by the operator when its client is gone", "delete the MCPClientRegistration instead"}
	deleting := func(s *corev1.Secret) func(*testing.T, client.Client) error {
		return func(t *testing.T, c client.Client) error { return c.Delete(t.Context(), s) }
	}
	try(t, []attempt{
		{"by who may write Secrets", tenant, deleting(newRecord(t)), records, words},
		{"by the operator", operator, deleting(newRecord(t)), "", nil},
		{"by who may release", releaser, deleting(newRecord(t)), "", nil},
		{"by who may release elsewhere", releaser, deleting(given(t, operator, record("registration-"+suffix(), serversNamespace))), records, words},
	})
	r := newRecord(t)
	err := w.clients[tenant].DeleteAllOf(t.Context(), &corev1.Secret{}, client.InNamespace(systemNamespace))
	refused(t, err, records, words...)
	stored(t, r)
}

// A namespace that is deleted takes everything along, the operator's own too.
func TestNamespacesCanBeDeleted(t *testing.T) {
	w := use(t)
	name := "doomed-" + suffix()
	given(t, admin, namespace(name))
	r, g, s, secret := registration("x"), grant("x"), server("x"), record("registration-x", name)
	for _, object := range []client.Object{r, g, s, secret} {
		object.SetNamespace(name)
		given(t, admin, object)
	}
	if err := w.clients[admin].Delete(t.Context(), namespace(name)); err != nil {
		t.Fatal(err)
	}
	gone := func(object client.Object) bool {
		return apierrors.IsNotFound(w.clients[admin].Get(t.Context(), client.ObjectKeyFromObject(object), object))
	}
	w.until(t, func() bool { return gone(g) && gone(s) && gone(secret) })
	w.until(t, func() bool { return stored(t, r).DeletionTimestamp != nil })
	must(t, operator, updating(r, func(r *v1alpha1.MCPClientRegistration) { r.Finalizers = nil }))
	w.until(t, func() bool { return gone(namespace(name)) })
}

// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/test/env"
)

const (
	deletionOnly    = "mcp-registrar-deletion"
	crdDeletionOnly = "mcp-registrar-crd-deletion"
)

// held is a server that so many clients live on by its status.
func held[T client.Object](object T, clients int32) T {
	switch o := client.Object(object).(type) {
	case *v1alpha1.MCPServer:
		o.Status.Grants = &v1alpha1.GrantCounts{InForce: clients, Clients: clients}
	case *v1alpha1.AuthorizationServer:
		o.Status.Clients = &v1alpha1.ClientCounts{Managed: clients}
	}
	return object
}

// A deletion is confirmed by a number that the clients do not exceed, and by nothing
// else.
func TestDeletionsAreJudged(t *testing.T) {
	t.Parallel()
	policies := evaluators(t)
	kinds := map[string]func() client.Object{
		"server":               func() client.Object { return server("z") },
		"authorization server": func() client.Object { return open("z") },
	}
	for kind, make := range kinds {
		for _, c := range []struct {
			clients      int32
			confirmation string
			admitted     bool
		}{
			{0, "", true}, {0, "no", true}, {1, "", false}, {59, "", false},
			{59, "59", true}, {59, "60", true}, {59, "58", false}, {59, "0", false}, {59, "00059", true},
			{59, "-59", false}, {59, "+59", false}, {59, "59.0", false}, {59, " 59", false}, {59, "59\n", false},
			{59, "z", false}, {59, "true", false}, {59, "0x59", false}, {59, "٥٩", false},
			{59, "999999999", true}, {59, "1000000000", false}, {59, strings.Repeat("9", 65536), false},
		} {
			object := held(make(), c.clients)
			if c.confirmation != "" {
				object = with(object, v1alpha1.AnnotationConfirmDeletion, c.confirmation)
			}
			said := ask(t, policies, question{who: owner, object: object, deletes: true})
			if admitted := len(said) == 0; admitted != c.admitted {
				t.Errorf("%s with %d clients, confirmed by %.20q: %q", kind, c.clients, c.confirmation, said)
			}
			if !c.admitted && !strings.Contains(strings.Join(said[deletionOnly], ""), fmt.Sprintf("%s=%d", v1alpha1.AnnotationConfirmDeletion, c.clients)) {
				t.Errorf("%s with %d clients: the refusal does not tell how to confirm it: %q", kind, c.clients, said)
			}
		}
		uncounted := make()
		if said := ask(t, policies, question{who: owner, object: uncounted, deletes: true}); len(said) > 0 {
			t.Errorf("%s that the operator never looked at: %q", kind, said)
		}
		going := held(make(), 59)
		going.SetDeletionTimestamp(&metav1.Time{Time: time.Now()})
		if said := ask(t, policies, question{who: owner, object: going, deletes: true}); len(said) > 0 {
			t.Errorf("%s that is being deleted: %q", kind, said)
		}
	}
}

// What goes with its namespace is not held up.
func TestNamespacesAreDeletedWhole(t *testing.T) {
	t.Parallel()
	policies := evaluators(t)
	in := namespace(serversNamespace)
	q := question{who: owner, object: held(server("z"), 59), deletes: true, namespace: in}
	if said := ask(t, policies, q); len(said[deletionOnly]) == 0 {
		t.Error("admitted in a namespace that stays")
	}
	in.DeletionTimestamp = &metav1.Time{Time: time.Now()}
	if said := ask(t, policies, q); len(said) > 0 {
		t.Errorf("in a namespace that goes: %q", said)
	}
}

func deleting(object client.Object, options ...client.DeleteOption) func(*testing.T, client.Client) error {
	return func(t *testing.T, c client.Client) error { return c.Delete(t.Context(), object, options...) }
}

// Who may delete a server deletes it by accident only where nobody lives on it.
func TestServersAreNotDeletedByAccident(t *testing.T) {
	s, as := given(t, owner, server("d-"+suffix())), given(t, admin, open("d-"+suffix()))
	free := given(t, owner, server("d-"+suffix()))
	must(t, operator, patchingStatus(s, fields{"grants": fields{"inForce": 60, "pending": 0, "clients": 59}}))
	must(t, operator, patchingStatus(as, fields{"clients": fields{"managed": 59, "possibleOrphans": 0}}))
	onServer := []string{"takes the grants here from 59 clients", "kubectl annotate --overwrite mcpserver -n " + serversNamespace + " " + s.Name + " mcp-registrar.dev/confirm-deletion=59"}
	onAS := []string{"revokes 59 clients", "kubectl annotate --overwrite authorizationserver " + as.Name + " mcp-registrar.dev/confirm-deletion=59"}
	try(t, []attempt{
		{"server by its owner", owner, deleting(s), deletionOnly, onServer},
		{"server by an admin", admin, deleting(s), deletionOnly, onServer},
		{"server by a tool with every right", deployer, deleting(s), deletionOnly, onServer},
		{"server, looked at first", owner, deleting(s, client.DryRunAll), deletionOnly, onServer},
		{"all servers of the namespace", owner, func(t *testing.T, c client.Client) error {
			return c.DeleteAllOf(t.Context(), &v1alpha1.MCPServer{}, client.InNamespace(serversNamespace), client.MatchingFields{"metadata.name": s.Name})
		}, deletionOnly, onServer},
		{"authorization server", admin, deleting(as), deletionOnly, onAS},
		{"server that nobody lives on", owner, deleting(free), "", nil},
	})
	err := patchingStatus(s, fields{"grants": nil})(t, use(t).clients[owner])
	if !apierrors.IsForbidden(err) {
		t.Errorf("the owner changes the count: %v", err)
	}
	confirm := func(n string) fields { return annotations(v1alpha1.AnnotationConfirmDeletion, n) }
	try(t, []attempt{
		{"confirmed for fewer", owner, patching(s, confirm("58")), "", nil},
		{"deleted then", owner, deleting(s), deletionOnly, onServer},
		{"confirmed", owner, patching(s, confirm("59")), "", nil},
		{"deleted when confirmed", owner, deleting(s), "", nil},
		{"authorization server confirmed", admin, patching(as, confirm("59")), "", nil},
		{"authorization server deleted when confirmed", admin, deleting(as), "", nil},
		{"the annotation elsewhere", alice, func(t *testing.T, c client.Client) error {
			return c.Create(t.Context(), with(registration("d-"+suffix()), v1alpha1.AnnotationConfirmDeletion, "1"))
		}, operatorOnly, []string{"mcp-registrar.dev/confirm-deletion"}},
	})
}

// definitions are the CRDs of this product, and whether clients live on them.
func definitions() map[string]bool {
	return map[string]bool{
		"authorizationservers": true, "mcpclientregistrations": true, "mcpservers": true,
		"scopegrantapprovals": true, "scopegrants": true, "accessdenials": false,
	}
}

// foreign is the definition of another product.
func foreign() *apiextensionsv1.CustomResourceDefinition {
	return &apiextensionsv1.CustomResourceDefinition{
		ObjectMeta: metav1.ObjectMeta{Name: "things.example.com"},
		Spec: apiextensionsv1.CustomResourceDefinitionSpec{
			Group: "example.com", Scope: apiextensionsv1.ClusterScoped,
			Names: apiextensionsv1.CustomResourceDefinitionNames{Plural: "things", Kind: "Thing"},
			Versions: []apiextensionsv1.CustomResourceDefinitionVersion{{
				Name: "v1", Served: true, Storage: true,
				Schema: &apiextensionsv1.CustomResourceValidation{OpenAPIV3Schema: &apiextensionsv1.JSONSchemaProps{Type: "object"}},
			}},
		},
	}
}

// A definition goes with all of its objects: by accident only where no client lives. It
// has a control plane of its own, whose definitions are deleted in the end.
func TestDefinitionsAreNotDeletedByAccident(t *testing.T) {
	t.Parallel()
	plane := env.StartForTest(t, env.Options{CRDs: true, ControllerManager: true})
	root, err := env.ModuleRoot()
	if err != nil {
		t.Fatal(err)
	}
	policies, err := filepath.Glob(filepath.Join(root, "config", "admission", "*deletion_policy*.yaml"))
	if err != nil || len(policies) != 4 {
		t.Fatalf("%q: %v", policies, err)
	}
	if err := plane.Apply(t.Context(), policies...); err != nil {
		t.Fatal(err)
	}
	c := clientOfAll(t, plane)
	as, s := open("company"), server("files")
	s.Namespace = "doomed"
	for _, object := range []client.Object{as, namespace("doomed"), s} {
		if err := c.Create(t.Context(), object); err != nil {
			t.Fatal(err)
		}
	}
	for _, object := range []client.Object{held(as, 59), held(s, 59)} {
		if err := c.Status().Update(t.Context(), object); err != nil {
			t.Fatal(err)
		}
	}
	remove := func(resource string, options ...client.DeleteOption) error {
		crd := &apiextensionsv1.CustomResourceDefinition{ObjectMeta: metav1.ObjectMeta{Name: resource + "." + v1alpha1.GroupVersion.Group}}
		return c.Delete(t.Context(), crd, options...)
	}
	soon(t, func() error {
		if err := remove("mcpservers", client.DryRunAll); err == nil || !apierrors.IsForbidden(err) {
			return fmt.Errorf("the policy is not in force: %w", err)
		}
		return nil
	})
	for resource, lived := range definitions() {
		err := remove(resource, client.DryRunAll)
		if !lived {
			if err != nil {
				t.Errorf("%s: %v", resource, err)
			}
			continue
		}
		refused(t, err, crdDeletionOnly, `AuthorizationServer "company" has 59`,
			"kubectl annotate --overwrite crd "+resource+".mcp-registrar.dev mcp-registrar.dev/confirm-deletion=59")
	}
	err = c.DeleteAllOf(t.Context(), &apiextensionsv1.CustomResourceDefinition{})
	refused(t, err, crdDeletionOnly, `AuthorizationServer "company" has 59`)
	for resource, lived := range definitions() {
		var crd apiextensionsv1.CustomResourceDefinition
		if err := c.Get(t.Context(), client.ObjectKey{Name: resource + ".mcp-registrar.dev"}, &crd); lived && (err != nil || crd.DeletionTimestamp != nil) {
			t.Errorf("%s went with the others: %v", resource, err)
		}
	}
	t.Run("a namespace goes with the servers in it", func(t *testing.T) {
		if err := c.Delete(t.Context(), namespace("doomed")); err != nil {
			t.Fatal(err)
		}
		soon(t, func() error { return isGone(c.Get(t.Context(), client.ObjectKey{Name: "doomed"}, &corev1.Namespace{})) })
	})
	t.Run("confirmed", func(t *testing.T) {
		confirmDefinitions(t, c)
		for _, resource := range []string{"authorizationservers", "mcpclientregistrations", "mcpservers", "scopegrantapprovals", "scopegrants"} {
			if err := remove(resource); err != nil {
				t.Errorf("%s: %v", resource, err)
			}
		}
		soon(t, func() error {
			var crd apiextensionsv1.CustomResourceDefinition
			return isGone(c.Get(t.Context(), client.ObjectKey{Name: "authorizationservers.mcp-registrar.dev"}, &crd))
		})
		if err := c.Create(t.Context(), foreign()); err != nil {
			t.Fatal(err)
		}
		if err := c.Delete(t.Context(), foreign()); err != nil {
			t.Errorf("another definition without the one that tells of clients: %v", err)
		}
	})
}

// clientOfAll is an administrator's client that knows definitions, too.
func clientOfAll(t *testing.T, plane *env.ControlPlane) client.Client {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme, apiextensionsv1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	c, err := client.New(plane.Config, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// confirmDefinitions confirms the deletion of every definition.
func confirmDefinitions(t *testing.T, c client.Client) {
	t.Helper()
	for resource, lived := range definitions() {
		if !lived {
			continue
		}
		crd := &apiextensionsv1.CustomResourceDefinition{ObjectMeta: metav1.ObjectMeta{Name: resource + ".mcp-registrar.dev"}}
		if err := patching(crd, annotations(v1alpha1.AnnotationConfirmDeletion, "59"))(t, c); err != nil {
			t.Errorf("%s: %v", resource, err)
		}
	}
}

// soon waits until there is no error.
func soon(t *testing.T, check func() error) {
	t.Helper()
	var last error
	if err := wait.PollUntilContextTimeout(t.Context(), 100*time.Millisecond, time.Minute, true, func(context.Context) (bool, error) {
		last = check()
		return last == nil, nil
	}); err != nil {
		t.Fatalf("%v: %v", err, last)
	}
}

// isGone is nil for the error of an object that is not there.
func isGone(err error) error {
	switch {
	case err == nil:
		return fmt.Errorf("it is still there")
	case apierrors.IsNotFound(err):
		return nil
	}
	return err
}

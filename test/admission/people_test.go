// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/test/env"
)

// everyVerb is what a role gives that gives everything but what this product
// adds: no wildcard, which would hold operate and release.
var everyVerb = []string{"get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"}

func rule(verbs []string, resources ...string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{APIGroups: []string{v1alpha1.GroupVersion.Group}, Resources: resources, Verbs: verbs}
}

func secretRule(verbs ...string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"secrets"}, Verbs: verbs}
}

// role is what one person may do in one namespace; none: in the cluster.
type role struct {
	who       string
	namespace string
	rules     []rbacv1.PolicyRule
}

// roles: alice and bob are client developers who may approve, too, and could act as
// the ServiceAccount ci (alice by impersonation, bob by a token); tina is the tenant's
// admin with every right on the kinds; olga owns the servers and writes the grants of
// others; sven may approve and impersonate alice; rita lets go of clients; wanda was
// given every verb in the client's namespace by a wildcard, operate and restore among
// them; velma restores backups in the whole cluster, as the chart's role has it. The
// operator has the roles of config/rbac and nothing else.
func roles() []role {
	developer := []rbacv1.PolicyRule{rule(everyVerb, "mcpclientregistrations", "scopegrants"), secretRule(everyVerb...)}
	approves := []rbacv1.PolicyRule{rule(everyVerb, "scopegrantapprovals", "scopegrantapprovals/status")}
	account := func(verb, resource string) []rbacv1.PolicyRule {
		return []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{resource}, ResourceNames: []string{"ci"}, Verbs: []string{verb}}}
	}
	return []role{
		{alice, clientsNamespace, developer},
		{bob, clientsNamespace, developer},
		{tenant, clientsNamespace, []rbacv1.PolicyRule{
			rule(everyVerb, "mcpclientregistrations", "scopegrants", "mcpservers"),
			rule(everyVerb, "mcpclientregistrations/status", "scopegrants/status", "mcpservers/status"),
			secretRule(everyVerb...),
		}},
		{tenant, "", []rbacv1.PolicyRule{rule(everyVerb, "authorizationservers", "authorizationservers/status")}},
		{owner, serversNamespace, append(approves, rule(everyVerb, "mcpservers"))},
		{owner, clientsNamespace, []rbacv1.PolicyRule{rule(everyVerb, "scopegrants")}},
		{alice, serversNamespace, approves},
		{alice, clientsNamespace, account("impersonate", "serviceaccounts")},
		{bob, serversNamespace, append(approves, rule(everyVerb, "mcpservers"))},
		{bob, clientsNamespace, account("create", "serviceaccounts/token")},
		{stranger, serversNamespace, approves},
		{stranger, clientsNamespace, []rbacv1.PolicyRule{rule([]string{"get", "patch", "update"}, "scopegrants", "scopegrants/status")}},
		{stranger, "", []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"users"}, ResourceNames: []string{alice}, Verbs: []string{"impersonate"}}}},
		{releaser, clientsNamespace, []rbacv1.PolicyRule{rule([]string{"release", "get", "patch", "update"}, "mcpclientregistrations"), secretRule(everyVerb...)}},
		{wildcard, clientsNamespace, []rbacv1.PolicyRule{rule([]string{"*"}, "*")}},
		{restorer, "", []rbacv1.PolicyRule{rule([]string{"create", "get", "list", "restore"},
			"accessdenials", "authorizationservers", "mcpclientregistrations", "mcpservers", "scopegrantapprovals", "scopegrants")}},
		{releaser, systemNamespace, []rbacv1.PolicyRule{secretRule(everyVerb...)}},
		{restorer, systemNamespace, []rbacv1.PolicyRule{secretRule(everyVerb...)}},
		{tenant, systemNamespace, []rbacv1.PolicyRule{secretRule(everyVerb...)}},
	}
}

// settle makes the namespaces, the roles and the people.
func (w *world) settle(ctx context.Context) error {
	c := w.clients[admin]
	for _, name := range []string{clientsNamespace, serversNamespace, systemNamespace} {
		if err := c.Create(ctx, namespace(name)); err != nil {
			return err
		}
	}
	root, err := env.ModuleRoot()
	if err != nil {
		return err
	}
	if _, err := w.RunKubectl(ctx, "apply", "--kustomize", filepath.Join(root, "config", "rbac")); err != nil {
		return err
	}
	for i, r := range roles() {
		if err := grantRole(ctx, c, fmt.Sprintf("%s-%d", r.who, i), r); err != nil {
			return err
		}
	}
	for _, name := range []string{alice, bob, tenant, owner, stranger, releaser, wildcard, restorer} {
		config, err := w.UserConfig(name)
		if err != nil {
			return err
		}
		if err := w.enter(name, config); err != nil {
			return err
		}
	}
	config, err := w.ServiceAccountConfig(ctx, systemNamespace, "mcp-registrar-manager")
	if err != nil {
		return err
	}
	if err := w.enter(operator, config); err != nil {
		return err
	}
	if err := w.enterDeployer(ctx); err != nil {
		return err
	}
	for _, object := range []client.Object{authorizationServer("strict"), broken("broken"), open("open"), server("invoices"), server("lived-on")} {
		// For some seconds after the CRDs were created, what would stamp an object does
		// not know its schema.
		err := wait.PollUntilContextTimeout(ctx, 200*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
			err := c.Create(ctx, object)
			if apierrors.IsServiceUnavailable(err) {
				return false, nil
			}
			return true, err
		})
		if err != nil {
			return fmt.Errorf("creating %T %s: %w", object, object.GetName(), err)
		}
	}
	return w.livedOn(ctx)
}

// livedOn has clients live on a server, by its status.
func (w *world) livedOn(ctx context.Context) error {
	seen := fields{"status": fields{"grants": fields{"inForce": 60, "pending": 0, "clients": 59}}}
	content, err := json.Marshal(seen)
	if err != nil {
		return err
	}
	return w.clients[operator].Status().Patch(ctx, server("lived-on"), client.RawPatch(types.MergePatchType, content))
}

// enterDeployer makes the account of a tool that installs things, with every right.
func (w *world) enterDeployer(ctx context.Context) error {
	account := metav1.ObjectMeta{Name: deployer, Namespace: systemNamespace}
	for _, object := range []client.Object{
		&corev1.ServiceAccount{ObjectMeta: account},
		&rbacv1.ClusterRoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: deployer},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "cluster-admin"},
			Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Name: deployer, Namespace: systemNamespace}},
		},
	} {
		if err := w.clients[admin].Create(ctx, object); err != nil {
			return err
		}
	}
	config, err := w.ServiceAccountConfig(ctx, systemNamespace, deployer)
	if err != nil {
		return err
	}
	return w.enter(deployer, config)
}

func grantRole(ctx context.Context, c client.Client, name string, r role) error {
	subjects := []rbacv1.Subject{{Kind: "User", Name: r.who, APIGroup: rbacv1.GroupName}}
	meta := metav1.ObjectMeta{Name: name, Namespace: r.namespace}
	ref := rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: name}
	if r.namespace != "" {
		if err := c.Create(ctx, &rbacv1.Role{ObjectMeta: meta, Rules: r.rules}); err != nil {
			return err
		}
		return c.Create(ctx, &rbacv1.RoleBinding{ObjectMeta: meta, RoleRef: ref, Subjects: subjects})
	}
	if err := c.Create(ctx, &rbacv1.ClusterRole{ObjectMeta: meta, Rules: r.rules}); err != nil {
		return err
	}
	ref.Kind = "ClusterRole"
	return c.Create(ctx, &rbacv1.ClusterRoleBinding{ObjectMeta: meta, RoleRef: ref, Subjects: subjects})
}

// record is a registration record of a client in a namespace.
func record(name, clientNamespace string) *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Name: name, Namespace: systemNamespace,
			Labels: map[string]string{v1alpha1.LabelManagedBy: v1alpha1.ManagedByValue, v1alpha1.LabelRegistrationUID: "0a1b"},
			Annotations: map[string]string{
				"mcp-registrar.dev/registration-namespace": clientNamespace,
				"mcp-registrar.dev/registration-name":      name,
			},
		},
		Type: v1alpha1.SecretTypeRecord,
		Data: map[string][]byte{"record.json": []byte("{}")},
	}
}

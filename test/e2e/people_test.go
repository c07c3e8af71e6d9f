// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
	"github.com/mcp-registrar/mcp-registrar/test/env"
)

// The roles for people that the chart has.
const (
	clientDeveloper = "client-developer"
	grantApprover   = "grant-approver"
	serverOwner     = "server-owner"
)

// policyAge is more than the ten seconds for which the policies must have been
// there before the manager relies on them, the second that creation timestamps
// leave out, and the seconds between its looks.
const policyAge = 15 * time.Second

// person is a user of the cluster, with what the chart's roles give.
type person struct {
	client.Client
	name       string
	kubeconfig string
	// home is where kubectl keeps what it caches.
	home string
}

// newPerson makes a user with some of the chart's roles, each in a namespace.
func (w *world) newPerson(t *testing.T, name string, roles map[string]string) *person {
	t.Helper()
	config, err := w.plane.UserConfig(name)
	if err != nil {
		t.Fatal(err)
	}
	p := &person{name: name, home: t.TempDir()}
	p.kubeconfig = filepath.Join(p.home, "kubeconfig")
	if err := w.plane.Kubeconfig(p.kubeconfig, config); err != nil {
		t.Fatal(err)
	}
	if p.Client, err = client.New(config, client.Options{Scheme: w.Scheme()}); err != nil {
		t.Fatal(err)
	}
	for role, namespace := range roles {
		w.create(t, &rbacv1.RoleBinding{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name + "-" + role},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: release + "-" + role},
			Subjects:   []rbacv1.Subject{{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: name}},
		})
		w.awaitMay(t, name, namespace, roleActs[role])
	}
	return p
}

// roleActs is for each role something that it lets people do.
var roleActs = map[string]authorizationv1.ResourceAttributes{
	clientDeveloper: {Verb: "create", Resource: "scopegrants"},
	grantApprover:   {Verb: "create", Resource: "scopegrantapprovals"},
	serverOwner:     {Verb: "update", Resource: "mcpservers"},
}

// awaitMay waits until a user may do something in a namespace: the API server
// hears of new bindings a little later.
func (w *world) awaitMay(t *testing.T, user, namespace string, what authorizationv1.ResourceAttributes) {
	t.Helper()
	what.Namespace, what.Group = namespace, v1alpha1.GroupVersion.Group
	NewWithT(t).Eventually(func() (bool, error) {
		review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{User: user, ResourceAttributes: &what}}
		err := w.Create(t.Context(), review)
		return review.Status.Allowed, err
	}, patience, often).Should(BeTrue(), "%s may not %s %s", user, what.Verb, what.Resource)
}

// kubectl runs kubectl and returns all that it prints.
func (p *person) kubectl(t *testing.T, arguments ...string) (string, error) {
	t.Helper()
	return p.run(t, kubectl(t), arguments...)
}

// shell runs a command line as a person would who copied it.
func (p *person) shell(t *testing.T, line string) (string, error) {
	t.Helper()
	return p.run(t, "bash", "-c", line)
}

func (p *person) run(t *testing.T, program string, arguments ...string) (string, error) {
	t.Helper()
	command := exec.CommandContext(t.Context(), program, arguments...)
	path := filepath.Dir(kubectl(t)) + string(filepath.ListSeparator) + os.Getenv("PATH")
	command.Env = []string{"KUBECONFIG=" + p.kubeconfig, "HOME=" + p.home, "PATH=" + path}
	said, err := command.CombinedOutput()
	return string(said), err
}

// does is kubectl that must succeed.
func (p *person) does(t *testing.T, arguments ...string) string {
	t.Helper()
	said, err := p.kubectl(t, arguments...)
	if err != nil {
		t.Fatalf("%s: kubectl %s: %v\n%s", p.name, strings.Join(arguments, " "), err, said)
	}
	return said
}

func kubectl(t *testing.T) string {
	t.Helper()
	path, err := env.Kubectl(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// awaitPolicies waits until the admission policies refuse, and have been there
// for as long as the manager wants before it honours an approval.
func (w *world) awaitPolicies(t *testing.T) {
	t.Helper()
	g := NewWithT(t)
	s := &scene{world: w, as: "none", namespace: metav1.NamespaceDefault}
	g.Eventually(func() bool {
		nobodys := s.newGrant("dry-run", "dry-run", "files:read")
		nobodys.Annotations = nil
		return apierrors.IsInvalid(w.Create(t.Context(), nobodys, client.DryRunAll))
	}, patience, often).Should(BeTrue(), "a grant without an owner is admitted")
	g.Eventually(func() (time.Duration, error) {
		youngest, err := w.youngestPolicy(t)
		return time.Since(youngest), err
	}, patience, often).Should(BeNumerically(">=", policyAge))
}

// youngestPolicy is when the last of the product's policies and bindings came.
func (w *world) youngestPolicy(t *testing.T) (youngest time.Time, err error) {
	t.Helper()
	for _, list := range []client.ObjectList{
		&admissionregistrationv1.ValidatingAdmissionPolicyList{}, &admissionregistrationv1.ValidatingAdmissionPolicyBindingList{},
	} {
		if err := w.List(t.Context(), list); err != nil {
			return youngest, err
		}
		err := meta.EachListItem(list, func(item runtime.Object) error {
			object, err := meta.Accessor(item)
			if err == nil && object.GetCreationTimestamp().After(youngest) {
				youngest = object.GetCreationTimestamp().Time
			}
			return err
		})
		if err != nil {
			return youngest, err
		}
	}
	return youngest, nil
}

// approval is the command by which an owner of the server approves a grant as the
// server shows it, from the page about approvals.
func (w *world) approval(t *testing.T, grant *v1alpha1.ScopeGrant) (command string) {
	t.Helper()
	root, err := env.ModuleRoot()
	if err != nil {
		t.Fatal(err)
	}
	server := &v1alpha1.MCPServer{}
	key := client.ObjectKey{Namespace: grant.ServerNamespace(), Name: grant.Spec.ServerRef.Name}
	NewWithT(t).Eventually(func() bool {
		w.ready(t, grant)()
		if err := w.Get(t.Context(), key, server); err != nil {
			return false
		}
		return slices.ContainsFunc(server.Status.PendingGrants, func(p v1alpha1.PendingGrant) bool {
			end, err := time.Parse(time.RFC3339, grant.Annotations[v1alpha1.AnnotationExpiresAt])
			return err == nil && p.UID == string(grant.UID) && p.Generation == grant.Generation &&
				p.ExpirationTime != nil && p.ExpirationTime.Time.Equal(end.Truncate(time.Second))
		})
	}, patience, often).Should(BeTrue(), "the server does not show the grant as it stands")
	return fmt.Sprintf(`kubectl get mcpserver %s -n %s -o go-template-file=%s | awk 'BEGIN{RS="---\n"} /\n    name: "%s"\n    uid/' | kubectl create -f -`,
		server.Name, server.Namespace, filepath.Join(root, "docs", "examples", "approvals.tmpl"), grant.Name)
}

// approve is the approval of a grant by the command that the page tells.
func (p *person) approve(t *testing.T, w *world, grant *v1alpha1.ScopeGrant) {
	t.Helper()
	command := w.approval(t, grant)
	if said, err := p.shell(t, command); err != nil {
		t.Fatalf("%s: %s: %v\n%s", p.name, command, err, said)
	}
}

// approvals are the decisions about a grant.
func (w *world) approvals(t *testing.T, grant *v1alpha1.ScopeGrant) []v1alpha1.ScopeGrantApproval {
	t.Helper()
	var list v1alpha1.ScopeGrantApprovalList
	if err := w.List(t.Context(), &list, client.InNamespace(grant.ServerNamespace())); err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(list.Items, func(a v1alpha1.ScopeGrantApproval) bool {
		return a.Spec.GrantRef == nil || a.Spec.GrantRef.UID != string(grant.UID)
	})
}

// withdraw deletes what was decided about a grant.
func (p *person) withdraw(t *testing.T, w *world, grant *v1alpha1.ScopeGrant) {
	t.Helper()
	for _, a := range w.approvals(t, grant) {
		p.does(t, "delete", "mcpapproval", "-n", a.Namespace, a.Name)
	}
}

// looked is a decision about a grant as it is, in nobody's name.
func (w *world) looked(t *testing.T, grant *v1alpha1.ScopeGrant, decision v1alpha1.ApprovalDecision) *v1alpha1.ScopeGrantApproval {
	t.Helper()
	var reg v1alpha1.MCPClientRegistration
	var server v1alpha1.MCPServer
	for object, key := range map[client.Object]client.ObjectKey{
		grant: client.ObjectKeyFromObject(grant), &reg: {Namespace: grant.Namespace, Name: grant.Spec.ClientRef.Name},
		&server: {Namespace: grant.ServerNamespace(), Name: grant.Spec.ServerRef.Name},
	} {
		if err := w.Get(t.Context(), key, object); err != nil {
			t.Fatal(err)
		}
	}
	return &v1alpha1.ScopeGrantApproval{
		ObjectMeta: metav1.ObjectMeta{Namespace: server.Namespace, GenerateName: grant.Name + "-"},
		Spec: v1alpha1.ScopeGrantApprovalSpec{
			ServerRef:    v1alpha1.ApprovedServer{Name: server.Name, UID: string(server.UID)},
			GrantRef:     &v1alpha1.ApprovedGrant{Namespace: grant.Namespace, Name: grant.Name, UID: string(grant.UID), Generation: grant.Generation},
			Registration: &v1alpha1.ApprovedRegistration{UID: string(reg.UID), Generation: reg.Generation},
			Digest:       policy.Look(grant, &reg, &server).Digest(),
			ToolsDigest:  policy.ToolsDigest(grant, &server),
			RequestedBy:  cmp.Or(grant.Annotations[v1alpha1.AnnotationRequestedBy], "nobody"), Decision: decision,
		},
	}
}

// beforehand approves a scope for a client before it asks.
func beforehand(namespace, server, clientNamespace, name, scope string, until time.Time) *v1alpha1.ScopeGrantApproval {
	return &v1alpha1.ScopeGrantApproval{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "ScopeGrantApproval"},
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: v1alpha1.ScopeGrantApprovalSpec{
			ServerRef: v1alpha1.ApprovedServer{Name: server}, ClientRef: &v1alpha1.ApprovedClient{Namespace: clientNamespace, Name: name},
			Scopes: []string{scope}, Decision: v1alpha1.DecisionApproved, ExpirationTime: new(metav1.NewTime(until.Truncate(time.Second))),
		},
	}
}

// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
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
	grantApprover:   {Verb: "patch", Resource: "scopegrants", Subresource: "status"},
	serverOwner:     {Verb: "grant", Resource: "mcpservers"},
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

// approval is the command that a grant that waits for approval tells.
func (w *world) approval(t *testing.T, grant *v1alpha1.ScopeGrant) (command string) {
	t.Helper()
	NewWithT(t).Eventually(func() string {
		var reason string
		switch standing := w.ready(t, grant)(); standing {
		case "False/" + v1alpha1.ReasonApprovalRequired, "False/" + v1alpha1.ReasonApprovalUnverified:
			reason = meta.FindStatusCondition(grant.Status.Conditions, v1alpha1.ConditionReady).Message
		default:
			return standing
		}
		_, after, found := strings.Cut(reason, "kubectl patch ")
		if !found {
			return reason
		}
		command = "kubectl patch " + after
		return ""
	}, patience, often).Should(BeEmpty(), "the condition does not say how to approve")
	return command
}

// approve is the approval of a grant by the command that its condition tells.
func (p *person) approve(t *testing.T, w *world, grant *v1alpha1.ScopeGrant) {
	t.Helper()
	command := w.approval(t, grant)
	if said, err := p.shell(t, command); err != nil {
		t.Fatalf("%s: %s: %v\n%s", p.name, command, err, said)
	}
}

// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/test/devas"
	"github.com/mcp-registrar/mcp-registrar/test/env"
)

// TestUpgrade installs the chart with helm, has clients, and upgrades the release:
// nothing is written about what is as it should be.
func TestUpgrade(t *testing.T) {
	plane := env.StartForTest(t, env.Options{ControllerManager: true})
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	if err := plane.Kubeconfig(kubeconfig, plane.Config); err != nil {
		t.Fatal(err)
	}
	installed := &helmRelease{kubeconfig: kubeconfig}
	installed.run(t, "install", "--create-namespace")
	w := startWorldOn(t, plane, renderChart(t))
	as := w.startDevAS(t)
	w.connect(t, "devas", as.Issuer())
	o := newOffice(t, w, as)
	w.awaitPolicies(t)
	elevated, p := o.furnish(t)
	w.settled(t, restful)

	t.Run("with other settings and a new manager", func(t *testing.T) {
		before := o.versions(t)
		calls := changes(as)
		values := []string{"manager.logLevel=error", "manager.concurrentReconciles=8", "commonLabels.platform=registrar", "resources.limits.memory=2Gi"}
		installed.run(t, "upgrade", settings(values)...)
		w.manager.stop(t)
		w.chart = renderChart(t, values...)
		w.startManager(t)
		if arguments := strings.Join(w.manager.cmd.Args, " "); !strings.Contains(arguments, "--concurrent-reconciles=8") {
			t.Fatalf("the manager does not run with the new settings: %s", arguments)
		}
		o.requireNothingWritten(t, calm{calls: calls, versions: before})
	})
	t.Run("without the policies and with them again", func(t *testing.T) { testPoliciesAway(t, o, installed, elevated, p) })
	t.Run("what comes after the upgrades is served", func(t *testing.T) {
		_, later := o.robot(t, "later")
		grant := o.grantOf("later-releases", "later", releaseScope)
		o.asks(t, grant)
		o.olga.approve(t, w, grant)
		o.requireScopes(t, later, readScope, releaseScope)
	})
}

// helmRelease is the product as helm installed it.
type helmRelease struct{ kubeconfig string }

func (r *helmRelease) run(t *testing.T, command string, arguments ...string) {
	t.Helper()
	helm(t, append([]string{
		command, release, "charts/mcp-registrar", "--namespace=" + operatorNamespace, "--kubeconfig=" + r.kubeconfig,
		"--set=image.repository=registry.example.com/mcp-registrar/manager",
	}, arguments...)...)
}

// furnish makes clients of each method. One has a scope that an owner approved: its
// grant and that client are returned.
func (o *office) furnish(t *testing.T) (*v1alpha1.ScopeGrant, party) {
	t.Helper()
	_, p := o.robot(t, "robot")
	elevated := o.grantOf("robot-releases", "robot", releaseScope)
	o.asks(t, elevated)
	o.olga.approve(t, o.world, elevated)
	for _, method := range methods {
		name := "client-" + strings.ReplaceAll(strings.ToLower(string(method)), "_", "-")
		reg := o.newRegistration(name, method)
		o.asks(t, reg, o.grantOf(name, name, readScope))
		o.waitReady(t, reg)
	}
	o.requireScopes(t, p, readScope, releaseScope)
	NewWithT(t).Eventually(o.ready(t, elevated), patience, often).Should(Equal("True/Ready"))
	return elevated, p
}

// testPoliciesAway upgrades to a release without admission policies and back. What
// rests on a decision that they checked ends with them, and needs it again when they
// are back; what does not is left alone.
func testPoliciesAway(t *testing.T, o *office, installed *helmRelease, elevated *v1alpha1.ScopeGrant, p party) {
	g := NewWithT(t)
	untouched := func() map[string]string {
		versions := o.versions(t)
		for key := range versions {
			if strings.HasPrefix(key, team+"/robot ") || strings.HasPrefix(key, team+"/robot-releases ") || strings.HasPrefix(key, billing+"/invoices ") {
				delete(versions, key)
			}
		}
		return versions
	}
	before := untouched()
	for _, enabled := range []bool{false, true} {
		o.as.ResetCounts()
		looks := o.reconciles(t)
		installed.run(t, "upgrade", fmt.Sprintf("--set=admission.enabled=%t", enabled))
		g.Expect(o.hasPolicies(t)).To(Equal(enabled), "policies are there")
		if enabled {
			o.awaitPolicies(t)
		}
		g.Eventually(func() int { return o.reconciles(t) }, patience, often).Should(BeNumerically(">", looks), "the manager took no notice")
		g.Eventually(o.ready(t, elevated), patience, often).Should(Equal("False/" + v1alpha1.ReasonApprovalUnverified))
		o.settled(t, restful)
		o.requireScopes(t, p, readScope)
		g.Expect(untouched()).To(Equal(before))
		g.Expect(o.as.Counts().Total(devas.Register) + o.as.Counts().Total(devas.Delete)).To(BeZero())
		for _, entry := range o.as.Log() {
			g.Expect(entry.Operation == devas.Replace && entry.ClientID != p.id).To(BeFalse(), "a client without approvals was changed")
		}
	}
	o.olga.approve(t, o.world, elevated)
	o.requireScopes(t, p, readScope, releaseScope)
	g.Eventually(o.ready(t, elevated), patience, often).Should(Equal("True/Ready"))
	g.Expect(untouched()).To(Equal(before))
}

// versions are the resource versions of all that people made: any write shows.
func (w *world) versions(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, list := range []client.ObjectList{
		&v1alpha1.AuthorizationServerList{}, &v1alpha1.MCPServerList{}, &v1alpha1.MCPClientRegistrationList{}, &v1alpha1.ScopeGrantList{},
	} {
		if err := w.List(t.Context(), list); err != nil {
			t.Fatal(err)
		}
		err := meta.EachListItem(list, func(item runtime.Object) error {
			object, err := meta.Accessor(item)
			if err == nil {
				found[object.GetNamespace()+"/"+object.GetName()+" "+string(object.GetUID())] = object.GetResourceVersion()
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(found) < 10 {
		t.Fatalf("only %d objects to look at", len(found))
	}
	return found
}

// calm is how things were before something that must not make the manager write.
type calm struct {
	writes, calls tally
	// looks is how often the manager had looked at objects.
	looks    int
	versions map[string]string
}

// requireNothingWritten waits until the manager has looked again at what has to do
// with approvals, and come to rest, and checks that it wrote nothing since, neither
// to the cluster nor to the authorization server.
func (o *office) requireNothingWritten(t *testing.T, before calm) {
	t.Helper()
	NewWithT(t).Eventually(func() int { return o.reconciles(t) }, patience, often).Should(BeNumerically(">", before.looks), "the manager took no notice")
	if added := o.settled(t, restful).minus(before.writes); added.total() != 0 {
		t.Errorf("writes to the cluster: %v", added)
	}
	added := changes(o.as).minus(before.calls)
	delete(added, "read")
	if added.total() != 0 {
		t.Errorf("writing calls of the authorization server: %v", added)
	}
	NewWithT(t).Expect(o.versions(t)).To(Equal(before.versions))
}

// hasPolicies says whether any admission policy of the product is installed.
func (w *world) hasPolicies(t *testing.T) bool {
	t.Helper()
	var policies admissionregistrationv1.ValidatingAdmissionPolicyList
	if err := w.List(t.Context(), &policies); err != nil {
		t.Fatal(err)
	}
	for i := range policies.Items {
		if strings.HasPrefix(policies.Items[i].Name, release+"-") {
			return true
		}
	}
	return false
}

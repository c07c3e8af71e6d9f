// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	authorizationv1 "k8s.io/api/authorization/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/test/env"
)

// elsewhere is a namespace that is watched in the whole cluster only.
const elsewhere = "elsewhere"

// watchMode is one of the ways to say which namespaces are looked after.
type watchMode struct {
	// watched are the namespaces; none means the whole cluster.
	watched []string
	// clients and servers are where the teams are.
	clients, servers string
}

// watching is a release whose namespaces change.
type watching struct {
	*world
	release *helmRelease
	// account talks to the API server as the manager does.
	account client.Client
	// alone are objects in the namespace elsewhere.
	alone []client.Object
}

// TestWatchModes runs one release of the chart on one control plane, upgraded from
// a single namespace to a list of them to the whole cluster.
func TestWatchModes(t *testing.T) {
	v := startWatching(t, "solo", "solo", "invoices", "payments", "team-a", "team-b")
	solo := watchMode{watched: []string{"solo"}, clients: "solo", servers: "solo"}
	o := v.office(t, "solo", solo)
	t.Run("one namespace without admission policies", func(t *testing.T) {
		grant := testNobodyChecked(t, v, o)
		v.switchTo(t, solo.watched...)
		v.waitForAdmission(t)
		testCheckedLater(t, o, grant)
	})
	if t.Failed() {
		t.FailNow()
	}
	t.Run("one namespace", func(t *testing.T) { testMode(t, v, o, solo) })

	own := watchMode{watched: []string{operatorNamespace}, clients: operatorNamespace, servers: operatorNamespace}
	v.switchTo(t, own.watched...)
	o = v.office(t, "own", own)
	t.Run("the namespace of the release", func(t *testing.T) { testMode(t, v, o, own) })

	list := watchMode{watched: []string{"invoices", "payments"}, clients: "payments", servers: "invoices"}
	v.switchTo(t, list.watched...)
	o = v.office(t, "list", list)
	t.Run("a list", func(t *testing.T) { testMode(t, v, o, list) })
	t.Run("the clients' namespace taken out of the list and put back", func(t *testing.T) { testClientsTakenOut(t, v, o, list) })
	t.Run("the servers' namespace taken out of the list and put back", func(t *testing.T) { testServersTakenOut(t, v, o, list) })

	cluster := watchMode{clients: "team-a", servers: "team-b"}
	v.switchTo(t)
	o = v.office(t, "cluster", cluster)
	t.Run("the whole cluster", func(t *testing.T) {
		testMode(t, v, o, cluster)
		for _, object := range v.alone {
			NewWithT(t).Eventually(v.ready(t, object.(conditioned)), patience, often).Should(Equal("True/Ready"), "%T", object)
		}
	})
	v.manager.stop(t)
	requireCleanLog(t, v.manager.log)
}

// startWatching installs the chart without admission policies for one namespace.
func startWatching(t *testing.T, watched string, namespaces ...string) *watching {
	t.Helper()
	plane := env.StartForTest(t, env.Options{ControllerManager: true})
	for _, name := range append(namespaces, elsewhere) {
		if _, err := plane.RunKubectl(t.Context(), "create", "namespace", name); err != nil {
			t.Fatal(err)
		}
	}
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	if err := plane.Kubeconfig(kubeconfig, plane.Config); err != nil {
		t.Fatal(err)
	}
	v := &watching{release: &helmRelease{kubeconfig: kubeconfig}}
	values := append(watchValues(watched), "admission.enabled=false")
	v.release.run(t, "install", append([]string{"--create-namespace"}, settings(values)...)...)
	v.world = startWorldOn(t, plane, renderChart(t, values...))
	account, err := plane.ServiceAccountConfig(t.Context(), operatorNamespace, v.chart.deployment.Spec.Template.Spec.ServiceAccountName)
	if err != nil {
		t.Fatal(err)
	}
	if v.account, err = client.New(account, client.Options{Scheme: v.Scheme()}); err != nil {
		t.Fatal(err)
	}
	v.furnishElsewhere(t)
	return v
}

func watchValues(namespaces ...string) []string {
	if len(namespaces) == 0 {
		return nil
	}
	return []string{"watchNamespaces={" + strings.Join(namespaces, ",") + "}"}
}

// furnishElsewhere makes objects that become Ready as soon as they are watched,
// the server open to all.
func (v *watching) furnishElsewhere(t *testing.T) {
	t.Helper()
	v.connect(t, elsewhere, v.startDevAS(t).Issuer())
	s := &scene{world: v.world, as: elsewhere, namespace: elsewhere}
	server := s.newServer()
	server.Spec.AllowedClients = &v1alpha1.AllowedClients{Namespaces: v1alpha1.NamespacesAll}
	v.alone = []client.Object{server, s.newRegistration("alone", v1alpha1.AuthMethodClientSecretBasic), s.newGrant("alone", "alone", "files:read")}
	v.create(t, v.alone...)
	v.create(t, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: elsewhere, Name: "private"}})
}

// switchTo upgrades the release to other namespaces and starts its manager. That
// of before must have had all the rights that it needed.
func (v *watching) switchTo(t *testing.T, namespaces ...string) {
	t.Helper()
	v.manager.stop(t)
	requireCleanLog(t, v.manager.log)
	values := watchValues(namespaces...)
	v.release.run(t, "upgrade", append([]string{"--reset-values"}, settings(values)...)...)
	v.chart = renderChart(t, values...)
	arguments := v.chart.deployment.Spec.Template.Spec.Containers[0].Args
	said := slices.ContainsFunc(arguments, func(a string) bool { return strings.HasPrefix(a, "--watch-namespaces=") })
	if said != (len(namespaces) > 0) || said && !slices.Contains(arguments, "--watch-namespaces="+strings.Join(namespaces, ",")) {
		t.Fatalf("the arguments of the manager are %v", arguments)
	}
	v.startManager(t)
}

// requireCleanLog checks that the manager was never refused anything, and that
// nothing else failed before it was told to stop.
func requireCleanLog(t *testing.T, path string) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(content), `"level":"info"`) {
		t.Errorf("%s: there is nothing to look at", path)
	}
	stopping := false
	for line := range strings.Lines(string(content)) {
		stopping = stopping || strings.Contains(line, `"msg":"Stopping and waiting`)
		failed := !stopping && strings.Contains(line, `"level":"error"`)
		if failed || strings.Contains(strings.ToLower(line), "forbidden") {
			t.Errorf("the manager's log: %s", line)
		}
	}
}

// office makes the people of a mode, a server, and an authorization server of its
// own. Both admit by labels of namespaces.
func (v *watching) office(t *testing.T, name string, m watchMode) *office {
	t.Helper()
	as := v.startDevAS(t)
	object, server := newAuthorizationServer(name, as.Issuer()), newInvoices(name)
	here := &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: m.clients}}
	object.Spec.AllowedNamespaces = &v1alpha1.AllowedNamespaces{From: v1alpha1.NamespacesSelector, Selector: here}
	server.Spec.AllowedClients = &v1alpha1.AllowedClients{Namespaces: v1alpha1.NamespacesSelector, Selector: here}
	server.Namespace, server.Spec.Resource = m.servers, "https://mcp.example.com/"+name
	v.create(t, object, server)
	NewWithT(t).Eventually(v.ready(t, object), patience, often).Should(Equal("True/Ready"))
	return &office{
		scene: &scene{world: v.world, as: name, namespace: m.clients, server: server}, as: as,
		alice: v.newPerson(t, "alice", map[string]string{clientDeveloper: m.clients}),
		olga:  v.newPerson(t, "olga", map[string]string{serverOwner: m.servers, grantApprover: m.servers}),
	}
}

// grantHere is a grant of scopes of the office's own server.
func (o *office) grantHere(name, registration string, scopes ...v1alpha1.ScopeName) *v1alpha1.ScopeGrant {
	grant := o.grantOf(name, registration, scopes...)
	grant.Spec.ServerRef.Namespace = o.server.Namespace
	return grant
}

// clientHere makes a registration that is Ready with the scope of tier Read.
func (o *office) clientHere(t *testing.T, name string) (*v1alpha1.MCPClientRegistration, party) {
	t.Helper()
	reg := o.newRegistration(name, v1alpha1.AuthMethodClientSecretBasic)
	o.asks(t, reg, o.grantHere(name+"-reads", name, readScope))
	return reg, o.waitReady(t, reg)
}

// testNobodyChecked writes an approval while no policy looks at it.
func testNobodyChecked(t *testing.T, v *watching, o *office) *v1alpha1.ScopeGrant {
	if v.hasPolicies(t) {
		t.Fatal("the admission policies are installed")
	}
	g := NewWithT(t)
	_, p := o.clientHere(t, "robot")
	grant := o.grantHere("releases", "robot", releaseScope)
	o.asks(t, grant)
	g.Eventually(o.ready(t, grant), patience, often).Should(Equal("False/" + v1alpha1.ReasonApprovalRequired))
	if err := o.olga.decide(t, o.world, grant, v1alpha1.DecisionApproved); err != nil {
		t.Fatal(err)
	}
	g.Eventually(o.ready(t, grant), patience, often).Should(Equal("False/" + v1alpha1.ReasonApprovalUnverified))
	o.requireScopes(t, p, readScope)
	return grant
}

// testCheckedLater installs nothing: the policies have come with the upgrade.
// What was written before them never counts, and what is written now does.
func testCheckedLater(t *testing.T, o *office, grant *v1alpha1.ScopeGrant) {
	g := NewWithT(t)
	o.awaitPolicies(t)
	o.settled(t, quiet)
	g.Expect(o.ready(t, grant)()).To(Equal("False/" + v1alpha1.ReasonApprovalUnverified))
	o.remove(t, grant)
	g.Eventually(o.ready(t, grant), patience, often).Should(ContainSubstring("not found"))
	again := o.grantHere("releases", "robot", releaseScope)
	o.asks(t, again)
	o.olga.approve(t, o.world, again)
	g.Eventually(o.ready(t, again), patience, often).Should(Equal("True/Ready"))
}

func testMode(t *testing.T, v *watching, o *office, m watchMode) {
	t.Run("another manager takes over", func(t *testing.T) { testHandover(t, v) })
	t.Run("clients come and go", func(t *testing.T) { testComeAndGo(t, o) })
	t.Run("the account may do no more than it must", func(t *testing.T) { testAccess(t, v, m) })
	if len(m.watched) > 0 {
		t.Run("what is elsewhere is left alone", func(t *testing.T) { testLeftAlone(t, v, o) })
	}
}

// testHandover starts a second manager with the same arguments, and ends the first.
func testHandover(t *testing.T, v *watching) {
	g := NewWithT(t)
	holder := func() string {
		var lease coordinationv1.Lease
		err := v.Get(t.Context(), types.NamespacedName{Namespace: operatorNamespace, Name: "mcp-registrar.dev"}, &lease)
		if err != nil || lease.Spec.HolderIdentity == nil {
			return ""
		}
		return *lease.Spec.HolderIdentity
	}
	g.Eventually(holder, patience, often).ShouldNot(BeEmpty())
	first, before := v.manager, holder()
	v.startManager(t)
	g.Expect(holder()).To(Equal(before), "the second manager did not wait")
	first.stop(t)
	requireCleanLog(t, first.log)
	g.Eventually(holder, patience, often).ShouldNot(Or(BeEmpty(), Equal(before)))
}

// testComeAndGo is the life of three clients: one with an approved scope, which
// is deleted, one that ends by time, and one that stays.
func testComeAndGo(t *testing.T, o *office) {
	g := NewWithT(t)
	reg, p := o.clientHere(t, "served")
	o.requireScopes(t, p, readScope)
	grant := o.grantHere("served-releases", "served", releaseScope)
	o.asks(t, grant)
	o.olga.approve(t, o.world, grant)
	o.requireScopes(t, p, readScope, releaseScope)
	g.Eventually(o.ready(t, grant), patience, often).Should(Equal("True/Ready"))
	g.Expect(grant.Status.Basis).To(Equal(v1alpha1.BasisApproved))
	g.Expect(o.secret(t, secretName(reg)).Type).To(BeEquivalentTo(v1alpha1.SecretTypeCredentials))

	ending, q := o.clientHere(t, "ending")
	o.annotate(t, ending, v1alpha1.AnnotationExpiresAt, instant(time.Now().Add(2*time.Second)))
	o.requireRevoked(t, ending, q, v1alpha1.ReasonExpired, v1alpha1.CauseExpired)
	o.clientHere(t, "staying")
	o.requireEvents(t, corev1.NamespaceDefault, "AuthorizationServer", o.scene.as, v1alpha1.ReasonReady)
	o.requireEvents(t, o.namespace, "MCPClientRegistration", ending.Name, v1alpha1.ReasonReady, v1alpha1.ReasonExpired)
	o.requireEvents(t, o.namespace, "ScopeGrant", grant.Name, v1alpha1.ReasonApprovalRequired, v1alpha1.ReasonReady)

	if err := o.kubectlDelete(t.Context(), reg); err != nil {
		t.Fatal(err)
	}
	g.Expect(p.standing(t)()).To(Equal("invalid_client"))
	err := o.Get(t.Context(), types.NamespacedName{Namespace: o.namespace, Name: secretName(reg)}, &corev1.Secret{})
	g.Expect(apierrors.IsNotFound(err)).To(BeTrue(), "the credentials after the deletion: %v", err)
	o.requireCounted(t)
}

// requireEvents waits for events about an object, which may have gone.
func (o *office) requireEvents(t *testing.T, namespace, kind, name string, reasons ...string) {
	t.Helper()
	NewWithT(t).Eventually(func() ([]string, error) {
		var events eventsv1.EventList
		err := o.List(t.Context(), &events, client.InNamespace(namespace))
		var seen []string
		for i := range events.Items {
			if about := events.Items[i].Regarding; about.Kind == kind && about.Name == name {
				seen = append(seen, events.Items[i].Reason)
			}
		}
		return seen, err
	}, patience, often).Should(ContainElements(reasons), "events about the %s %s", kind, name)
}

// requireCounted waits until the AuthorizationServer has the clients counted that
// there are, all of them accounted for.
func (o *office) requireCounted(t *testing.T) {
	t.Helper()
	object := &v1alpha1.AuthorizationServer{ObjectMeta: metav1.ObjectMeta{Name: o.scene.as}}
	NewWithT(t).Eventually(func() *v1alpha1.ClientCounts {
		o.ready(t, object)()
		return object.Status.Clients
	}, patience, often).Should(HaveValue(Equal(v1alpha1.ClientCounts{Managed: int32(len(o.as.Clients()))})))
	NewWithT(t).Expect(condition(object, v1alpha1.ConditionReady)).To(Equal("True/Ready"))
}

// testAccess asks the API server what the manager's account may do with Secrets
// and with objects of the product, and tries.
func testAccess(t *testing.T, v *watching, m watchMode) {
	everywhere := len(m.watched) == 0
	byName, inBulk := []string{"get", "create", "update", "delete"}, []string{"list", "watch"}
	for _, namespace := range []string{elsewhere, metav1.NamespaceAll} {
		v.requireAccess(t, everywhere, namespace, "", "secrets", byName...)
		v.requireAccess(t, false, namespace, "", "secrets", append(inBulk, "patch", "deletecollection")...)
		for _, resource := range []string{"mcpclientregistrations", "mcpservers", "scopegrants"} {
			v.requireAccess(t, everywhere, namespace, v1alpha1.GroupVersion.Group, resource, "get", "list", "watch", "operate")
		}
	}
	v.requireAccess(t, m.clients == operatorNamespace, m.clients, "", "secrets", inBulk...)
	for _, namespace := range []string{m.clients, operatorNamespace} {
		v.requireAccess(t, true, namespace, "", "secrets", byName...)
	}
	v.requireAccess(t, true, operatorNamespace, "", "secrets", inBulk...)

	var secrets corev1.SecretList
	for _, namespace := range []string{elsewhere, metav1.NamespaceAll} {
		if err := v.account.List(t.Context(), &secrets, client.InNamespace(namespace)); !apierrors.IsForbidden(err) {
			t.Errorf("listing Secrets in namespace %q: got error %v, want forbidden", namespace, err)
		}
	}
	err := v.account.Get(t.Context(), types.NamespacedName{Namespace: elsewhere, Name: "private"}, &corev1.Secret{})
	if everywhere != (err == nil) || err != nil && !apierrors.IsForbidden(err) {
		t.Errorf("reading a Secret elsewhere: %v", err)
	}
}

// requireAccess asks the API server about verbs as the manager's account.
func (v *watching) requireAccess(t *testing.T, want bool, namespace, group, resource string, verbs ...string) {
	t.Helper()
	for _, verb := range verbs {
		review := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{
			ResourceAttributes: &authorizationv1.ResourceAttributes{Namespace: namespace, Group: group, Resource: resource, Verb: verb},
		}}
		if err := v.account.Create(t.Context(), review); err != nil {
			t.Fatal(err)
		}
		if review.Status.Allowed != want {
			t.Errorf("%s %s in namespace %q: allowed is %t, want %t", verb, resource, namespace, review.Status.Allowed, want)
		}
	}
}

// testLeftAlone has a client here ask for a scope of a server elsewhere, and then
// looks at all that is there.
func testLeftAlone(t *testing.T, v *watching, o *office) {
	g := NewWithT(t)
	clients := len(o.as.Clients())
	reg, grant := o.newRegistration("stray", v1alpha1.AuthMethodClientSecretBasic), o.newGrant("stray", "stray", "files:read")
	grant.Spec.ServerRef = v1alpha1.ServerReference{Name: "files", Namespace: elsewhere}
	o.asks(t, reg, grant)
	g.Eventually(o.ready(t, grant), patience, often).Should(Equal("False/" + v1alpha1.ReasonServerNotWatched))
	g.Eventually(o.ready(t, reg), patience, often).Should(Equal("False/" + v1alpha1.ReasonNoGrantInForce))
	o.settled(t, restful)
	g.Expect(o.as.Clients()).To(HaveLen(clients), "a client was registered")
	o.remove(t, grant)
	if err := o.kubectlDelete(t.Context(), reg); err != nil {
		t.Fatal(err)
	}
	v.requireUntouched(t, v.alone...)
}

// requireUntouched checks that objects are as they were.
func (v *watching) requireUntouched(t *testing.T, objects ...client.Object) {
	t.Helper()
	for _, before := range objects {
		now := before.DeepCopyObject().(client.Object)
		if err := v.Get(t.Context(), client.ObjectKeyFromObject(before), now); err != nil {
			t.Fatal(err)
		}
		if now.GetResourceVersion() != before.GetResourceVersion() {
			t.Errorf("%T %s was written: %+v", now, now.GetName(), now)
		}
	}
}

// testClientsTakenOut stops watching the namespace of the clients for a while, in
// which one of them comes to its end and another one is deleted.
func testClientsTakenOut(t *testing.T, v *watching, o *office, m watchMode) {
	g := NewWithT(t)
	kept, keptParty := o.clientHere(t, "kept")
	lapsing, lapsingParty := o.clientHere(t, "lapsing")
	doomed, doomedParty := o.clientHere(t, "doomed")
	o.settled(t, quiet)
	g.Expect(o.ready(t, kept)()).To(Equal("True/Ready"))
	v.switchTo(t, m.servers)
	end := time.Now().Add(2 * time.Second).Truncate(time.Second)
	o.annotate(t, lapsing, v1alpha1.AnnotationExpiresAt, instant(end))
	o.remove(t, doomed)
	for _, reg := range []*v1alpha1.MCPClientRegistration{lapsing, doomed} {
		o.ready(t, reg)()
	}
	o.requireStillCounted(t, m.servers)
	g.Eventually(time.Now, patience, often).Should(BeTemporally(">", end.Add(time.Second)))
	v.requireUntouched(t, kept, lapsing, doomed)
	for _, p := range []party{keptParty, lapsingParty, doomedParty} {
		g.Expect(p.standing(t)()).To(Equal("known"))
	}

	v.switchTo(t, m.watched...)
	o.requireRevoked(t, lapsing, lapsingParty, v1alpha1.ReasonExpired, v1alpha1.CauseExpired)
	g.Eventually(o.ready(t, doomed), patience, often).Should(ContainSubstring("not found"))
	g.Expect(doomedParty.standing(t)()).To(Equal("invalid_client"))
	g.Expect(o.waitReady(t, kept)).To(Equal(keptParty))
	o.requireCounted(t)
}

// requireStillCounted has a client come in a namespace that is watched, at the
// authorization server of those that are not: all are counted.
func (o *office) requireStillCounted(t *testing.T, watched string) {
	t.Helper()
	before := len(o.as.Clients())
	object := &v1alpha1.AuthorizationServer{ObjectMeta: metav1.ObjectMeta{Name: o.scene.as}}
	everybody := client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"allowedNamespaces":{"from":"All","selector":null}}}`))
	if err := o.Patch(t.Context(), object, everybody); err != nil {
		t.Fatal(err)
	}
	here := &scene{world: o.world, as: o.scene.as, namespace: watched}
	here.server = here.newServer()
	o.create(t, here.server)
	here.registered(t, "neighbour", v1alpha1.AuthMethodClientSecretBasic)
	if now := len(o.as.Clients()); now != before+1 {
		t.Errorf("the authorization server has %d clients, want %d", now, before+1)
	}
	o.requireCounted(t)
	o.settled(t, restful)
	o.requireCounted(t)
}

// testServersTakenOut stops watching the namespace of the servers for a while: what
// has been given is kept, and ends at its time.
func testServersTakenOut(t *testing.T, v *watching, o *office, m watchMode) {
	g := NewWithT(t)
	kept, keptParty := o.clientHere(t, "held")
	ending, endingParty := o.clientHere(t, "held-to-end")
	doomed, doomedParty := o.clientHere(t, "held-to-go")
	v.switchTo(t, m.clients)
	for _, reg := range []*v1alpha1.MCPClientRegistration{kept, ending, doomed} {
		g.Eventually(o.ready(t, reg), patience, often).Should(Equal("Unknown/" + v1alpha1.ReasonServerNotWatched))
	}
	o.annotate(t, ending, v1alpha1.AnnotationExpiresAt, instant(time.Now().Add(2*time.Second)))
	o.requireRevoked(t, ending, endingParty, v1alpha1.ReasonExpired, v1alpha1.CauseExpired)
	if err := o.kubectlDelete(t.Context(), doomed); err != nil {
		t.Fatal(err)
	}
	g.Expect(doomedParty.standing(t)()).To(Equal("invalid_client"))
	g.Expect(keptParty.standing(t)()).To(Equal("known"))
	g.Expect(keptParty.ask(t, readScope, o.server.Spec.Resource).Error).To(BeEmpty())

	v.switchTo(t, m.watched...)
	g.Expect(o.waitReady(t, kept)).To(Equal(keptParty))
	o.requireCounted(t)
}

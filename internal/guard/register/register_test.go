// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package register_test

import (
	"context"
	"encoding/json"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"

	. "github.com/onsi/gomega"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/guard"
	"github.com/mcp-registrar/mcp-registrar/internal/guard/register"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
	"github.com/mcp-registrar/mcp-registrar/test/env"
)

const (
	patience = 2 * time.Minute
	often    = 5 * time.Millisecond
	// renewedTwice is the least that it takes until a Lease that is written without
	// any news is written three times.
	renewedTwice = 20 * time.Second
	// fresh is the age that a register in contact does not reach.
	fresh = 5 * time.Second
)

// world is a cluster with the kinds of the product and nobody who writes status
// but the tests.
type world struct {
	client.Client
	plane *env.ControlPlane
}

func newWorld(t *testing.T) *world {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	plane := env.StartForTest(t, env.Options{CRDs: true})
	admin, err := client.New(plane.Config, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	return &world{Client: admin, plane: plane}
}

func (w *world) create(t *testing.T, objects ...client.Object) {
	t.Helper()
	for _, object := range objects {
		if err := w.Create(t.Context(), object); err != nil {
			t.Fatal(err)
		}
	}
}

// namespace makes a namespace with an authorization server and a server "files".
func (w *world) namespace(t *testing.T, name string) {
	t.Helper()
	w.create(t, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, authorizationServer("as-"+name), server(name, "as-"+name))
}

func authorizationServer(name string) *v1alpha1.AuthorizationServer {
	return &v1alpha1.AuthorizationServer{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: v1alpha1.AuthorizationServerSpec{
			Issuer: "https://" + name + ".example.com", DynamicRegistration: &v1alpha1.DynamicRegistration{},
			AllowedNamespaces: &v1alpha1.AllowedNamespaces{From: v1alpha1.NamespacesAll}, AllowedServers: &v1alpha1.AllowedNamespaces{From: v1alpha1.NamespacesAll},
		},
	}
}

func server(namespace, as string) *v1alpha1.MCPServer {
	return &v1alpha1.MCPServer{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "files", Annotations: identity()},
		Spec: v1alpha1.MCPServerSpec{
			Resource:               "https://mcp.example.com/files",
			AuthorizationServerRef: v1alpha1.AuthorizationServerReference{Name: as},
			Scopes:                 []v1alpha1.Scope{{Name: "files:read", Tier: v1alpha1.TierRead, Tools: []string{"read"}}},
		},
	}
}

func identity() map[string]string {
	return map[string]string{
		v1alpha1.AnnotationOwner:     "team@example.com",
		v1alpha1.AnnotationExpiresAt: time.Now().Add(time.Hour).UTC().Format(time.RFC3339),
	}
}

// register makes a registration with a finalizer and a grant, and has them say
// what the operator says when the client exists.
func (w *world) register(t *testing.T, namespace, name string) *v1alpha1.MCPClientRegistration {
	t.Helper()
	reg := &v1alpha1.MCPClientRegistration{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Annotations: identity(), Finalizers: []string{v1alpha1.Finalizer}},
		Spec: v1alpha1.MCPClientRegistrationSpec{
			AuthorizationServerRef: v1alpha1.AuthorizationServerReference{Name: "as-" + namespace},
			ClientName:             name, ApplicationType: v1alpha1.ApplicationWeb,
			GrantTypes:              []v1alpha1.GrantType{v1alpha1.GrantClientCredentials},
			TokenEndpointAuthMethod: v1alpha1.AuthMethodPrivateKeyJWT,
		},
	}
	grant := &v1alpha1.ScopeGrant{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name + "-files", Annotations: identity()},
		Spec: v1alpha1.ScopeGrantSpec{
			ClientRef: v1alpha1.LocalReference{Name: name}, ServerRef: v1alpha1.ServerReference{Name: "files"},
			Scopes: []v1alpha1.ScopeName{"files:read"},
		},
	}
	w.create(t, reg, grant)
	reg.Status.ClientID = "id-" + name
	reg.Status.Scopes = []v1alpha1.EffectiveScope{{Name: "files:read", Grants: []string{grant.Name}}}
	grant.Status.Basis, grant.Status.ObservedGeneration = v1alpha1.BasisAutomatic, grant.Generation
	for _, object := range []client.Object{reg, grant} {
		if err := w.Status().Update(t.Context(), object); err != nil {
			t.Fatal(err)
		}
	}
	return reg
}

// started runs a register until the test ends, or until stop is called.
func (w *world) started(t *testing.T, o register.Options, changed ...func(*register.Register, guard.Change)) (r *register.Register, stop func()) {
	t.Helper()
	return w.startedBy(t, w.plane.Config, o, changed...)
}

func (w *world) startedBy(t *testing.T, config *rest.Config, o register.Options, changed ...func(*register.Register, guard.Change)) (r *register.Register, stop func()) {
	t.Helper()
	o.Clock = clock.RealClock{}
	if o.MaxStaleness == 0 {
		o.MaxStaleness = time.Minute
	}
	if o.Log.GetSink() == nil {
		o.Log = logr.Discard()
	}
	r, err := register.New(config, o)
	if err != nil {
		t.Fatal(err)
	}
	for _, changed := range changed {
		r.OnChange(func(change guard.Change) { changed(r, change) })
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return r, stop
}

func complete(r *register.Register) func() bool {
	return func() bool {
		age, complete := r.Age()
		return complete && age < fresh
	}
}

// call is what policy says to a call of a client at the server "files".
func call(r *register.Register, namespace, clientID string) policy.Refusal {
	server, known := r.Server(guard.ServerName{Namespace: namespace, Name: "files"})
	if !known {
		return "ServerUnknown"
	}
	facts := policy.CallFacts{Server: server.ServerEntry, Scopes: []string{"files:read"}, Tool: "read"}
	if facts.Clients = r.Clients(server.AuthorizationServer, clientID); len(facts.Clients) == 1 {
		facts.Grants = r.Grants(facts.Clients[0])
	}
	facts.Denials = r.Denials(server, clientID)
	return policy.Call(facts, time.Now()).Refusal
}

func TestRegisterAgainstAnAPIServer(t *testing.T) {
	w := newWorld(t)
	t.Run("what is deleted is refused at once and the Lease says so", func(t *testing.T) { testDeletion(t, w) })
	t.Run("a server that comes later is followed, and one that moves", func(t *testing.T) { testLateServer(t, w) })
	t.Run("only the namespaces that are named are followed", func(t *testing.T) { testNamespaces(t, w) })
	t.Run("an API server that cannot select says how to help", func(t *testing.T) { testUnselectable(t, w) })
	t.Run("a connection that carries nothing any more is found and replaced", func(t *testing.T) { testSilence(t, w) })
	t.Run("away from the API server it answers on, ages, and comes back", func(t *testing.T) { testOutage(t, w) })
}

func testDeletion(t *testing.T, w *world) {
	g := NewWithT(t)
	w.namespace(t, "deletion")
	kept, gone := w.register(t, "deletion", "kept"), w.register(t, "deletion", "gone")
	later := []*v1alpha1.MCPClientRegistration{w.register(t, "deletion", "later"), w.register(t, "deletion", "last")}
	// told is what was known of the client when its change was told.
	told := make(chan policy.Refusal, 100)
	r, stop := w.started(t, register.Options{
		Servers:  []guard.ServerName{{Namespace: "deletion", Name: "files"}},
		Identity: "Guard_0", LeaseNamespace: "deletion", PodName: "guard-0", PodUID: "0b7a9c1d", MaxStaleness: 90 * time.Second,
	}, func(r *register.Register, change guard.Change) {
		if change == (guard.Change{AuthorizationServer: "as-deletion", ClientID: "id-gone"}) {
			told <- call(r, "deletion", "id-gone")
		}
	})
	g.Eventually(complete(r), patience, often).Should(BeTrue())
	g.Expect(call(r, "deletion", "id-gone")).To(BeEmpty())
	g.Expect(r.Stats()).To(And(HaveField("Clients", 4), HaveField("Grants", 4), HaveField("Complete", true)))
	deleting := time.Now()
	if err := w.Delete(t.Context(), gone); err != nil {
		t.Fatal(err)
	}
	deleted := time.Now()
	g.Eventually(func() policy.Refusal { return call(r, "deletion", "id-gone") }, patience, time.Millisecond).Should(Equal(policy.RefusedRevoked))
	felt := time.Since(deleted)
	if err := w.Get(t.Context(), client.ObjectKeyFromObject(gone), gone); err != nil {
		t.Fatal(err)
	}
	lease := &coordinationv1.Lease{}
	g.Eventually(func() int { return w.seen(t, lease, gone) }, patience, often).Should(BeNumerically(">=", 0))
	t.Logf("refused after %s, acknowledged after %s", felt, time.Since(deleted))
	for _, reg := range later {
		if err := w.Delete(t.Context(), reg); err != nil {
			t.Fatal(err)
		}
		if err := w.Get(t.Context(), client.ObjectKeyFromObject(reg), reg); err != nil {
			t.Fatal(err)
		}
		g.Eventually(func() int { return w.seen(t, lease, reg) }, patience, often).Should(BeNumerically(">=", 0))
	}
	g.Expect(time.Since(deleted)).To(BeNumerically("<", renewedTwice), "three times")
	g.Eventually(told, patience).Should(Receive(Equal(policy.RefusedRevoked)))
	g.Expect(call(r, "deletion", "id-kept")).To(BeEmpty(), kept.Name)
	g.Expect(lease.Labels).To(HaveKeyWithValue(v1alpha1.LabelGuard, "true"))
	g.Expect(lease.Annotations).To(HaveKeyWithValue(v1alpha1.AnnotationGuards, "deletion/files"))
	g.Expect(lease.OwnerReferences).To(ConsistOf(metav1.OwnerReference{APIVersion: "v1", Kind: "Pod", Name: "guard-0", UID: "0b7a9c1d"}))
	g.Expect(*lease.Spec.HolderIdentity).To(Equal("Guard_0"))
	g.Expect(*lease.Spec.LeaseDurationSeconds).To(BeEquivalentTo(90 + 13))
	g.Expect(lease.Spec.RenewTime.Time).To(And(BeTemporally(">=", deleting.Truncate(time.Microsecond)), BeTemporally("<=", time.Now())))
	stop()
	g.Expect(apierrors.IsNotFound(w.Get(t.Context(), client.ObjectKeyFromObject(lease), lease))).To(BeTrue())
}

// seen compares what the Lease says with the version of an object: -1 when it is
// behind.
func (w *world) seen(t *testing.T, lease *coordinationv1.Lease, reg *v1alpha1.MCPClientRegistration) int {
	t.Helper()
	var leases coordinationv1.LeaseList
	if err := w.List(t.Context(), &leases, client.InNamespace(reg.Namespace)); err != nil {
		t.Fatal(err)
	}
	if len(leases.Items) == 0 {
		return -1
	}
	leases.Items[0].DeepCopyInto(lease)
	var seen map[string]string
	if err := json.Unmarshal([]byte(lease.Annotations[v1alpha1.AnnotationSeen]), &seen); err != nil {
		t.Fatal(err)
	}
	order, err := resourceversion.CompareResourceVersion(seen["as-"+reg.Namespace], reg.ResourceVersion)
	if err != nil {
		t.Fatal(err)
	}
	return order
}

func testLateServer(t *testing.T, w *world) {
	g := NewWithT(t)
	w.namespace(t, "early")
	w.create(t, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "late"}})
	r, _ := w.started(t, register.Options{Servers: []guard.ServerName{
		{Namespace: "early", Name: "files"}, {Namespace: "late", Name: "files"},
	}})
	g.Eventually(complete(r), patience, often).Should(BeTrue())
	g.Expect(call(r, "late", "id-app")).To(BeEquivalentTo("ServerUnknown"))
	late := server("late", "as-late")
	w.create(t, late, authorizationServer("as-late"))
	w.register(t, "late", "app")
	g.Eventually(func() policy.Refusal { return call(r, "late", "id-app") }, patience, often).Should(BeEmpty())
	if err := w.Delete(t.Context(), late); err != nil {
		t.Fatal(err)
	}
	g.Eventually(func() policy.Refusal { return call(r, "late", "id-app") }, patience, often).Should(BeEquivalentTo("ServerUnknown"))
	g.Eventually(func() int { return r.Stats().Clients }, patience, often).Should(BeZero())
	w.create(t, server("late", "as-early"))
	g.Eventually(func() policy.Refusal { return call(r, "late", "id-app") }, patience, often).Should(Equal(policy.RefusedUnknownClient))
	server, known := r.Server(guard.ServerName{Namespace: "late", Name: "files"})
	g.Expect(known).To(BeTrue())
	g.Expect(server.Issuer).To(Equal("https://as-early.example.com"))
	g.Eventually(complete(r), patience, often).Should(BeTrue())
}

func testNamespaces(t *testing.T, w *world) {
	g := NewWithT(t)
	w.namespace(t, "inside")
	w.namespace(t, "outside")
	w.register(t, "inside", "app")
	w.register(t, "outside", "app")
	r, _ := w.started(t, register.Options{
		Servers:    []guard.ServerName{{Namespace: "inside", Name: "files"}, {Namespace: "outside", Name: "files"}},
		Namespaces: []string{"inside", "default"},
	})
	g.Eventually(complete(r), patience, often).Should(BeTrue())
	g.Expect(call(r, "inside", "id-app")).To(BeEmpty())
	g.Expect(call(r, "outside", "id-app")).To(Equal(policy.RefusedUnknownClient))
	g.Expect(r.Stats()).To(And(HaveField("Clients", 1), HaveField("Grants", 1)))
}

// testUnselectable takes the selectable fields from a CRD and gives them back.
func testUnselectable(t *testing.T, w *world) {
	g := NewWithT(t)
	w.namespace(t, "unselectable")
	const crd = "mcpclientregistrations.mcp-registrar.dev"
	fields, err := w.plane.RunKubectl(t.Context(), "get", "crd", crd, "-o", "jsonpath={.spec.versions[0].selectableFields}")
	if err != nil {
		t.Fatal(err)
	}
	patch := func(operation string) {
		if _, err := w.plane.RunKubectl(t.Context(), "patch", "crd", crd, "--type=json", "-p", operation); err != nil {
			t.Fatal(err)
		}
	}
	patch(`[{"op":"remove","path":"/spec/versions/0/selectableFields"}]`)
	defer patch(`[{"op":"add","path":"/spec/versions/0/selectableFields","value":` + fields + `}]`)
	selecting := func() error {
		return w.List(t.Context(), &v1alpha1.MCPClientRegistrationList{}, client.MatchingFields{"spec.authorizationServerRef.name": "x"})
	}
	g.Eventually(selecting, patience, often).Should(MatchError(ContainSubstring("field label not supported")))
	r, err := register.New(w.plane.Config, register.Options{
		Servers: []guard.ServerName{{Namespace: "unselectable", Name: "files"}}, Clock: clock.RealClock{}, Log: logr.Discard(),
	})
	if err != nil {
		t.Fatal(err)
	}
	g.Expect(r.Run(t.Context())).To(MatchError(ContainSubstring("Kubernetes 1.32 or later")))
}

func testOutage(t *testing.T, w *world) {
	g := NewWithT(t)
	w.namespace(t, "outage")
	before, during := w.register(t, "outage", "before"), "id-before"
	r, _ := w.started(t, register.Options{Servers: []guard.ServerName{{Namespace: "outage", Name: "files"}}})
	g.Eventually(complete(r), patience, often).Should(BeTrue())
	if err := w.plane.KillAPIServer(t.Context()); err != nil {
		t.Fatal(err)
	}
	const bound = 4 * time.Second
	g.Eventually(func() time.Duration { age, _ := r.Age(); return age }, patience, often).Should(BeNumerically(">", bound))
	g.Expect(call(r, "outage", during)).To(BeEmpty())
	if err := w.plane.StartAPIServer(t.Context()); err != nil {
		t.Fatal(err)
	}
	g.Eventually(func() time.Duration { age, _ := r.Age(); return age }, patience, often).Should(BeNumerically("<", time.Second))
	if err := w.Delete(t.Context(), before); err != nil {
		t.Fatal(err)
	}
	g.Eventually(func() policy.Refusal { return call(r, "outage", during) }, patience, often).Should(Equal(policy.RefusedRevoked))
}

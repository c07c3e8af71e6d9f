// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package chart

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/controllers"
	"github.com/mcp-registrar/mcp-registrar/internal/audit"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/connect"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/instrumented"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
	"github.com/mcp-registrar/mcp-registrar/test/devas"
	"github.com/mcp-registrar/mcp-registrar/test/env"
)

const (
	readScope = "invoices:read"
	payScope  = "invoices:pay"
)

// governed is a cluster with what the chart installs and the operator at work as its
// account. Nobody in it is of system:masters but who prepares it.
type governed struct {
	plane *env.ControlPlane
	as    *devas.Server
	// looks reads what there is, for the test.
	looks  client.Client
	scheme *runtime.Scheme
}

// newGoverned is a cluster in which the chart's roles are part of the cluster's own, too,
// with the bindings of docs/helm.md.
func newGoverned(t *testing.T) *governed {
	t.Helper()
	g := &governed{plane: env.StartForTest(t, env.Options{CRDs: true, ControllerManager: true}), scheme: runtime.NewScheme()}
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(g.scheme); err != nil {
			t.Fatal(err)
		}
	}
	g.looks = g.client(t, g.plane.Config)
	createNamespaces(t, g.plane, namespace, "invoices", "payments", "rogue")
	rendered := mustTemplate(t, "1.37.0", "--set=rbac.roles.aggregateToDefaultRoles=true", "--show-only=templates/roles.yaml",
		"--show-only=templates/admission.yaml", "--show-only=templates/rbac.yaml", "--show-only=templates/serviceaccount.yaml")
	if err := g.plane.Apply(t.Context(), written(t, rendered), filepath.Join(testdata(t), "bindings.yaml")); err != nil {
		t.Fatal(err)
	}
	installed := time.Now()
	var err error
	if g.as, err = devas.New(devas.Options{}); err != nil {
		t.Fatal(err)
	}
	if err := g.as.Start(context.WithoutCancel(t.Context())); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.as.Close(); err != nil {
			t.Error(err)
		}
	})
	waitForPolicies(t, g.person(t, "dora", "team-payments"))
	g.operate(t)
	g.furnish(t)
	// What is approved counts from ten seconds after the policies came.
	g.soon(t, "the policies are old enough", func() error { return younger(installed, 12*time.Second) })
	return g
}

func younger(than time.Time, age time.Duration) error {
	if is := time.Since(than); is < age {
		return fmt.Errorf("only %s", is)
	}
	return nil
}

func (g *governed) client(t *testing.T, config *rest.Config) client.Client {
	t.Helper()
	c, err := client.New(config, client.Options{Scheme: g.scheme})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// person is a user in some groups.
func (g *governed) person(t *testing.T, name string, groups ...string) client.Client {
	t.Helper()
	return g.client(t, g.identity(t, name, groups...))
}

func (g *governed) identity(t *testing.T, name string, groups ...string) *rest.Config {
	t.Helper()
	config, err := g.plane.UserConfig(name, groups...)
	if err != nil {
		t.Fatal(err)
	}
	return config
}

// operate starts the operator with the token of its account.
func (g *governed) operate(t *testing.T) {
	t.Helper()
	ctrl.SetLogger(logr.Discard())
	account, err := g.plane.ServiceAccountConfig(t.Context(), namespace, release)
	if err != nil {
		t.Fatal(err)
	}
	account.QPS = -1
	mgr, err := ctrl.NewManager(account, manager.Options{
		Scheme: g.scheme, Metrics: metricsserver.Options{BindAddress: "0"}, HealthProbeBindAddress: "0",
		Controller: config.Controller{SkipNameValidation: new(true)},
		Cache: cache.Options{ByObject: map[client.Object]cache.ByObject{
			&corev1.Secret{}: {Namespaces: map[string]cache.Config{namespace: {}}},
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	now, registry := clock.RealClock{}, prometheus.NewRegistry()
	measured, err := instrumented.NewMetrics(registry, now.Now)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	if err := controllers.Setup(ctx, mgr, controllers.Options{
		Clock: now, Connector: connect.New(connect.Options{Metrics: measured, Now: now.Now}),
		Metrics: controllers.NewMetrics(registry), Audit: audit.Discard, Namespace: namespace, Cluster: "cluster-uid", Workers: 4,
	}); err != nil {
		t.Fatal(err)
	}
	stopped := make(chan error, 1)
	go func() { stopped <- mgr.Start(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-stopped; err != nil {
			t.Error(err)
		}
	})
}

// furnish has the platform team connect the authorization server, and a server team
// describe its server.
func (g *governed) furnish(t *testing.T) {
	t.Helper()
	everywhere := &v1alpha1.AllowedNamespaces{From: v1alpha1.NamespacesAll}
	g.creates(t, g.person(t, "paul", "platform-team"), &v1alpha1.AuthorizationServer{
		ObjectMeta: metav1.ObjectMeta{Name: "company"},
		Spec: v1alpha1.AuthorizationServerSpec{
			Issuer: g.as.Issuer(), DynamicRegistration: &v1alpha1.DynamicRegistration{}, AllowedNamespaces: everywhere, AllowedServers: everywhere,
		},
	})
	g.creates(t, g.person(t, "otto", "team-invoices"), serverOf("invoices", "invoices", "https://mcp.example.com/invoices", v1alpha1.TierRead))
}

// serverOf is a server that approves some tiers by itself.
func serverOf(in, name, resource string, open ...v1alpha1.Tier) *v1alpha1.MCPServer {
	return &v1alpha1.MCPServer{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: in, Annotations: map[string]string{v1alpha1.AnnotationOwner: "team-" + in + "@example.com"}},
		Spec: v1alpha1.MCPServerSpec{
			Resource: resource, AuthorizationServerRef: v1alpha1.AuthorizationServerReference{Name: "company"},
			Scopes:         []v1alpha1.Scope{{Name: readScope, Tier: v1alpha1.TierRead}, {Name: payScope, Tier: v1alpha1.TierElevated}},
			AllowedClients: &v1alpha1.AllowedClients{Namespaces: v1alpha1.NamespacesAll},
			Grants:         &v1alpha1.GrantPolicy{AutoApprovedTiers: &open},
		},
	}
}

// interactive is a client of a person, without a secret.
func interactive(name string) *v1alpha1.MCPClientRegistration {
	reg := registration(name)
	reg.Spec.ApplicationType, reg.Spec.TokenEndpointAuthMethod = v1alpha1.ApplicationNative, v1alpha1.AuthMethodNone
	reg.Spec.GrantTypes = []v1alpha1.GrantType{v1alpha1.GrantAuthorizationCode}
	reg.Spec.RedirectURIs = []v1alpha1.RedirectURI{"http://127.0.0.1/callback"}
	return reg
}

// granting is a grant of a scope for a client.
func granting(name, to string, scope v1alpha1.ScopeName) *v1alpha1.ScopeGrant {
	asked := grant(name)
	asked.Spec.ClientRef.Name, asked.Spec.Scopes = to, []v1alpha1.ScopeName{scope}
	return asked
}

func (g *governed) creates(t *testing.T, by client.Client, objects ...client.Object) {
	t.Helper()
	for _, object := range objects {
		g.soon(t, fmt.Sprintf("creating %T %s", object, object.GetName()), func() error {
			return by.Create(t.Context(), object)
		})
	}
}

// soon waits until there is no error: rights and policies are taken up a little later.
func (g *governed) soon(t *testing.T, what string, check func() error) {
	t.Helper()
	var last error
	err := wait.PollUntilContextTimeout(t.Context(), 100*time.Millisecond, time.Minute, true, func(context.Context) (bool, error) {
		last = check()
		return last == nil, nil
	})
	if err != nil {
		t.Fatalf("%s: %v: %v", what, err, last)
	}
}

// shown is the decision that the server shows its owners the numbers for, once it shows
// the grant and its client as they are.
func (g *governed) shown(t *testing.T, by client.Client, asked *v1alpha1.ScopeGrant) *v1alpha1.ScopeGrantApproval {
	t.Helper()
	server, reg := &v1alpha1.MCPServer{}, &v1alpha1.MCPClientRegistration{}
	var p v1alpha1.PendingGrant
	g.soon(t, asked.Name+" is shown", func() error {
		if err := by.Get(t.Context(), client.ObjectKey{Namespace: "invoices", Name: asked.Spec.ServerRef.Name}, server); err != nil {
			return err
		}
		for object, name := range map[client.Object]string{asked: asked.Name, reg: asked.Spec.ClientRef.Name} {
			if err := g.looks.Get(t.Context(), client.ObjectKey{Namespace: "payments", Name: name}, object); err != nil {
				return err
			}
		}
		is := v1alpha1.ApprovedRegistration{UID: string(reg.UID), Generation: reg.Generation}
		at := slices.IndexFunc(server.Status.PendingGrants, func(p v1alpha1.PendingGrant) bool {
			return p.UID == string(asked.UID) && p.Generation == asked.Generation && p.Registration == is && p.Digest == policy.Look(asked, reg, server).Digest()
		})
		if at < 0 {
			return fmt.Errorf("%s waits, and these are shown: %+v", ready(asked), server.Status.PendingGrants)
		}
		p = server.Status.PendingGrants[at]
		return nil
	})
	return &v1alpha1.ScopeGrantApproval{
		ObjectMeta: metav1.ObjectMeta{Namespace: server.Namespace, GenerateName: asked.Name + "-"},
		Spec: v1alpha1.ScopeGrantApprovalSpec{
			ServerRef:    v1alpha1.ApprovedServer{Name: server.Name, UID: string(server.UID)},
			GrantRef:     &v1alpha1.ApprovedGrant{Namespace: p.Namespace, Name: p.Name, UID: p.UID, Generation: p.Generation},
			Registration: &p.Registration, Digest: p.Digest, ToolsDigest: p.ToolsDigest, RequestedBy: p.RequestedBy, Decision: v1alpha1.DecisionApproved,
		},
	}
}

// stands waits until a grant says something, and its client has just these scopes at the
// authorization server.
func (g *governed) stands(t *testing.T, asked *v1alpha1.ScopeGrant, want, says string, scopes ...string) {
	t.Helper()
	reg := &v1alpha1.MCPClientRegistration{}
	g.soon(t, asked.Name, func() error {
		if err := g.looks.Get(t.Context(), client.ObjectKeyFromObject(asked), asked); err != nil {
			return err
		}
		if said := ready(asked); !strings.HasPrefix(said, want+": ") || !strings.Contains(said, says) {
			return fmt.Errorf("%s, want %s with %q", said, want, says)
		}
		if err := g.looks.Get(t.Context(), client.ObjectKey{Namespace: asked.Namespace, Name: asked.Spec.ClientRef.Name}, reg); err != nil {
			return err
		}
		var has []string
		for _, c := range g.as.Clients() {
			if c.ID == reg.Status.ClientID {
				has = slices.Sorted(slices.Values(strings.Fields(c.Scope)))
			}
		}
		if !slices.Equal(has, scopes) {
			return fmt.Errorf("client %q has %q, want %q", reg.Status.ClientID, has, scopes)
		}
		return nil
	})
}

// ready is what a grant says of itself.
func ready(asked *v1alpha1.ScopeGrant) string {
	c := apimeta.FindStatusCondition(asked.Status.Conditions, v1alpha1.ConditionReady)
	if c == nil {
		return "nothing"
	}
	return string(c.Status) + "/" + c.Reason + ": " + c.Message
}

// binds gives a user a ClusterRole in a namespace; everywhere for none.
func (g *governed) binds(t *testing.T, who, in, role string) {
	t.Helper()
	object := metav1.ObjectMeta{Name: who + "-" + role, Namespace: in}
	ref := rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role}
	subjects := []rbacv1.Subject{{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: who}}
	if in == "" {
		g.creates(t, g.looks, &rbacv1.ClusterRoleBinding{ObjectMeta: object, RoleRef: ref, Subjects: subjects})
		return
	}
	g.creates(t, g.looks, &rbacv1.RoleBinding{ObjectMeta: object, RoleRef: ref, Subjects: subjects})
}

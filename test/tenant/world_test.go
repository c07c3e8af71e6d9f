// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package tenant

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
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
	"github.com/mcp-registrar/mcp-registrar/test/env"
)

const (
	operatorNamespace = "mcp-registrar-system"
	guardNamespace    = "mcp-guard"
	// team is the user that all tenants are: it may do with the three kinds what
	// anybody may, and nothing that this product adds.
	team = "tina"
	// often is how long a look waits for the next.
	often = 50 * time.Millisecond
)

// teamNamespace is as long as a name can be.
var teamNamespace = fmt.Sprintf("team-%058d", 1)

// world is one cluster with the operator at work.
type world struct {
	// Client is the administrator's.
	client.Client
	// teams is the tenants', raw their way to send what no type can hold.
	teams    client.Client
	raw      *rest.RESTClient
	plane    *env.ControlPlane
	policies bool
	audit    auditRecord
	pulse    *pulse
}

// auditRecord keeps the audit record.
type auditRecord struct {
	mu     sync.Mutex
	events map[string][]audit.Type
}

// Record implements audit.Recorder.
func (r *auditRecord) Record(event audit.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events[event.Data.ClientID] = append(r.events[event.Data.ClientID], event.Type)
}

// has says that something is on record about a client.
func (r *auditRecord) has(clientID string, what audit.Type) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Contains(r.events[clientID], what)
}

func newScheme(t *testing.T) *runtime.Scheme {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	return scheme
}

// startWorld starts a cluster, with the admission policies or without, and the
// operator in this process. There is no garbage collector: what an owner reference
// leads to is not what is asked here.
func startWorld(t *testing.T, policies bool) *world {
	t.Helper()
	options := env.Options{CRDs: true}
	if policies {
		root, err := env.ModuleRoot()
		if err != nil {
			t.Fatal(err)
		}
		if options.Manifests, err = filepath.Glob(filepath.Join(root, "config", "admission", "*_policy*.yaml")); err != nil {
			t.Fatal(err)
		}
	}
	w := &world{plane: env.StartForTest(t, options), policies: policies, audit: auditRecord{events: map[string][]audit.Type{}}}
	scheme := newScheme(t)
	w.Client = newClient(t, w.plane.Config, scheme)
	w.furnish(t)
	person, err := w.plane.UserConfig(team)
	if err != nil {
		t.Fatal(err)
	}
	w.teams, w.raw = newClient(t, person, scheme), newRaw(t, person, scheme)
	w.awaitAdmission(t)
	w.operate(t, scheme)
	w.pulse = w.feelPulse(t)
	return w
}

func unhurried(from *rest.Config) *rest.Config {
	c := rest.CopyConfig(from)
	c.QPS, c.RateLimiter = -1, nil
	c.WarningHandlerWithContext = rest.NoWarnings{}
	return c
}

func newClient(t *testing.T, from *rest.Config, scheme *runtime.Scheme) client.Client {
	t.Helper()
	c, err := client.New(unhurried(from), client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func newRaw(t *testing.T, from *rest.Config, scheme *runtime.Scheme) *rest.RESTClient {
	t.Helper()
	c := unhurried(from)
	c.APIPath, c.GroupVersion = "/apis", &v1alpha1.GroupVersion
	c.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
	raw, err := rest.RESTClientFor(c)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// furnish makes the namespaces, and gives the tenants their rights.
func (w *world) furnish(t *testing.T) {
	t.Helper()
	for _, name := range []string{operatorNamespace, guardNamespace, teamNamespace} {
		w.make(t, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}})
	}
	verbs := []string{"get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"}
	w.make(t, &rbacv1.Role{
		ObjectMeta: metav1.ObjectMeta{Namespace: teamNamespace, Name: team},
		Rules: []rbacv1.PolicyRule{{
			APIGroups: []string{v1alpha1.GroupVersion.Group}, Verbs: verbs,
			Resources: []string{"mcpclientregistrations", "scopegrants", "mcpservers"},
		}},
	})
	w.make(t, &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: teamNamespace, Name: team},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: team},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: team}},
	})
}

func (w *world) make(t *testing.T, object client.Object) {
	t.Helper()
	if err := w.Create(t.Context(), object); err != nil {
		t.Fatalf("creating %T %s: %v", object, object.GetName(), err)
	}
}

// awaitAdmission returns when tenants may write and each policy that refuses
// something of theirs has been taken up.
func (w *world) awaitAdmission(t *testing.T) {
	t.Helper()
	plain := func() *v1alpha1.MCPClientRegistration { return newObjects("probe", "probe").reg }
	attempts := map[string]func() *v1alpha1.MCPClientRegistration{"": plain}
	if w.policies {
		attempts["mcp-registrar-identity"] = func() *v1alpha1.MCPClientRegistration {
			return annotated(plain(), v1alpha1.AnnotationOwner, "a\n")
		}
		attempts["mcp-registrar-operator"] = func() *v1alpha1.MCPClientRegistration {
			return annotated(plain(), "mcp-registrar.dev/odd", "x")
		}
		attempts["mcp-registrar-size"] = func() *v1alpha1.MCPClientRegistration {
			return annotated(plain(), v1alpha1.AnnotationRotate, fmt.Sprintf("%0300d", 1))
		}
		attempts["mcp-registrar-requester"] = func() *v1alpha1.MCPClientRegistration {
			return annotated(plain(), v1alpha1.AnnotationRequestedBy, "bob")
		}
	}
	for policy, attempt := range attempts {
		var last error
		err := wait.PollUntilContextTimeout(t.Context(), often, time.Minute, true, func(ctx context.Context) (bool, error) {
			object := attempt()
			last = w.teams.Create(ctx, object, client.DryRunAll)
			if policy == "" {
				return last == nil && (object.Annotations[v1alpha1.AnnotationRequestedBy] != "") == w.policies, nil
			}
			return apierrors.IsForbidden(last) || apierrors.IsInvalid(last), nil
		})
		if err != nil {
			t.Fatalf("waiting for the policy %q: %v, %v", policy, err, last)
		}
	}
}

// operate starts the operator, as cmd/manager puts it together but for the looks
// at live servers.
func (w *world) operate(t *testing.T, scheme *runtime.Scheme) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	stop := 30 * time.Second
	mgr, err := ctrl.NewManager(unhurried(w.plane.Config), manager.Options{
		Scheme: scheme, Metrics: metricsserver.Options{BindAddress: "0"}, HealthProbeBindAddress: "0", GracefulShutdownTimeout: &stop,
		Controller: config.Controller{SkipNameValidation: new(true)},
		Cache: cache.Options{
			DefaultTransform: cache.TransformStripManagedFields(),
			ByObject: map[client.Object]cache.ByObject{
				&corev1.Secret{}:        {Namespaces: map[string]cache.Config{operatorNamespace: {}}},
				&coordinationv1.Lease{}: {Label: labels.SelectorFromSet(labels.Set{v1alpha1.LabelGuard: "true"})},
			},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	now, registry := clock.RealClock{}, prometheus.NewRegistry()
	measured, err := instrumented.NewMetrics(registry, now.Now)
	if err != nil {
		t.Fatal(err)
	}
	if err := controllers.Setup(ctx, mgr, controllers.Options{
		Clock: now, Connector: connect.New(connect.Options{Metrics: measured, Now: now.Now}),
		Metrics: controllers.NewMetrics(registry), Audit: &w.audit, Namespace: operatorNamespace, Cluster: "cluster-uid", Workers: 16,
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

// pulse is how long the API server lets others wait: the machine is not ours
// alone.
type pulse struct {
	mu    sync.Mutex
	beats []beat
}

type beat struct {
	at   time.Time
	took time.Duration
}

const (
	// between is how long a beat waits for the next.
	between = 200 * time.Millisecond
	// slow is how long a beat takes where the machine is too busy to hold it to the
	// bound: fifty times as long as where it is not.
	slow = 250 * time.Millisecond
	// slowest bounds what that excuses.
	slowest = 6
)

// feelPulse writes something small again and again, and notes what takes
// long.
func (w *world) feelPulse(t *testing.T) *pulse {
	t.Helper()
	p := &pulse{}
	lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: guardNamespace, Name: "pulse"}}
	w.make(t, lease)
	ctx, cancel := context.WithCancel(t.Context())
	var done sync.WaitGroup
	t.Cleanup(func() { cancel(); done.Wait() })
	done.Go(func() {
		for ctx.Err() == nil {
			began := time.Now()
			time.Sleep(between)
			lease.Spec.RenewTime = new(metav1.NowMicro())
			if err := w.Update(ctx, lease); err != nil && ctx.Err() == nil {
				t.Errorf("feeling the pulse: %v", err)
				return
			}
			if took := time.Since(began) - between; took > slow {
				p.mu.Lock()
				p.beats = append(p.beats, beat{began, took})
				p.mu.Unlock()
			}
		}
	})
	return p
}

// excuse is how many times the bound something may take that began at an instant:
// once, unless the machine was too busy or the race detector is in the way.
func (p *pulse) excuse(since time.Time) float64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	worst := slow
	for _, b := range p.beats {
		if b.at.Add(b.took).After(since) {
			worst = max(worst, b.took)
		}
	}
	return min(max(float64(worst)/float64(slow), leeway), slowest)
}

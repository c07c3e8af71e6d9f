// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	testclock "k8s.io/utils/clock/testing"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/controllers"
	"github.com/mcp-registrar/mcp-registrar/internal/audit"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/fake"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
	"github.com/mcp-registrar/mcp-registrar/test/env"
)

var errCrashed = errors.New("the process is dead")

// boundary counts the steps by which a pass touches the world, and kills the
// process at one of them: before the step, or after it with its answer lost.
type boundary struct {
	steps  int
	killAt int
	after  bool
	dead   bool
}

// step runs one step, unless the process is dead.
func (b *boundary) step(work func() error) error {
	if b.dead {
		return errCrashed
	}
	b.steps++
	if b.steps != b.killAt {
		return work()
	}
	b.dead = true
	if b.after {
		if err := work(); err != nil {
			return err
		}
	}
	return errCrashed
}

// mortal is an authorization server as a process sees it that may die.
type mortal struct {
	authserver.Server
	// Examiner asks and changes nothing: what it learns may be lost.
	authserver.Examiner
	boundary *boundary
}

func (m mortal) Register(ctx context.Context, wish authserver.ClientMetadata) (answer authserver.Client, err error) {
	err = m.boundary.step(func() (err error) { answer, err = m.Server.Register(ctx, wish); return err })
	return answer, err
}

func (m mortal) Find(ctx context.Context, handle authserver.Handle) (answer authserver.Client, found bool, err error) {
	err = m.boundary.step(func() (err error) { answer, found, err = m.Server.Find(ctx, handle); return err })
	return answer, found, err
}

func (m mortal) Replace(ctx context.Context, handle authserver.Handle, wish authserver.ClientMetadata) (answer authserver.Client, err error) {
	err = m.boundary.step(func() (err error) { answer, err = m.Server.Replace(ctx, handle, wish); return err })
	return answer, err
}

func (m mortal) Revoke(ctx context.Context, handle authserver.Handle) error {
	return m.boundary.step(func() error { return m.Server.Revoke(ctx, handle) })
}

// crashRig is a cluster without a running manager: passes are called.
type crashRig struct {
	direct client.WithWatch
	serial int
}

// crashCase is one registration at one fake authorization server.
type crashCase struct {
	*world
	t     *testing.T
	fake  *fake.Server
	clock *testclock.FakePassiveClock
	reg   *v1alpha1.MCPClientRegistration
}

func newCrashRig(t *testing.T) *crashRig {
	cluster := env.StartForTest(t, env.Options{CRDs: true})
	scheme, err := newScheme()
	if err != nil {
		t.Fatal(err)
	}
	direct, err := client.NewWithWatch(cluster.Config, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	rig := &crashRig{direct: direct}
	(&world{Client: direct}).create(t, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: operatorNamespace}})
	return rig
}

// open makes a case: namespace, authorization server, server, registration.
func (r *crashRig) open(t *testing.T, method v1alpha1.TokenEndpointAuthMethod) *crashCase {
	r.serial++
	name := fmt.Sprintf("case-%d", r.serial)
	c := &crashCase{
		t: t, fake: fake.New("https://" + name + ".example.com"),
		clock: testclock.NewFakePassiveClock(time.Now()),
		world: &world{Client: r.direct, name: name, namespace: name},
	}
	as := &v1alpha1.AuthorizationServer{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1alpha1.AuthorizationServerSpec{
		Issuer: "https://" + name + ".example.com", DynamicRegistration: &v1alpha1.DynamicRegistration{},
		AllowedNamespaces: &v1alpha1.AllowedNamespaces{From: v1alpha1.NamespacesAll}, AllowedServers: &v1alpha1.AllowedNamespaces{From: v1alpha1.NamespacesAll},
	}}
	c.create(t, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, as, c.server("files"))
	as.Status = v1alpha1.AuthorizationServerStatus{
		ObservedGeneration: as.Generation,
		Metadata:           &v1alpha1.ServerMetadata{TokenEndpoint: as.Spec.Issuer + "/token", RegistrationEndpoint: as.Spec.Issuer + "/register"},
		Capabilities:       []v1alpha1.Capability{v1alpha1.CapabilityPKCES256},
	}
	if err := c.Status().Update(t.Context(), as); err != nil {
		t.Fatal(err)
	}
	c.reg = c.registration("crash", method, time.Now().Add(time.Hour))
	c.create(t, c.reg, c.grant("crash", time.Now().Add(2*time.Hour), "files:read"))
	return c
}

// process is one life of the manager, which ends at the boundary.
func (c *crashCase) process(b *boundary) reconcile.Reconciler {
	write := func(work func() error) error { return b.step(work) }
	client := interceptor.NewClient(c.world.Client.(client.WithWatch), interceptor.Funcs{
		Create: func(ctx context.Context, next client.WithWatch, o client.Object, opts ...client.CreateOption) error {
			return write(func() error { return next.Create(ctx, o, opts...) })
		},
		Update: func(ctx context.Context, next client.WithWatch, o client.Object, opts ...client.UpdateOption) error {
			return write(func() error { return next.Update(ctx, o, opts...) })
		},
		Patch: func(ctx context.Context, next client.WithWatch, o client.Object, p client.Patch, opts ...client.PatchOption) error {
			return write(func() error { return next.Patch(ctx, o, p, opts...) })
		},
		Delete: func(ctx context.Context, next client.WithWatch, o client.Object, opts ...client.DeleteOption) error {
			return write(func() error { return next.Delete(ctx, o, opts...) })
		},
		SubResourceUpdate: func(ctx context.Context, next client.Client, sub string, o client.Object, opts ...client.SubResourceUpdateOption) error {
			return write(func() error { return next.SubResource(sub).Update(ctx, o, opts...) })
		},
		List: listByField,
	})
	connector := fake.NewConnector()
	connector.Put(c.name, mortal{c.fake, c.fake, b})
	servers := &controllers.Servers{Connector: connector, Client: client, Namespace: operatorNamespace}
	return reconcile.AsReconciler[*v1alpha1.MCPClientRegistration](client, &controllers.RegistrationReconciler{
		Client: client, Clock: c.clock, Servers: servers, Cluster: "cluster", Recorder: events.NewFakeRecorder(1000),
		Records:     &controllers.Records{Client: client, Live: client, Namespace: operatorNamespace},
		Credentials: &controllers.Credentials{Client: client, Live: client},
		Grants: &controllers.Grants{
			Client: client, Admission: &controllers.Admission{Client: client, Clock: c.clock},
		},
		Places: &controllers.Places{Client: client, Namespace: operatorNamespace}, Audit: audit.Discard,
		Drift: controllers.NewDriftSchedule(c.clock.Now()), Examinations: controllers.NewExaminations(), Metrics: controllers.NewMetrics(prometheus.NewRegistry()),
	})
}

// listByField does for a direct client what the index does for a cached one.
func listByField(ctx context.Context, next client.WithWatch, list client.ObjectList, opts ...client.ListOption) error {
	var options client.ListOptions
	options.ApplyOptions(opts)
	if _, ok := list.(*corev1.SecretList); ok && options.FieldSelector != nil {
		_, digest, _ := strings.Cut(options.FieldSelector.String(), "=")
		return next.List(ctx, list, client.InNamespace(options.Namespace), client.MatchingLabels{v1alpha1.LabelClient: digest})
	}
	if approvals, ok := list.(*v1alpha1.ScopeGrantApprovalList); ok {
		// Nothing is decided in these tests.
		approvals.Items = nil
		return nil
	}
	if servers, ok := list.(*v1alpha1.MCPServerList); ok {
		claim, claimed := options.FieldSelector.RequiresExactMatch("claim")
		as, at := options.FieldSelector.RequiresExactMatch("spec.authorizationServerRef.name")
		err := next.List(ctx, list, client.InNamespace(options.Namespace))
		servers.Items = slices.DeleteFunc(servers.Items, func(server v1alpha1.MCPServer) bool {
			return claimed && policy.ClaimKey(&server) != claim || at && server.Spec.AuthorizationServerRef.Name != as
		})
		return err
	}
	grants, ok := list.(*v1alpha1.ScopeGrantList)
	if !ok {
		return next.List(ctx, list, opts...)
	}
	err := next.List(ctx, list, client.InNamespace(options.Namespace))
	grants.Items = slices.DeleteFunc(grants.Items, func(grant v1alpha1.ScopeGrant) bool {
		return options.FieldSelector != nil && !strings.HasSuffix(options.FieldSelector.String(), "="+grant.Spec.ClientRef.Name)
	})
	return err
}

// live runs passes until the process dies, or until nothing is left to do.
func (c *crashCase) live(b *boundary) {
	c.t.Helper()
	process, quiet := c.process(b), 0
	for range 60 {
		before := b.steps
		result, err := process.Reconcile(c.t.Context(), ctrl.Request{NamespacedName: client.ObjectKeyFromObject(c.reg)})
		if b.dead {
			return
		}
		if quiet++; b.steps != before || err != nil || (result.RequeueAfter > 0 && result.RequeueAfter < time.Minute) {
			quiet = 0
		}
		if quiet == 2 {
			return
		}
		c.clock.SetTime(c.clock.Now().Add(min(result.RequeueAfter, 10*time.Second)))
	}
}

// settle lives on after a crash, without another, and returns what Ready says.
func (c *crashCase) settle() string {
	c.t.Helper()
	c.live(&boundary{})
	return c.state(c.t, c.reg)()
}

// check holds in every case: each live client is the registration's or was
// reported, and what the team holds works at the authorization server.
func (c *crashCase) check() error {
	reported := c.reported()
	for _, live := range c.fake.Clients() {
		if live.ID == c.reg.Status.ClientID {
			continue
		}
		if !slices.ContainsFunc(reported, func(mark string) bool { return strings.Contains(live.Registered.Name, mark) }) {
			return fmt.Errorf("client %s (%s) lives and nobody knows it; reported: %v", live.ID, live.Registered.Name, reported)
		}
	}
	return c.checkSecret()
}

func (c *crashCase) reported() []string {
	var record corev1.Secret
	err := c.Get(c.t.Context(), types.NamespacedName{Namespace: operatorNamespace, Name: "registration-" + string(c.reg.UID)}, &record)
	if apierrors.IsNotFound(err) {
		return nil
	}
	var stored struct{ Orphans []string }
	decode(c.t, record.Data["record.json"], &stored)
	return stored.Orphans
}

func (c *crashCase) checkSecret() error {
	index := slices.IndexFunc(c.fake.Clients(), func(client authserver.Client) bool { return client.ID == c.reg.Status.ClientID })
	if index < 0 || !meta.IsStatusConditionTrue(c.reg.Status.Conditions, v1alpha1.ConditionReady) || c.reg.Status.SecretName == "" {
		return nil
	}
	live := c.fake.Clients()[index]
	var held corev1.Secret
	if err := c.Get(c.t.Context(), types.NamespacedName{Namespace: c.namespace, Name: c.reg.Status.SecretName}, &held); err != nil {
		return err
	}
	switch {
	case string(held.Data[v1alpha1.SecretKeyClientID]) != live.ID:
		return fmt.Errorf("the Secret names client %s, which is %s", held.Data[v1alpha1.SecretKeyClientID], live.ID)
	case string(held.Data[v1alpha1.SecretKeyClientSecret]) != live.Secret.Reveal():
		return errors.New("the Secret holds another client secret than the server")
	case !strings.Contains(live.Registered.JWKS, string(held.Data[v1alpha1.SecretKeyKeyID])):
		return errors.New("the Secret holds another key than the server")
	}
	return nil
}

// TestCrashAtEveryBoundary kills the process before and after every write and
// every call of an operation. It finds the boundaries by itself: it goes on
// until the operation ends before the next one.
func TestCrashAtEveryBoundary(t *testing.T) {
	t.Parallel()
	rig := newCrashRig(t)
	operations := map[string]struct {
		before, then func(c *crashCase)
		// ends are the states of Ready that are right in the end.
		ends []string
	}{
		"create": {then: func(*crashCase) {}, ends: []string{"True/Ready"}},
		"update": {before: (*crashCase).ready, then: func(c *crashCase) {
			c.create(c.t, c.grant("crash", time.Now().Add(2*time.Hour), "notes:read"))
		}, ends: []string{"True/Ready"}},
		"expire": {before: (*crashCase).ready, then: func(c *crashCase) { c.clock.SetTime(time.Now().Add(90 * time.Minute)) }, ends: []string{"False/Expired"}},
		"delete": {before: (*crashCase).ready, then: func(c *crashCase) { c.remove(c.t, c.reg) }, ends: []string{"gone"}},
		"renew": {before: func(c *crashCase) {
			c.ready()
			c.clock.SetTime(time.Now().Add(90 * time.Minute))
			c.settle()
		}, then: func(c *crashCase) {
			edit(c.t, c.world, c.reg, func(reg *v1alpha1.MCPClientRegistration) {
				reg.Annotations[v1alpha1.AnnotationExpiresAt] = time.Now().Add(110 * time.Minute).UTC().Format(time.RFC3339)
			})
		}, ends: []string{"True/Ready"}},
	}
	total := 0
	for name, operation := range operations {
		for _, method := range []v1alpha1.TokenEndpointAuthMethod{public, secret, key} {
			for _, rotate := range []bool{false, true} {
				if rotate && name != "update" {
					continue
				}
				losses := 0
				label := fmt.Sprintf("%s %s rotate=%t", name, method, rotate)
				for k := 1; ; k++ {
					steps := 0
					for _, after := range []bool{false, true} {
						c := rig.open(t, method)
						c.fake.Switch(func(s *fake.Switches) { s.RotateTokens = rotate })
						if operation.before != nil {
							operation.before(c)
						}
						operation.then(c)
						b := &boundary{killAt: k, after: after}
						c.live(b)
						steps = b.steps
						if !b.dead {
							break
						}
						total++
						end := c.settle()
						// A token that was replaced in a lost answer cannot be had
						// again: then it must be said, and nothing let go.
						lost := rotate && strings.HasSuffix(end, "/"+v1alpha1.ReasonManagementLost) && len(c.fake.Clients()) == 1
						if lost {
							losses++
						}
						if !lost && !slices.Contains(operation.ends, end) {
							t.Errorf("%s, step %d, after=%t: ends %s\n%s", label, k, after, end, describe(c.reg))
						}
						if err := c.check(); err != nil {
							t.Errorf("%s, step %d, after=%t: %v", label, k, after, err)
						}
						if end == "gone" && len(c.fake.Clients()) != 0 {
							t.Errorf("%s, step %d, after=%t: let go while %d clients live", label, k, after, len(c.fake.Clients()))
						}
					}
					if steps < k {
						break
					}
				}
				if losses > 2 {
					t.Errorf("%s: the management token was lost %d times; only an answer that was never stored may lose it", label, losses)
				}
			}
		}
	}
	t.Logf("%d crashes", total)
	if total < 100 {
		t.Errorf("only %d crashes: the boundaries were not found", total)
	}
}

func (c *crashCase) ready() {
	c.t.Helper()
	if state := c.settle(); state != "True/Ready" {
		c.t.Fatalf("not ready: %s\n%s", state, describe(c.reg))
	}
}

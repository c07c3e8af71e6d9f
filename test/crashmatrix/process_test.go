// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package crashmatrix

import (
	"context"
	"errors"
	"fmt"
	"reflect"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	logf "sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/recorder"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/controllers"
	"github.com/mcp-registrar/mcp-registrar/internal/audit"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/fake"
)

// process is one life of the manager: the reconcilers as controllers.Setup
// makes them, with all that they keep in memory, and every call on a tape.
type process struct {
	*tape
	scene       *scene
	controllers map[string]reconcile.Reconciler
	log         logr.Logger
	// read are the versions that the caches have shown.
	read map[string]int
	// lagged are the versions that a cache showed although there were newer
	// ones: a watch delivers those when the pass is over.
	lagged map[string]int
	passes int
	// readyAt is how many calls there were when the registration became ready.
	readyAt int
}

func (s *scene) process(f fault) (*process, error) {
	p := &process{
		tape: &tape{fault: f}, scene: s, controllers: map[string]reconcile.Reconciler{},
		read: map[string]int{}, lagged: map[string]int{},
	}
	p.log = funcr.New(func(_, args string) { s.said = append(s.said, args) }, funcr.Options{Verbosity: 5})
	s.deceived = s.deceived || f.mode == unheeded
	connector := fake.NewConnector()
	connector.Put(s.name, witnessed{s.fake, p})
	return p, controllers.Setup(s.ctx, stage{process: p}, controllers.Options{
		Clock: s.clock, Connector: connector, Metrics: controllers.NewMetrics(prometheus.NewRegistry()), Audit: p,
		Namespace: operatorNamespace, Cluster: clusterName, Workers: 1,
	})
}

// reconcile runs one pass of a controller.
func (p *process) reconcile(controller string, key client.ObjectKey) (ctrl.Result, error) {
	p.passes++
	reconciler, found := p.controllers[controller]
	if !found {
		return ctrl.Result{}, fmt.Errorf("no controller %s", controller)
	}
	result, err := reconciler.Reconcile(logf.IntoContext(p.scene.ctx, p.log), ctrl.Request{NamespacedName: key})
	p.lagging = nil
	for kind, version := range p.lagged {
		if p.scene.cluster.wakesBetween(kind, version, p.scene.cluster.latest(kind)) {
			p.scene.cluster.woken = true
		}
	}
	clear(p.lagged)
	if err != nil {
		p.scene.said = append(p.scene.said, err.Error())
	}
	return result, err
}

// Record implements audit.Recorder.
func (p *process) Record(event audit.Event) {
	err := p.do(call{class: auditWrite, verb: "record", what: string(event.Type)}, func(bool) (bool, error) {
		p.scene.ledger.record(event)
		return true, nil
	})
	if err != nil && !errors.Is(err, errDead) {
		p.scene.problem("audit: %v", err)
	}
}

// stage is the manager that controllers.Setup sees: what is not served here
// fails loudly.
type stage struct {
	manager.Manager
	process *process
}

func (s stage) GetClient() client.Client             { return cached{process: s.process} }
func (s stage) GetAPIReader() client.Reader          { return live{s.process} }
func (s stage) GetFieldIndexer() client.FieldIndexer { return s.process.scene.cluster }
func (s stage) GetScheme() *runtime.Scheme           { return s.process.scene.scheme }
func (s stage) GetCache() cache.Cache                { return nil }
func (s stage) GetLogger() logr.Logger               { return s.process.log }

// GetRESTMapper knows nothing: there are no admission policies.
func (s stage) GetRESTMapper() meta.RESTMapper { return meta.NewDefaultRESTMapper(nil) }

func (s stage) GetControllerOptions() config.Controller {
	return config.Controller{SkipNameValidation: new(true), RecoverPanic: new(false)}
}

func (s stage) GetEventRecorder(string) recorder.EventRecorder { return told{process: s.process} }

// Add keeps the controllers, by name, and starts nothing.
func (s stage) Add(runnable manager.Runnable) error {
	reconciler, ok := runnable.(reconcile.Reconciler)
	if !ok {
		return nil
	}
	name := reflect.Indirect(reflect.ValueOf(runnable)).FieldByName("Name")
	if !name.IsValid() {
		return fmt.Errorf("%T has no name", runnable)
	}
	s.process.controllers[name.String()] = reconciler
	return nil
}

// told takes events.
type told struct {
	events.AnnotatedEventRecorder
	process *process
}

func (t told) Eventf(_, _ runtime.Object, _, reason, action, note string, args ...any) {
	if !t.process.dead {
		t.process.scene.said = append(t.process.scene.said, "event "+reason+" "+action+": "+fmt.Sprintf(note, args...))
	}
}

// cached is the client of the manager: it reads from the cache.
type cached struct {
	// Client is nil: what is not served here fails loudly.
	client.Client
	process *process
}

func (c cached) Scheme() *runtime.Scheme { return c.process.scene.scheme }

// version is what a cache shows of a kind at this call.
func (p *process) version(c call, m mode) int {
	version := p.scene.cluster.latest(c.kind)
	switch m {
	case staleCache:
		version = c.stale
	case behindCache:
		version = c.behind
		p.lagging = map[string]int{c.kind: version}
	case whole, crashBefore, crashAfter, answerLost, failedAfter, failedBefore, appliedLate, unheeded:
		if lagging, found := p.lagging[c.kind]; found {
			version = lagging
		}
	}
	if version != p.scene.cluster.latest(c.kind) {
		p.lagged[c.kind] = version
	}
	p.read[c.kind] = version
	return version
}

// noVersion stands for a version that there is not; -1 is the time before the
// first.
const noVersion = -2

// versionOf is the version of a kind that is noted, or the time before the
// first.
func versionOf(versions map[string]int, kind string) int {
	if version, found := versions[kind]; found {
		return version
	}
	return -1
}

// readCache reads from the cache. result tells versions apart: the reading
// breaks only where an older version would have answered otherwise.
func (p *process) readCache(c call, result func(version int) string, work func(version int) error) error {
	if p.dead {
		return errDead
	}
	now := p.scene.cluster.latest(c.kind)
	c.stale, c.behind = noVersion, noVersion
	floor := max(versionOf(p.scene.floor, c.kind), versionOf(p.read, c.kind))
	if previous := now - 1; previous >= floor && result(previous) != result(now) {
		c.stale = previous
	}
	if floor < now && result(floor) != result(now) && floor != c.stale {
		c.behind = floor
	}
	return work(p.version(c, p.next(c)))
}

func (c cached) Get(_ context.Context, key client.ObjectKey, object client.Object, _ ...client.GetOption) error {
	p, kind := c.process, kindOf(object)
	read := call{class: cacheRead, verb: "get", what: describeKey(p.scene, kind, key), kind: kind}
	result := func(version int) string {
		if found := p.scene.cluster.at(kind, version)[key]; found != nil {
			return found.GetResourceVersion()
		}
		return ""
	}
	return p.readCache(read, result, func(version int) error { return p.scene.cluster.get(version, key, object) })
}

func (c cached) List(_ context.Context, list client.ObjectList, options ...client.ListOption) error {
	p, kind := c.process, kindOf(list)
	var o client.ListOptions
	o.ApplyOptions(options)
	what := kind
	if o.FieldSelector != nil {
		what += " by " + o.FieldSelector.Requirements()[0].Field
	}
	result := func(version int) string {
		found, ok := list.DeepCopyObject().(client.ObjectList)
		if !ok || p.scene.cluster.list(version, found, &o) != nil {
			return "unreadable"
		}
		return versionsOf(found)
	}
	return p.readCache(call{class: cacheRead, verb: "list", what: what, kind: kind}, result,
		func(version int) error { return p.scene.cluster.list(version, list, &o) })
}

func versionsOf(list client.ObjectList) string {
	versions := ""
	items, err := meta.ExtractList(list)
	if err != nil {
		return err.Error()
	}
	for _, item := range items {
		if object, ok := item.(client.Object); ok {
			versions += object.GetNamespace() + "/" + object.GetName() + "@" + object.GetResourceVersion() + " "
		}
	}
	return versions
}

// write carries a write out. An answer that is lost leaves the caller's object
// as it was.
func (c cached) write(ctx context.Context, verb string, object client.Object, work func(client.Object) error) error {
	p := c.process
	kind := kindOf(object)
	what := describeKey(p.scene, kind, client.ObjectKeyFromObject(object))
	return p.do(call{class: kubeWrite, verb: verb, what: what, kind: kind}, func(lost bool) (bool, error) {
		target := object
		if lost {
			copied, ok := object.DeepCopyObject().(client.Object)
			if !ok {
				return false, fmt.Errorf("%T is no object", object)
			}
			target = copied
		}
		before := p.scene.cluster.latest(kind)
		if err := work(target); err != nil {
			return false, err
		}
		err := p.scene.cluster.learn(ctx, object)
		if reg, ok := target.(*v1alpha1.MCPClientRegistration); ok && p.readyAt == 0 && meta.IsStatusConditionTrue(reg.Status.Conditions, v1alpha1.ConditionReady) {
			p.readyAt = len(p.calls)
		}
		return p.scene.cluster.latest(kind) != before, err
	})
}

func (c cached) Create(ctx context.Context, object client.Object, options ...client.CreateOption) error {
	return c.write(ctx, "create", object, func(o client.Object) error { return c.process.scene.cluster.Create(ctx, o, options...) })
}

func (c cached) Update(ctx context.Context, object client.Object, options ...client.UpdateOption) error {
	return c.write(ctx, "update", object, func(o client.Object) error { return c.process.scene.cluster.Update(ctx, o, options...) })
}

func (c cached) Patch(ctx context.Context, object client.Object, patch client.Patch, options ...client.PatchOption) error {
	return c.write(ctx, "patch", object, func(o client.Object) error { return c.process.scene.cluster.Patch(ctx, o, patch, options...) })
}

func (c cached) Delete(ctx context.Context, object client.Object, options ...client.DeleteOption) error {
	return c.write(ctx, "delete", object, func(o client.Object) error { return c.process.scene.cluster.Delete(ctx, o, options...) })
}

func (c cached) Status() client.SubResourceWriter { return statusOf{cached: c} }

type statusOf struct {
	// SubResourceWriter is nil: what is not served here fails loudly.
	client.SubResourceWriter
	cached cached
}

func (s statusOf) Update(ctx context.Context, object client.Object, options ...client.SubResourceUpdateOption) error {
	return s.cached.write(ctx, "update status of", object, func(o client.Object) error {
		return s.cached.process.scene.cluster.Status().Update(ctx, o, options...)
	})
}

// live reads from the API server.
type live struct{ process *process }

func (l live) Get(ctx context.Context, key client.ObjectKey, object client.Object, options ...client.GetOption) error {
	what := describeKey(l.process.scene, kindOf(object), key)
	return l.process.do(call{class: liveRead, verb: "get", what: what}, func(bool) (bool, error) {
		return false, l.process.scene.cluster.Get(ctx, key, object, options...)
	})
}

func (l live) List(ctx context.Context, list client.ObjectList, options ...client.ListOption) error {
	return l.process.do(call{class: liveRead, verb: "list", what: kindOf(list)}, func(bool) (bool, error) {
		return false, l.process.scene.cluster.List(ctx, list, options...)
	})
}

// witnessed is the authorization server as a process sees it.
type witnessed struct {
	*fake.Server
	process *process
}

// ask carries a call out, or breaks it. With an error there is no answer.
func ask[T any](w witnessed, verb string, work func() (T, error)) (T, error) {
	var answer, none T
	err := w.process.do(call{class: serverCall, verb: verb, what: "client"}, func(bool) (bool, error) {
		var err error
		answer, err = work()
		changed := w.process.scene.ledger.look()
		w.process.scene.single()
		w.process.scene.bound()
		return changed, err
	})
	if err != nil {
		return none, err
	}
	return answer, nil
}

func (w witnessed) Discover(ctx context.Context) (authserver.Metadata, error) {
	return ask(w, "Discover", func() (authserver.Metadata, error) { return w.Server.Discover(ctx) })
}

// Register may be carried out when the caller has long gone.
func (w witnessed) Register(ctx context.Context, wish authserver.ClientMetadata) (authserver.Client, error) {
	ctx = context.WithoutCancel(ctx)
	return ask(w, "Register", func() (authserver.Client, error) { return w.Server.Register(ctx, wish) })
}

func (w witnessed) Find(ctx context.Context, handle authserver.Handle) (authserver.Client, bool, error) {
	type found struct {
		client authserver.Client
		is     bool
	}
	answer, err := ask(w, "Find", func() (f found, err error) {
		f.client, f.is, err = w.Server.Find(ctx, handle)
		return f, err
	})
	return answer.client, answer.is, err
}

func (w witnessed) Replace(ctx context.Context, handle authserver.Handle, wish authserver.ClientMetadata) (authserver.Client, error) {
	return ask(w, "Replace", func() (authserver.Client, error) { return w.Server.Replace(ctx, handle, wish) })
}

func (w witnessed) Disable(ctx context.Context, handle authserver.Handle) error {
	_, err := ask(w, "Disable", func() (struct{}, error) { return struct{}{}, w.Server.Disable(ctx, handle) })
	return err
}

func (w witnessed) Revoke(ctx context.Context, handle authserver.Handle) error {
	_, err := ask(w, "Revoke", func() (struct{}, error) { return struct{}{}, w.Server.Revoke(ctx, handle) })
	return err
}

func (w witnessed) List(ctx context.Context, cursor string) (authserver.Page, error) {
	return ask(w, "List", func() (authserver.Page, error) { return w.Server.List(ctx, cursor) })
}

func (w witnessed) ChallengeRequired(ctx context.Context, q authserver.ChallengeQuestion) (authserver.Answer, error) {
	return ask(w, "ChallengeRequired", func() (authserver.Answer, error) { return w.Server.ChallengeRequired(ctx, q) })
}

func (w witnessed) CanaryToken(ctx context.Context, q authserver.TokenQuestion) (authserver.TokenFacts, error) {
	return ask(w, "CanaryToken", func() (authserver.TokenFacts, error) { return w.Server.CanaryToken(ctx, q) })
}

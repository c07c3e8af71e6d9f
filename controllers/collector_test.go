// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
	. "github.com/onsi/gomega"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/controllers"
)

// shelf serves the lists of a cache from memory, once it is open.
type shelf struct {
	open  chan struct{}
	lists map[string]client.ObjectList
}

// IsWatchListSemanticsUnSupported says that objects are listed and then
// watched, not listed by the watch.
func (s *shelf) IsWatchListSemanticsUnSupported() bool { return true }

func (s *shelf) listerWatcher(example runtime.Object) toolscache.ListerWatcher {
	return toolscache.ToListWatcherWithWatchListSemantics(&toolscache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, _ metav1.ListOptions) (runtime.Object, error) {
			select {
			case <-s.open:
				return s.lists[fmt.Sprintf("%T", example)], nil
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		},
		WatchFuncWithContext: func(context.Context, metav1.ListOptions) (watch.Interface, error) {
			return watch.NewFake(), nil
		},
	}, s)
}

// newShelf makes a cache of controller-runtime that is filled from memory.
func newShelf(tb testing.TB, objects ...client.Object) (*shelf, cache.Cache) {
	tb.Helper()
	s := &shelf{open: make(chan struct{}), lists: map[string]client.ObjectList{
		"*v1alpha1.AuthorizationServer":   &v1alpha1.AuthorizationServerList{},
		"*v1alpha1.MCPServer":             &v1alpha1.MCPServerList{},
		"*v1alpha1.MCPClientRegistration": &v1alpha1.MCPClientRegistrationList{},
		"*v1alpha1.ScopeGrant":            &v1alpha1.ScopeGrantList{},
		"*v1alpha1.ScopeGrantApproval":    &v1alpha1.ScopeGrantApprovalList{},
		"*v1alpha1.AccessDenial":          &v1alpha1.AccessDenialList{},
	}}
	items := map[string][]runtime.Object{}
	for _, object := range objects {
		kind := fmt.Sprintf("%T", object)
		items[kind] = append(items[kind], object)
	}
	for kind, list := range s.lists {
		if err := meta.SetList(list, items[kind]); err != nil {
			tb.Fatal(err)
		}
		list.SetResourceVersion("1")
	}
	scheme, err := newScheme()
	if err != nil {
		tb.Fatal(err)
	}
	mapper := meta.NewDefaultRESTMapper(nil)
	for _, kind := range []string{"MCPServer", "MCPClientRegistration", "ScopeGrant", "ScopeGrantApproval"} {
		mapper.Add(v1alpha1.GroupVersion.WithKind(kind), meta.RESTScopeNamespace)
	}
	for _, kind := range []string{"AuthorizationServer", "AccessDenial"} {
		mapper.Add(v1alpha1.GroupVersion.WithKind(kind), meta.RESTScopeRoot)
	}
	filled, err := cache.New(&rest.Config{}, cache.Options{
		Scheme: scheme, Mapper: mapper,
		NewInformer: func(_ toolscache.ListerWatcher, example runtime.Object, resync time.Duration, indexers toolscache.Indexers) toolscache.SharedIndexInformer {
			return toolscache.NewSharedIndexInformer(s.listerWatcher(example), example, resync, indexers)
		},
	})
	if err != nil {
		tb.Fatal(err)
	}
	return s, filled
}

// run runs a cache until the test ends.
func run(tb testing.TB, filled cache.Cache) {
	tb.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(tb.Context()))
	stopped := make(chan error, 1)
	go func() { stopped <- filled.Start(ctx) }()
	tb.Cleanup(func() {
		cancel()
		if err := <-stopped; err != nil {
			tb.Error(err)
		}
	})
}

// filledCache is a running cache with objects in it.
func filledCache(tb testing.TB, objects ...client.Object) cache.Cache {
	tb.Helper()
	s, filled := newShelf(tb, objects...)
	close(s.open)
	run(tb, filled)
	return filled
}

// compares waits until a collector says what is wanted: until the cache is filled
// it says nothing.
func compares(t *testing.T, collector prometheus.Collector, want string, names ...string) {
	t.Helper()
	NewWithT(t).Eventually(func() error {
		return testutil.CollectAndCompare(collector, strings.NewReader(want), names...)
	}, eventually, often).Should(Succeed())
}

func conditionReady(status metav1.ConditionStatus, reason string) []metav1.Condition {
	return []metav1.Condition{
		{Type: v1alpha1.ConditionAccepted, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonAccepted},
		{Type: v1alpha1.ConditionReady, Status: status, Reason: reason},
	}
}

func instant(seconds int64) *metav1.Time { return new(metav1.Unix(seconds, 0)) }

func TestTheCollectorReportsWhatTheCacheHolds(t *testing.T) {
	t.Parallel()
	named := func(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Namespace: "team", Name: name} }
	collector := controllers.NewCollector(t.Context(), filledCache(t,
		&v1alpha1.AuthorizationServer{ObjectMeta: metav1.ObjectMeta{Name: "company"}, Status: v1alpha1.AuthorizationServerStatus{
			Conditions: conditionReady(metav1.ConditionUnknown, v1alpha1.ReasonUnavailable)}},
		&v1alpha1.MCPServer{ObjectMeta: named("unseen")},
		&v1alpha1.MCPServer{ObjectMeta: named("half"), Status: v1alpha1.MCPServerStatus{
			Conditions: conditionReady(metav1.ConditionTrue, v1alpha1.ReasonReady)[:1]}},
		&v1alpha1.MCPClientRegistration{ObjectMeta: named("a"), Status: v1alpha1.MCPClientRegistrationStatus{
			Conditions: conditionReady(metav1.ConditionTrue, v1alpha1.ReasonReady), ExpiresAt: instant(1900000000)}},
		&v1alpha1.MCPClientRegistration{ObjectMeta: named("b"), Status: v1alpha1.MCPClientRegistrationStatus{
			Conditions: conditionReady(metav1.ConditionTrue, v1alpha1.ReasonReady), ExpiresAt: instant(1800000000)}},
		&v1alpha1.MCPClientRegistration{ObjectMeta: named("endless"), Status: v1alpha1.MCPClientRegistrationStatus{
			Conditions: conditionReady(metav1.ConditionFalse, v1alpha1.ReasonExpiryMissing)}},
		&v1alpha1.ScopeGrant{ObjectMeta: named("a-files"), Status: v1alpha1.ScopeGrantStatus{
			Conditions: conditionReady(metav1.ConditionFalse, v1alpha1.ReasonApprovalRequired), ExpiresAt: instant(1700000000)}},
		&v1alpha1.ScopeGrant{ObjectMeta: named("foreign"), Status: v1alpha1.ScopeGrantStatus{
			Conditions: conditionReady("Maybe", "MadeUpByATenant")}},
	), clock.RealClock{})
	want := `
# HELP mcp_registrar_grant_expiry_timestamp_seconds Effective end of a grant (status.expiresAt) in seconds since 1970. One series per grant; absent while it has no end.
# TYPE mcp_registrar_grant_expiry_timestamp_seconds gauge
mcp_registrar_grant_expiry_timestamp_seconds{name="a-files",namespace="team"} 1.7e+09
# HELP mcp_registrar_objects Objects, by kind and by status and reason of the condition Ready. A combination that no object has is absent.
# TYPE mcp_registrar_objects gauge
mcp_registrar_objects{kind="AuthorizationServer",ready="Unknown",reason="Unavailable"} 1
mcp_registrar_objects{kind="MCPClientRegistration",ready="False",reason="ExpiryMissing"} 1
mcp_registrar_objects{kind="MCPClientRegistration",ready="True",reason="Ready"} 2
mcp_registrar_objects{kind="MCPServer",ready="Unknown",reason="NotSeen"} 2
mcp_registrar_objects{kind="ScopeGrant",ready="False",reason="ApprovalRequired"} 1
mcp_registrar_objects{kind="ScopeGrant",ready="Unknown",reason="Other"} 1
# HELP mcp_registrar_registration_expiry_timestamp_seconds Effective end of a registration (status.expiresAt) in seconds since 1970. One series per registration; absent while it has no end.
# TYPE mcp_registrar_registration_expiry_timestamp_seconds gauge
mcp_registrar_registration_expiry_timestamp_seconds{name="a",namespace="team"} 1.9e+09
mcp_registrar_registration_expiry_timestamp_seconds{name="b",namespace="team"} 1.8e+09
# HELP mcp_registrar_unproven_revocations Registrations with a client that must not exist (deleted, ended, without an owner or an end, or with a revocation that began) and is not proven to be gone. Read from the objects, whatever their status says.
# TYPE mcp_registrar_unproven_revocations gauge
mcp_registrar_unproven_revocations 0
`
	compares(t, collector, want)
}

func TestARevocationIsUnprovenUntilItIsVerifiedOrLetGo(t *testing.T) {
	t.Parallel()
	begun := func(client string, due int64) *v1alpha1.Revocation {
		return &v1alpha1.Revocation{Cause: v1alpha1.CauseExpired, ClientID: client, DueAt: *instant(due)}
	}
	accepted := begun("c3", 1200)
	accepted.RevokedAtASAt = instant(1201)
	proven := begun("c4", 500)
	proven.VerifiedAt = instant(501)
	statuses := map[string]v1alpha1.MCPClientRegistrationStatus{
		"never-revoked":              {ClientID: "c1"},
		"blocked":                    {ClientID: "c2", Revocation: begun("c2", 1300)},
		"accepted-and-not-proven":    {ClientID: "c3", Revocation: accepted},
		"proven":                     {Revocation: proven},
		"let-go":                     {Revocation: begun("c5", 400)},
		"let-go-and-registered-anew": {ClientID: "c7", Revocation: begun("c6", 300)},
	}
	statuses["ended-and-status-says-nothing"] = v1alpha1.MCPClientRegistrationStatus{ClientID: "c8"}
	var objects []client.Object
	for name, status := range statuses {
		end := "2100-01-01T00:00:00Z"
		if strings.HasPrefix(name, "ended") {
			end = "1970-01-01T00:18:20Z"
		}
		objects = append(objects, &v1alpha1.MCPClientRegistration{Status: status, ObjectMeta: metav1.ObjectMeta{
			Namespace: "team", Name: name,
			Annotations: map[string]string{v1alpha1.AnnotationOwner: "team@example.com", v1alpha1.AnnotationExpiresAt: end},
		}})
	}
	collector := controllers.NewCollector(t.Context(), filledCache(t, objects...), clock.RealClock{})
	want := `
# HELP mcp_registrar_oldest_unproven_revocation_timestamp_seconds Instant at which the first of the clients whose revocation is not proven yet should have been gone, in seconds since 1970. Absent while there is none.
# TYPE mcp_registrar_oldest_unproven_revocation_timestamp_seconds gauge
mcp_registrar_oldest_unproven_revocation_timestamp_seconds 1100
# HELP mcp_registrar_unproven_revocations Registrations with a client that must not exist (deleted, ended, without an owner or an end, or with a revocation that began) and is not proven to be gone. Read from the objects, whatever their status says.
# TYPE mcp_registrar_unproven_revocations gauge
mcp_registrar_unproven_revocations 3
`
	compares(t, collector, want, "mcp_registrar_unproven_revocations", "mcp_registrar_oldest_unproven_revocation_timestamp_seconds")
}

func TestTheCollectorSaysNothingBeforeTheCacheIsFilled(t *testing.T) {
	t.Parallel()
	var logged strings.Builder
	ctx := logr.NewContext(t.Context(), funcr.New(func(_, args string) { logged.WriteString(args) }, funcr.Options{}))
	s, filling := newShelf(t, &v1alpha1.MCPServer{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "files"}})
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(controllers.NewCollector(ctx, filling, clock.RealClock{}))
	scrape := func() int {
		t.Helper()
		start := time.Now()
		n, err := testutil.GatherAndCount(registry)
		if took := time.Since(start); err != nil || took > time.Minute {
			t.Fatalf("a scrape took %v: %v", took, err)
		}
		return n
	}
	if n := scrape(); n != 0 {
		t.Errorf("%d series before the cache is started", n)
	}
	run(t, filling)
	if n := scrape(); n != 0 {
		t.Errorf("%d series before the cache is filled", n)
	}
	close(s.open)
	NewWithT(t).Eventually(scrape, eventually, often).Should(Equal(2), "one kind of object, and no unproven revocation")
	if logged.Len() > 0 {
		t.Errorf("logged: %s", logged.String())
	}
}

// broken is a reader that fails on grants, the last that are read.
type broken struct{ client.Reader }

var errBroken = errors.New("no such kind")

func (b broken) List(ctx context.Context, list client.ObjectList, options ...client.ListOption) error {
	if _, ok := list.(*v1alpha1.ScopeGrantList); ok {
		return errBroken
	}
	return b.Reader.List(ctx, list, options...)
}

func TestAFailureIsLoggedAndLeavesTheOtherMetricsAlone(t *testing.T) {
	t.Parallel()
	var logged strings.Builder
	ctx := logr.NewContext(t.Context(), funcr.New(func(_, args string) { logged.WriteString(args) }, funcr.Options{}))
	registry := prometheus.NewPedanticRegistry()
	other := prometheus.NewGauge(prometheus.GaugeOpts{Name: "other", Help: "Something else."})
	registry.MustRegister(other, controllers.NewCollector(ctx, broken{filledCache(t)}, clock.RealClock{}))
	// A scrape that takes too long on a busy machine says nothing.
	NewWithT(t).Eventually(func() string {
		if n, err := testutil.GatherAndCount(registry); err != nil || n != 1 {
			t.Errorf("%d series, want only the other: %v", n, err)
		}
		return logged.String()
	}, eventually, often).Should(ContainSubstring(errBroken.Error()))
}

func TestEveryCauseIsInTheHistogramFromTheStart(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewPedanticRegistry()
	metrics := controllers.NewMetrics(registry)
	const name = "mcp_registrar_revocation_lateness_seconds"
	before, err := testutil.GatherAndCount(registry, name)
	if err != nil || before < 10 {
		t.Fatalf("%d causes: %v", before, err)
	}
	metrics.Revoked(v1alpha1.CauseExpired, time.Second)
	if after, err := testutil.GatherAndCount(registry, name); err != nil || after != before {
		t.Errorf("%d causes after a revocation, %d before: %v", after, before, err)
	}
}

// BenchmarkScrape is one scrape of a cluster with 10,000 objects: as many
// registrations as grants.
func BenchmarkScrape(b *testing.B) {
	var objects []client.Object
	for i := range 5000 {
		name := metav1.ObjectMeta{Namespace: fmt.Sprintf("team-%d", i%100), Name: fmt.Sprintf("client-%d", i)}
		ready := conditionReady(metav1.ConditionTrue, v1alpha1.ReasonReady)
		objects = append(objects,
			&v1alpha1.MCPClientRegistration{ObjectMeta: name, Status: v1alpha1.MCPClientRegistrationStatus{Conditions: ready, ExpiresAt: instant(1900000000)}},
			&v1alpha1.ScopeGrant{ObjectMeta: name, Status: v1alpha1.ScopeGrantStatus{Conditions: ready, ExpiresAt: instant(1900000000)}})
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(controllers.NewCollector(b.Context(), filledCache(b, objects...), clock.RealClock{}))
	for b.Loop() {
		if n, err := testutil.GatherAndCount(registry); err != nil || n != len(objects)+3 {
			b.Fatalf("%d series: %v", n, err)
		}
	}
	b.ReportAllocs()
}

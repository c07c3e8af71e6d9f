// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build bench

package bench

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	vegeta "github.com/tsenart/vegeta/v12/lib"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/test/env"
	"github.com/mcp-registrar/mcp-registrar/test/operator"
)

var (
	guardClients = flag.Int("guard-clients", 10_000, "how many registrations the guard knows")
	guardRate    = flag.Int("guard-rate", 1000, "requests per second")
	guardSeconds = flag.Int("guard-seconds", 20, "for how long they are sent")
	guardBefore  = flag.String("guard-before", "", "a guard to compare with: the binary of an earlier version")
)

const (
	guardedServer = "guarded"
	guardedTool   = "read_invoice"
	callBody      = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"` + guardedTool + `","arguments":{"id":"INV-1"}}}`
)

// TestGuard measures what the guard adds to a call: the bare upstream and the
// guard in front of it are asked in turns, by the same load tool. It fails where
// an answer is not the one that it must be.
func TestGuard(t *testing.T) {
	g := newGuardBench(t)
	few := g.residentBytes(t)
	g.register(t, *guardClients)
	perClient := float64(g.residentBytes(t)-few) / float64(*guardClients)
	say(t, fmt.Sprintf("guard: memory per registration with its grant, %d known", *guardClients),
		"%.0f bytes of heap, %.0f bytes resident", g.heapPerClient(t), perClient)

	var bare, through []*vegeta.Metrics
	for range 3 {
		bare = append(bare, g.attack(t, g.upstream.URL, *guardRate, *guardSeconds))
		through = append(through, g.attack(t, g.url, *guardRate, *guardSeconds))
	}
	a, b := best(bare), best(through)
	if g.before != "" {
		g.compare(t)
	}
	say(t, fmt.Sprintf("guard: latency at %d requests/s, bare upstream", *guardRate), "p50 %s, p99 %s", a.Latencies.P50, a.Latencies.P99)
	say(t, fmt.Sprintf("guard: latency at %d requests/s, through the guard", *guardRate), "p50 %s, p99 %s", b.Latencies.P50, b.Latencies.P99)
	say(t, "guard: added", "p50 %s, p99 %s", b.Latencies.P50-a.Latencies.P50, b.Latencies.P99-a.Latencies.P99)
	most, through2 := g.attack(t, g.upstream.URL, 0, 10), g.attack(t, g.url, 0, 10)
	say(t, "guard: throughput, 32 at a time", "bare %.0f/s, through the guard %.0f/s", most.Throughput, through2.Throughput)
}

// compare asks the guard and an earlier one in turns, and says how their figures relate.
// Who is asked after whom changes with each turn: a processor that was busy is slower.
func (g *guardBench) compare(t *testing.T) {
	t.Helper()
	const turns = 10
	bare, now, before := &turn{url: g.upstream.URL}, &turn{url: g.url, metrics: g.metrics}, &turn{url: g.before, metrics: g.beforeMetrics}
	order := []*turn{bare, now, before}
	for i := range turns {
		for j := range order {
			order[(i+j)%len(order)].take(t, g)
		}
	}
	base := median(bare.p50)
	say(t, "guard: added p50, now and before", "%s and %s, a ratio of %.3f",
		time.Duration(median(now.p50)-base), time.Duration(median(before.p50)-base), (median(now.p50)-base)/(median(before.p50)-base))
	say(t, "guard: throughput, now and before", "%.0f/s and %.0f/s, a ratio of %.3f",
		median(now.throughput), median(before.throughput), median(now.throughput)/median(before.throughput))
	say(t, "guard: processor time of a request, now and before", "%.1f µs and %.1f µs, a ratio of %.3f",
		1e6*median(now.processor), 1e6*median(before.processor), median(now.processor)/median(before.processor))
}

// turn is what is seen of one of those that compare compares; of the bare upstream, there are
// no metrics.
type turn struct {
	url, metrics               string
	p50, throughput, processor []float64
}

func (of *turn) take(t *testing.T, g *guardBench) {
	t.Helper()
	used := g.used(t, of.metrics)
	calm, busy := g.attack(t, of.url, *guardRate, *guardSeconds/2), g.attack(t, of.url, 0, 5)
	of.p50, of.throughput = append(of.p50, float64(calm.Latencies.P50)), append(of.throughput, busy.Throughput)
	of.processor = append(of.processor, (g.used(t, of.metrics)-used)/float64(calm.Requests+busy.Requests))
}

// used is the processor time that a guard has used, in seconds.
func (g *guardBench) used(t *testing.T, metrics string) float64 {
	t.Helper()
	if metrics == "" {
		return 0
	}
	return g.read(t, metrics, "process_cpu_seconds_total")
}

func median(of []float64) float64 {
	slices.Sort(of)
	return of[len(of)/2]
}

// best is the run with the least p99: the others were disturbed.
func best(runs []*vegeta.Metrics) *vegeta.Metrics {
	least := runs[0]
	for _, run := range runs {
		if run.Latencies.P99 < least.Latencies.P99 {
			least = run
		}
	}
	return least
}

// guardBench is a guard in front of a server that answers at once.
type guardBench struct {
	*operator.Stage
	issuer   *issuer
	upstream *httptest.Server
	url      string
	// before is where an earlier guard answers; empty where there is none.
	before, beforeMetrics string
	metrics               string
	process               *exec.Cmd
	tokens                []string
	baseHeap              float64
}

func newGuardBench(t *testing.T) *guardBench {
	t.Helper()
	g := &guardBench{Stage: operator.NewStage(t, operator.StageOptions{Manager: "none"}), issuer: newIssuer(t)}
	g.upstream = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"paid"}]}}`)
	}))
	t.Cleanup(g.upstream.Close)
	as := &v1alpha1.AuthorizationServer{ObjectMeta: metav1.ObjectMeta{Name: guardedServer}, Spec: v1alpha1.AuthorizationServerSpec{
		Issuer: g.issuer.url, DynamicRegistration: &v1alpha1.DynamicRegistration{},
		AllowedServers: &v1alpha1.AllowedNamespaces{From: v1alpha1.NamespacesAll},
		Policy:         &v1alpha1.RegistrationPolicy{MaxGrantsPerNamespace: new(int32(1_000_000))},
	}}
	mcp := &v1alpha1.MCPServer{
		ObjectMeta: metav1.ObjectMeta{Namespace: operator.TeamNamespace, Name: guardedServer, Annotations: map[string]string{v1alpha1.AnnotationOwner: operator.Owner}},
		Spec: v1alpha1.MCPServerSpec{
			Resource: "https://mcp.example.com/guarded", AuthorizationServerRef: v1alpha1.AuthorizationServerReference{Name: guardedServer},
			Scopes: []v1alpha1.Scope{{Name: scope, Tier: v1alpha1.TierRead, Tools: []string{guardedTool}}},
		},
	}
	for _, object := range []client.Object{as, mcp} {
		if err := g.Create(t.Context(), object); err != nil {
			t.Fatal(err)
		}
	}
	g.start(t)
	g.register(t, 1)
	g.baseHeap = g.gauge(t, "go_memstats_heap_alloc_bytes")
	return g
}

// start builds and starts the guard, and waits until it knows everything.
func (g *guardBench) start(t *testing.T) {
	t.Helper()
	root, err := env.ModuleRoot()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "guard")
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-ldflags=-s -w", "-o", path, "./cmd/guard")
	build.Dir, build.Env = root, append(os.Environ(), "CGO_ENABLED=0", "PWD="+root)
	if said, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building the guard: %v\n%s", err, said)
	}
	g.url, g.metrics, g.process = g.launch(t, path, "guard")
	if *guardBefore != "" {
		g.before, g.beforeMetrics, _ = g.launch(t, *guardBefore, "guard-before")
	}
}

// launch starts a guard, and waits until it is ready.
func (g *guardBench) launch(t *testing.T, path, name string) (url, metricsURL string, process *exec.Cmd) {
	t.Helper()
	proxy, metrics, health := freeAddress(t), freeAddress(t), freeAddress(t)
	log, err := os.Create(filepath.Join(t.ArtifactDir(), name+".log"))
	if err != nil {
		t.Fatal(err)
	}
	process = exec.CommandContext(context.WithoutCancel(t.Context()), path, "--kubeconfig="+g.Manager.Kubeconfig,
		"--server="+operator.TeamNamespace+"/"+guardedServer+"="+g.upstream.URL, "--bind-address="+proxy,
		"--metrics-bind-address="+metrics, "--health-probe-bind-address="+health, "--lease-namespace="+operator.Namespace,
		"--identity="+name, "--audit-log="+filepath.Join(t.TempDir(), "calls.jsonl"))
	process.Stdout, process.Stderr = log, log
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = process.Process.Signal(syscall.SIGTERM)
		_ = process.Wait()
		_ = log.Close()
	})
	g.await(t, func() bool {
		status, _, err := get(t.Context(), "http://"+health+"/readyz")
		return err == nil && status == http.StatusOK
	})
	return "http://" + proxy + "/guarded", "http://" + metrics + "/metrics", process
}

func (g *guardBench) await(t *testing.T, done func() bool) {
	t.Helper()
	for end := time.Now().Add(5 * time.Minute); !done(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("waited for too long")
		}
	}
}

// register makes registrations with their grants, as the operator leaves them,
// until there are so many, and waits until the guard knows them.
func (g *guardBench) register(t *testing.T, count int) {
	t.Helper()
	all := names("guarded", count)[len(g.tokens):]
	each(t, all, func(ctx context.Context, i int) error {
		objects := registration(all[i], time.Now().Add(24*time.Hour))
		reg, grant := objects[0].(*v1alpha1.MCPClientRegistration), objects[1].(*v1alpha1.ScopeGrant)
		reg.Spec.AuthorizationServerRef.Name, grant.Spec.ServerRef.Name = guardedServer, guardedServer
		for _, object := range objects {
			if err := g.Create(ctx, object); err != nil {
				return err
			}
		}
		expires := metav1.NewTime(time.Now().Add(24 * time.Hour))
		reg.Status = v1alpha1.MCPClientRegistrationStatus{
			ObservedGeneration: 1, ClientID: "client-" + all[i], ExpiresAt: &expires,
			Scopes: []v1alpha1.EffectiveScope{{Name: scope, Grants: []string{grant.Name}}},
		}
		grant.Status = v1alpha1.ScopeGrantStatus{ObservedGeneration: 1, Basis: v1alpha1.BasisAutomatic, ExpiresAt: &expires}
		if err := g.Status().Update(ctx, reg); err != nil {
			return err
		}
		return g.Status().Update(ctx, grant)
	})
	for _, name := range all {
		g.tokens = append(g.tokens, g.issuer.token(t, "client-"+name, "https://mcp.example.com/guarded", scope))
	}
	g.await(t, func() bool { return g.gauge(t, "mcp_guard_register_grants") == float64(count) })
	time.Sleep(2 * time.Second) // what was read is garbage by now
}

// attack sends calls, one client after the other, at a rate, or as fast as 32
// of them are answered. Each answer must be the upstream's.
func (g *guardBench) attack(t *testing.T, url string, rate, seconds int) *vegeta.Metrics {
	t.Helper()
	next := 0
	targets := func(target *vegeta.Target) error {
		next++
		*target = vegeta.Target{Method: http.MethodPost, URL: url, Body: []byte(callBody), Header: http.Header{
			"Content-Type": {"application/json"}, "Accept": {"application/json, text/event-stream"},
			"Authorization": {"Bearer " + g.tokens[next%min(len(g.tokens), 1000)]},
		}}
		return nil
	}
	pacer, workers := vegeta.Rate{Freq: rate, Per: time.Second}, uint64(32)
	attacker := vegeta.NewAttacker(vegeta.Workers(workers), vegeta.MaxWorkers(cmp.Or(uint64(rate), workers)), vegeta.KeepAlive(true))
	var metrics vegeta.Metrics
	refused := 0
	for result := range attacker.Attack(targets, pacer, time.Duration(seconds)*time.Second, "") {
		metrics.Add(result)
		// A refusal that no token helps against has the status of success.
		if bytes.Contains(result.Body, []byte(`"reason":`)) {
			refused++
		}
	}
	metrics.Close()
	if refused > 0 {
		t.Fatalf("%d of %d requests to %s were refused", refused, metrics.Requests, url)
	}
	if metrics.Success < 1 || metrics.Requests == 0 {
		t.Fatalf("of %d requests to %s a share of %f was answered: %v %v", metrics.Requests, url, metrics.Success, metrics.StatusCodes, metrics.Errors)
	}
	return &metrics
}

func get(ctx context.Context, url string) (status int, body []byte, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	body, err = io.ReadAll(response.Body)
	return response.StatusCode, body, err
}

// gauge reads a metric of the guard; 0 where it has none.
func (g *guardBench) gauge(t *testing.T, name string) float64 {
	t.Helper()
	return g.read(t, g.metrics, name)
}

func (g *guardBench) read(t *testing.T, url, name string) float64 {
	t.Helper()
	_, text, err := get(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if value, found := strings.CutPrefix(line, name+" "); found {
			number, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			if err != nil {
				t.Fatal(err)
			}
			return number
		}
	}
	return 0
}

func (g *guardBench) heapPerClient(t *testing.T) float64 {
	t.Helper()
	least := g.gauge(t, "go_memstats_heap_alloc_bytes")
	for range 20 {
		time.Sleep(500 * time.Millisecond)
		least = min(least, g.gauge(t, "go_memstats_heap_alloc_bytes"))
	}
	return (least - g.baseHeap) / float64(*guardClients)
}

// residentBytes is the resident memory of the guard.
func (g *guardBench) residentBytes(t *testing.T) int64 {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("resident memory is read from /proc")
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", g.process.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	var size, resident int64
	if _, err := fmt.Sscan(string(text), &size, &resident); err != nil {
		t.Fatal(err)
	}
	return resident * int64(os.Getpagesize())
}

func freeAddress(t *testing.T) string {
	t.Helper()
	address, err := env.FreeAddress(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return address
}

// encode writes JSON.
func encode(w http.ResponseWriter, value any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(value)
}

// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package crashmatrix

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	testclock "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/audit"
)

// matrix runs the cases of one kind of API server and counts them.
type matrix struct {
	// scene sets a scene of its own for each case.
	scene func(t *testing.T, p personality, method v1alpha1.TokenEndpointAuthMethod) *scene
	// twin sets the same scene on another API server, which must see the same
	// calls; nil where there is none.
	twin func(t *testing.T, p personality, method v1alpha1.TokenEndpointAuthMethod) *scene
	// meant says whether an operation is run, chosen whether a case of it is;
	// nil means all.
	meant  func(p personality, o operation, method v1alpha1.TokenEndpointAuthMethod) bool
	chosen func(name string) bool

	mu    sync.Mutex
	cases map[string]map[string]int
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

// TestCrashMatrix breaks every operation at every boundary in every way, on
// every personality.
func TestCrashMatrix(t *testing.T) {
	scheme := newScheme(t)
	m := &matrix{cases: map[string]map[string]int{}}
	m.scene = inMemory(scheme)
	m.run(t)
	m.report(t, 1000)
}

// inMemory sets scenes on API servers in memory.
func inMemory(scheme *runtime.Scheme) func(*testing.T, personality, v1alpha1.TokenEndpointAuthMethod) *scene {
	return func(t *testing.T, p personality, method v1alpha1.TokenEndpointAuthMethod) *scene {
		server := func(now *testclock.FakePassiveClock) client.Client { return newMemory(scheme, now) }
		return newScene(t.Context(), scheme, "team", server, p, method)
	}
}

func (m *matrix) run(t *testing.T) {
	for _, p := range personalities {
		t.Run(p.name, func(t *testing.T) {
			for _, o := range operations {
				for _, method := range methods {
					if o.makesSense(p, method) && (m.meant == nil || m.meant(p, o, method)) {
						t.Run(o.name+", "+string(method), func(t *testing.T) {
							t.Parallel()
							m.operation(t, p, o, method)
						})
					}
				}
			}
		})
	}
}

// operation runs an operation whole, and then once for each way to break each
// boundary that it was seen to have.
func (m *matrix) operation(t *testing.T, p personality, o operation, method v1alpha1.TokenEndpointAuthMethod) {
	s, whole := m.play(t, m.scene(t, p, method), o, noFault)
	s.checkBudgets(o, whole)
	if o.end != blocked {
		s.restarts(o)
	}
	if m.twin != nil {
		if _, other := m.play(t, m.twin(t, p, method), o, noFault); other.trace() != whole.trace() {
			s.problem("in memory the calls are others:\n%s", other.trace())
		}
	}
	if len(s.problems) > 0 {
		t.Error(explain(t, s, whole))
	}
	for at, boundary := range whole.calls {
		for _, mode := range boundary.modes() {
			if mode == unheeded && o.end == blocked {
				// No server accepts a token that it does not know.
				continue
			}
			name := fmt.Sprintf("%02d %s: %s", at, boundary, mode)
			if m.chosen != nil && !m.chosen(p.name+o.name+name) {
				continue
			}
			t.Run(name, func(t *testing.T) {
				s, broken := m.play(t, m.scene(t, p, method), o, fault{at: at, mode: mode})
				if len(broken.calls) <= at || broken.calls[at].String() != boundary.String() {
					s.problem("the run without faults came to %s here", boundary)
				}
				if len(s.problems) > 0 {
					t.Error(explain(t, s, broken))
				}
				m.count(p.name, o.name)
			})
		}
	}
}

// play lets an operation run with a fault, after a crash in another life of
// the manager, and checks what came of it.
func (m *matrix) play(t *testing.T, s *scene, o operation, f fault) (*scene, *process) {
	s.mark()
	if o.before != nil {
		o.before(s)
	}
	if !o.lagging {
		s.mark()
	}
	s.operate(o.begin)
	broken, err := s.process(f)
	if err != nil {
		t.Fatal(err)
	}
	s.settle(broken)
	heir := broken
	if broken.dead {
		s.said = append(s.said, "--- another life ---")
		heir = s.live()
	}
	lost := s.personality.losesTokens && broken.lostToken()
	if o.end == gone {
		s.sweep(heir)
	}
	s.rests(o.end, lost)
	if lost || o.end == blocked {
		return s, broken
	}
	if o.keeps {
		s.kept()
	}
	if o.after != nil {
		o.after(s)
	}
	s.idle(heir)
	return s, broken
}

// sweep has the records looked at, as some time after an object went: then one that
// was left behind goes. What stays is counted.
func (s *scene) sweep(p *process) {
	before := len(p.calls)
	for range 3 {
		for key := range s.cluster.at("Secret", s.cluster.latest("Secret")) {
			if key.Namespace != operatorNamespace {
				continue
			}
			if _, err := p.reconcile(strays, key); err != nil {
				s.problem("looking at a record: %v", err)
			}
		}
		if _, err := p.reconcile(authorizationServers, client.ObjectKey{Name: s.name}); err != nil {
			s.problem("counting the records: %v", err)
		}
		s.clock.SetTime(s.clock.Now().Add(10 * time.Second))
	}
	p.calls = p.calls[:before]
}

// idle holds that at rest nothing is written.
func (s *scene) idle(p *process) {
	before := len(p.calls)
	if _, err := p.reconcile(s.target, s.subject()); err != nil {
		s.problem("at rest: %v", err)
	}
	for _, call := range p.calls[before:] {
		if call.class == kubeWrite || call.class == auditWrite {
			s.problem("at rest: %s", call)
		}
	}
	p.calls = p.calls[:before]
}

// restarts holds that the next life of the manager finds nothing to do, and that
// without a fault nothing was reported.
func (s *scene) restarts(o operation) {
	before := len(s.cluster.versions["Secret"]) + len(s.cluster.versions["MCPClientRegistration"])
	for _, call := range s.live().calls {
		if call.class == kubeWrite || (call.class == serverCall && !slices.Contains(sideEffectFree, call.verb)) {
			s.problem("after a restart: %s", call)
		}
	}
	if after := len(s.cluster.versions["Secret"]) + len(s.cluster.versions["MCPClientRegistration"]); after != before {
		s.problem("after a restart %d objects were written", after-before)
	}
	if !o.unanswered && s.ledger.told(audit.PossibleOrphan) {
		s.problem("a possible orphan was reported without a fault")
	}
}

// lostToken says that the fault came between an answer with a new management
// token and its storing: nobody has that token.
func (p *tape) lostToken() bool {
	for i := p.fault.at; i >= 0 && i < len(p.calls); i-- {
		call := p.calls[i]
		switch {
		case call.class == kubeWrite && call.what == "record" && call.changes:
			return false
		case call.class == serverCall && call.changes:
			return true
		}
	}
	return false
}

// checkBudgets holds an undisturbed run against its budgets.
func (s *scene) checkBudgets(o operation, p *process) {
	writes, calls := 0, 0
	counted := p.calls
	if o.toReady {
		counted = counted[:p.readyAt]
	}
	for _, call := range counted {
		switch {
		case call.class == kubeWrite:
			writes++
		case call.class == serverCall && !slices.Contains(sideEffectFree, call.verb):
			calls++
		}
	}
	if o.writes != nil && writes > o.writes(s) {
		s.problem("%d writes to Kubernetes, the budget is %d", writes, o.writes(s))
	}
	if o.calls != nil && calls > o.calls(s) {
		s.problem("%d calls of the authorization server, the budget is %d", calls, o.calls(s))
	}
}

// explain tells what went wrong in a case, and how to run it alone.
func explain(t *testing.T, s *scene, p *process) string {
	var text strings.Builder
	for _, problem := range s.problems {
		fmt.Fprintf(&text, "\n  %s", problem)
	}
	var path []string
	for part := range strings.SplitSeq(t.Name(), "/") {
		path = append(path, "^"+regexp.QuoteMeta(part)+"$")
	}
	fmt.Fprintf(&text, "\nthe calls, the broken one marked:\n%swhat was said:\n  %s\nto run it alone:\n  go test ./test/crashmatrix -run '%s'",
		p.trace(), strings.Join(s.said, "\n  "), strings.Join(path, "/"))
	return text.String()
}

func (m *matrix) count(personality, operation string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.cases[personality] == nil {
		m.cases[personality] = map[string]int{}
	}
	m.cases[personality][operation]++
}

// report prints the number of cases, and fails where there are too few.
func (m *matrix) report(t *testing.T, least int) {
	total := 0
	for _, personality := range slices.Sorted(maps.Keys(m.cases)) {
		sum, parts := 0, []string{}
		for _, operation := range slices.Sorted(maps.Keys(m.cases[personality])) {
			count := m.cases[personality][operation]
			sum += count
			parts = append(parts, fmt.Sprintf("%s %d", operation, count))
		}
		total += sum
		t.Logf("%s: %d cases (%s)", personality, sum, strings.Join(parts, ", "))
	}
	fmt.Fprintf(os.Stdout, "%s: %d cases\n", t.Name(), total)
	whole := !strings.Contains(flag.Lookup("test.run").Value.String(), "/")
	if total < least && whole && !t.Failed() {
		t.Errorf("only %d cases: the boundaries were not found", total)
	}
}

// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build soak

package soak

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/test/devas"
	"github.com/mcp-registrar/mcp-registrar/test/operator"
)

var (
	seed          = flag.Uint64("seed", 0, "repeats the script and the kind of kills of an earlier run; 0 picks one")
	kills         = flag.Int("kills", 200, "how many times the manager is killed with client ids of its own; half as often without, a fourth with tokens that change")
	registrations = flag.Int("registrations", 200, "how many registrations there are at one time")
	pace          = flag.Duration("pace", 40*time.Millisecond, "mean pause between two steps of the script")
	intermediary  = flag.Bool("intermediary", false, "somebody answers in the authorization server's place at random, for a quarter of the time")
	settle        = flag.Duration("settle", 3*time.Minute, "how long everything may take to settle after the last kill")
)

// The parts of the kills that runs get: the whole of it goes to the one that
// may lose nothing at all.
const (
	// keptShare is for registration access tokens that stay.
	keptShare = 2
	// rotatedShare is for those that change.
	rotatedShare = 4
)

// slowly is how long settling may take before it is told what was last.
const slowly = time.Minute

// run is one soak: a stage, a script, its kills and what came of them.
type run struct {
	*operator.Stage
	script *script
	killer *killer
	// mayLose says that clients may become unmanageable.
	mayLose bool
	// waiting are registrations of which two answers in a row were lost: the script
	// waits for nothing of them until a person has looked.
	waiting map[string]bool
	// attended counts those that a person looked at.
	attended int
	// stood counts how often somebody stood in the server's place.
	stood   int
	started time.Time
	settled time.Duration
}

// manager is the path of the binary, built once for all tests.
var manager = sync.OnceValues(func() (string, error) {
	return operator.Build(context.Background(), binaries)
})

// binaries is where the manager is built.
var binaries string

func TestMain(m *testing.M) {
	var err error
	if binaries, err = os.MkdirTemp("", "soak"); err != nil {
		slog.Error("No place for the manager", "error", err)
		os.Exit(1)
	}
	ctrl.SetLogger(logr.Discard())
	slog.SetDefault(slog.New(slog.DiscardHandler))
	code := m.Run()
	if err := os.RemoveAll(binaries); err != nil {
		code = 1
	}
	os.Exit(code)
}

// With tokens that stay, nothing may be lost: every registration settles, and
// the live clients are those of Ready registrations and reported orphans.
func TestKilledAtRandom(t *testing.T) {
	t.Parallel()
	r := newRun(t, operator.StageOptions{}, *registrations)
	// Where the answers to an update and to the deletion after it were both somebody
	// else's, nothing proves that the client is gone.
	r.mayLose = *intermediary
	share := max(*kills/keptShare, 1)
	r.soak(t, share)
	r.finish(t)
	w := r.attend(t)
	lost := w.lost()
	if refused, err := w.unmanageable(t.Context()); err != nil || !maps.Equal(lost, refused) {
		t.Errorf("reported as unmanageable: %v; refused by the authorization server: %v (error %v)", lost, refused, err)
	}
	if len(lost) > 0 && !r.mayLose {
		t.Errorf("%v are unmanageable", lost)
	}
	r.use(t, w, lost)
	r.summary(t, w, share, len(lost))
	r.release(t, w, lost)
	r.mayLose = false
	r.census(t)
}

// With tokens that change on every replacement, an answer lost to a kill takes
// the new token with it: some by chance, and in every run one of each wish.
// Exactly those clients are reported as unmanageable, and a person can let go
// of each: what is wished for is registered anew.
func TestKilledAtRandomWhileTokensRotate(t *testing.T) {
	r := newRun(t, operator.StageOptions{Switches: devas.Switches{RotateRegistrationToken: devas.RotateOnPut}}, max(*registrations/2, 1))
	r.mayLose = true
	share := max(*kills/rotatedShare, 1)
	r.soak(t, share)
	forced := r.lose(t)
	r.finish(t)
	w := r.attend(t)
	lost := w.lost()
	for _, name := range forced {
		if !lost[name] {
			t.Errorf("%s: the answer to its replacement was held back until the kill, but it is not reported as unmanageable", name)
		}
	}
	refused, err := w.unmanageable(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !maps.Equal(lost, refused) {
		t.Errorf("reported as unmanageable: %v; refused by the authorization server: %v", lost, refused)
	}
	for name := range lost {
		if !slices.Contains(forced, name) && !*intermediary && !r.replacedAtKill(w.records[w.registrations[name].UID].Client.ID) {
			t.Errorf("%s: reported as unmanageable, but no replacement of its client was in work at a kill", name)
		}
	}
	r.use(t, w, lost)
	r.summary(t, w, share, len(lost))
	r.mayLose = false
	r.release(t, w, lost)
	r.census(t)
	t.Logf("%d let go of; settled in %s", len(lost), r.settled.Round(time.Millisecond))
}

// Where the operator chooses client ids, whatever a kill cut off is found
// again: no client is lost, doubled or only possible. Settling takes at least
// the time for which a request without an answer may still be carried out.
func TestKilledAtRandomWithOwnIDs(t *testing.T) {
	t.Parallel()
	r := newRun(t, operator.StageOptions{OwnIDs: true}, *registrations)
	r.soak(t, *kills)
	r.finish(t)
	w := r.attend(t)
	for _, wrong := range w.unclear() {
		t.Error(wrong)
	}
	r.use(t, w, nil)
	r.summary(t, w, *kills, 0)
}

func newRun(t *testing.T, o operator.StageOptions, registrations int) *run {
	t.Helper()
	started := time.Now()
	const latency = 5
	o.Switches.LatencyMillis, o.Servers = latency, catalogue
	chosen := *seed
	if chosen == 0 {
		chosen = rand.Uint64N(1_000_000_000)
	}
	t.Logf("seed %d: repeat with -run=%s -seed=%d", chosen, t.Name(), chosen)
	o.Admission = chosen%2 == 0
	var err error
	if o.Manager, err = manager(); err != nil {
		t.Fatal(err)
	}
	s := operator.NewStage(t, o)
	return &run{Stage: s, script: newScript(s, chosen, registrations), killer: newKiller(s, chosen, t.Logf), started: started}
}

// soak runs script and kills side by side.
func (r *run) soak(t *testing.T, kills int) {
	t.Helper()
	scripted := make(chan error, 1)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	go func() { scripted <- r.script.run(ctx, *pace) }()
	away := r.intrude(ctx)
	killed := r.killer.run(t.Context(), kills)
	stop()
	away()
	if err := <-scripted; err != nil {
		t.Fatal(err)
	}
	if killed != nil {
		t.Fatal(killed)
	}
}

// finish creates what is missing and starts a manager that stays.
func (r *run) finish(t *testing.T) {
	t.Helper()
	if err := r.script.fill(t.Context()); err != nil {
		t.Fatal(err)
	}
	last, err := operator.Start(context.WithoutCancel(t.Context()), r.Manager)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := last.Stop(); err != nil {
			t.Error(err)
		}
	})
}

// census waits until the world is as it should be, and returns it.
func (r *run) census(t *testing.T) *world {
	t.Helper()
	var w *world
	var found, last []string
	start := time.Now()
	err := wait.PollUntilContextTimeout(t.Context(), 500*time.Millisecond, *settle, true, func(ctx context.Context) (bool, error) {
		var err error
		if w, err = survey(context.WithoutCancel(ctx), r.Stage); err != nil {
			return false, err
		}
		var lost map[string]bool
		if r.mayLose {
			lost = w.saying(v1alpha1.ReasonManagementLost)
		}
		if *intermediary {
			r.waiting = w.saying(v1alpha1.ReasonPossibleOrphans)
		}
		if len(found) > 0 {
			last = found
		}
		found = w.differences(r.script.slots, union(lost, r.waiting), time.Now())
		return len(found) == 0, nil
	})
	if err != nil {
		const most = 40
		found = found[:min(len(found), most)]
		t.Fatalf("not as it should be after %s (%v):\n%s\n%s", *settle, err, strings.Join(found, "\n"), w.explain(found, r.AS.Log()))
	}
	r.settled = time.Since(start)
	if r.settled > slowly {
		t.Logf("last to settle, after %s: %s", r.settled.Round(time.Millisecond), strings.Join(last, "; "))
	}
	return w
}

func union(a, b map[string]bool) map[string]bool {
	all := maps.Clone(a)
	if all == nil {
		all = map[string]bool{}
	}
	maps.Copy(all, b)
	return all
}

// lost are the registrations that are reported as unmanageable.
func (w *world) lost() map[string]bool { return w.saying(v1alpha1.ReasonManagementLost) }

// saying are the registrations that are not Ready for a reason.
func (w *world) saying(reason string) map[string]bool {
	found := map[string]bool{}
	for name, reg := range w.registrations {
		for _, c := range reg.Status.Conditions {
			if c.Type == v1alpha1.ConditionReady && c.Reason == reason {
				found[name] = true
			}
		}
	}
	return found
}

// use asks for tokens with the Secrets that the teams were given.
func (r *run) use(t *testing.T, w *world, lost map[string]bool) {
	t.Helper()
	used, err := w.useCredentials(t.Context(), r.script.slots, lost)
	if err != nil {
		t.Error(err)
	}
	if used == 0 {
		t.Error("no registration had credentials to try")
	}
	t.Logf("%d Secrets tried", used)
}

// replacedAtKill says that a replacement of a client was done at the
// authorization server so shortly before a kill, or so soon after one, that its
// answer may have been lost.
func (r *run) replacedAtKill(clientID string) bool {
	for _, entry := range r.AS.Log() {
		if entry.Operation != devas.Replace || entry.Status != 200 || entry.ClientID != clientID {
			continue
		}
		for _, kill := range r.killer.kills {
			if d := kill.Sub(entry.Time); d > -500*time.Millisecond && d < 5*time.Second {
				return true
			}
		}
	}
	return false
}

// release does what the runbook tells the platform team: deletes the client at
// the authorization server and lets go of it in the record.
func (r *run) release(t *testing.T, w *world, lost map[string]bool) {
	t.Helper()
	for name := range lost {
		uid := w.registrations[name].UID
		if id := w.records[uid].Client.ID; w.clients[id].ID != "" {
			if err := r.AS.Remove(id); err != nil {
				t.Fatal(err)
			}
		}
		record := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: operator.Namespace, Name: "registration-" + string(uid)}}
		change := map[string]any{"metadata": map[string]any{"annotations": map[string]string{v1alpha1.AnnotationRelease: "soak: deleted at the authorization server"}}}
		if err := r.script.merge(t.Context(), record, change); err != nil {
			t.Fatal(err)
		}
	}
	for _, reg := range r.script.slots {
		if reg != nil && lost[reg.name] {
			reg.released = true
		}
	}
}

func (r *run) summary(t *testing.T, w *world, kills, lost int) {
	t.Helper()
	counts := r.AS.Counts()
	reasons := map[string]int{}
	for _, reg := range w.registrations {
		reasons[ready(reg.Status.Conditions, reg.Status.ObservedGeneration, reg.Generation)]++
	}
	t.Logf("SOAK %s: %d kills (%s), %d times somebody in the server's place, %d registrations that a person had to look at, %d steps, %d registered, %d replaced, %d deleted at the authorization server; "+
		"%d registrations %v, %d live clients, %d possible orphans of which %d live, %d unmanageable; settled in %s, %s since the start",
		t.Name(), kills, aims(r.killer.aimed), r.stood, r.attended, r.script.steps, counts.Total(devas.Register), counts.Total(devas.Replace), counts.Total(devas.Delete),
		len(w.registrations), reasons, len(w.clients), len(w.reported()), w.realOrphans(), lost, r.settled.Round(time.Millisecond), time.Since(r.started).Round(time.Second))
}

func aims(aimed map[devas.Operation]int) string {
	return fmt.Sprintf("%d right after register, %d after replace, %d after delete",
		aimed[devas.Register], aimed[devas.Replace], aimed[devas.Delete])
}

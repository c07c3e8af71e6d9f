// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/test/mcpserver"
)

// guardClients is how many clients TestGuardFeelsRevocation has; one in ten is
// deleted.
var guardClients = flag.Int("guard-clients", 200, "clients of TestGuardFeelsRevocation, one in ten of which is deleted")

const (
	crowded = "crowded"
	// felt is from when on a client that was deleted is refused: the promise, for
	// 99 of 100. atLatest is for all of them, however slow the machine.
	felt     = time.Second
	atLatest = 10 * felt
	// pace is between two requests of a client, and haste between those of one
	// that was deleted, until it is refused.
	pace  = time.Second
	haste = 10 * time.Millisecond
	// lapsing is how many clients expire at one instant.
	lapsing = 20
)

// TestGuardFeelsRevocation has a crowd of clients with valid tokens call through
// one guard, and deletes some of them meanwhile: those are refused soon, the
// others never. Then clients expire at an instant that is known, while the
// operator is away.
func TestGuardFeelsRevocation(t *testing.T) {
	w := startWorld(t)
	b := newBoundary(t, w)
	// What is behind the guard is not an MCP server, but is taken for one.
	u := sample(crowded, startSample(t, mcpserver.Options{}))
	u.url = startLight(t)
	w.create(t, newGuardedServer(b.namespace, crowded, b.as, b.guard.resource(crowded), u.tools()))
	b.guard.start(t, w, b.kubeconfig, []string{b.behind(crowded, u.url)})
	c := newCrowd(t, b, u, *guardClients)
	t.Run("deleted", func(t *testing.T) { testFeltByDeleted(t, c) })
	t.Run("expired while the operator is away", func(t *testing.T) { testFeltByExpired(t, c) })
	b.guard.stop(t)
	t.Run("the record of calls is complete", func(t *testing.T) { testVerifies(t, b.guard.audit, "1 chain") })
}

// startLight starts a server that always answers the same: a crowd keeps a better
// one too busy.
func startLight(t *testing.T) (address string) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		// Who left needs no answer.
		_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"open"}]}}`)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// crowd are clients that call one tool again and again.
type crowd struct {
	*boundary
	upstream upstream
	body     string
	http     *http.Client
	members  []*member
}

// member is a client of a crowd with what became of its requests.
type member struct {
	name, token string
	// leaving is closed when its deletion is asked for.
	leaving chan struct{}

	mu sync.Mutex
	// gone is when its deletion was asked for, told when that was answered; both
	// zero while it was not.
	gone, told time.Time
	made       []made
}

// made is a request that was made.
type made struct {
	began, over time.Time
	status      int
	err         error
}

// crowdLabel tells those that are to be deleted by kubectl.
const crowdLabel = "example.com/doomed"

func newCrowd(t *testing.T, b *boundary, u upstream, size int) *crowd {
	t.Helper()
	c := &crowd{
		boundary: b, upstream: u, body: callOf(t, u.looks, u.arguments[u.looks]),
		http: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 256, MaxConnsPerHost: 256}, Timeout: 10 * time.Second},
	}
	t.Cleanup(c.http.CloseIdleConnections)
	c.joins(t, "member", size, inAnHour())
	return c
}

// joins makes members that end at an instant, and returns when each has a token
// and was let through once.
func (c *crowd) joins(t *testing.T, prefix string, size int, until time.Time) {
	t.Helper()
	began := time.Now()
	members := make([]*member, size)
	c.sideBySide(t, size, func(ctx context.Context, i int) error {
		members[i] = &member{name: fmt.Sprintf("%s-%d", prefix, i), leaving: make(chan struct{})}
		reg := c.newRegistration(members[i].name, v1alpha1.AuthMethodClientSecretBasic)
		reg.Annotations, reg.Labels = identity(until), map[string]string{crowdLabel: fmt.Sprint(doomed(i) && i < together)}
		return errors.Join(c.Create(ctx, reg), c.Create(ctx, c.grantAt(crowded, reg.Name, reg.Name, scopeLooks)))
	})
	parties := c.parties(t, members)
	t.Logf("%d clients are registered %s after the first was asked for", size, time.Since(began).Round(time.Millisecond))
	resource := c.guard.resource(crowded)
	tokens := make([]reply, size)
	ask := func(i int) reply { return parties[i].ask(t, scopeLooks, resource) }
	c.sideBySide(t, size, func(_ context.Context, i int) error {
		if tokens[i] = ask(i); tokens[i].AccessToken == "" {
			return fmt.Errorf("%s gets no token: %s", members[i].name, tokens[i].Error)
		}
		return nil
	})
	for i, m := range members {
		m.token = tokens[i].AccessToken
		NewWithT(t).Eventually(func() int { return c.one(t.Context(), m).status }, patience, often).Should(Equal(http.StatusOK), m.name)
		m.made = nil
	}
	c.members = append(c.members, members...)
	t.Logf("they all have tokens and pass %s after the first was asked for", time.Since(began).Round(time.Millisecond))
}

func (c *crowd) sideBySide(t *testing.T, count int, do func(ctx context.Context, i int) error) {
	t.Helper()
	group, ctx := errgroup.WithContext(t.Context())
	group.SetLimit(8)
	for i := range count {
		group.Go(func() error { return do(ctx, i) })
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
}

// parties are the clients that the Secrets of members describe, once all are there
// and all registrations are Ready.
func (c *crowd) parties(t *testing.T, members []*member) []party {
	t.Helper()
	g := NewWithT(t)
	g.Eventually(func() (int, error) {
		select {
		case <-c.manager.ended:
			// As a kubelet would: on a busy machine it may lose its lease.
			c.startManager(t)
		default:
		}
		var all v1alpha1.MCPClientRegistrationList
		if err := c.List(t.Context(), &all, client.InNamespace(c.namespace)); err != nil {
			return 0, err
		}
		waiting := len(members)
		for i := range all.Items {
			reg := &all.Items[i]
			mine := slices.ContainsFunc(members, func(m *member) bool { return m.name == reg.Name })
			if mine && len(reg.Status.Scopes) > 0 && condition(reg, v1alpha1.ConditionReady) == "True/Ready" {
				waiting--
			}
		}
		return waiting, nil
	}, 2*patience, time.Second).Should(BeZero(), "registrations are not Ready")
	var secrets corev1.SecretList
	if err := c.List(t.Context(), &secrets, client.InNamespace(c.namespace)); err != nil {
		t.Fatal(err)
	}
	byName := map[string]*corev1.Secret{}
	for i := range secrets.Items {
		byName[secrets.Items[i].Name] = &secrets.Items[i]
	}
	found := make([]party, len(members))
	for i, m := range members {
		found[i] = newParty(t, byName[secretName(&v1alpha1.MCPClientRegistration{ObjectMeta: metav1.ObjectMeta{Name: m.name}})])
	}
	return found
}

// one is a request of a member.
func (c *crowd) one(ctx context.Context, m *member) made {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.guard.resource(crowded), strings.NewReader(c.body))
	if err != nil {
		return made{err: err}
	}
	request.Header = http.Header{
		"Content-Type": {"application/json"}, "Accept": {"application/json, text/event-stream"},
		"Mcp-Protocol-Version": {"2025-11-25"}, "Authorization": {"Bearer " + m.token},
	}
	said := made{began: time.Now()}
	answer, err := (&caller{http: c.http}).try(request)
	said.over, said.status, said.err = time.Now(), answer.status, err
	if ctx.Err() == nil {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.made = append(m.made, said)
	}
	return said
}

// keepsCalling has a member call at its pace until the context ends, and in haste
// from when its deletion is asked for until it is refused.
func (c *crowd) keepsCalling(ctx context.Context, m *member, first time.Duration) {
	next := time.NewTimer(first)
	defer next.Stop()
	leaving := m.leaving
	for {
		select {
		case <-ctx.Done():
			return
		case <-leaving:
			leaving = nil
			c.hurries(ctx, m)
		case <-next.C:
			next.Reset(pace)
			c.one(ctx, m)
		}
	}
}

// hurries has a member call until it is refused, or the promise is broken.
func (c *crowd) hurries(ctx context.Context, m *member) {
	again := time.NewTicker(haste)
	defer again.Stop()
	for began := time.Now(); ctx.Err() == nil && time.Since(began) < patience; <-again.C {
		if c.one(ctx, m).status == http.StatusUnauthorized {
			return
		}
	}
}

// leaves notes that the deletion of a member is asked for.
func (m *member) leaves() {
	m.mu.Lock()
	m.gone = time.Now()
	m.mu.Unlock()
	close(m.leaving)
}

// left notes that it was answered.
func (m *member) left(told time.Time) {
	m.mu.Lock()
	m.told = told
	m.mu.Unlock()
}

// doomed says which members are deleted: one in ten.
func doomed(i int) bool { return i%10 == 5 }

// together is up to which member those are deleted by one kubectl.
const together = 50

// testFeltByDeleted deletes one client in ten while all call.
func testFeltByDeleted(t *testing.T, c *crowd) {
	ctx, stop := context.WithCancel(t.Context())
	var calling sync.WaitGroup
	for i, m := range c.members {
		calling.Go(func() { c.keepsCalling(ctx, m, pace*time.Duration(i)/time.Duration(len(c.members))) })
	}
	var alone, labelled []*member
	for i, m := range c.members {
		switch {
		case doomed(i) && i < together:
			labelled = append(labelled, m)
		case doomed(i):
			alone = append(alone, m)
			c.deletesOne(t, m)
		}
	}
	c.deletesLabelled(t, labelled)
	for _, m := range append(slices.Clone(alone), labelled...) {
		NewWithT(t).Eventually(m.firstRefused, patience, often).Should(BeNumerically(">", 0), m.name)
	}
	// Two rounds of everybody after the last may still be allowed.
	stillCalling := time.Now().Add(felt + 2*pace)
	NewWithT(t).Eventually(time.Now, patience, often).Should(BeTemporally(">", stillCalling))
	stop()
	calling.Wait()
	requests := 0
	for _, m := range c.members {
		requests += len(m.made)
		m.requireNeverRefused(t)
	}
	t.Logf("%d requests of %d clients, %d of which were deleted", requests, len(c.members), len(alone)+len(labelled))
	lateness(t, "from the delete call to the first refusal", alone)
	lateness(t, "the same for one kubectl for several, with its start", labelled)
	deleted := slices.Concat(alone, labelled)
	late := slices.DeleteFunc(slices.Clone(deleted), func(m *member) bool { return !m.feltLate() })
	if len(late) > (len(deleted)+99)/100 {
		t.Errorf("%d of %d clients were allowed a request that began more than %s after they were deleted", len(late), len(deleted), felt)
	}
}

// feltLate says that a request was allowed which began later than promised.
func (m *member) feltLate() bool {
	return slices.ContainsFunc(m.made, func(r made) bool {
		return r.status == http.StatusOK && r.began.After(m.told.Add(felt))
	})
}

// deletesOne deletes a registration by the API, a little after the last.
func (c *crowd) deletesOne(t *testing.T, m *member) {
	t.Helper()
	reg := c.newRegistration(m.name, v1alpha1.AuthMethodClientSecretBasic)
	m.leaves()
	if err := c.Delete(t.Context(), reg); err != nil {
		t.Fatal(err)
	}
	m.left(time.Now())
	// The next one when this one was refused, or the promise is broken anyway.
	deadline := m.told.Add(felt)
	NewWithT(t).Eventually(func() bool { return m.firstRefused() > 0 || time.Now().After(deadline) }, patience, tick).Should(BeTrue())
}

// deletesLabelled deletes registrations by one kubectl.
func (c *crowd) deletesLabelled(t *testing.T, labelled []*member) {
	t.Helper()
	for _, m := range labelled {
		m.leaves()
	}
	told := c.scene.deletes(t, "--selector="+crowdLabel+"=true")
	for _, m := range labelled {
		m.left(told)
	}
}

// firstRefused is how long after its deletion was asked for a member had its
// first refusal; 0 while there is none.
func (m *member) firstRefused() time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, request := range m.made {
		if request.status == http.StatusUnauthorized {
			return request.over.Sub(m.gone)
		}
	}
	return 0
}

// requireNeverRefused checks each request of a member, which makes one after the
// other: allowed before its deletion was asked for, refused from soon after that
// was answered, and from the first refusal on.
func (m *member) requireNeverRefused(t *testing.T) {
	t.Helper()
	if len(m.made) < 2 {
		t.Errorf("%s made %d requests", m.name, len(m.made))
	}
	over := false
	for _, request := range m.made {
		want := http.StatusOK
		over = over || request.status == http.StatusUnauthorized
		switch {
		case request.err != nil:
			t.Errorf("%s: %v", m.name, request.err)
			continue
		case !m.gone.IsZero() && (over && request.over.After(m.gone) || request.began.After(m.told.Add(atLatest))):
			want = http.StatusUnauthorized
		case !m.gone.IsZero() && request.over.After(m.gone):
			continue
		}
		if request.status != want {
			t.Errorf("%s: a request that began %s after the deletion was answered with %d, want %d", m.name, request.began.Sub(m.told), request.status, want)
		}
	}
}

// lateness prints how soon clients had their first refusal after their deletion
// was asked for.
func lateness(t *testing.T, what string, deleted []*member) {
	t.Helper()
	var delays []time.Duration
	for _, m := range deleted {
		if m.firstRefused() == 0 {
			t.Errorf("%s was never refused", m.name)
			continue
		}
		delays = append(delays, m.firstRefused())
	}
	if len(delays) == 0 {
		t.Fatal("nobody was refused")
	}
	slices.Sort(delays)
	at := func(q float64) time.Duration {
		return delays[int(q*float64(len(delays)-1))].Round(100 * time.Microsecond)
	}
	t.Logf("%s: p50 %s, p99 %s, max %s (%d clients)", what, at(0.5), at(0.99), at(1), len(delays))
}

// testFeltByExpired has clients expire while no operator runs: the last request
// that passes is before the instant, and the first that is refused soon after.
func testFeltByExpired(t *testing.T, c *crowd) {
	before := len(c.members)
	c.joins(t, "lapsing", lapsing, inAnHour())
	members := c.members[before:]
	instant := time.Now().Add(20 * time.Second).Truncate(time.Second)
	c.lapse(t, members, instant)
	c.manager.stop(t)
	if left := time.Until(instant); left < 2*time.Second {
		t.Fatalf("preparing took until %s before the clients expire", left)
	}
	ctx, stop := context.WithCancel(t.Context())
	var calling sync.WaitGroup
	for _, m := range members {
		calling.Go(func() {
			every := time.NewTicker(often)
			defer every.Stop()
			for ctx.Err() == nil {
				c.one(ctx, m)
				<-every.C
			}
		})
	}
	NewWithT(t).Eventually(time.Now, patience, often).Should(BeTemporally(">", instant.Add(2*felt)))
	stop()
	calling.Wait()
	var latest time.Duration
	for _, m := range members {
		latest = max(latest, m.requireExpiresAt(t, instant))
	}
	t.Logf("the latest of the first refused requests of %d clients began %s after they expired", len(members), latest.Round(time.Millisecond))
}

// lapse moves the end of members, and waits until the operator knows.
func (c *crowd) lapse(t *testing.T, members []*member, at time.Time) {
	t.Helper()
	for _, m := range members {
		c.annotate(t, c.newRegistration(m.name, v1alpha1.AuthMethodClientSecretBasic), v1alpha1.AnnotationExpiresAt, instant(at))
	}
	for _, m := range members {
		reg := c.newRegistration(m.name, v1alpha1.AuthMethodClientSecretBasic)
		NewWithT(t).Eventually(func() bool {
			c.ready(t, reg)()
			return reg.Status.ExpiresAt != nil && reg.Status.ExpiresAt.Time.Equal(at)
		}, patience, often).Should(BeTrue(), m.name)
	}
}

// requireExpiresAt checks each request of a member that expires at an instant,
// and returns how long after it the first one was refused.
func (m *member) requireExpiresAt(t *testing.T, instant time.Time) (first time.Duration) {
	t.Helper()
	allowed, refused := 0, 0
	for _, request := range m.made {
		switch {
		case request.err != nil:
			t.Errorf("%s: %v", m.name, request.err)
		case request.status == http.StatusOK && !request.began.Before(instant):
			t.Errorf("%s: allowed %s after it expired", m.name, request.began.Sub(instant))
		case request.status == http.StatusUnauthorized && request.over.Before(instant):
			t.Errorf("%s: refused %s before it expires", m.name, instant.Sub(request.over))
		case request.status == http.StatusOK:
			allowed++
		case request.status == http.StatusUnauthorized:
			if refused++; refused == 1 {
				first = request.began.Sub(instant)
			}
		default:
			t.Errorf("%s: status %d", m.name, request.status)
		}
	}
	if allowed == 0 || refused == 0 {
		t.Errorf("%s: %d requests allowed, %d refused, the first %s after it expired", m.name, allowed, refused, first)
	}
	return first
}

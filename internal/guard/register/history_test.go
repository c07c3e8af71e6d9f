// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package register

import (
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/guard"
)

// past is an API server with Leases and nothing else, which can be put back.
type past struct {
	mu       sync.Mutex
	revision int
	leases   map[string]coordinationv1.Lease
	// mute has it do what it is asked and not answer.
	mute bool
}

// ServeHTTP implements http.Handler.
func (p *past) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	if !strings.Contains(r.URL.Path, "/leases") {
		_, _ = w.Write([]byte(`{"kind":"MCPServerList","apiVersion":"mcp-registrar.dev/v1alpha1","metadata":{"resourceVersion":"` + strconv.Itoa(p.revision) + `"},"items":[]}`))
		return
	}
	status, answer := p.lease(r)
	if p.mute {
		w.WriteHeader(http.StatusTeapot)
		return
	}
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(answer)
}

func (p *past) lease(r *http.Request) (status int, answer any) {
	name := r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]
	var sent coordinationv1.Lease
	if r.Method != http.MethodGet {
		_ = json.NewDecoder(r.Body).Decode(&sent)
		name = sent.Name
	}
	stored, there := p.leases[name]
	refused := func(err *apierrors.StatusError) (int, any) { return int(err.ErrStatus.Code), err.ErrStatus }
	resource := coordinationv1.Resource("leases")
	switch {
	case r.Method == http.MethodPost && there:
		return refused(apierrors.NewAlreadyExists(resource, name))
	case r.Method != http.MethodPost && !there:
		return refused(apierrors.NewNotFound(resource, name))
	case r.Method == http.MethodGet:
		return http.StatusOK, stored
	case r.Method == http.MethodPut && sent.ResourceVersion != stored.ResourceVersion:
		return refused(apierrors.NewConflict(resource, name, errors.New("old")))
	}
	p.revision++
	sent.ResourceVersion, sent.UID = strconv.Itoa(p.revision), stored.UID
	if !there {
		sent.UID = types.UID("uid-" + sent.ResourceVersion)
	}
	p.leases[name] = sent
	return http.StatusOK, sent
}

// copied is what a copy of the store has.
func (p *past) copied() (putBack func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	revision, leases := p.revision, maps.Clone(p.leases)
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.revision, p.leases = revision, leases
	}
}

func (p *past) grow(by int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.revision += by
}

// traveller is a register that is complete and keeps a Lease, at such a server.
func traveller(t *testing.T, leaseNamespace string) (*desk, *past, *source) {
	t.Helper()
	p := &past{revision: 100, leases: map[string]coordinationv1.Lease{}}
	server := httptest.NewServer(p)
	t.Cleanup(server.Close)
	api, err := newAPI(&rest.Config{Host: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	d := newDesk()
	d.api, d.options.LeaseNamespace, d.options.Identity, d.drawn = api, leaseNamespace, "guard", "x"
	if leaseNamespace != "" {
		d.lease = &lease{register: d.Register}
	}
	clients := d.source(clientsAt)
	for _, k := range []sourceKey{serverSource(files), grantsAt, denialsAt} {
		s := d.source(k)
		_ = s.Replace(nil, "100")
		d.contact.opened(s, false)
	}
	_ = clients.Replace(nil, "100")
	d.contact.opened(clients, false)
	beats(t, d)
	if _, complete := d.contact.age(d.clock.Now()); !complete {
		t.Fatal("the register is not complete")
	}
	if d.lease != nil {
		d.lease.write(t.Context())
	}
	d.heard()
	return d, p, clients
}

func beats(t *testing.T, d *desk) {
	t.Helper()
	if err := d.beat(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// followed is the version that is delivered as the last one.
func (p *past) followed(s *source) {
	p.mu.Lock()
	revision := strconv.Itoa(p.revision)
	p.mu.Unlock()
	s.UpdateResourceVersion(revision)
}

func TestAnAPIServerThatWasPutBackIsFoundAtTheNextBeat(t *testing.T) {
	for _, c := range []struct {
		name  string
		lease string
		do    func(t *testing.T, d *desk, p *past, clients *source)
		lost  bool
	}{
		{"it goes on", "guards", func(_ *testing.T, _ *desk, p *past, clients *source) { p.grow(50); p.followed(clients) }, false},
		{"nothing happens", "guards", func(*testing.T, *desk, *past, *source) {}, false},
		{"it is put back", "guards", func(t *testing.T, d *desk, p *past, clients *source) {
			putBack := p.copied()
			p.grow(50)
			p.followed(clients)
			beats(t, d)
			putBack()
		}, true},
		{"it is put back, and has grown beyond what it was", "guards", func(t *testing.T, d *desk, p *past, clients *source) {
			putBack := p.copied()
			p.grow(50)
			p.followed(clients)
			beats(t, d)
			putBack()
			p.grow(1000)
		}, true},
		{"it is put back to before the Lease", "guards", func(_ *testing.T, _ *desk, p *past, _ *source) {
			p.mu.Lock()
			p.leases = map[string]coordinationv1.Lease{}
			p.mu.Unlock()
			p.grow(1000)
		}, true},
		{"it is put back to after the Lease was written", "guards", func(_ *testing.T, _ *desk, p *past, clients *source) {
			putBack := p.copied()
			p.grow(50)
			p.followed(clients)
			putBack()
		}, true},
		{"somebody else writes the Lease", "guards", func(_ *testing.T, d *desk, p *past, _ *source) {
			p.mu.Lock()
			stored := p.leases[d.leaseName()]
			stored.ResourceVersion, stored.Annotations = "101000", map[string]string{v1alpha1.AnnotationNonce: "other"}
			p.leases[d.leaseName()] = stored
			p.mu.Unlock()
		}, true},
		{"a write has no answer", "guards", func(t *testing.T, d *desk, p *past, _ *source) {
			p.mute = true
			d.lease.write(t.Context())
			p.mute = false
		}, false},
		{"a write has no answer, and another one follows", "guards", func(t *testing.T, d *desk, p *past, clients *source) {
			p.mute = true
			d.lease.write(t.Context())
			p.mute = false
			p.grow(5)
			p.followed(clients)
		}, false},
		{"no Lease is kept and it is put back", "", func(_ *testing.T, _ *desk, p *past, _ *source) { p.grow(-10) }, true},
		{"no Lease is kept and it goes on", "", func(_ *testing.T, _ *desk, p *past, _ *source) { p.grow(10) }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			d, p, clients := traveller(t, c.lease)
			c.do(t, d, p, clients)
			d.clock.Step(time.Second)
			d.heard()
			beats(t, d)
			age, complete := d.Age()
			if complete == c.lost || complete && age != 0 {
				t.Errorf("age %s, complete %t", age, complete)
			}
			told := slices.Contains(d.heard(), guard.Change{})
			if told != c.lost || sent(d.again) != c.lost || d.Stats().Restarts > 0 != c.lost {
				t.Errorf("what is open is reviewed: %t, everything is read anew %d times; want %t", told, d.Stats().Restarts, c.lost)
			}
		})
	}
}

// What was followed cannot make the register complete again.
func TestWhatWasFollowedIsForgotten(t *testing.T) {
	d, p, clients := traveller(t, "guards")
	d.astray(&historyError{"a test"})
	_ = clients.Replace(nil, "5")
	p.followed(clients)
	for range 2 {
		beats(t, d)
		d.lease.write(t.Context())
	}
	if _, complete := d.Age(); complete || d.contact.peak() != "" {
		t.Errorf("complete %t, seen %q", complete, d.contact.peak())
	}
	// The Lease of before is taken over once everything was read anew.
	for _, k := range []sourceKey{serverSource(files), clientsAt, grantsAt, denialsAt} {
		s := d.source(k)
		_ = s.Replace(nil, "101")
		d.contact.opened(s, false)
	}
	beats(t, d)
	d.lease.write(t.Context())
	if _, complete := d.Age(); !complete {
		t.Error("not complete although all was read anew")
	}
}

// A list that is older than what was seen is from another history.
func TestAListFromBeforeIsNoticed(t *testing.T) {
	d, _, clients := traveller(t, "guards")
	d.contact.asks(clients)
	_ = clients.Replace(nil, "99")
	if _, complete := d.Age(); complete || !sent(d.again) {
		t.Error("it is relied on")
	}
}

// A list that was long on its way is older than what others were delivered in the
// meantime, and of the same history: a large one in a busy cluster always is.
func TestAListThatOthersOvertookIsNotFromBefore(t *testing.T) {
	for name, ask := range map[string]func(s *source) error{
		"list": func(s *source) error {
			_, err := s.list(t.Context(), metav1.ListOptions{})
			return err
		},
		"watch that lists": func(s *source) error {
			_, err := s.watch(t.Context(), metav1.ListOptions{SendInitialEvents: new(true)})
			return err
		},
	} {
		d, p, clients := traveller(t, "guards")
		if err := ask(clients); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		grants := d.contact.sources[grantsAt]
		grants.UpdateResourceVersion("150")
		p.grow(50)
		_ = clients.Replace(nil, "120")
		if sent(d.again) || d.contact.peak() != "150" {
			t.Errorf("%s: all is read anew; seen %q", name, d.contact.peak())
		}
		if err := ask(clients); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		_ = clients.Replace(nil, "149")
		if !sent(d.again) {
			t.Errorf("%s: one that was asked for afterwards and is older is relied on", name)
		}
	}
}

// A watch goes on only from what is known to be in the past of the API server.
func TestAWatchWaitsForNoFuture(t *testing.T) {
	d, p, clients := traveller(t, "guards")
	from := func(version string) error {
		_, err := clients.watch(t.Context(), metav1.ListOptions{ResourceVersion: version})
		return err
	}
	if err := from("100"); apierrors.IsResourceExpired(err) {
		t.Errorf("after a list: %v", err)
	}
	if err := from("101"); apierrors.IsResourceExpired(err) {
		t.Errorf("from what the Lease is beyond: %v", err)
	}
	if err := from("150"); !apierrors.IsResourceExpired(err) {
		t.Errorf("from the future of the Lease: %v", err)
	}
	p.grow(49)
	p.followed(clients)
	beats(t, d)
	if err := from("150"); apierrors.IsResourceExpired(err) {
		t.Errorf("once the Lease is beyond it: %v", err)
	}
	d.contact.forget()
	if err := from("1"); !apierrors.IsResourceExpired(err) {
		t.Errorf("without a Lease: %v", err)
	}
	_ = clients.Replace(nil, "200")
	if err := from("200"); apierrors.IsResourceExpired(err) {
		t.Errorf("after another list: %v", err)
	}
	if err := from("200"); !apierrors.IsResourceExpired(err) {
		t.Errorf("a second time: %v", err)
	}
}

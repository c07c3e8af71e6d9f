// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package register

import (
	"context"
	"crypto/rand"
	"errors"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"

	"github.com/mcp-registrar/mcp-registrar/internal/guard"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

// Options are what a Register is made of.
type Options struct {
	// Servers are the MCPServers that the guard is in front of. Required.
	Servers []guard.ServerName
	// Namespaces are those whose registrations and grants are watched. Empty
	// means all.
	Namespaces []string
	// Clock tells how long ago something was: that of the machine, which is not moved
	// while the guard waits for word of the API server. Required.
	Clock clock.WithTicker
	// Agreed tells the time by which registrations and grants end, and which the Lease
	// states. nil means Clock.
	Agreed clock.PassiveClock
	// Identity tells this guard from others, for example the name of its pod.
	// Required with LeaseNamespace.
	Identity string
	// LeaseNamespace is where the guard keeps its Lease. Empty means that it keeps
	// none, so that the operator does not know of it.
	LeaseNamespace string
	// PodName and PodUID name the pod that the Lease goes with, where both are
	// given.
	PodName, PodUID string
	// MaxStaleness is for how long the guard relies on the register without word
	// of the API server. The Lease says so.
	MaxStaleness time.Duration
	// Log is for what those who run the guard should know.
	Log logr.Logger
}

func (o Options) validate() error {
	switch {
	case len(o.Servers) == 0:
		return errors.New("no MCPServer named: name at least one")
	case o.Clock == nil:
		return errors.New("no clock given")
	case o.LeaseNamespace != "" && o.Identity == "":
		return errors.New("no identity given for the Lease: give the name of the pod")
	}
	return nil
}

// Register implements guard.Register. It is empty, and not complete, until Run
// has read everything.
type Register struct {
	options Options
	clock   clock.WithTicker
	agreed  clock.PassiveClock
	log     logr.Logger
	api     *api
	memory  *memory
	first   first
	contact contact
	// drawn tells this process from others of the same identity.
	drawn string
	// onChange are called after each change. They are all there before Run.
	onChange []func(guard.Change)
	// fatal is why the register can never be complete.
	fatal chan error
	// moved, doubt, news and again ask for a look at what must be watched, a
	// heartbeat, a write of the Lease, and for reading everything anew.
	moved, doubt, news, again signal
	// lease is nil where none is kept.
	lease *lease
}

// New returns a Register that reads by config.
func New(config *rest.Config, o Options) (*Register, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	if len(o.Namespaces) == 0 {
		o.Namespaces = []string{""}
	}
	if o.Agreed == nil {
		o.Agreed = o.Clock
	}
	api, err := newAPI(config)
	if err != nil {
		return nil, err
	}
	r := &Register{
		options: o, drawn: strings.ToLower(rand.Text()[:8]), clock: o.Clock, agreed: o.Agreed, log: o.Log, api: api, memory: newMemory(),
		contact: contact{sources: map[sourceKey]*source{}},
		fatal:   make(chan error, 1), moved: newSignal(), doubt: newSignal(), news: newSignal(), again: newSignal(),
	}
	if o.LeaseNamespace != "" {
		r.lease = &lease{register: r}
	}
	return r, nil
}

// Run follows the API server until the context ends. It returns an error only
// where the register could never become complete. It may be called once.
func (r *Register) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return r.follow(ctx, group) })
	group.Go(func() error { return r.listen(ctx) })
	if r.lease != nil {
		group.Go(func() error { return r.keepLease(ctx) })
	}
	return group.Wait()
}

// Server implements guard.Register. A server is known when all that decides
// about its calls was read.
func (r *Register) Server(name guard.ServerName) (guard.Server, bool) {
	return r.memory.server(name, r.needs)
}

// Clients implements guard.Register.
func (r *Register) Clients(authorizationServer, clientID string) []policy.ClientEntry {
	return r.memory.clientsOf(authorizationServer, clientID)
}

// Grants implements guard.Register.
func (r *Register) Grants(client policy.ClientEntry) []policy.GrantEntry {
	return r.memory.grantsOf(client)
}

// Denials implements guard.Register.
func (r *Register) Denials(server guard.Server, clientID string) []policy.DenialEntry {
	return r.memory.denialsOf(server, clientID)
}

// Age implements guard.Register: it is the time since the API server answered
// while every watch was open, or, where a Lease is kept, for how long that is
// overdue: when it ends the operator takes the guard to let nothing pass.
func (r *Register) Age() (age time.Duration, complete bool) {
	now := r.clock.Now()
	age, complete = r.contact.age(now)
	if r.options.LeaseNamespace == "" {
		return age, complete
	}
	overdue, written := r.contact.leaseAge(now)
	return max(age, overdue), complete && written
}

// OnChange implements guard.Register. It must be called before Run.
func (r *Register) OnChange(changed func(guard.Change)) {
	r.onChange = append(r.onChange, changed)
}

func (r *Register) tell(changes []guard.Change) {
	for _, changed := range r.onChange {
		for _, change := range changes {
			changed(change)
		}
	}
}

// Stats are figures about a register.
type Stats struct {
	// Clients, Grants and Denials are how many are known, Misread how many denials
	// name nobody that this release knows.
	Clients, Grants, Denials, Misread int
	// Restarts is how often everything was read anew because the API server was
	// put back.
	Restarts int
	// Age and Complete are those of Register.Age.
	Age      time.Duration
	Complete bool
}

// Stats returns the figures of now.
func (r *Register) Stats() Stats {
	var s Stats
	s.Clients, s.Grants = r.memory.counts()
	s.Denials, s.Misread = r.memory.denialCounts()
	s.Restarts = r.contact.forgotten()
	s.Age, s.Complete = r.Age()
	return s
}

// signal wakes a loop. Signals that come while it is busy are one.
type signal chan struct{}

func newSignal() signal { return make(signal, 1) }

func (s signal) send() {
	select {
	case s <- struct{}{}:
	default:
	}
}

// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package devas

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/utils/clock"
)

const headerTimeout = 10 * time.Second

var (
	errRunning = errors.New("already running")
	errClosed  = errors.New("closed")
)

// Server is a development authorization server and its admin surface. All
// methods are safe for concurrent use.
type Server struct {
	options  Options
	registry *registry
	grants   *grants
	faults   faultQueue
	journal  *journal
	clock    clock.PassiveClock
	switches atomic.Pointer[Switches]
	stand    atomic.Pointer[stand]
	routes   http.Handler

	mu        sync.Mutex
	public    place
	hydra     place
	issuer    atomic.Pointer[string]
	issuerRun *incarnation
	admin     *http.Server
	adminURL  string
	unwatch   func() bool
	closed    bool
}

// New builds a server; it does not listen yet.
func New(o Options) (*Server, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	now := clock.RealClock{}
	s := &Server{options: o, registry: newRegistry(), journal: newJournal(now), clock: now}
	s.public.addr, s.hydra.addr = o.Addr, o.HydraAddr
	s.switches.Store(&o.Switches)
	s.issuer.Store(new(""))
	s.grants = newGrants(s.registry, now)
	storage, err := newOPStorage(s.registry, s.grants, now, o.AccessTokenLifetime)
	if err != nil {
		return nil, err
	}
	engine, err := newEngine(o, storage, s.Issuer, s.Switches)
	if err != nil {
		return nil, err
	}
	s.routes = newDocuments(o, s.grants).before(s.newRoutes(engine.handler()))
	return s, nil
}

// Start begins to serve, or serves again after Stop: on the same port and
// with the same clients and tokens. The admin surface starts with the first
// call. Everything ends when ctx does.
func (s *Server) Start(ctx context.Context) error {
	if err := s.serve(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.unwatch != nil {
		s.unwatch()
	}
	s.unwatch = context.AfterFunc(ctx, func() {
		if err := s.Close(); err != nil {
			slog.ErrorContext(ctx, "Closing the server", "error", err)
		}
	})
	return nil
}

func (s *Server) serve(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return errClosed
	}
	if s.issuerRun != nil {
		return errRunning
	}
	if err := s.serveAdmin(ctx); err != nil {
		return err
	}
	listener, err := s.public.listen(ctx)
	if err != nil {
		return fmt.Errorf("listening for the issuer: %w", err)
	}
	s.issuer.Store(new("http://" + s.public.addr))
	s.issuerRun = newIncarnation(s)
	s.issuerRun.open(listener, door{classify: classify, routes: s.routes})
	if !s.options.Hydra {
		return nil
	}
	if listener, err = s.hydra.listen(ctx); err != nil {
		return fmt.Errorf("listening for Hydra's admin API: %w", err)
	}
	s.issuerRun.open(listener, door{classify: classifyHydra, routes: s.hydraRoutes()})
	return nil
}

func (s *Server) serveAdmin(ctx context.Context) error {
	if s.admin != nil {
		return nil
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", s.options.AdminAddr)
	if err != nil {
		return fmt.Errorf("listening for the admin surface: %w", err)
	}
	s.adminURL = "http://" + listener.Addr().String()
	s.admin = &http.Server{Handler: s.adminRoutes(), ReadHeaderTimeout: headerTimeout}
	go serveHTTP(s.admin, listener)
	return nil
}

// serveHTTP serves until the server is closed.
func serveHTTP(server *http.Server, listener net.Listener) {
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		slog.Error("Serving", "address", listener.Addr().String(), "error", err)
	}
}

// Stop ends the issuer as a crash of its host would: connections are closed,
// requests in work are given up, later ones find nobody listening. When it
// returns no work is going on. Clients, tokens, counters and the admin surface
// stay, and the port is kept for Start.
func (s *Server) Stop() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.issuerRun == nil {
		return nil
	}
	err := s.issuerRun.stop()
	s.issuerRun = nil
	if s.closed {
		return err
	}
	err = errors.Join(err, s.public.reserve())
	if s.options.Hydra {
		err = errors.Join(err, s.hydra.reserve())
	}
	return err
}

// Close ends the issuer and the admin surface for good.
func (s *Server) Close() error {
	s.mu.Lock()
	s.closed = true
	admin := s.admin
	s.mu.Unlock()
	err := s.Stop()
	if admin != nil {
		err = errors.Join(err, admin.Close())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return errors.Join(err, s.public.release(), s.hydra.release())
}

// Issuer is the issuer identifier, known after the first Start.
func (s *Server) Issuer() string { return *s.issuer.Load() }

// HydraURL is the base URL of Hydra's admin API, known after the first Start
// with Options.Hydra.
func (s *Server) HydraURL() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return "http://" + s.hydra.addr
}

// AdminURL is the base URL of the admin surface, known after the first Start.
func (s *Server) AdminURL() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.adminURL
}

// Switches are the switches now in force.
func (s *Server) Switches() Switches { return *s.switches.Load() }

// Set replaces all switches.
func (s *Server) Set(next Switches) error {
	if err := next.validate(); err != nil {
		return err
	}
	s.switches.Store(&next)
	return nil
}

// Order adds a fault. The oldest fault that matches a request spoils it.
func (s *Server) Order(f Fault) error {
	f, err := f.withDefaults()
	if err != nil {
		return err
	}
	s.faults.order(f)
	return nil
}

// Faults are the faults not yet used up.
func (s *Server) Faults() []Fault { return s.faults.pending() }

// ClearFaults forgets all faults. Requests that hang go on hanging.
func (s *Server) ClearFaults() { s.faults.clear() }

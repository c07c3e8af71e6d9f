// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/mcp-registrar/mcp-registrar/internal/guard"
	"github.com/mcp-registrar/mcp-registrar/internal/guard/extauthz"
	"github.com/mcp-registrar/mcp-registrar/internal/guard/proxy"
)

// farewell is how long what is under way may take when the guard ends.
const farewell = 5 * time.Second

// listener is something that is served at an address.
type listener struct {
	name string
	at   net.Listener
	http *http.Server
	grpc *grpc.Server
}

// serve serves until the context ends, and then until what is under way is done,
// or long enough.
func (l *listener) serve(ctx context.Context) error {
	failed := make(chan error, 1)
	go func() {
		if l.grpc != nil {
			failed <- l.grpc.Serve(l.at)
			return
		}
		failed <- l.http.Serve(l.at)
	}()
	select {
	case err := <-failed:
		return fmt.Errorf("serving %s: %w", l.name, err)
	case <-ctx.Done():
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
	defer cancel()
	if l.grpc != nil {
		stop := context.AfterFunc(ctx, l.grpc.Stop)
		defer stop()
		l.grpc.GracefulStop()
		return nil
	}
	if err := l.http.Shutdown(ctx); errors.Is(err, context.DeadlineExceeded) {
		// Streams have no end of their own.
		return l.http.Close()
	} else if err != nil {
		return fmt.Errorf("ending %s: %w", l.name, err)
	}
	return nil
}

// listeners opens every address that is on.
func (p *parts) listeners(ctx context.Context) ([]*listener, error) {
	front, err := p.proxy()
	if err != nil {
		return nil, err
	}
	secured, err := p.settings.tls()
	if err != nil {
		return nil, err
	}
	var all []*listener
	for _, want := range []struct {
		name, address string
		tls           *tls.Config
		make          func(*listener)
	}{
		{"the proxy", p.settings.address, secured, func(l *listener) { l.http = proxy.NewServer(front) }},
		{"ext_authz", p.settings.extAuthzAddress, nil, func(l *listener) { l.grpc = p.extAuthz(secured) }},
		{"metrics", p.settings.metricsAddress, nil, func(l *listener) { l.http = plain(p.metricsHandler()) }},
		{"health probes", p.settings.probeAddress, nil, func(l *listener) { l.http = plain(p.health(front)) }},
	} {
		if want.address == off {
			continue
		}
		at, err := (&net.ListenConfig{}).Listen(ctx, "tcp", want.address)
		if err != nil {
			return nil, fmt.Errorf("opening the address of %s: %w", want.name, err)
		}
		if want.tls != nil {
			at = tls.NewListener(at, want.tls)
		}
		l := &listener{name: want.name, at: at}
		want.make(l)
		p.log.Info("Listening", "for", want.name, "address", at.Addr().String())
		all = append(all, l)
	}
	return all, nil
}

// tls is nil where no certificate is given. The files are read again for each
// connection, so that a renewed certificate needs no restart.
func (s *settings) tls() (*tls.Config, error) {
	if s.certFile == "" {
		return nil, nil //nolint:nilnil // No TLS is a setting, not a fault.
	}
	load := func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		pair, err := tls.LoadX509KeyPair(s.certFile, s.keyFile)
		return &pair, err
	}
	if _, err := load(nil); err != nil {
		return nil, fmt.Errorf("reading the certificate: %w", err)
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: load, NextProtos: []string{"h2", "http/1.1"}}, nil
}

func (p *parts) proxy() (*proxy.Proxy, error) {
	if p.settings.address == off {
		return nil, nil //nolint:nilnil // No proxy is a setting, not a fault.
	}
	var routes []proxy.Route
	for _, t := range p.settings.targets {
		if t.upstream != nil {
			routes = append(routes, proxy.Route{Server: t.server, Upstream: t.upstream, PassToken: p.settings.passToken})
		}
	}
	return proxy.New(proxy.Options{
		Engine: p.engine, Register: p.register, Routes: routes, MaxBody: p.settings.maxBody, Clock: p.clock,
		Log: p.log.WithName("proxy"), Observe: p.recorder.Added, Failed: p.recorder.Failed, IdleTimeout: p.settings.upstreamIdle,
	})
}

func (p *parts) extAuthz(secured *tls.Config) *grpc.Server {
	options := extauthz.ServerOptions(p.settings.maxBody)
	if secured != nil {
		options = append(options, grpc.Creds(credentials.NewTLS(secured)))
	}
	server := grpc.NewServer(options...)
	extauthz.New(extauthz.Options{
		Engine: p.engine, Register: p.register, Servers: p.settings.servers(), Clock: p.clock, Added: p.recorder.Added,
		PassToken: func(guard.ServerName) bool { return p.settings.passToken }, MaxBody: p.settings.maxBody, Room: p.room,
	}).Register(server)
	return server
}

func (p *parts) metricsHandler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(p.metrics, promhttp.HandlerOpts{}))
	return mux
}

// health serves /healthz, which tells that the process lives, and /readyz, which
// tells that it lets through what it should. A server that cannot be reached is
// named there, and is no reason not to be ready: the guard still answers who may
// not call, and sees that the server is back by the next call only.
func (p *parts) health(front *proxy.Proxy) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		age, complete := p.register.Age()
		if !complete || age > p.settings.maxStaleness {
			http.Error(w, "the register is not known, or too old", http.StatusServiceUnavailable)
			return
		}
		w.WriteHeader(http.StatusOK)
		if front == nil {
			return
		}
		for _, away := range front.Away() {
			fmt.Fprintln(w, "cannot be reached:", away)
		}
	})
	return mux
}

func plain(handler http.Handler) *http.Server {
	return &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second}
}

// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"golang.org/x/sync/errgroup"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"

	"github.com/mcp-registrar/mcp-registrar/internal/agreedtime"
	"github.com/mcp-registrar/mcp-registrar/internal/audit"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/command"
	"github.com/mcp-registrar/mcp-registrar/internal/guard"
	"github.com/mcp-registrar/mcp-registrar/internal/guard/proxy"
	"github.com/mcp-registrar/mcp-registrar/internal/guard/record"
	"github.com/mcp-registrar/mcp-registrar/internal/guard/register"
	"github.com/mcp-registrar/mcp-registrar/internal/guard/token"
)

func main() {
	s, err := parse(flag.CommandLine, os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	if s.version {
		fmt.Fprintln(os.Stdout, command.Version("guard"))
		return
	}
	log := zap.New(s.logOptions()...)
	ctrl.SetLogger(log)
	signal.Ignore(syscall.SIGPIPE)
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	if err := run(ctrl.SetupSignalHandler(), s, log); err != nil {
		log.Error(err, "Stopped")
		os.Exit(1)
	}
}

// gcPercent is how much garbage there may be for what is in use. That is little,
// so that collections would come many times a second and show in the latency.
const gcPercent = 400

// parts are what a guard is made of.
type parts struct {
	settings settings
	log      logr.Logger
	// clock tells how long something took, agreed when something ends.
	clock    clock.WithTicker
	agreed   *agreedtime.Clock
	register *register.Register
	recorder *record.Recorder
	engine   *guard.Engine
	metrics  *prometheus.Registry
	// room is how many bytes bodies of requests may take together, at each front.
	room int64
}

// run guards until the context ends.
func run(ctx context.Context, s settings, log logr.Logger) error {
	config, err := ctrl.GetConfig()
	if err != nil {
		return fmt.Errorf("reading kubeconfig: %w", err)
	}
	p := parts{settings: s, log: log, clock: agreedtime.Machine(), metrics: prometheus.NewRegistry()}
	p.agreed = agreedtime.New(agreedtime.Guard, p.clock, p.metrics, log.WithName("clock"))
	config.Wrap(p.agreed.Wrap)
	p.metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	p.register, err = register.New(config, register.Options{
		Servers: s.servers(), Namespaces: s.namespaces, Clock: p.clock, Agreed: p.agreed, Identity: s.identity, LeaseNamespace: s.leaseNamespace,
		PodName: os.Getenv("POD_NAME"), PodUID: s.podUID, MaxStaleness: s.maxStaleness, Log: log.WithName("register"),
	})
	if err != nil {
		return err
	}
	tokens, err := newTokens(s, p.agreed)
	if err != nil {
		return err
	}
	stream, err := openRecord(s, p.metrics, p.agreed, log)
	if err != nil {
		return err
	}
	err = p.serve(ctx, tokens, stream)
	if stream != nil {
		err = errors.Join(err, stream.Close())
	}
	return err
}

// serve makes the rest and runs everything.
func (p *parts) serve(ctx context.Context, tokens guard.Tokens, stream *audit.Stream) error {
	options := record.Options{
		Registerer: p.metrics, Clock: p.agreed,
		Stats: func() record.Stats { return record.Stats(p.register.Stats()) },
		Open:  func() int { return p.engine.Open() },
	}
	if stream != nil {
		options.Stream = stream
	}
	var err error
	if p.recorder, err = record.New(options); err != nil {
		return err
	}
	p.room = limitMemory(p.log)
	p.engine = guard.New(guard.Options{
		Register: p.register, Tokens: tokens, Recorder: p.recorder, Clock: p.agreed, MaxStaleness: p.settings.maxStaleness, MaxRequests: p.settings.maxRequests,
		Namespace: p.settings.leaseNamespace, Origins: p.settings.origins,
		Room: p.room, LargestBody: proxy.LargestTaken(p.settings.maxBody),
	})
	listeners, err := p.listeners(ctx)
	if err != nil {
		return err
	}
	// What is under way at the end must still be ended by a revocation.
	following, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	serving, ctx := errgroup.WithContext(ctx)
	followers, following := errgroup.WithContext(following)
	followers.Go(func() error { return p.register.Run(following) })
	followers.Go(func() error { p.engine.Run(following); return nil })
	for _, listener := range listeners {
		serving.Go(func() error { return listener.serve(ctx) })
	}
	serving.Go(func() error {
		select {
		case <-ctx.Done():
			return nil
		case <-following.Done():
			return errNotFollowing
		}
	})
	err = serving.Wait()
	stop()
	if followed := followers.Wait(); followed != nil || errors.Is(err, errNotFollowing) {
		return followed
	}
	return err
}

// errNotFollowing ends the guard when the register does: why is the register's
// to say.
var errNotFollowing = errors.New("the register is not followed any more")

// newTokens makes what verifies tokens.
func newTokens(s settings, now clock.PassiveClock) (guard.Tokens, error) {
	options := token.Options{Clock: now, AllowPrivate: s.allowPrivate}
	if s.caFile != "" {
		bundle, err := os.ReadFile(s.caFile)
		if err != nil {
			return nil, fmt.Errorf("reading --issuer-ca-file: %w", err)
		}
		options.CABundle = bundle
	}
	if s.introspectionIssuer != "" {
		secret, err := os.ReadFile(s.introspectionFile)
		if err != nil {
			return nil, fmt.Errorf("reading --introspection-client-secret-file: %w", err)
		}
		options.Introspection = map[string]token.Introspection{s.introspectionIssuer: {
			ClientID: s.introspectionID, ClientSecret: authserver.NewSecret(strings.TrimSpace(string(secret))),
			CacheFor: s.introspectionCache, ForceIntrospection: s.introspectJWTs,
		}}
	}
	return token.New(options)
}

// openRecord opens the record of calls; nil where there is none.
func openRecord(s settings, registerer prometheus.Registerer, now clock.PassiveClock, log logr.Logger) (*audit.Stream, error) {
	if s.auditLog == audit.Disabled {
		return nil, nil //nolint:nilnil // No stream is a setting, not a fault.
	}
	keys, err := auditKeys(s.auditKeyFile)
	if err != nil {
		return nil, err
	}
	return audit.Open(audit.Options{
		Path: s.auditLog, Keys: keys, Stdout: os.Stdout, Source: "/mcp-guard/" + s.leaseNamespace + "/" + s.identity, Now: now.Now, Registerer: registerer,
		Report: func(err error) { log.WithName("audit").Error(err, "Writing the record of calls") },
	})
}

// auditKeys reads the keys of the record of calls; none where no file is named.
func auditKeys(path string) (audit.Keys, error) {
	if path == "" {
		return audit.Keys{}, nil
	}
	content, err := os.ReadFile(path) //nolint:gosec // The file that the flag names.
	if err != nil {
		return audit.Keys{}, fmt.Errorf("reading --audit-key-file: %w", err)
	}
	keys, err := audit.ParseKeys(content)
	if err != nil {
		return audit.Keys{}, fmt.Errorf("reading --audit-key-file %s: %w", path, err)
	}
	return keys, nil
}

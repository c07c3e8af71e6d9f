// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

// Command devas runs the development authorization server until it is told
// to end. It prints one JSON line with its issuer and admin URL when ready.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/mcp-registrar/mcp-registrar/test/devas"
)

func main() {
	slog.SetDefault(slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})))
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer cancel()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "devas:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, ready io.Writer) error {
	o, err := parse(args)
	if err != nil {
		return err
	}
	server, err := devas.New(o)
	if err != nil {
		return err
	}
	if err := server.Start(ctx); err != nil {
		return err
	}
	line := map[string]string{"issuer": server.Issuer(), "admin": server.AdminURL()}
	if o.Hydra {
		line["hydra"] = server.HydraURL()
	}
	if err := json.NewEncoder(ready).Encode(line); err != nil {
		return fmt.Errorf("telling the addresses: %w", err)
	}
	<-ctx.Done()
	return server.Close()
}

func parse(args []string) (devas.Options, error) {
	var o devas.Options
	flags := flag.NewFlagSet("devas", flag.ContinueOnError)
	flags.StringVar(&o.Addr, "addr", "127.0.0.1:0", "loopback host:port of the issuer")
	flags.StringVar(&o.AdminAddr, "admin-addr", "127.0.0.1:0", "loopback host:port of the admin surface")
	flags.BoolVar(&o.Hydra, "hydra", false, "be like Ory Hydra: serve its admin API, and no dynamic registration")
	flags.StringVar(&o.HydraAddr, "hydra-addr", "127.0.0.1:0", "loopback host:port of Hydra's admin API")
	flags.StringVar(&o.InitialAccessToken, "initial-access-token", "", "bearer token required to register (default: none required)")
	flags.DurationVar(&o.AccessTokenLifetime, "access-token-lifetime", 300*time.Second, "lifetime of access tokens")
	scopes := flags.String("scopes-supported", "", "scopes that may be registered, separated by spaces (default: any)")
	rotate := flags.String("rotate", string(devas.RotateNever), "rotation of registration access tokens: never, put or always")
	latency := flags.Duration("latency", 0, "latency added to every request")
	flags.BoolVar(&o.Switches.RotateSecretOnPut, "rotate-secret", false, "give a new client_secret with every replacement")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	o.ScopesSupported = strings.Fields(*scopes)
	o.Switches.RotateRegistrationToken = devas.Rotation(*rotate)
	o.Switches.LatencyMillis = int(latency.Milliseconds())
	return o, nil
}

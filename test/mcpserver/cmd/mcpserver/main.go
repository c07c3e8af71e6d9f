// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

// Command mcpserver runs the sample MCP server until it is told to end. It
// prints one JSON line with its URL when ready.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/mcp-registrar/mcp-registrar/test/mcpserver"
)

func main() {
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer cancel()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "mcpserver:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, ready io.Writer) error {
	var o mcpserver.Options
	flags := flag.NewFlagSet("mcpserver", flag.ContinueOnError)
	flags.StringVar(&o.Addr, "addr", "127.0.0.1:0", "loopback host:port to listen on")
	flags.BoolVar(&o.Stateless, "stateless", false, "keep no sessions")
	flags.BoolVar(&o.JSON, "json", false, "answer with plain JSON where nothing needs a stream")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	server, err := mcpserver.New(o)
	if err != nil {
		return err
	}
	if err := server.Start(ctx); err != nil {
		return err
	}
	if err := json.NewEncoder(ready).Encode(map[string]string{"url": server.URL()}); err != nil {
		return fmt.Errorf("telling the address: %w", err)
	}
	<-ctx.Done()
	return server.Close()
}

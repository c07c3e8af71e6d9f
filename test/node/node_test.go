// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build node && linux

package node

import (
	"context"
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/mcp-registrar/mcp-registrar/test/devas"
	"github.com/mcp-registrar/mcp-registrar/test/node/cell"
)

const (
	operatorNamespace = "mcp-registrar-system"
	release           = "mcp-registrar"
	// patience bounds every wait for something that must happen, and often is how
	// soon it is looked for again.
	patience = 3 * time.Minute
	often    = 200 * time.Millisecond
)

func TestMain(m *testing.M) {
	cell.Enter()
	slog.SetDefault(slog.New(slog.DiscardHandler))
	os.Exit(m.Run())
}

// TestNode is one story, from helm install to helm uninstall. Each chapter stands
// on those before it.
func TestNode(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("a node needs root: kubelet and runc mount file systems and make control groups")
	}
	s := &story{machine: startMachine(t), as: startDevAS(t), clients: map[string]string{}}
	chapters := []struct {
		name string
		tell func(*testing.T)
	}{
		{"helm install makes the manager available", s.install},
		{"the manager's process is confined as the chart says", s.confinement},
		{"a registration made with kubectl is Ready and known", s.register},
		{"another pod takes over from a deleted one", s.takeOver},
		{"helm upgrade writes nothing to the authorization server", s.upgrade},
		{"a renewed registration stays and an expired one is revoked", s.expiry},
		{"helm uninstall leaves CRDs, objects and clients", s.uninstall},
	}
	for _, chapter := range chapters {
		started := time.Now()
		if !t.Run(chapter.name, chapter.tell) {
			s.showLogs(t)
			t.FailNow()
		}
		t.Logf("%5.1fs  %s", time.Since(started).Seconds(), chapter.name)
	}
}

// story is what the chapters share.
type story struct {
	*machine
	as *devas.Server
	// values are those of the chart's release.
	values chartValues
	// clients are the ids of the clients made so far, by their registrations' names.
	clients map[string]string
}

func startDevAS(t *testing.T) *devas.Server {
	t.Helper()
	as, err := devas.New(devas.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	t.Cleanup(cancel)
	if err := as.Start(ctx); err != nil {
		t.Fatal(err)
	}
	return as
}

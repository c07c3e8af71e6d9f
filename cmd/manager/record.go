// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"os"
	"time"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/mcp-registrar/mcp-registrar/controllers"
	"github.com/mcp-registrar/mcp-registrar/internal/agreedtime"
	"github.com/mcp-registrar/mcp-registrar/internal/audit"
)

// record is the audit record, and the publication of its end. Both are nil where
// there is none.
type record struct {
	recorder audit.Recorder
	stream   *audit.Stream
	heads    *controllers.AuditHeads
	elected  <-chan struct{}
}

// openRecord opens the audit record with the keys and the published heads that the
// operator's namespace has.
func openRecord(ctx context.Context, mgr manager.Manager, s settings, cluster string, now *agreedtime.Clock) (*record, error) {
	if s.auditLog == audit.Disabled {
		return &record{recorder: audit.Discard}, nil
	}
	keys, err := controllers.AuditKeys(ctx, mgr.GetAPIReader(), mgr.GetClient(), s.operatorNamespace)
	if err != nil {
		return nil, err
	}
	heads := &controllers.AuditHeads{Client: mgr.GetClient(), Live: mgr.GetAPIReader(), Clock: now, Namespace: s.operatorNamespace}
	published, err := heads.Read(ctx)
	if err != nil {
		// What was published only adds to what the file shows: clients have to be revoked
		// without it too.
		ctrl.Log.WithName("audit").Error(err, "What was published of the audit record cannot be compared with it")
	}
	stream, err := audit.Open(audit.Options{
		Path: s.auditLog, Stdout: os.Stdout, Source: "/clusters/" + cluster + "/mcp-registrar", Now: time.Now, Registerer: metrics.Registry,
		Keys: keys, Published: published,
		Report: func(err error) { ctrl.Log.WithName("audit").Error(err, "Writing the audit record") },
	})
	if err != nil {
		return nil, err
	}
	heads.Head = stream.Head
	return &record{recorder: stream, stream: stream, heads: heads, elected: mgr.Elected()}, nil
}

// publish has the end of the record published while this replica leads.
func (r *record) publish(mgr manager.Manager, counted *controllers.Metrics) error {
	if r.heads == nil {
		return nil
	}
	r.heads.Metrics = counted
	return mgr.Add(r.heads)
}

// close ends the record and, where this replica led, publishes where it ended; that it
// cannot is logged only. The context may have ended.
func (r *record) close(ctx context.Context) error {
	if r.stream == nil {
		return nil
	}
	err := r.stream.Close()
	select {
	case <-r.elected:
		if err := r.heads.Publish(context.WithoutCancel(ctx)); err != nil {
			ctrl.Log.WithName("audit").Error(err, "The end of the audit record cannot be published")
		}
	default:
	}
	return err
}

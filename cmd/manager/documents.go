// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"time"

	"golang.org/x/net/netutil"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/mcp-registrar/mcp-registrar/controllers"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/metadatadocument"
)

// maxDocumentConnections bounds the connections to the listener of documents.
const maxDocumentConnections = 1024

// documents is the listener that serves Client ID Metadata Documents. Every
// manager has one of its own, whether it leads or not. Without an address there
// is none, and host is nil.
type documents struct {
	address string
	host    *metadatadocument.Host
}

func documentsFlag(flags *flag.FlagSet, address *string) {
	flags.StringVar(address, "documents-bind-address", "",
		"Address at which Client ID Metadata Documents are served, for AuthorizationServers with spec.metadataDocument, for example :8082. Left empty, none are served.")
}

// newDocuments makes the host of documents.
func newDocuments(address string, now clock.PassiveClock) documents {
	if address == "" {
		return documents{}
	}
	return documents{address: address, host: metadatadocument.NewHost(metadatadocument.HostOptions{Now: now.Now})}
}

// setup gives the host what is on record, and adds the listener.
func (d documents) setup(ctx context.Context, mgr manager.Manager, now clock.PassiveClock, namespace string) error {
	if d.host == nil {
		return nil
	}
	record := &controllers.Documents{Client: mgr.GetClient(), Live: mgr.GetAPIReader(), Clock: now, Namespace: namespace}
	if err := record.SetupWithManager(ctx, mgr); err != nil {
		return err
	}
	d.host.Attach(record)
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", d.address)
	if err != nil {
		return fmt.Errorf("listening for documents: %w", err)
	}
	patience := 5 * time.Second
	err = mgr.Add(&manager.Server{
		Name: "documents", Server: metadatadocument.NewHTTPServer(d.host),
		Listener: netutil.LimitListener(listener, maxDocumentConnections), ShutdownTimeout: &patience,
	})
	if err != nil {
		return errors.Join(fmt.Errorf("adding the listener of documents: %w", err), listener.Close())
	}
	return mgr.AddReadyzCheck("documents", func(*http.Request) error {
		if !d.host.Current() {
			return errors.New("what is on record is not known: no documents are served")
		}
		return nil
	})
}

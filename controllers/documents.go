// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	logf "sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

// indexDocument finds the record of a metadata document by the path of its URL,
// and all of them by anyDocument.
const (
	indexDocument = "document"
	anyDocument   = "*"
)

const (
	// documentsPeriod is how often a manager makes sure that it hears of
	// changes, and documentsRetry how soon again when it does not.
	documentsPeriod = 20 * time.Second
	documentsRetry  = 2 * time.Second
	// documentsBound is for how long a manager goes on serving documents
	// without having made sure: for so long a revocation may go unnoticed where
	// the API server cannot be reached.
	documentsBound = time.Minute
	// documentsPatience bounds one such look.
	documentsPatience = 5 * time.Second
)

// errBehind says that the cache does not hold what the API server holds.
var errBehind = errors.New("the cache is behind the API server")

// Documents tells which metadata documents are to be served, from the cache:
// the records of clients that are registered and wished for, until their end.
// Every manager has its own, whether it leads or not.
type Documents struct {
	// Client reads from the cache, Live from the API server.
	Client client.Reader
	Live   client.Reader
	Clock  clock.PassiveClock
	// Namespace is the operator's own, where the records are.
	Namespace string

	confirmed atomic.Pointer[time.Time]
	looks     atomic.Uint32
}

var (
	_ authserver.Documents           = (*Documents)(nil)
	_ manager.LeaderElectionRunnable = (*Documents)(nil)
)

// SetupWithManager adds the indexes, and the look that makes sure of the cache.
func (d *Documents) SetupWithManager(ctx context.Context, mgr manager.Manager) error {
	err := mgr.GetFieldIndexer().IndexField(ctx, &corev1.Secret{}, indexDocument, func(object client.Object) []string {
		if path := documentPath(object.(*corev1.Secret)); path != "" {
			return []string{path, anyDocument}
		}
		return nil
	})
	if err != nil {
		return wrap("indexing "+indexDocument, err)
	}
	// Where another manager leads no controller of this one asks for these.
	for _, kind := range []client.Object{&v1alpha1.MCPClientRegistration{}, &v1alpha1.AuthorizationServer{}} {
		if _, err := mgr.GetCache().GetInformer(ctx, kind, cache.BlockUntilSynced(false)); err != nil {
			return wrap("watching what documents are about", err)
		}
	}
	return wrap("adding the look at the cache", mgr.Add(d))
}

// documentPath is the path of the document that a record is about, if any.
func documentPath(secret *corev1.Secret) string {
	if recordUID(secret) == "" {
		return ""
	}
	record, err := decodeRecord(secret)
	if err != nil || record.Connection.Method != authserver.MetadataDocument {
		return ""
	}
	return authserver.DocumentPath(record.Client.ID)
}

// Document looks a document up in the cache.
func (d *Documents) Document(ctx context.Context, path string) (authserver.Document, bool, error) {
	var records corev1.SecretList
	err := d.Client.List(ctx, &records, client.InNamespace(d.Namespace),
		client.MatchingFields{indexDocument: path}, client.UnsafeDisableDeepCopy)
	if err != nil {
		return authserver.Document{}, false, fmt.Errorf("looking for the record of a document: %w", err)
	}
	// Two records of one document would be two clients with one id.
	if len(records.Items) != 1 || path == anyDocument {
		return authserver.Document{}, false, nil
	}
	return d.document(ctx, &records.Items[0])
}

// document is what a record says, together with the registration it is of.
func (d *Documents) document(ctx context.Context, secret *corev1.Secret) (authserver.Document, bool, error) {
	record, err := decodeRecord(secret)
	switch {
	case err != nil:
		return authserver.Document{}, false, fmt.Errorf("decoding registration record %s: %w", secret.Name, err)
	case !record.Published():
		return authserver.Document{}, false, nil
	}
	found := authserver.Document{
		ID: record.Client.ID, Registered: record.Client.Registered, Pending: record.Pending(), Held: true,
	}
	if found.CopySeconds, err = d.copySeconds(ctx, record); err != nil {
		return authserver.Document{}, false, err
	}
	var reg v1alpha1.MCPClientRegistration
	err = d.Client.Get(ctx, registrationKey(secret), &reg)
	switch {
	case apierrors.IsNotFound(err):
		return found, true, nil
	case err != nil:
		return authserver.Document{}, false, wrap("reading the registration of a document", err)
	}
	if reg.UID == recordUID(secret) && reg.DeletionTimestamp == nil && record.Cause == "" {
		found.Until = documentEnd(&reg, record)
		found.Held = found.Until.IsZero()
	}
	return found, true, nil
}

// documentEnd is when a document must no longer be served: the end that the
// status tells. A status that tells none yet follows the record soon; until then
// the registration's own word counts, if only for a while. Zero: not at all.
func documentEnd(reg *v1alpha1.MCPClientRegistration, record policy.Record) time.Time {
	if reg.Status.ExpiresAt != nil {
		return reg.Status.ExpiresAt.Time
	}
	end, err := time.Parse(time.RFC3339, reg.Annotations[v1alpha1.AnnotationExpiresAt])
	if err != nil {
		return time.Time{}
	}
	if soon := record.RegisteredAt.Add(documentsBound); !record.Pending() && soon.Before(end) {
		return soon
	}
	return end
}

// copySeconds are those that the AuthorizationServer says now, or said when the
// client was registered.
func (d *Documents) copySeconds(ctx context.Context, record policy.Record) (int, error) {
	as, err := getAuthorizationServer(ctx, d.Client, record.Connection.Name)
	if err != nil {
		return 0, err
	}
	if as.Is == policy.Present {
		if now := policy.Connection(as.Object); now.Method == authserver.MetadataDocument && now.Issuer == record.Connection.Issuer {
			// Not more than residualUntil of a revocation would count.
			return min(now.CopySeconds, record.Connection.CopySeconds), nil
		}
	}
	return record.Connection.CopySeconds, nil
}

// Current says that the cache was seen to hold what the API server holds, not
// too long ago.
func (d *Documents) Current() bool {
	last := d.confirmed.Load()
	return last != nil && d.Clock.Since(*last) < documentsBound
}

// NeedLeaderElection says that every manager looks.
func (d *Documents) NeedLeaderElection() bool { return false }

// Start looks until the context ends.
func (d *Documents) Start(ctx context.Context) error {
	for {
		wait, before := documentsPeriod, d.Current()
		if err := d.Confirm(ctx); err != nil {
			wait = documentsRetry
			logf.FromContext(ctx).V(1).Info("Cannot make sure of the records of documents", "reason", err.Error())
		}
		if now := d.Current(); now != before {
			logf.FromContext(ctx).Info("Whether metadata documents are served has changed", "served", now)
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		}
	}
}

// Confirm makes sure of the cache: it reads one record, another each time, from
// the API server, and compares it with what the cache holds. What was true when
// the question was sent counts.
func (d *Documents) Confirm(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, documentsPatience)
	defer cancel()
	asked := d.Clock.Now()
	name, err := d.sample(ctx)
	if err != nil {
		return err
	}
	// Of the one at the API server only the metadata is read.
	stored, cached := &metav1.PartialObjectMetadata{}, &corev1.Secret{}
	stored.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Secret"))
	if err := d.Live.Get(ctx, name, stored); client.IgnoreNotFound(err) != nil {
		return wrap("reading a registration record from the API server", err)
	}
	if err := d.Client.Get(ctx, name, cached); client.IgnoreNotFound(err) != nil {
		return wrap("reading a registration record", err)
	}
	if stored.ResourceVersion != cached.ResourceVersion {
		return errBehind
	}
	d.confirmed.Store(&asked)
	return nil
}

// sample names a record: of a document, or one that nobody has.
func (d *Documents) sample(ctx context.Context) (types.NamespacedName, error) {
	name := types.NamespacedName{Namespace: d.Namespace, Name: recordName("none")}
	var records corev1.SecretList
	err := d.Client.List(ctx, &records, client.InNamespace(d.Namespace),
		client.MatchingFields{indexDocument: anyDocument}, client.UnsafeDisableDeepCopy)
	if err != nil {
		return name, fmt.Errorf("listing the records of documents: %w", err)
	}
	if n := len(records.Items); n > 0 {
		name.Name = records.Items[int(d.looks.Add(1))%n].Name
	}
	return name, nil
}

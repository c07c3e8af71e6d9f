// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/retry"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/audit"
)

const (
	// auditHeadsName is the name of the ConfigMap with the published heads.
	auditHeadsName = "mcp-registrar-audit-heads"
	// auditHeadsEvery is how often one is published at most.
	auditHeadsEvery = time.Minute
	// auditHeadsTimeout bounds a publication.
	auditHeadsTimeout = 5 * time.Second
	// maxAuditHeads is how many chains have a head there: the latest.
	maxAuditHeads = 20
)

// AuditHeads publishes where the audit stream ends: in a ConfigMap of the operator's
// namespace, which who can write the file of the stream cannot change. So lines that
// are removed at its end are missed. It writes at most once a minute while this
// replica leads, and once at the end.
type AuditHeads struct {
	// Client writes, Live reads from the API server.
	Client client.Client
	Live   client.Reader
	Clock  clock.WithTicker
	// Namespace is the operator's own.
	Namespace string
	// Head returns the last line of the stream, and false where it has none.
	Head    func() (audit.Position, bool)
	Metrics *Metrics

	mu sync.Mutex
	// published is the last head that is known to be there.
	published audit.Position
}

// NeedLeaderElection implements manager.LeaderElectionRunnable: other replicas put
// nothing on record that a leader did not.
func (h *AuditHeads) NeedLeaderElection() bool { return true }

// Start implements manager.Runnable. A head that cannot be published is no reason to
// stop: it is logged, counted and tried again.
func (h *AuditHeads) Start(ctx context.Context) error {
	ticker := h.Clock.NewTicker(auditHeadsEvery)
	defer ticker.Stop()
	failing := false
	for {
		err := h.Publish(ctx)
		if err != nil && !failing && ctx.Err() == nil {
			log.FromContext(ctx).Error(err, "The end of the audit stream cannot be published")
		}
		failing = err != nil
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C():
		}
	}
}

// Read returns the heads that are published, the oldest first; none where nothing was
// published yet. The reader must read from the API server.
func (h *AuditHeads) Read(ctx context.Context) ([]audit.Published, error) {
	stored, err := h.read(ctx)
	if apierrors.IsNotFound(err) || err == nil && len(stored.Data) == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, wrap("reading the ConfigMap "+auditHeadsName, err)
	}
	return parsedHeads(stored), nil
}

func (h *AuditHeads) read(ctx context.Context) (*corev1.ConfigMap, error) {
	stored := &corev1.ConfigMap{}
	err := h.Live.Get(ctx, types.NamespacedName{Namespace: h.Namespace, Name: auditHeadsName}, stored)
	return stored, err
}

// parsedHeads are the heads of a ConfigMap, the oldest first. What is none is left
// out.
func parsedHeads(stored *corev1.ConfigMap) []audit.Published {
	good := map[string]string{}
	for chain, text := range stored.Data {
		if _, err := audit.ParsePublished(fmt.Appendf(nil, "{%q:%s}", chain, text)); err == nil {
			good[chain] = text
		}
	}
	encoded, err := json.Marshal(good)
	if err != nil {
		return nil
	}
	heads, err := audit.ParsePublished(encoded)
	if err != nil {
		return nil
	}
	return heads
}

// Publish writes where the stream ends now, if that is not published yet. It never
// puts a head in the place of a later one of the same chain: a replica that led after
// this one may have written that.
func (h *AuditHeads) Publish(ctx context.Context) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	head, ok := h.Head()
	if !ok || head == h.published {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, auditHeadsTimeout)
	defer cancel()
	err := retry.OnError(retry.DefaultRetry, raced, func() error { return h.write(ctx, head) })
	if err != nil {
		h.Metrics.unpublished()
		return wrap("writing the ConfigMap "+auditHeadsName, err)
	}
	h.published = head
	return nil
}

// raced says whether somebody else wrote first.
func raced(err error) bool { return apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) }

func (h *AuditHeads) write(ctx context.Context, head audit.Position) error {
	stored, err := h.read(ctx)
	missing := apierrors.IsNotFound(err)
	if err != nil && !missing {
		return err
	}
	if missing {
		stored = &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{
			Namespace: h.Namespace, Name: auditHeadsName, Labels: map[string]string{v1alpha1.LabelManagedBy: v1alpha1.ManagedByValue},
		}}
	}
	if err := h.put(stored, head); err != nil {
		return err
	}
	if missing {
		return h.Client.Create(ctx, stored)
	}
	return h.Client.Update(ctx, stored)
}

// put puts a head among those of a ConfigMap, and keeps the latest chains.
func (h *AuditHeads) put(stored *corev1.ConfigMap, head audit.Position) error {
	encoded, err := json.Marshal(audit.Published{Position: head, At: h.Clock.Now().UTC().Truncate(time.Second)})
	if err != nil {
		return fmt.Errorf("encoding the head: %w", err)
	}
	data := map[string]string{head.Chain: string(encoded)}
	for _, other := range slices.Backward(parsedHeads(stored)) {
		switch {
		case other.Chain == head.Chain && other.Sequence > head.Sequence,
			other.Chain != head.Chain && len(data) < maxAuditHeads:
			data[other.Chain] = stored.Data[other.Chain]
		}
	}
	stored.Data = data
	return nil
}

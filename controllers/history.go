// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
)

// History looks whether the API server is still the one that the caches followed.
// Where etcd is put back to a copy, they wait in its future and show what is no
// more; versions alone do not tell, since the store grows beyond them again. So the
// leader adds a nonce to a Lease again and again, and each replica compares: the one
// that it saw last must be there. Where it is not, Start returns an error, which ends
// the process: it begins anew with empty caches.
type History struct {
	// Client writes, Live reads from the API server.
	Client client.Client
	Live   client.Reader
	Clock  clock.WithTicker
	// Namespace is the operator's own.
	Namespace string
	// Elected is closed once this replica leads.
	Elected <-chan struct{}
	Metrics *Metrics

	mu sync.Mutex
	// nonce and version are those of the Lease as it was seen last; empty before.
	nonce, version string
}

const (
	// historyName is the name of the Lease.
	historyName = "mcp-registrar-history"
	// historyEvery is how often it is looked at.
	historyEvery = 2 * time.Second
	// historyTimeout bounds a look.
	historyTimeout = 5 * time.Second
	// historyLength is how many nonces the Lease has: a replica that did not look
	// for as many writes begins anew.
	historyLength = 64
)

// errPutBack says that the API server is not the one that the caches followed.
var errPutBack = errors.New("the API server was put back to an earlier state, and the caches are of another history: starting over")

// NeedLeaderElection implements manager.LeaderElectionRunnable: every replica has
// caches.
func (h *History) NeedLeaderElection() bool { return false }

// Start implements manager.Runnable. It returns an error only where the API server
// was put back.
func (h *History) Start(ctx context.Context) error {
	ticker := h.Clock.NewTicker(historyEvery)
	defer ticker.Stop()
	failing := false
	for {
		err := h.beat(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, errPutBack):
			h.Metrics.PutBack()
			return err
		case err != nil && !failing:
			log.FromContext(ctx).Error(err, "History of the API server cannot be looked at")
		}
		failing = err != nil
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C():
		}
	}
}

// Holds says, by a look now, whether what the caches show is of the API server's
// history. A nil History holds.
func (h *History) Holds(ctx context.Context) error {
	if h == nil {
		return nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	_, _, err := h.read(ctx)
	return err
}

// beat looks, and leaves a nonce where this replica leads.
func (h *History) beat(ctx context.Context) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, historyTimeout)
	defer cancel()
	lease, there, err := h.read(ctx)
	if err != nil || !h.leads() {
		return err
	}
	nonce := strings.ToLower(rand.Text()[:8])
	lease.Annotations = map[string]string{v1alpha1.AnnotationNonce: strings.Join(append(tail(nonces(lease)), nonce), " ")}
	lease.Spec.RenewTime = new(metav1.NewMicroTime(h.Clock.Now()))
	if there {
		err = h.Client.Update(ctx, lease)
	} else {
		err = h.Client.Create(ctx, lease)
	}
	switch {
	case apierrors.IsConflict(err), apierrors.IsAlreadyExists(err), apierrors.IsNotFound(err):
		// Somebody else was first, or it was put back just now: the next look tells.
		return nil
	case err != nil:
		return wrap("writing the Lease "+historyName, err)
	case older(lease.ResourceVersion, h.version):
		return fmt.Errorf("a write got version %s after %s: %w", lease.ResourceVersion, h.version, errPutBack)
	}
	h.nonce, h.version = nonce, lease.ResourceVersion
	return nil
}

// read reads the Lease and compares it with what was seen last.
func (h *History) read(ctx context.Context) (lease *coordinationv1.Lease, there bool, err error) {
	lease = &coordinationv1.Lease{}
	err = h.Live.Get(ctx, types.NamespacedName{Namespace: h.Namespace, Name: historyName}, lease)
	switch {
	case apierrors.IsNotFound(err) && h.nonce == "":
		return &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: h.Namespace, Name: historyName}}, false, nil
	case apierrors.IsNotFound(err):
		return nil, false, fmt.Errorf("the Lease %s is gone: %w", historyName, errPutBack)
	case err != nil:
		return nil, false, wrap("reading the Lease "+historyName, err)
	}
	said := nonces(lease)
	if h.nonce != "" && (!slices.Contains(said, h.nonce) || older(lease.ResourceVersion, h.version)) {
		return nil, true, fmt.Errorf("the Lease %s is at version %s and was seen at %s: %w", historyName, lease.ResourceVersion, h.version, errPutBack)
	}
	h.version = lease.ResourceVersion
	if len(said) > 0 {
		h.nonce = said[len(said)-1]
	}
	return lease, true, nil
}

func (h *History) leads() bool {
	select {
	case <-h.Elected:
		return true
	default:
		return false
	}
}

func nonces(lease *coordinationv1.Lease) []string {
	return strings.Fields(lease.Annotations[v1alpha1.AnnotationNonce])
}

// tail are the last nonces, with room for one.
func tail(all []string) []string { return all[max(0, len(all)-historyLength+1):] }

// older says that a version is below another. What cannot be compared is not.
func older(version, than string) bool {
	order, err := resourceversion.CompareResourceVersion(version, than)
	return err == nil && order < 0
}

// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package register

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
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
)

// historyError says that the API server does not have what it had: it was put back
// to an earlier state, or somebody else wrote the Lease. What was followed until
// then belongs to another history, whose versions say nothing about this one.
type historyError struct{ why string }

func (e *historyError) Error() string { return "the API server's history is another one: " + e.why }

// lease is the Lease of a guard. It tells the operator of the guard, and proves to
// the guard that the API server is still the one that it followed: what was seen up
// to the version of a Lease that is there as it was written last, is in the past of
// whatever comes next. Its numbers alone prove nothing, since a store that was put
// back grows beyond them again.
type lease struct {
	register *Register

	mu sync.Mutex
	// uid and version are those that it is known to have; empty where it is not
	// known to be there.
	uid     types.UID
	version string
	// drawn are the nonces of the writes since the last one that was answered:
	// which of them came through is not known.
	drawn   []string
	failing bool
	warned  time.Time
}

// prove asks the API server for something that it must read from its storage, and
// returns a historyError where it was put back. What was seen since the Lease was
// last written is put into its past by writing it again.
func (l *lease) prove(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := l.register
	switch {
	case l.version == "":
		return r.look(ctx)
	case newer(r.contact.peak(), l.version) && !r.stale():
		return l.judge(l.renew(ctx))
	}
	return l.judge(l.read(ctx))
}

// judge forgets what was known of the Lease where it proves another history.
func (l *lease) judge(err error) error {
	if _, is := errors.AsType[*historyError](err); is {
		l.uid, l.version, l.drawn = "", "", nil
	}
	return err
}

// stale says that nothing passes here: the Lease may end then.
func (r *Register) stale() bool {
	age, complete := r.contact.age(r.clock.Now())
	return !complete || age > r.options.MaxStaleness
}

// look compares the version of the API server with what was seen. It is all that
// can be asked of an API server in which nothing was written.
func (r *Register) look(ctx context.Context) error {
	peak := r.contact.peak()
	found, err := r.api.list(ctx, serverSource(r.options.Servers[0]), metav1.ListOptions{Limit: 1})
	if err != nil {
		return fmt.Errorf("asking for MCPServer %s: %w", r.options.Servers[0], err)
	}
	list, err := meta.ListAccessor(found)
	if err != nil {
		return err
	}
	if newer(peak, list.GetResourceVersion()) {
		return &historyError{fmt.Sprintf("it is at version %s, and %s was seen", list.GetResourceVersion(), peak)}
	}
	return nil
}

// read compares the Lease with what was last written.
func (l *lease) read(ctx context.Context) error {
	r := l.register
	var stored coordinationv1.Lease
	err := r.api.leases.Get().Namespace(r.options.LeaseNamespace).Resource(leases).Name(r.leaseName()).MaxRetries(0).Do(ctx).Into(&stored)
	switch {
	case apierrors.IsNotFound(err):
		return &historyError{"the Lease of this guard is gone"}
	case err != nil:
		return fmt.Errorf("reading the Lease: %w", err)
	case stored.UID == l.uid && stored.ResourceVersion == l.version:
		return nil
	case stored.UID == l.uid && slices.Contains(l.drawn, stored.Annotations[v1alpha1.AnnotationNonce]):
		// A write whose answer was lost.
		l.keep(&stored)
		return nil
	}
	return &historyError{"the Lease of this guard is not as it wrote it last"}
}

// renew writes the Lease.
func (l *lease) renew(ctx context.Context) error {
	r := l.register
	// Whatever asked for a write until now is in it.
	select {
	case <-r.news:
	default:
	}
	peak, at, wanted := r.contact.peak(), r.clock.Now(), r.newLease()
	stored, err := l.put(ctx, wanted)
	if err != nil {
		return err
	}
	if newer(peak, stored.ResourceVersion) {
		return &historyError{fmt.Sprintf("a write got version %s after %s was seen", stored.ResourceVersion, peak)}
	}
	l.keep(stored)
	l.drawn = nil
	r.contact.renewed(at)
	return nil
}

// keep notes a Lease that is in the store.
func (l *lease) keep(stored *coordinationv1.Lease) {
	l.uid, l.version = stored.UID, stored.ResourceVersion
	l.register.contact.anchor(l.version)
}

// put replaces the Lease as it was last written, or creates it. One that is
// another than that is replaced only where none was known.
func (l *lease) put(ctx context.Context, wanted *coordinationv1.Lease) (*coordinationv1.Lease, error) {
	stored, err := l.attempt(ctx, wanted)
	if !apierrors.IsConflict(err) && !apierrors.IsNotFound(err) && !apierrors.IsAlreadyExists(err) {
		return stored, err
	}
	if l.version == "" {
		err = l.find(ctx, wanted)
	} else {
		err = l.read(ctx)
	}
	if err != nil {
		return nil, err
	}
	return l.attempt(ctx, wanted)
}

// maxDrawn is how many writes without an answer are remembered. An older one that
// comes through has everything read anew.
const maxDrawn = 63

// attempt writes once, with a nonce of its own.
func (l *lease) attempt(ctx context.Context, wanted *coordinationv1.Lease) (*coordinationv1.Lease, error) {
	request := l.register.api.leases.Post()
	if wanted.ResourceVersion = l.version; l.version != "" {
		request = l.register.api.leases.Put().Name(wanted.Name)
	}
	nonce := strings.ToLower(rand.Text())
	wanted.Annotations[v1alpha1.AnnotationNonce] = nonce
	l.drawn = append(l.drawn[max(0, len(l.drawn)-maxDrawn):], nonce)
	var stored coordinationv1.Lease
	err := request.Namespace(wanted.Namespace).Resource(leases).Body(wanted).Do(ctx).Into(&stored)
	return &stored, err
}

// find learns the version of the Lease that is there; none where there is none.
func (l *lease) find(ctx context.Context, wanted *coordinationv1.Lease) error {
	var stored coordinationv1.Lease
	err := l.register.api.leases.Get().Namespace(wanted.Namespace).Resource(leases).Name(wanted.Name).Do(ctx).Into(&stored)
	if err != nil && !apierrors.IsNotFound(err) {
		return err
	}
	l.uid, l.version = stored.UID, stored.ResourceVersion
	return nil
}

// lose forgets what was known of the Lease.
func (l *lease) lose() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.uid, l.version, l.drawn = "", "", nil
}

// newer says that a version is beyond another. What cannot be compared is: nothing
// is proven by it. An empty one is beyond nothing.
func newer(version, than string) bool {
	if version == "" {
		return false
	}
	order, err := resourceversion.CompareResourceVersion(version, than)
	return err != nil || order > 0
}

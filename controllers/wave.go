// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	logf "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
)

const (
	// mostAlone is how many ends are read about one by one at one time. More are read
	// about together.
	mostAlone = 4
	// oneRead is how many registrations of a list cost the API server as much as the read
	// of one by itself. Where so many lists in a row save less than they cost none is read
	// for idleLists.
	oneRead   = 32
	poorLists = 3
	idleLists = time.Minute
	// failedList is for how long no list is read after one that could not be.
	failedList = time.Second
	// listTimeout bounds a list: those who wait for it then ask by themselves.
	listTimeout = 5 * time.Second
	// listPage is how many registrations are asked for in one request.
	listPage = 5000
	// listAge is for how long a list is remembered: as long as the ends that it serves
	// may wait for a place at their server.
	listAge = 5 * time.Second
	// clockSlip is by how much the clock may be set back while a list is remembered.
	clockSlip = 2 * time.Millisecond
)

// wave has ends that come together share what must be read before each: that the
// cache was not behind a renewal when the end came. A list of all registrations that
// was begun after the end shows so, where it has the version at hand; anything else is
// read by itself.
type wave struct {
	live  client.Reader
	clock clock.PassiveClock
	// namespaces are those that are listed; none stands for all.
	namespaces []string

	mu sync.Mutex
	// alone is how many are read about by themselves.
	alone int
	// last is the list that was read last, and next the one for which ends gather while
	// one is read; nil where there is none.
	last, next *census
	// poor counts the lists in a row that saved less than they cost, and idle is until
	// when no list is read.
	poor int
	idle time.Time
	// turn is taken by who reads a list.
	turn chan struct{}
}

// census is a list of the versions of all registrations.
type census struct {
	// done is closed when it was read, or could not be.
	done chan struct{}
	// began is from before it was asked for.
	began    time.Time
	versions map[types.UID]string
	err      error
	// served counts the ends that it served.
	served int
}

// newWave is a wave of ends. live reads from the API server.
func newWave(live client.Reader, now clock.PassiveClock, namespaces []string) *wave {
	return &wave{live: live, clock: now, namespaces: namespaces, turn: make(chan struct{}, 1)}
}

// unchanged reports that the API server held the registration as it is at hand at an
// instant after its end, read together with others. False says that it is to be read
// by itself: nothing was learnt of it, or it was changed. A nil wave learns nothing.
func (w *wave) unchanged(ctx context.Context, reg *v1alpha1.MCPClientRegistration, end time.Time) bool {
	if w == nil {
		return false
	}
	list := w.since(ctx, end)
	return list != nil && reg.ResourceVersion != "" && list.versions[reg.UID] == reg.ResourceVersion
}

// byItself notes that a registration is read by itself, until done is called.
func (w *wave) byItself() (done func()) {
	if w == nil {
		return func() {}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.alone++
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.alone--
	}
}

// since is a list that was begun after an end; nil where few others are read about, or
// it could not be read.
func (w *wave) since(ctx context.Context, end time.Time) *census {
	list, first := w.join(end)
	switch {
	case list == nil:
		return nil
	case first:
		w.read(ctx, list)
	}
	select {
	case <-list.done:
	case <-ctx.Done():
		return nil
	}
	if list.err != nil || list.began.Round(0).Before(end) {
		return nil
	}
	return list
}

// join finds the list that serves an end, and reports whether it is to be read by the
// caller; nil where it is to be read by itself.
func (w *wave) join(end time.Time) (list *census, first bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := w.clock.Now()
	if w.last != nil && !w.last.remembered(now) {
		w.last = nil
	}
	switch {
	case w.last != nil && !w.last.began.Round(0).Before(end):
		w.last.served++
		return w.last, false
	case w.next != nil:
		w.next.served++
		return w.next, false
	case w.alone < mostAlone, now.Before(w.idle):
		return nil, false
	}
	w.next = &census{done: make(chan struct{}), served: 1}
	return w.next, true
}

// remembered reports whether the instants of a list still mean what they did when it
// was read: the clock was not set back since.
func (c *census) remembered(now time.Time) bool {
	passed, shown := now.Sub(c.began), now.Round(0).Sub(c.began.Round(0))
	return passed < listAge && shown >= max(passed-clockSlip, 0)
}

// read reads a list when it is its turn: while another is read, ends gather for it.
func (w *wave) read(ctx context.Context, list *census) {
	w.turn <- struct{}{}
	defer func() { <-w.turn }()
	w.mu.Lock()
	w.next, list.began = nil, w.clock.Now()
	w.judge(list.began)
	w.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), listTimeout)
	defer cancel()
	list.versions, list.err = w.versions(ctx)
	w.mu.Lock()
	if list.err == nil {
		w.last = list
	} else {
		w.idle = w.clock.Now().Add(failedList)
	}
	w.mu.Unlock()
	close(list.done)
	if list.err != nil {
		logf.FromContext(ctx).Error(list.err, "Listing registrations for ends that come together")
	}
}

// judge says whether lists are worth their while, before another takes the place of the
// last. The lock is held.
func (w *wave) judge(now time.Time) {
	switch spent := w.last; {
	case spent == nil, len(spent.versions) <= spent.served*oneRead:
		w.poor = 0
	default:
		w.poor++
	}
	if w.poor >= poorLists {
		w.poor, w.idle = 0, now.Add(idleLists)
	}
}

// versions lists the versions of all registrations.
func (w *wave) versions(ctx context.Context) (map[types.UID]string, error) {
	versions := map[types.UID]string{}
	namespaces := w.namespaces
	if len(namespaces) == 0 {
		namespaces = []string{metav1.NamespaceAll}
	}
	for _, namespace := range namespaces {
		if err := w.versionsIn(ctx, namespace, versions); err != nil {
			return nil, err
		}
	}
	return versions, nil
}

func (w *wave) versionsIn(ctx context.Context, namespace string, versions map[types.UID]string) error {
	for next := ""; ; {
		var page metav1.PartialObjectMetadataList
		page.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("MCPClientRegistrationList"))
		if err := w.live.List(ctx, &page, client.InNamespace(namespace), client.Limit(listPage), client.Continue(next)); err != nil {
			return wrap("listing registrations", err)
		}
		for i := range page.Items {
			versions[page.Items[i].UID] = page.Items[i].ResourceVersion
		}
		if next = page.Continue; next == "" {
			return nil
		}
	}
}

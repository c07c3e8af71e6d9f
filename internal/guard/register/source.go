// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package register

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"

	"github.com/mcp-registrar/mcp-registrar/internal/guard"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

// source is one list with its watch. It is the store that a reflector delivers
// to, and one bad object never stops the others.
type source struct {
	key      sourceKey
	register *Register
	shelf    *shelf
	log      logr.Logger
	// left says that a client left by what was not yet counted as seen; lost that
	// the API server did not give what was asked for.
	left, lost bool
	// fresh says that it was listed and not watched since.
	fresh bool
	standing
}

var (
	_ cache.ReflectorStore         = (*source)(nil)
	_ cache.ResourceVersionUpdater = (*source)(nil)
)

// Add implements cache.ReflectorStore.
func (s *source) Add(object any) error { s.take(object, false); return nil }

// Update implements cache.ReflectorStore.
func (s *source) Update(object any) error { s.take(object, false); return nil }

// Delete implements cache.ReflectorStore.
func (s *source) Delete(object any) error { s.take(object, true); return nil }

// Resync implements cache.ReflectorStore: there is nothing to do.
func (s *source) Resync() error { return nil }

// take takes in one event, and has everybody told before it counts as seen.
func (s *source) take(object any, gone bool) {
	at, value, ok := s.understand(object)
	if !ok {
		return
	}
	if gone {
		value = nil
	}
	changes, left := s.register.memory.set(s.shelf, at, value, s.register.agreed.Now())
	s.left = s.left || left
	s.register.tell(changes)
	if s.key.resource == servers || s.key.resource == denials {
		s.register.moved.send()
	}
}

// understand returns what an object says; nothing where it cannot be read, so that it
// counts for nothing.
func (s *source) understand(object any) (objectKey, any, bool) {
	e, ok := object.(entry)
	if !ok {
		s.log.Error(fmt.Errorf("unexpected type %T", object), "Object left out")
		return objectKey{}, nil, false
	}
	value, err := e.content()
	if err != nil {
		s.log.Error(err, "Object cannot be read and counts for nothing", "object", klog.KObj(e))
	}
	if s.key.resource == denials {
		value = s.denial(e.GetName(), value)
	}
	return objectKey{e.GetNamespace(), e.GetName()}, value, e.GetName() != ""
}

// denial is what a denial says. One that cannot be read, or names nobody that this
// release knows, is kept too: the Lease says that it is not acted on.
func (s *source) denial(name string, value any) policy.DenialEntry {
	entry, ok := value.(policy.DenialEntry)
	if !ok {
		return policy.DenialEntry{Name: name}
	}
	if !entry.Understood() {
		s.log.Error(nil, "AccessDenial names nobody that this release knows and refuses nobody: upgrade the guard", "name", name)
	}
	return entry
}

// Replace implements cache.ReflectorStore: it takes in a whole list.
func (s *source) Replace(objects []any, resourceVersion string) error {
	values := make(map[objectKey]any, len(objects))
	for _, object := range objects {
		if at, value, ok := s.understand(object); ok {
			values[at] = value
		}
	}
	s.register.memory.replace(s.shelf, values)
	s.register.tell([]guard.Change{{}})
	if s.key.resource == servers || s.key.resource == denials {
		s.register.moved.send()
	}
	s.found()
	streamed, back := s.register.contact.replaced(s, resourceVersion)
	s.fresh = !streamed
	if back {
		s.register.astray(&historyError{"the list of " + s.key.String() + " is at version " + resourceVersion + ", below what was seen"})
	}
	s.register.doubt.send()
	s.register.news.send()
	return nil
}

// UpdateResourceVersion implements cache.ResourceVersionUpdater. It is called
// after what happened at this version was taken in, and for bookmarks.
func (s *source) UpdateResourceVersion(resourceVersion string) {
	s.found()
	s.register.contact.delivered(s, resourceVersion)
	if s.left {
		s.left = false
		s.register.news.send()
	}
}

func (s *source) listWatch() *cache.ListWatch {
	return &cache.ListWatch{ListWithContextFunc: s.list, WatchFuncWithContext: s.watch}
}

// list asks for what there is now, whatever was seen before: an older list may have
// a client that is gone, and a version from another history may never come.
func (s *source) list(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
	options.ResourceVersion, options.ResourceVersionMatch = "", ""
	if options.Continue == "" {
		// All pages are of the moment of the first.
		s.register.contact.asks(s)
	}
	found, err := s.register.api.list(ctx, s.key, options)
	if err != nil {
		return nil, s.refused(ctx, err)
	}
	return found, nil
}

// watch goes on from a list, or from what is known to be in the past of the API
// server. From anywhere else it may wait for a future of another history: then the
// list is read again.
func (s *source) watch(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
	filling := options.SendInitialEvents != nil && *options.SendInitialEvents
	switch {
	case filling:
		options.ResourceVersion = ""
		s.register.contact.asks(s)
	case !s.fresh && !s.register.contact.past(options.ResourceVersion):
		return nil, apierrors.NewResourceExpired("the version is not known to be in the past of the API server")
	}
	s.fresh = false
	events, err := s.register.api.watch(ctx, s.key, options)
	if err != nil {
		return nil, s.refused(ctx, err)
	}
	s.register.contact.opened(s, filling)
	s.register.doubt.send()
	return &openWatch{Interface: events, closed: func() { s.register.contact.closed(s) }}, nil
}

// refused says once that there is no watch, and how to help where waiting does
// not.
func (s *source) refused(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return err
	}
	if unselectable(err) {
		err = fmt.Errorf("watching %s: the API server cannot select by this field: "+
			"it must be Kubernetes 1.32 or later with the CRDs of this release: %w", s.key, err)
		if _, complete := s.register.contact.age(s.register.clock.Now()); !complete {
			select {
			case s.register.fatal <- err:
			default:
			}
			return err
		}
	}
	if apierrors.IsForbidden(err) || apierrors.IsNotFound(err) {
		err = fmt.Errorf("watching %s: nothing passes without it: give the account of the guard the role for guards of this release, and install its CRDs: %w", s.key, err)
	}
	if !s.lost && !apierrors.IsResourceExpired(err) && !apierrors.IsGone(err) {
		s.lost = true
		s.log.Error(err, "Watch is lost and will be tried again")
	}
	return err
}

// found says once that the source delivers again.
func (s *source) found() {
	if s.lost {
		s.lost = false
		s.log.Info("Watch delivers again")
	}
}

// unselectable says that the API server does not know a field of a selector.
func unselectable(err error) bool {
	return apierrors.IsBadRequest(err) && strings.Contains(err.Error(), "field label not supported")
}

// openWatch is a watch that tells when it is no longer followed. A reflector stops
// every watch that it opened, whichever way it ends.
type openWatch struct {
	watch.Interface
	once   sync.Once
	closed func()
}

// Stop implements watch.Interface.
func (w *openWatch) Stop() {
	w.once.Do(w.closed)
	w.Interface.Stop()
}

// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package register

import (
	"context"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"

	"github.com/mcp-registrar/mcp-registrar/internal/guard"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

func serverSource(name guard.ServerName) sourceKey {
	return sourceKey{servers, name.Namespace, fieldName, name.Name}
}

// needs are the sources that decide about the calls to a server.
func (r *Register) needs(server policy.ServerEntry) []sourceKey {
	needed := append(r.needsOf(server.AuthorizationServer), serverSource(guard.ServerName{Namespace: server.Namespace, Name: server.Name}))
	for _, namespace := range r.options.Namespaces {
		needed = append(needed, sourceKey{grants, namespace, fieldServer, server.Name})
	}
	return append(needed, denialsAt)
}

// needsOf are the sources that an authorization server takes.
func (r *Register) needsOf(authorizationServer string) []sourceKey {
	needed := []sourceKey{{authorizationServers, "", fieldName, authorizationServer}}
	for _, namespace := range r.options.Namespaces {
		needed = append(needed, sourceKey{registrations, namespace, fieldAuthorizationServer, authorizationServer})
	}
	return needed
}

// needed are all the sources that it takes now.
func (r *Register) needed() map[sourceKey]bool {
	needed := map[sourceKey]bool{denialsAt: true}
	for _, name := range r.options.Servers {
		needed[serverSource(name)] = true
		for _, namespace := range r.options.Namespaces {
			needed[sourceKey{grants, namespace, fieldServer, name.Name}] = true
		}
	}
	for _, name := range r.memory.authorizationServers() {
		for _, k := range r.needsOf(name) {
			needed[k] = true
		}
	}
	// A denial is about the issuer of its authorization server, which a server
	// may have by another name.
	for _, name := range r.memory.deniedServers() {
		needed[sourceKey{authorizationServers, "", fieldName, name}] = true
	}
	return needed
}

// follow keeps the sources running that it takes, and no others.
func (r *Register) follow(ctx context.Context, group *errgroup.Group) error {
	running := map[sourceKey]context.CancelFunc{}
	r.moved.send()
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-r.fatal:
			return err
		case <-r.moved:
		case <-r.again:
			r.halt(running, nil)
			if r.lease != nil {
				r.lease.lose()
			}
			r.rest(ctx)
		}
		needed := r.needed()
		r.halt(running, needed)
		for k := range needed {
			if running[k] == nil {
				running[k] = r.begin(ctx, group, k)
			}
		}
		r.doubt.send()
	}
}

// halt stops the sources that it does not take, and forgets what they delivered.
func (r *Register) halt(running map[sourceKey]context.CancelFunc, needed map[sourceKey]bool) {
	for k, stop := range running {
		if !needed[k] {
			stop()
			delete(running, k)
			r.end(k)
		}
	}
}

// rest waits a little before everything is read anew: an API server that has two
// histories at a time would have it read without end.
func (r *Register) rest(ctx context.Context) {
	if r.contact.forgotten() <= 1 {
		return
	}
	timer := r.clock.NewTimer(beatEvery)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C():
	}
}

// begin starts to follow a source.
func (r *Register) begin(ctx context.Context, group *errgroup.Group, k sourceKey) context.CancelFunc {
	ctx, stop := context.WithCancel(ctx)
	s := &source{key: k, register: r, shelf: r.memory.open(k), log: r.log.WithValues("source", k.String())}
	r.contact.add(s)
	// What goes wrong the source says itself: once, not at every attempt.
	silent := logr.Discard()
	reflector := cache.NewReflectorWithOptions(s.listWatch(), nil, s, cache.ReflectorOptions{
		Name: k.String(), TypeDescription: k.resource, Clock: r.clock, Logger: &silent, Backoff: backoff(),
	})
	group.Go(func() error {
		defer stop()
		reflector.RunWithContext(klog.NewContext(ctx, silent))
		return nil
	})
	return stop
}

// end forgets a source that was stopped.
func (r *Register) end(k sourceKey) {
	r.contact.remove(k)
	r.memory.close(k)
	r.tell([]guard.Change{{}})
}

// backoff is short: nothing passes while the register is not fresh.
func backoff() *wait.Backoff {
	return &wait.Backoff{Duration: 100 * time.Millisecond, Factor: 2, Jitter: 0.2, Steps: 10, Cap: 2 * time.Second}
}

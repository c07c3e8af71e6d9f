// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package register

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"slices"
	"strings"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
)

const (
	// renewEvery is how often the Lease is renewed when there is no news.
	renewEvery = 10 * time.Second
	// slack is how much longer a Lease holds than the guard goes on without word
	// of the API server: between two renewals it may have heard of it.
	slack = renewEvery + writeTimeout
	// retryEvery is how often it is tried when it could not be written.
	retryEvery = time.Second
	// writeTimeout bounds a write.
	writeTimeout = 3 * time.Second
	// warnEvery is how often the log says that it cannot be written.
	warnEvery = time.Minute
	// leasePrefix begins the names of Leases.
	leasePrefix = "mcp-guard-"
	leases      = "leases"
)

// keepLease writes the Lease, from when the register is complete until the
// context ends, and takes it away then.
func (r *Register) keepLease(ctx context.Context) error {
	var p pace
	for r.due(ctx, r.lease.pause(), &p) {
		r.lease.write(ctx)
	}
	r.lease.remove(context.WithoutCancel(ctx))
	return nil
}

// due waits for news, or for a pause to pass. It returns false when the context
// ends.
func (r *Register) due(ctx context.Context, pause time.Duration, p *pace) bool {
	timer := r.clock.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C():
		return true
	case <-r.news:
	}
	together := r.clock.NewTimer(p.next(r.clock.Now()))
	defer together.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-together.C():
		return true
	}
}

// pace is how soon news is written: at once where there was none for a while,
// and more and more together where it keeps coming.
type pace struct {
	last time.Time
	step time.Duration
}

const (
	firstStep = 25 * time.Millisecond
	lastStep  = 200 * time.Millisecond
	quiet     = time.Second
)

func (p *pace) next(now time.Time) time.Duration {
	p.step = min(2*p.step, lastStep)
	if p.step == 0 || now.Sub(p.last) > quiet {
		p.step = firstStep
	}
	p.last = now
	return p.step
}

func (l *lease) pause() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failing {
		return retryEvery
	}
	return renewEvery
}

// write writes the Lease, but while nothing passes here anyway: then it may end.
func (l *lease) write(ctx context.Context) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := l.register
	if r.stale() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	err := l.judge(l.renew(ctx))
	if history, is := errors.AsType[*historyError](err); is {
		r.astray(history)
		return
	}
	if err == nil && l.failing {
		r.log.Info("Lease is written again")
	}
	l.failing = err != nil
	if now := r.clock.Now(); err != nil && now.Sub(l.warned) >= warnEvery {
		l.warned = now
		r.log.Error(err, "Lease cannot be written: when it ends, everything is refused",
			"namespace", r.options.LeaseNamespace, "name", r.leaseName())
	}
}

// remove takes the Lease away, so that nobody waits for this guard.
func (l *lease) remove(ctx context.Context) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.version == "" {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	r := l.register
	err := r.api.leases.Delete().Namespace(r.options.LeaseNamespace).Resource(leases).Name(r.leaseName()).Do(ctx).Error()
	if err != nil && !apierrors.IsNotFound(err) {
		r.log.Error(err, "Lease cannot be deleted: the operator waits for this guard until it ends")
	}
}

// newLease is the Lease as it is now. It holds a little longer than the guard goes
// on: the guard may have heard of the API server after it wrote the last one.
func (r *Register) newLease() *coordinationv1.Lease {
	o := r.options
	now := metav1.NewMicroTime(r.agreed.Now())
	holds := o.MaxStaleness + slack
	seconds := int32(min(math.MaxInt32, (holds+time.Second-1)/time.Second)) //nolint:gosec // it is bounded.
	// A map of strings is always marshalled.
	seen, _ := json.Marshal(r.contact.seen())
	acted, _ := json.Marshal(r.acted())
	l := &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: o.LeaseNamespace, Name: r.leaseName(),
			Labels: map[string]string{
				v1alpha1.LabelGuard: "true",
			},
			Annotations: map[string]string{
				v1alpha1.AnnotationGuards: r.guarded(), v1alpha1.AnnotationSeen: string(seen),
				v1alpha1.AnnotationDenials: string(acted),
			},
		},
		Spec: coordinationv1.LeaseSpec{HolderIdentity: &o.Identity, LeaseDurationSeconds: &seconds, RenewTime: &now},
	}
	if o.PodName != "" && o.PodUID != "" {
		l.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "Pod", Name: o.PodName, UID: types.UID(o.PodUID)}}
	}
	return l
}

// acted is what v1alpha1.AnnotationDenials says. What is not said does not count
// as acted on.
func (r *Register) acted() (acted struct {
	Seen string   `json:"seen,omitempty"`
	Open []string `json:"open,omitempty"`
	More bool     `json:"more,omitempty"`
}) {
	// Before the list: what comes later is not yet said to be seen.
	acted.Seen = r.contact.deniedUpTo()
	acted.Open, acted.More = r.memory.openDenials()
	return acted
}

// guarded are the servers in the words of v1alpha1.AnnotationGuards.
func (r *Register) guarded() string {
	names := make([]string, len(r.options.Servers))
	for i, name := range r.options.Servers {
		names[i] = name.String()
	}
	slices.Sort(names)
	return strings.Join(slices.Compact(names), ",")
}

// leaseName is the name of the Lease: letters that no name may have become
// hyphens, and what this process drew at its start keeps it apart from others of
// that identity.
func (r *Register) leaseName() string {
	name := leasePrefix + strings.Map(func(letter rune) rune {
		if letter >= 'a' && letter <= 'z' || letter >= '0' && letter <= '9' || letter == '.' || letter == '-' {
			return letter
		}
		return '-'
	}, strings.ToLower(r.options.Identity))
	room := validation.DNS1123SubdomainMaxLength - len(r.drawn) - 1
	return strings.TrimRight(name[:min(len(name), room)], ".-") + "-" + r.drawn
}

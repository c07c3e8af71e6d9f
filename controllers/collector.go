// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	logf "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

// collectTimeout bounds how long a scrape waits for a cache that is being
// filled.
const collectTimeout = time.Second

const (
	// notSeen is the reason of an object that has no Ready condition.
	notSeen = "NotSeen"
	// otherReason stands for a reason that the operator does not write.
	otherReason = "Other"
)

var (
	objectsDesc = prometheus.NewDesc("mcp_registrar_objects",
		"Objects, by kind and by status and reason of the condition Ready. A combination that no object has is absent.",
		[]string{"kind", "ready", "reason"}, nil)
	accessDesc = prometheus.NewDesc("mcp_registrar_authorization_server_access",
		"1 where an authorization server lets the operator manage clients, 0 where it does not, by the reason of the condition AdminAccess. Absent while that is not known.",
		[]string{"authorization_server", "reason"}, nil)
	registrationExpiryDesc = prometheus.NewDesc("mcp_registrar_registration_expiry_timestamp_seconds",
		"Effective end of a registration (status.expiresAt) in seconds since 1970. One series per registration; absent while it has no end.",
		[]string{"namespace", "name"}, nil)
	grantExpiryDesc = prometheus.NewDesc("mcp_registrar_grant_expiry_timestamp_seconds",
		"Effective end of a grant (status.expiresAt) in seconds since 1970. One series per grant; absent while it has no end.",
		[]string{"namespace", "name"}, nil)
	unprovenDesc = prometheus.NewDesc("mcp_registrar_unproven_revocations",
		"Registrations with a client that must not exist (deleted, ended, without an owner or an end, or with a revocation that began) and is not proven to be gone. Read from the objects, whatever their status says.", nil, nil)
	oldestUnprovenDesc = prometheus.NewDesc("mcp_registrar_oldest_unproven_revocation_timestamp_seconds",
		"Instant at which the first of the clients whose revocation is not proven yet should have been gone, in seconds since 1970. Absent while there is none.", nil, nil)
)

// Collector tells at each scrape what the cluster holds, as gauges. It writes
// nothing, and says nothing until all of it can be read.
type Collector struct {
	// ctx ends with the manager and carries the logger: a scrape brings no
	// context of its own.
	ctx    context.Context
	reader client.Reader
	clock  clock.PassiveClock
}

// NewCollector returns a collector, to be registered by the caller. The reader
// should be the manager's cache: all objects are listed at each scrape.
func NewCollector(ctx context.Context, reader client.Reader, clock clock.PassiveClock) *Collector {
	return &Collector{ctx: ctx, reader: reader, clock: clock}
}

// Describe sends what the collector may tell.
func (c *Collector) Describe(descs chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{objectsDesc, accessDesc, registrationExpiryDesc, grantExpiryDesc, unprovenDesc, oldestUnprovenDesc} {
		descs <- desc
	}
}

// Collect sends what there is. A failure is logged and leaves the rest of the
// page as it is.
func (c *Collector) Collect(metrics chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(c.ctx, collectTimeout)
	defer cancel()
	read, err := c.read(ctx)
	switch {
	case err == nil:
		read.send(metrics, c.clock.Now())
	case !notSynced(err):
		logf.FromContext(ctx).Error(err, "Reading objects for the metrics")
	}
}

// notSynced says that the cache is not filled yet.
func notSynced(err error) bool {
	var notStarted *cache.ErrCacheNotStarted
	return errors.As(err, &notStarted) || apierrors.IsTimeout(err) ||
		errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}

// objects are all objects of the six kinds. They are the cache's own: nobody
// may change them.
type objects struct {
	servers       v1alpha1.AuthorizationServerList
	mcpServers    v1alpha1.MCPServerList
	registrations v1alpha1.MCPClientRegistrationList
	grants        v1alpha1.ScopeGrantList
	approvals     v1alpha1.ScopeGrantApprovalList
	denials       v1alpha1.AccessDenialList
}

func (c *Collector) read(ctx context.Context) (*objects, error) {
	o := &objects{}
	for _, list := range []client.ObjectList{&o.servers, &o.mcpServers, &o.registrations, &o.grants, &o.approvals, &o.denials} {
		if err := c.reader.List(ctx, list, client.UnsafeDisableDeepCopy); err != nil {
			return nil, fmt.Errorf("listing %T: %w", list, err)
		}
	}
	return o, nil
}

func (o *objects) send(metrics chan<- prometheus.Metric, now time.Time) {
	counts := map[standing]int{}
	for i := range o.servers.Items {
		counts[standingOf("AuthorizationServer", o.servers.Items[i].Status.Conditions)]++
		sendAccess(metrics, &o.servers.Items[i])
	}
	for i := range o.mcpServers.Items {
		counts[standingOf("MCPServer", o.mcpServers.Items[i].Status.Conditions)]++
	}
	for i := range o.registrations.Items {
		reg := &o.registrations.Items[i]
		counts[standingOf("MCPClientRegistration", reg.Status.Conditions)]++
		sendExpiry(metrics, registrationExpiryDesc, reg, reg.Status.ExpiresAt)
	}
	for i := range o.grants.Items {
		grant := &o.grants.Items[i]
		counts[standingOf("ScopeGrant", grant.Status.Conditions)]++
		sendExpiry(metrics, grantExpiryDesc, grant, grant.Status.ExpiresAt)
	}
	for i := range o.approvals.Items {
		counts[standingOf("ScopeGrantApproval", o.approvals.Items[i].Status.Conditions)]++
	}
	for i := range o.denials.Items {
		counts[standingOf("AccessDenial", o.denials.Items[i].Status.Conditions)]++
	}
	for s, count := range counts {
		metrics <- gauge(objectsDesc, float64(count), s.kind, s.ready, s.reason)
	}
	o.sendUnproven(metrics, now)
}

func (o *objects) sendUnproven(metrics chan<- prometheus.Metric, now time.Time) {
	var oldest time.Time
	count := 0
	for i := range o.registrations.Items {
		due, overdue := policy.Overdue(&o.registrations.Items[i], now)
		if !overdue {
			continue
		}
		if count == 0 || due.Before(oldest) {
			oldest = due
		}
		count++
	}
	metrics <- gauge(unprovenDesc, float64(count))
	if count > 0 {
		metrics <- gauge(oldestUnprovenDesc, float64(oldest.Unix()))
	}
}

// standing is what objects are counted by. Each part has a closed set of
// values.
type standing struct{ kind, ready, reason string }

func standingOf(kind string, conditions []metav1.Condition) standing {
	ready := meta.FindStatusCondition(conditions, v1alpha1.ConditionReady)
	if ready == nil {
		return standing{kind, string(metav1.ConditionUnknown), notSeen}
	}
	s := standing{kind, string(metav1.ConditionUnknown), ready.Reason}
	if ready.Status == metav1.ConditionTrue || ready.Status == metav1.ConditionFalse {
		s.ready = string(ready.Status)
	}
	if !reasons[s.reason] {
		s.reason = otherReason
	}
	return s
}

// sendAccess tells whether the operator has access to an authorization server, where
// that is known.
func sendAccess(metrics chan<- prometheus.Metric, as *v1alpha1.AuthorizationServer) {
	access := meta.FindStatusCondition(as.Status.Conditions, v1alpha1.ConditionAdminAccess)
	if access == nil || !reasons[access.Reason] {
		return
	}
	switch access.Status {
	case metav1.ConditionTrue:
		metrics <- gauge(accessDesc, 1, as.Name, access.Reason)
	case metav1.ConditionFalse:
		metrics <- gauge(accessDesc, 0, as.Name, access.Reason)
	case metav1.ConditionUnknown:
	}
}

func sendExpiry(metrics chan<- prometheus.Metric, desc *prometheus.Desc, object client.Object, expiresAt *metav1.Time) {
	if expiresAt != nil {
		metrics <- gauge(desc, float64(expiresAt.Unix()), object.GetNamespace(), object.GetName())
	}
}

func gauge(desc *prometheus.Desc, value float64, labels ...string) prometheus.Metric {
	metric, err := prometheus.NewConstMetric(desc, prometheus.GaugeValue, value, labels...)
	if err != nil {
		return prometheus.NewInvalidMetric(desc, err)
	}
	return metric
}

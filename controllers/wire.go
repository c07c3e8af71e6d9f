// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/mcp-registrar/mcp-registrar/internal/audit"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
)

// Options are what the reconcilers are given.
type Options struct {
	Clock clock.PassiveClock
	// Ahead is by how much the clock of the machine is ahead of the API server's, where
	// that is known; nil: nobody knows.
	Ahead     func() (ahead time.Duration, known bool)
	Connector authserver.Connector
	Metrics   *Metrics
	Audit     audit.Recorder
	// Namespace is the operator's own.
	Namespace string
	// Cluster is the UID of the cluster: ownership marks name it.
	Cluster string
	// WatchNamespaces are the namespaces that the manager watches; empty means
	// all.
	WatchNamespaces []string
	// Prober asks live MCP servers, each once in ProbeInterval; nil: none is
	// asked.
	Prober        Prober
	ProbeInterval time.Duration
	// History looks whether the API server was put back; nil: nobody does.
	History *History
	// Workers is how many registrations are worked on at one time.
	Workers int
}

// Setup adds the reconcilers to a manager.
func Setup(ctx context.Context, mgr manager.Manager, o Options) error {
	if err := SetupIndexes(ctx, mgr); err != nil {
		return err
	}
	served, err := policiesServed(mgr)
	if err != nil {
		return err
	}
	c, live, recorder := mgr.GetClient(), mgr.GetAPIReader(), mgr.GetEventRecorder("mcp-registrar")
	servers := &Servers{Connector: o.Connector, Client: c, Namespace: o.Namespace}
	admission := &Admission{Client: c, Clock: o.Clock, Served: served}
	grants := &Grants{Client: c, Namespaces: o.WatchNamespaces, Admission: admission}
	probes, err := addProbes(mgr, o, servers)
	if err != nil {
		return err
	}
	denials, guards := &Denials{Client: c, Live: live}, newGuards(c, o.WatchNamespaces, o.History)
	access, strays, records := NewAccess(), NewStrays(), &Records{Client: c, Live: live, Namespace: o.Namespace}
	for _, r := range []struct {
		reconciler interface {
			SetupWithManager(mgr manager.Manager, workers int) error
		}
		workers int
	}{
		{&RegistrationReconciler{
			Client: c, Clock: o.Clock, Servers: servers, Grants: grants, Cluster: o.Cluster,
			Records: records, Strays: strays,
			Credentials: &Credentials{Client: c, Live: live},
			Places:      &Places{Client: c, Namespace: o.Namespace},
			Guards:      guards, Manageability: &Manageability{}, Access: access, Denials: denials, Wave: newWave(live, o.Clock, o.WatchNamespaces),
			Drift: NewDriftSchedule(o.Clock.Now()), Examinations: NewExaminations(), Recorder: recorder, Metrics: o.Metrics, Audit: o.Audit,
		}, o.Workers},
		{&ScopeGrantReconciler{Client: c, Clock: o.Clock, Grants: grants, Recorder: recorder, Audit: o.Audit}, o.Workers/4 + 1},
		{&ApprovalReconciler{Client: c, Clock: o.Clock, Grants: grants, Recorder: recorder}, 4},
		{&MCPServerReconciler{Client: c, Clock: o.Clock, Recorder: recorder, Watched: o.WatchNamespaces, Probes: probes}, 4},
		{&AccessDenialReconciler{Client: c, Clock: o.Clock, Guards: guards, Denials: denials, Recorder: recorder}, 2},
		{&AuthorizationServerReconciler{
			Client: c, Clock: o.Clock, Servers: servers, Recorder: recorder, Metrics: o.Metrics, Audit: o.Audit,
			Live: live, Namespace: o.Namespace, Cluster: o.Cluster, Watched: o.WatchNamespaces, Strays: strays, Access: access,
			Ahead: o.Ahead,
		}, 4},
		{&StrayReconciler{
			Client: c, Clock: o.Clock, Servers: servers, Audit: o.Audit,
			Live: live, Namespace: o.Namespace, Watched: o.WatchNamespaces, Strays: strays, Records: records, Cluster: o.Cluster,
		}, 12},
	} {
		if err := r.reconciler.SetupWithManager(mgr, r.workers); err != nil {
			return wrap("starting controllers", err)
		}
	}
	return nil
}

// addProbes adds what asks live servers, if anything does.
func addProbes(mgr manager.Manager, o Options, servers *Servers) (*Probes, error) {
	if o.Prober == nil || o.ProbeInterval <= 0 {
		return nil, nil //nolint:nilnil // no probes are no error
	}
	c, live := mgr.GetClient(), mgr.GetAPIReader()
	probes := (&Probes{
		Client: c, Clock: o.Clock, Prober: o.Prober, Servers: servers, Metrics: o.Metrics, Interval: o.ProbeInterval,
		Records: &Records{Client: c, Live: live, Namespace: o.Namespace}, Credentials: &Credentials{Client: c, Live: live},
	}).begin()
	return probes, wrap("adding the probes", mgr.Add(probes))
}

// policiesServed says that the cluster has the API of admission policies.
func policiesServed(mgr manager.Manager) (bool, error) {
	kind := schema.GroupKind{Group: admissionregistrationv1.GroupName, Kind: "ValidatingAdmissionPolicy"}
	_, err := mgr.GetRESTMapper().RESTMapping(kind, admissionregistrationv1.SchemeGroupVersion.Version)
	if meta.IsNoMatchError(err) {
		return false, nil
	}
	return err == nil, wrap("asking for the API of admission policies", err)
}

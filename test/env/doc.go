// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

// Package env starts the Kubernetes control plane that tests, demo, soak and
// benchmarks run against: etcd, kube-apiserver with its default admission plugins
// and RBAC and, on request, kube-controller-manager, so that garbage collection
// and namespace deletion are the real ones. It is the only place that knows how.
// Everything listens on loopback, on free ports, and ends with the process that
// started it.
//
// It must never know what is tested: no controller, no authorization server and
// no object of ours beyond the CRD files. It never talks to a cluster that it did
// not start itself.
//
// Start reading at Start in env.go; StartForTest is its form for tests. Binaries
// come from KUBEBUILDER_ASSETS if that is set, and what is not there is built into
// bin/controlplane by the module in test/controlplane (see assets.go).
package env

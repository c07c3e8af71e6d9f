// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

// Package node holds the test that installs the product as its users do, built
// with the tag node: the image that the Dockerfile describes, the chart, Helm, and
// a control plane with one real node, this machine. The node's programs are real,
// too: kubelet, scheduler, containerd, runc. It knows what an administrator sees:
// kubectl, Helm, the authorization server, and the pod's process on its host.
//
// It must never know how the operator works inside, and must leave nothing on the
// machine: no process, mount, control group, file, kernel setting or rule of the
// firewall. It needs Linux and root, and is skipped elsewhere.
//
// Start reading at TestNode in node_test.go; machine_test.go starts the node,
// cell/ keeps its programs together, parts/ is the module that builds them.
package node

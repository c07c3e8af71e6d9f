// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

// Command build makes the test control plane: etcd, kube-apiserver,
// kube-controller-manager and kubectl, from the versions that this module pins,
// and the tether that ties them to the process that starts them. It puts them
// into bin/controlplane of the repository and does nothing when they are there
// and up to date. With arguments it builds only the binaries named; by name it
// also builds kubelet and kube-scheduler, which the test node needs. The flag
// -into names another folder in bin.
//
// It must never start what it builds, and never choose a version: go.mod does,
// for the modules, their replacements and the version the binaries report.
//
// Start reading at run in main.go; recipe.go lists the binaries and their flags,
// target.go knows when one is up to date and how it is put in place.
package main

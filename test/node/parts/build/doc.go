// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

// Command build makes what a node of the test cluster takes beside Kubernetes'
// own programs: containerd with its shim and its client, runc, a CNI plugin, the
// image of the pause program, and the manager's image, made from the Dockerfile
// without a container engine. All goes into bin/node of the repository.
//
// It must never start what it builds, and never choose a version: go.mod does.
// What is up to date is known to Go's build cache, not to this program. Packages
// of the system are installed only as root, only if they are missing, and only on
// systems with apt-get; elsewhere it says what is missing.
//
// Start reading at run in main.go; recipe.go lists the programs and their flags,
// packages.go what runc needs of the system, images.go makes the images.
package main

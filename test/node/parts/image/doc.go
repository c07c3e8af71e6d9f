// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

// Package image makes container images without a container engine: it follows a
// Dockerfile itself, as far as this repository's goes, and refuses what it does
// not understand. So the image that is tested is what the Dockerfile says, and a
// change of one is a change of the other.
//
// It must never guess: an instruction or a flag that it does not follow is an
// error. Two liberties are documented where they are taken: a base image of the
// Go project is this machine, and modules are fetched when they are needed.
//
// Start reading at FromDockerfile in dockerfile.go; stage.go has what each
// instruction does, tree.go copies files, archive.go makes layers and archives.
package image

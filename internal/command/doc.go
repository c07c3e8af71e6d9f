// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

// Package command is what the programs share at their command line: every argument is
// understood or refused, and --version tells which build it is.
//
// It knows flags, and what the linker and the Go toolchain wrote into the binary; it
// must never know what the program does.
//
// Start reading at Parse.
package command

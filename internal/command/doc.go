// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

// Package command is what the programs share when they start: every argument is
// understood or refused, --version tells which build it is, and memory is limited by
// what the container may use.
//
// It knows flags, what the linker and the Go toolchain wrote into the binary, and the
// control group of the process; it must never know what the program does.
//
// Start reading at Parse.
package command

// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

// Package cell runs programs in process and mount namespaces of their own, so
// that ending them is one act: when the first process of the cell is killed, the
// kernel ends all others, however often they forked, and every mount goes with
// them. A second process outside, the warden, waits for the word to end or for the
// death of whoever started the cell, and then removes what the kernel leaves:
// control groups and a directory. The network is the machine's.
//
// It must never know what the programs are, and it never signals a process that is
// not of the cell. It needs Linux and root.
//
// Start reading at Start in cell.go. Both processes are the calling program again,
// which therefore calls Enter first of all: warden.go is the one, inside.go the
// other.
package cell

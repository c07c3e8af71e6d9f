// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build node && !linux

package node

import "testing"

func TestNode(t *testing.T) {
	t.Skip("a node needs Linux: kubelet, containerd and runc do not run here")
}

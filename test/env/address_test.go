// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package env

import (
	"net"
	"strconv"
	"testing"
)

func TestFreeAddressesAreTheCallersAlone(t *testing.T) {
	seen := map[string]bool{}
	for range 50 {
		address, err := FreeAddress(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		_, text, err := net.SplitHostPort(address)
		if err != nil {
			t.Fatal(err)
		}
		if port, err := strconv.Atoi(text); err != nil || port < firstPort || port >= 30000 || seen[address] {
			t.Errorf("%s: %v, given before: %t", address, err, seen[address])
		}
		seen[address] = true
		listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		if err := listener.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestFreeAddressLeavesOutWhatIsTaken has the next address taken by somebody else.
func TestFreeAddressLeavesOutWhatIsTaken(t *testing.T) {
	taken, err := FreeAddress(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", taken)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	given.Lock()
	given.place = (given.place + ports - 1) % ports
	given.Unlock()
	if address, err := FreeAddress(t.Context()); err != nil || address == taken {
		t.Errorf("%s %v, and %s is taken", address, err, taken)
	}
}

// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package env

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
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
	given.place = (given.place + block - 1) % block
	given.Unlock()
	if address, err := FreeAddress(t.Context()); err != nil || address == taken {
		t.Errorf("%s %v, and %s is taken", address, err, taken)
	}
}

// beginAt is the block with which a process of TestFreeAddressesOfTwoProcesses begins.
const beginAt = "FREE_ADDRESSES_BEGIN_AT"

// TestFreeAddressesOfTwoProcesses has another process ask for as many addresses, from the
// same place on.
func TestFreeAddressesOfTwoProcesses(t *testing.T) {
	if text, is := os.LookupEnv(beginAt); is {
		begin, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Println(strings.Join(addressesFrom(t, begin), "\n"))
		return
	}
	given.Lock()
	begin := given.block
	given.Unlock()
	ours := addressesFrom(t, begin)
	other := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestFreeAddressesOfTwoProcesses$")
	other.Env = append(os.Environ(), beginAt+"="+strconv.Itoa(begin))
	output, err := other.Output()
	if err != nil {
		t.Fatal(err, string(output))
	}
	theirs := 0
	for line := range strings.Lines(string(output)) {
		if !strings.HasPrefix(line, "127.0.0.1:") {
			continue
		}
		theirs++
		for _, address := range ours {
			if address == strings.TrimSpace(line) {
				t.Errorf("both have %s", address)
			}
		}
	}
	if theirs != len(ours) {
		t.Errorf("the other process has %d addresses, want %d", theirs, len(ours))
	}
}

// addressesFrom are more addresses than a block has, from a block on.
func addressesFrom(t *testing.T, begin int) []string {
	t.Helper()
	given.Lock()
	given.block, given.place = begin, 0
	given.Unlock()
	var all []string
	for range block + block/2 {
		address, err := FreeAddress(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, address)
	}
	return all
}

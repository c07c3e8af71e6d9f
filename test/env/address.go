// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package env

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
)

// The ports that FreeAddress gives out. The system gives out none of them by
// itself, be it to a listener or to a connection: its own begin at 32768.
const (
	firstPort = 20000
	ports     = 10000
	// block is how many of them are one process's: nobody else's tests have the same.
	block = 250
)

// given is where the last address came from. A process has a block of ports for as long as
// it listens at the first of it, and begins with one at random, as others look for theirs at
// the same time.
var given = struct {
	sync.Mutex

	block  int
	place  int
	claims []net.Listener
}{block: rand.IntN(ports / block)}

// FreeAddress returns an address of loopback at which nobody listens. A program may
// listen there much later: the address is given out once, to one process, and nobody gets
// it by chance.
func FreeAddress(ctx context.Context) (string, error) {
	given.Lock()
	defer given.Unlock()
	for range ports {
		if given.place == 0 && !claim(ctx) {
			break
		}
		given.place = (given.place + 1) % block
		if given.place == 0 {
			continue
		}
		listener, err := listen(ctx, given.block*block+given.place)
		if err != nil {
			continue
		}
		address := listener.Addr().String()
		if err := listener.Close(); err != nil {
			return "", fmt.Errorf("finding a free address: %w", err)
		}
		return address, nil
	}
	return "", fmt.Errorf("finding a free address: %d ports from %d on are taken", ports, firstPort)
}

// claim takes the next block that is no other process's. The lock is held.
func claim(ctx context.Context) bool {
	for range ports / block {
		given.block = (given.block + 1) % (ports / block)
		if listener, err := listen(ctx, given.block*block); err == nil {
			given.claims = append(given.claims, listener)
			return true
		}
	}
	return false
}

func listen(ctx context.Context, place int) (net.Listener, error) {
	return new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(firstPort+place)))
}

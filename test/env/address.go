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
)

// given is where the last address came from. It begins at random, as other
// programs may look for addresses at the same time.
var given = struct {
	sync.Mutex

	place int
}{place: rand.IntN(ports)}

// FreeAddress returns an address of loopback at which nobody listens. A program may
// listen there much later: the address is given out once, and nobody gets it by
// chance.
func FreeAddress(ctx context.Context) (string, error) {
	given.Lock()
	defer given.Unlock()
	for range ports {
		given.place = (given.place + 1) % ports
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(firstPort+given.place))
		listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
		if err != nil {
			continue
		}
		if err := listener.Close(); err != nil {
			return "", fmt.Errorf("finding a free address: %w", err)
		}
		return address, nil
	}
	return "", fmt.Errorf("finding a free address: %d ports from %d on are taken", ports, firstPort)
}

// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package devas

import (
	"context"
	"fmt"
	"net"
	"syscall"
)

// place is where something listens: the same port every time.
type place struct {
	addr string
	held *reservation
}

// listen takes the port, which is then the one for good.
func (p *place) listen(ctx context.Context) (net.Listener, error) {
	if err := p.release(); err != nil {
		return nil, fmt.Errorf("releasing %s: %w", p.addr, err)
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", p.addr)
	if err != nil {
		return nil, err
	}
	p.addr = listener.Addr().String()
	return listener, nil
}

// reserve keeps the port while nobody listens on it.
func (p *place) reserve() error {
	var err error
	p.held, err = reserve(p.addr)
	return err
}

func (p *place) release() error {
	held := p.held
	p.held = nil
	return held.release()
}

// reservation keeps a port from everybody else while nobody listens on it.
// Without it the system could give the port to an outgoing connection, even
// to one to that very port, which then talks to itself.
type reservation struct {
	socket int
}

// reserve binds a socket to the address and does not listen, so that
// connecting is refused.
func reserve(addr string) (*reservation, error) {
	tcp, err := net.ResolveTCPAddr("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("reserving %s: %w", addr, err)
	}
	family, address := syscall.AF_INET6, syscall.Sockaddr(&syscall.SockaddrInet6{Port: tcp.Port, Addr: [16]byte(tcp.IP.To16())})
	if ip := tcp.IP.To4(); ip != nil {
		family, address = syscall.AF_INET, &syscall.SockaddrInet4{Port: tcp.Port, Addr: [4]byte(ip)}
	}
	socket, err := syscall.Socket(family, syscall.SOCK_STREAM, 0)
	if err != nil {
		return nil, fmt.Errorf("reserving %s: %w", addr, err)
	}
	syscall.CloseOnExec(socket)
	r := &reservation{socket: socket}
	if err := syscall.SetsockoptInt(socket, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1); err != nil {
		return r, fmt.Errorf("reserving %s: %w", addr, err)
	}
	if err := syscall.Bind(socket, address); err != nil {
		return r, fmt.Errorf("reserving %s: %w", addr, err)
	}
	return r, nil
}

// release gives the port up. A nil reservation holds nothing.
func (r *reservation) release() error {
	if r == nil {
		return nil
	}
	return syscall.Close(r.socket)
}

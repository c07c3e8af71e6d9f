// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package dialguard

import (
	"context"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// attemptTimeout bounds one connection attempt, so that one dead address among
// several does not use up the time of all.
const attemptTimeout = 4 * time.Second

// Resolver looks up addresses. *net.Resolver is one.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// dialer resolves a name once, judges each address and dials exactly those it
// let through.
type dialer struct {
	origin   Origin
	rules    Rules
	resolver Resolver
	dial     func(ctx context.Context, network, address string) (net.Conn, error)
}

func newDialer(origin Origin, rules Rules, resolver Resolver) *dialer {
	inner := &net.Dialer{Timeout: attemptTimeout, ControlContext: rules.control}
	return &dialer{origin: origin, rules: rules, resolver: resolver, dial: inner.DialContext}
}

// control judges the address of the socket itself, the last moment before it
// connects.
func (r Rules) control(_ context.Context, _, address string, _ syscall.RawConn) error {
	parsed, err := netip.ParseAddrPort(address)
	if err != nil {
		return &RefusedError{Reason: "the address is not usable"}
	}
	return r.Check(parsed.Addr())
}

// DialContext connects to the origin and to nothing else.
func (d *dialer) DialContext(ctx context.Context, _, address string) (net.Conn, error) {
	if strings.ToLower(address) != d.origin.address() || ambiguous(d.origin.host) {
		return nil, &RefusedError{Reason: "the host is not the one configured"}
	}
	port, err := strconv.ParseUint(d.origin.port, 10, 16)
	if err != nil {
		return nil, &RefusedError{Reason: "the port is not usable"}
	}
	addrs, err := d.resolve(ctx)
	if err != nil {
		return nil, err
	}
	err = &RefusedError{Reason: "the host has no address"}
	for _, addr := range addrs {
		if refused := d.rules.Check(addr); refused != nil {
			err = refused
			continue
		}
		conn, dialErr := d.dial(ctx, "tcp", netip.AddrPortFrom(addr.Unmap(), uint16(port)).String())
		if dialErr == nil {
			return conn, nil
		}
		err = dialErr
		if ctx.Err() != nil {
			break
		}
	}
	return nil, err
}

func (d *dialer) resolve(ctx context.Context) ([]netip.Addr, error) {
	if addr, err := netip.ParseAddr(d.origin.host); err == nil {
		return []netip.Addr{addr}, nil
	}
	return d.resolver.LookupNetIP(ctx, "ip", d.origin.host)
}

// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package dialguard

import (
	"bytes"
	"net"
	"net/netip"
	"slices"
	"testing"
)

// FuzzGuard asks for any host with any two answers of the resolver, the second
// given to whoever asks again, and holds what is dialled against a judgement
// of its own.
func FuzzGuard(f *testing.F) {
	f.Add("as.example", []byte{127, 0, 0, 1}, []byte{93, 184, 216, 34}, byte(0))
	f.Add("as.example", []byte{93, 184, 216, 34}, []byte{127, 0, 0, 1}, byte(0))
	f.Add("2130706433", []byte{127, 0, 0, 1}, []byte{127, 0, 0, 1}, byte(1))
	f.Add("[::ffff:169.254.169.254]", []byte{}, []byte{}, byte(3))
	f.Add("[64:ff9b::7f00:1]", []byte{}, []byte{}, byte(2))
	f.Add("0x7f.1", []byte{127, 0, 0, 1}, []byte{}, byte(2))
	f.Add("a@127.0.0.1", []byte{10, 0, 0, 1}, []byte{}, byte(1))
	f.Add("127.0.0.1.", []byte{127, 0, 0, 1}, []byte{}, byte(2))
	f.Add("as.example", []byte{0x20, 2, 0x7f, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, []byte{}, byte(2))
	f.Add("as.example", []byte{0x20, 1, 0, 0, 10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0}, []byte{}, byte(0))
	f.Fuzz(func(t *testing.T, host string, first, second []byte, flags byte) {
		rules := Rules{Loopback: flags&1 != 0, Private: flags&2 != 0}
		w := &world{answers: [][]netip.Addr{decodeAddrs(first), decodeAddrs(second)}}
		answered := slices.Concat(w.answers...)
		target := "https://" + host + "/x"
		if err := w.ask(t, target, target, rules); err == nil {
			t.Fatal("no error")
		}
		for _, dialled := range w.dialled {
			addr := netip.MustParseAddrPort(dialled).Addr()
			if !acceptable(addr, rules) {
				t.Errorf("%q: dialled %s under %+v", host, addr, rules)
			}
			literal, err := netip.ParseAddr(string(bytes.Trim([]byte(host), "[]")))
			if !slices.ContainsFunc(answered, func(a netip.Addr) bool { return a.Unmap() == addr }) &&
				(err != nil || literal.Unmap() != addr) && w.lookups > 0 {
				t.Errorf("%q: dialled %s, which nobody answered", host, addr)
			}
		}
		if w.lookups > 1 {
			t.Errorf("%q: looked up %d times for one connection", host, w.lookups)
		}
	})
}

func decodeAddrs(raw []byte) []netip.Addr {
	var list []netip.Addr
	for _, size := range []int{16, 4} {
		for ; len(raw) >= size; raw = raw[size:] {
			addr, _ := netip.AddrFromSlice(raw[:size])
			list = append(list, addr)
		}
	}
	return list
}

// acceptable judges with package net alone: every IPv4 address that stands
// where a tunnel or translator could find one must be acceptable too.
func acceptable(addr netip.Addr, rules Rules) bool {
	b := addr.As16()
	ips := []net.IP{addr.AsSlice()}
	hidden := func(prefix string) bool {
		_, network, err := net.ParseCIDR(prefix)
		return err == nil && addr.Is6() && network.Contains(b[:])
	}
	switch {
	case hidden("2002::/16"):
		ips = append(ips, b[2:6])
	case hidden("2001::/32"):
		ips = append(ips, b[4:8], net.IP{^b[12], ^b[13], ^b[14], ^b[15]})
	case hidden("64:ff9b:1::/48"):
		if b[12] != 0 {
			ips = append(ips, b[12:16])
		}
	case hidden("64:ff9b::/96"), hidden("::/96") && addr != netip.IPv6Loopback():
		ips = append(ips, b[12:16])
	}
	_, shared, err := net.ParseCIDR("100.64.0.0/10")
	if err != nil {
		return false
	}
	return !slices.ContainsFunc(ips, func(ip net.IP) bool {
		return ip.IsUnspecified() || ip.IsMulticast() || ip.IsLinkLocalUnicast() ||
			(ip.IsLoopback() && !rules.Loopback) ||
			((ip.IsPrivate() || shared.Contains(ip)) && !rules.Private) ||
			ip.Equal(net.IPv4(100, 100, 100, 200)) || ip.Equal(net.ParseIP("fd00:ec2::254"))
	})
}

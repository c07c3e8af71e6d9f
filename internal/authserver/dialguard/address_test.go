// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package dialguard

import (
	"net/netip"
	"testing"
)

// TestT1AddressClasses holds every class in every form that carries it.
func TestT1AddressClasses(t *testing.T) {
	public, inner, loop := Rules{}, Rules{Private: true}, Rules{Loopback: true}
	every := Rules{Private: true, Loopback: true}
	for _, c := range []struct {
		addr    string
		allowed []Rules
	}{
		{"93.184.216.34", []Rules{public, inner, loop, every}},
		{"2606:2800:220:1::1", []Rules{public, inner, loop, every}},
		{"::ffff:93.184.216.34", []Rules{public, inner, loop, every}},
		{"64:ff9b::93.184.216.34", []Rules{public, inner, loop, every}},
		{"10.1.2.3", []Rules{inner, every}},
		{"172.16.0.1", []Rules{inner, every}},
		{"172.31.255.255", []Rules{inner, every}},
		{"172.32.0.1", []Rules{public, inner, loop, every}},
		{"192.168.0.1", []Rules{inner, every}},
		{"100.64.0.1", []Rules{inner, every}},
		{"100.127.255.255", []Rules{inner, every}},
		{"198.18.0.1", []Rules{inner, every}},
		{"fd12:3456::1", []Rules{inner, every}},
		{"::ffff:10.1.2.3", []Rules{inner, every}},
		{"::10.1.2.3", []Rules{inner, every}},
		{"2002:a01:203::1", []Rules{inner, every}},
		{"64:ff9b::a01:203", []Rules{inner, every}},
		{"127.0.0.1", []Rules{loop, every}},
		{"127.255.255.254", []Rules{loop, every}},
		{"::1", []Rules{loop, every}},
		{"::ffff:127.0.0.1", []Rules{loop, every}},
		{"::127.0.0.1", []Rules{loop, every}},
		{"2002:7f00:1::", []Rules{loop, every}},
		{"64:ff9b::7f00:1", []Rules{loop, every}},
		{"fe80::5efe:7f00:1", nil},
		{"2606:2800::5efe:7f00:1", []Rules{loop, every}},
		{"2606:2800::200:5efe:7f00:1", []Rules{loop, every}},
		{"64:ff9b:1:7f00:0:100::", []Rules{loop, every}},
		{"64:ff9b:1::7f00:1", []Rules{loop, every}},
		{"0.0.0.0", nil}, {"::", nil}, {"0.1.2.3", nil}, {"255.255.255.255", nil},
		{"::ffff:0.0.0.0", nil}, {"224.0.0.1", nil}, {"ff02::1", nil},
		{"169.254.1.1", nil}, {"fe80::1", nil}, {"fec0::1", nil}, {"2001:db8::1", nil},
		{"169.254.169.254", nil}, {"100.100.100.200", nil}, {"168.63.129.16", nil},
		{"192.0.0.192", nil}, {"fd00:ec2::254", nil}, {"fd20:ce::254", nil},
		{"::ffff:169.254.169.254", nil}, {"::169.254.169.254", nil},
		{"2002:a9fe:a9fe::", nil}, {"64:ff9b::a9fe:a9fe", nil}, {"64:ff9b:1::a9fe:a9fe", nil},
		{"64:ff9b:1:a9fe:a9:fe00::", nil},
		{"2001:0:a9fe:a9fe::", nil},
		{"2001:0:5db8:d822:0:0:5601:5601", nil},
	} {
		addr := netip.MustParseAddr(c.addr)
		for _, rules := range []Rules{public, inner, loop, every} {
			want := false
			for _, allowed := range c.allowed {
				want = want || allowed == rules
			}
			if got := rules.Check(addr) == nil; got != want {
				t.Errorf("%s under %+v: allowed %t, want %t", c.addr, rules, got, want)
			}
		}
	}
}

func TestT1UnusableAddressesAreRefused(t *testing.T) {
	every := Rules{Private: true, Loopback: true}
	for _, addr := range []netip.Addr{{}, netip.MustParseAddr("fd12::1%eth0"), netip.MustParseAddr("::1%lo")} {
		if every.Check(addr) == nil {
			t.Errorf("%q is allowed", addr)
		}
	}
}

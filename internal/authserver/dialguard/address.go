// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package dialguard

import "net/netip"

// Rules says which addresses may be dialled beside public ones. The zero value
// allows public addresses only.
type Rules struct {
	// Loopback allows 127.0.0.0/8 and ::1.
	Loopback bool
	// Private allows RFC 1918, unique local, shared (RFC 6598) and
	// benchmarking addresses.
	Private bool
}

// RefusedError says that a connection was refused before it was dialled.
type RefusedError struct {
	// Reason says why, without naming the address.
	Reason string
}

// Error returns the text.
func (e *RefusedError) Error() string { return "dialling refused: " + e.Reason }

// metadata addresses of clouds lie partly in ranges that may be allowed.
var metadata = prefixes(
	"169.254.169.254/32", "100.100.100.200/32", "168.63.129.16/32", "192.0.0.192/32",
	"fd00:ec2::/32", "fd20:ce::254/128", "fd00:c1::a9fe:a9fe/128", "fd00:42::42/128",
)

var forbidden = prefixes(
	"0.0.0.0/8", "169.254.0.0/16", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24",
	"198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
	"::/128", "100::/64", "2001:db8::/32", "3fff::/20", "5f00::/16",
	"fe80::/10", "fec0::/10", "ff00::/8",
)

var (
	loopback = prefixes("127.0.0.0/8", "::1/128")
	private  = prefixes("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10",
		"198.18.0.0/15", "fc00::/7")
)

// Check refuses an address outside the allowed classes. Addresses that carry
// another one inside are judged by both.
func (r Rules) Check(addr netip.Addr) error {
	if !addr.IsValid() || addr.Zone() != "" {
		return &RefusedError{Reason: "the address is not usable"}
	}
	addr = addr.Unmap()
	if err := r.checkOne(addr); err != nil {
		return err
	}
	for _, inner := range embedded(addr) {
		if err := r.checkOne(inner); err != nil {
			return err
		}
	}
	return nil
}

func (r Rules) checkOne(addr netip.Addr) error {
	switch {
	case contains(metadata, addr):
		return &RefusedError{Reason: "the address is a cloud metadata service"}
	case contains(forbidden, addr):
		return &RefusedError{Reason: "the address is not for general use"}
	case !r.Loopback && contains(loopback, addr):
		return &RefusedError{Reason: "the address is loopback"}
	case !r.Private && contains(private, addr):
		return &RefusedError{Reason: "the address is private"}
	}
	return nil
}

var (
	compatible = netip.MustParsePrefix("::/96")
	nat64      = netip.MustParsePrefix("64:ff9b::/96")
	nat64Local = netip.MustParsePrefix("64:ff9b:1::/48")
	sixToFour  = netip.MustParsePrefix("2002::/16")
	teredo     = netip.MustParsePrefix("2001::/32")
)

// embedded returns every IPv4 address that a translator or tunnel could take
// out of an IPv6 address.
func embedded(addr netip.Addr) []netip.Addr {
	if addr.Is4() {
		return nil
	}
	b := addr.As16()
	last := netip.AddrFrom4([4]byte(b[12:16]))
	isatap := b[8]&^2 == 0 && b[9] == 0 && b[10] == 0x5e && b[11] == 0xfe
	switch {
	case addr == netip.IPv6Loopback():
		return nil
	case compatible.Contains(addr), nat64.Contains(addr), isatap:
		return []netip.Addr{last}
	case nat64Local.Contains(addr):
		return translated(b)
	case sixToFour.Contains(addr):
		return []netip.Addr{netip.AddrFrom4([4]byte(b[2:6]))}
	case teredo.Contains(addr):
		client := netip.AddrFrom4([4]byte{^b[12], ^b[13], ^b[14], ^b[15]})
		return []netip.Addr{netip.AddrFrom4([4]byte(b[4:8])), client}
	}
	return nil
}

// translated returns the embeddings of RFC 6052 §2.2 for prefixes of 48, 56,
// 64 and 96 bits, since the length in use is not known. Octet 8 is never a
// part. Those in 0.0.0.0/8 only say that another length is in use.
func translated(b [16]byte) []netip.Addr {
	last := [4]byte(b[12:16])
	var addrs []netip.Addr
	for _, inner := range [][4]byte{
		{b[6], b[7], b[9], b[10]},
		{b[7], b[9], b[10], b[11]},
		{b[9], b[10], b[11], b[12]},
		last,
	} {
		if inner[0] != 0 {
			addrs = append(addrs, netip.AddrFrom4(inner))
		}
	}
	if len(addrs) == 0 {
		return []netip.Addr{netip.AddrFrom4(last)}
	}
	return addrs
}

func prefixes(texts ...string) []netip.Prefix {
	list := make([]netip.Prefix, 0, len(texts))
	for _, text := range texts {
		list = append(list, netip.MustParsePrefix(text))
	}
	return list
}

func contains(list []netip.Prefix, addr netip.Addr) bool {
	for _, prefix := range list {
		if prefix.Contains(addr) {
			return true
		}
	}
	return false
}

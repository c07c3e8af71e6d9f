// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package register

import (
	"hash/maphash"
	"iter"
)

// index finds entries by a hash of a key, which takes a fraction of the memory
// that the key would. Entries of one hash are chained through themselves, so who
// asks compares the key. The zero value is not ready: see newIndex.
type index[E any] struct {
	first map[uint64]*E
	next  func(*E) **E
}

// newIndex makes an index that chains entries through what next points to.
func newIndex[E any](next func(*E) **E) index[E] {
	return index[E]{first: map[uint64]*E{}, next: next}
}

func (x index[E]) add(hash uint64, e *E) {
	*x.next(e) = x.first[hash]
	x.first[hash] = e
}

func (x index[E]) remove(hash uint64, e *E) {
	first := x.first[hash]
	for at := &first; *at != nil; at = x.next(*at) {
		if *at == e {
			*at, *x.next(e) = *x.next(e), nil
			break
		}
	}
	if first == nil {
		delete(x.first, hash)
		return
	}
	x.first[hash] = first
}

// of are the entries of a hash.
func (x index[E]) of(hash uint64) iter.Seq[*E] {
	return func(yield func(*E) bool) {
		for e := x.first[hash]; e != nil && yield(e); {
			e = *x.next(e)
		}
	}
}

// all are all entries. None may be removed meanwhile.
func (x index[E]) all() iter.Seq[*E] {
	return func(yield func(*E) bool) {
		for _, first := range x.first {
			for e := first; e != nil; e = *x.next(e) {
				if !yield(e) {
					return
				}
			}
		}
	}
}

// seed makes hashes that nobody outside can foresee.
var seed = maphash.MakeSeed()

func hashOf[K comparable](k K) uint64 { return maphash.Comparable(seed, k) }

// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"testing"
	"time"
)

func BenchmarkRecord(b *testing.B) {
	for name, parallel := range map[string]bool{"one by one": false, "many at a time": true} {
		b.Run(name, func(b *testing.B) {
			s, err := Open(Options{Path: b.TempDir() + "/audit.jsonl", Source: "/test", Now: time.Now})
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			if !parallel {
				for b.Loop() {
					s.Record(registered(1))
				}
			} else {
				b.SetParallelism(16)
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						s.Record(registered(1))
					}
				})
			}
			if err := s.Close(); err != nil {
				b.Fatal(err)
			}
		})
	}
}

// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"fmt"
	"os"
	"slices"
	"testing"
	"testing/synctest"
)

// moved is a file that something happens to after some of the lines.
type moved struct {
	file

	lines int
	after []int
	then  func()
}

func (m *moved) Write(line []byte) (int, error) {
	n, err := m.file.Write(line)
	if m.lines++; slices.Contains(m.after, m.lines) {
		m.then()
	}
	return n, err
}

// TestAFileIsRotatedWithinATurn: the callers that wait already share a turn,
// and the file may be renamed or truncated between two of their lines, more
// than once.
func TestAFileIsRotatedWithinATurn(t *testing.T) {
	for name, rotate := range map[string]func(*testing.T, string, string){
		"by renaming": func(t *testing.T, path, to string) {
			if err := os.Rename(path, to); err != nil {
				t.Error(err)
			}
		},
		"by copying and truncating": func(t *testing.T, path, to string) {
			store(t, to, content(t, path))
			if err := os.Truncate(path, 0); err != nil {
				t.Error(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := newFile(t)
			rotations, chains := 0, 0
			synctest.Test(t, func(t *testing.T) {
				m, err := newMetrics(nil)
				if err != nil {
					t.Fatal(err)
				}
				s := newStream(options(path, unwelcome(t)), m)
				s.writer = &writer{
					source: "/test", now: s.now, metrics: m, complaints: s.complaints, losses: s.losses,
					newChain: func() string { chains++; return fmt.Sprintf("chain-%d", chains) },
					sink: &moved{file: file{path: path}, after: []int{3, 5}, then: func() {
						rotations++
						rotate(t, path, fmt.Sprintf("%s.%d", path, rotations))
					}},
				}
				if err := s.writer.start(); err != nil {
					t.Fatal(err)
				}
				for n := range 4 {
					go s.Record(registered(n))
				}
				synctest.Wait()
				go s.work()
				synctest.Wait()
				closed(t, s)
			})
			one, two, three := mustVerify(t, path+".1"), mustVerify(t, path+".2"), mustVerify(t, path)
			if one.Events != 3 || two.Events != 2 || two.Continues == nil || *two.Continues != one.Last {
				t.Errorf("%+v\n%+v", one, two)
			}
			if three.Events != 2 || three.Continues == nil || *three.Continues != two.Last {
				t.Errorf("%+v\n%+v", two, three)
			}
		})
	}
}

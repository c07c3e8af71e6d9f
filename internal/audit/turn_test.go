// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"fmt"
	"os"
	"testing"
	"testing/synctest"
)

// moved is a file that something happens to after one of its lines.
type moved struct {
	file
	lines, last int
	then        func()
}

func (m *moved) Write(line []byte) (int, error) {
	n, err := m.file.Write(line)
	if m.lines++; m.lines == m.last {
		m.then()
	}
	return n, err
}

// TestAFileIsRotatedWithinATurn: the callers that wait already share a turn,
// and the file may be renamed or truncated between two of their lines.
func TestAFileIsRotatedWithinATurn(t *testing.T) {
	for name, rotate := range map[string]func(*testing.T, string){
		"by renaming": func(t *testing.T, path string) {
			if err := os.Rename(path, path+".1"); err != nil {
				t.Error(err)
			}
		},
		"by copying and truncating": func(t *testing.T, path string) {
			store(t, path+".1", content(t, path))
			if err := os.Truncate(path, 0); err != nil {
				t.Error(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := newFile(t)
			synctest.Test(t, func(t *testing.T) {
				m, err := newMetrics(nil)
				if err != nil {
					t.Fatal(err)
				}
				s, chains := newStream(options(path, unwelcome(t)), m), 0
				s.writer = &writer{
					source: "/test", now: s.now, metrics: m, complaints: s.complaints, losses: s.losses,
					newChain: func() string { chains++; return fmt.Sprintf("chain-%d", chains) },
					sink:     &moved{file: file{path: path}, last: 3, then: func() { rotate(t, path) }},
				}
				for n := range 4 {
					go s.Record(registered(n))
				}
				synctest.Wait()
				go s.work()
				synctest.Wait()
				closed(t, s)
			})
			old, now := mustVerify(t, path+".1"), mustVerify(t, path)
			if old.Events != 3 || now.Events != 3 || now.Continues == nil || *now.Continues != old.Last {
				t.Errorf("%+v\n%+v", old, now)
			}
		})
	}
}

// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"errors"
	"math"
	"os"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/KimMachineGun/automemlimit/memlimit"
	"github.com/go-logr/logr/funcr"
)

// TestMemoryIsLimitedByTheContainer changes the limit of the whole process, so its cases
// run one after the other.
func TestMemoryIsLimitedByTheContainer(t *testing.T) {
	const gibibyte = 1 << 30
	limitOf := func(bytes uint64, err error) memlimit.Provider {
		return func() (uint64, error) { return bytes, err }
	}
	for name, c := range map[string]struct {
		container memlimit.Provider
		// set is GOMEMLIMIT, and what the runtime made of it.
		set     string
		before  int64
		want    int64
		limited bool
		said    string
	}{
		"four fifths of what the container may use": {limitOf(gibibyte, nil), "", math.MaxInt64, gibibyte * 4 / 5, true, "Memory is limited"},
		"GOMEMLIMIT wins":                        {limitOf(gibibyte, nil), "300MiB", 300 << 20, 300 << 20, true, "Memory is limited"},
		"a container without a limit":            {limitOf(0, memlimit.ErrNoLimit), "", math.MaxInt64, 0, false, ""},
		"no container":                           {limitOf(0, memlimit.ErrNoCgroup), "", math.MaxInt64, 0, false, ""},
		"a system without control groups":        {limitOf(0, memlimit.ErrCgroupsNotSupported), "", math.MaxInt64, 0, false, ""},
		"a limit that cannot be read is told of": {limitOf(0, errors.New("torn")), "", math.MaxInt64, 0, false, "set GOMEMLIMIT"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("GOMEMLIMIT", c.set)
			if c.set == "" {
				if err := os.Unsetenv("GOMEMLIMIT"); err != nil {
					t.Fatal(err)
				}
			}
			original := debug.SetMemoryLimit(c.before)
			defer debug.SetMemoryLimit(original)
			var said strings.Builder
			log := funcr.New(func(_, line string) { said.WriteString(line + "\n") }, funcr.Options{})

			bytes, limited := limitMemory(c.container, log)

			if bytes != c.want || limited != c.limited {
				t.Errorf("limited %t to %d bytes, want %t, %d", limited, bytes, c.limited, c.want)
			}
			if now := debug.SetMemoryLimit(-1); limited && now != bytes {
				t.Errorf("the runtime has %d, not %d", now, bytes)
			}
			if c.said == "" && said.Len() > 0 || !strings.Contains(said.String(), c.said) {
				t.Errorf("the log says %q, want %q", said.String(), c.said)
			}
		})
	}
}

// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
)

func TestVersionTellsOfTheBuild(t *testing.T) {
	t.Parallel()
	fromGit := &debug.BuildInfo{GoVersion: "go1.26.1", Main: debug.Module{Version: "(devel)"}, Settings: []debug.BuildSetting{
		{Key: "vcs.revision", Value: "abc"}, {Key: "vcs.modified", Value: "true"},
	}}
	for name, c := range map[string]struct {
		version, commit string
		info            *debug.BuildInfo
		want            string
	}{
		"what the linker wrote comes first":   {"v1.2.3", "def", fromGit, "guard version v1.2.3, commit def, go1.26.1"},
		"else what the toolchain knows":       {"", "", fromGit, "guard version (devel), commit abc (modified), go1.26.1"},
		"what nobody wrote is called unknown": {"", "", &debug.BuildInfo{}, "guard version unknown, commit unknown, unknown"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := text("guard", c.version, c.commit, c.info); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
	if got := Version("guard"); !strings.Contains(got, runtime.Version()) {
		t.Errorf("%q does not name the version of Go", got)
	}
}

// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"cmp"
	"fmt"
	"runtime/debug"
)

// What the linker writes here (-ldflags "-X …"): the Makefile and the Dockerfile say it.
var version, commit string

// unknown stands for what was not written into the binary.
const unknown = "unknown"

// Version is the line that a program prints of its build.
func Version(program string) string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		info = &debug.BuildInfo{}
	}
	return text(program, version, commit, info)
}

// text prefers what the linker wrote to what the toolchain knows: in an image's build
// there is no repository to read it from.
func text(program, version, commit string, info *debug.BuildInfo) string {
	settings := map[string]string{}
	for _, setting := range info.Settings {
		settings[setting.Key] = setting.Value
	}
	built := cmp.Or(commit, settings["vcs.revision"], unknown)
	if commit == "" && settings["vcs.modified"] == "true" {
		built += " (modified)"
	}
	return fmt.Sprintf("%s version %s, commit %s, %s", program, cmp.Or(version, info.Main.Version, unknown), built, cmp.Or(info.GoVersion, unknown))
}

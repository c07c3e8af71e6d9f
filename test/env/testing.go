// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package env

import "testing"

// StartForTest starts a control plane for a test and stops it when the test ends.
// Logs go to the test's artifact directory unless the options say otherwise: run
// go test with -artifacts to keep them. Any error fails the test.
func StartForTest(t testing.TB, opts Options) *ControlPlane {
	t.Helper()
	if opts.LogDir == "" {
		opts.LogDir = t.ArtifactDir()
	}
	c, err := Start(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	})
	return c
}

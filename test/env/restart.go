// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package env

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// pollEvery is how often it is looked whether a process is gone.
const pollEvery = 10 * time.Millisecond

// KillAPIServer ends kube-apiserver as a crash of its node would, and nothing
// else: what is stored stays, and every connection to it breaks. It returns when
// the process is gone. Linux only.
func (c *ControlPlane) KillAPIServer(ctx context.Context) error {
	return c.kill(ctx, apiServerName, "--cert-dir="+c.plane.ControlPlane.APIServer.CertDir)
}

// StartAPIServer starts kube-apiserver again, at the same address and with the
// same certificates, and returns when it is healthy.
func (c *ControlPlane) StartAPIServer(ctx context.Context) error {
	var err error
	c.keeper.do(func() { err = c.plane.ControlPlane.APIServer.Start() })
	if err != nil {
		return c.logs.explain(fmt.Errorf("starting %s again: %w", apiServerName, err), apiServerName)
	}
	return ctx.Err()
}

// running finds the process that was started with a flag that no other one has.
// envtest does not tell.
func running(flag string) (int, error) {
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		return 0, err
	}
	for _, line := range lines {
		content, err := os.ReadFile(line)
		if err == nil && bytes.Contains(content, []byte("\x00"+flag+"\x00")) {
			return strconv.Atoi(filepath.Base(filepath.Dir(line)))
		}
	}
	return 0, errors.New("no such process")
}

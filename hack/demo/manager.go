// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import "context"

// startManager runs the manager as the ServiceAccount that config/rbac
// describes.
func (w *world) startManager(ctx context.Context) error {
	config, err := w.plane.ServiceAccountConfig(ctx, operatorNamespace, operatorAccount)
	if err != nil {
		return err
	}
	w.manager, err = w.spawn(ctx, "manager", config,
		"--operator-namespace="+operatorNamespace,
		"--metrics-bind-address=0",
		"--health-probe-bind-address=0",
		"--log-format=console",
		// The server is not there yet when it is asked first.
		"--probe-interval=10s",
	)
	return err
}

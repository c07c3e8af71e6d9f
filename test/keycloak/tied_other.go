// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package keycloak

import "syscall"

// tied leaves the process to Stop.
func tied(attr *syscall.SysProcAttr) *syscall.SysProcAttr { return attr }

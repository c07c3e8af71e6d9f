// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package main

func dieWithParent() error { return nil }

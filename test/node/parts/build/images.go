// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"path/filepath"

	"github.com/mcp-registrar/mcp-registrar/test/node/parts/image"
)

// The names that the images have on the node; the tests use them, too.
const (
	pauseImage   = "localhost/mcp-registrar/pause:e2e-node"
	managerImage = "mcp-registrar/manager:e2e-node"
)

func (m maker) makePauseImage(context.Context) error {
	made, err := image.Program(filepath.Join(m.bin, "pause"), filepath.Join(m.bin, "work", "pause"))
	if err != nil {
		return err
	}
	return image.Write(filepath.Join(m.bin, "pause.tar"), pauseImage, made)
}

func (m maker) makeManagerImage(ctx context.Context) error {
	made, err := image.FromDockerfile(ctx, image.Options{Context: m.root, Work: filepath.Join(m.bin, "work", "manager")})
	if err != nil {
		return err
	}
	return image.Write(filepath.Join(m.bin, "manager.tar"), managerImage, made)
}

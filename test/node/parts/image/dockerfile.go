// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package image

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
)

// Options say what to build from, and where.
type Options struct {
	// Context is the directory with the Dockerfile and what it copies.
	Context string
	// Work is a directory for what the stages are made of. It is emptied first.
	Work string
}

// build is one Dockerfile being followed.
type build struct {
	Options
	ignored *patternmatcher.PatternMatcher
	stages  []*stage
}

// FromDockerfile follows the Dockerfile of a directory and returns the image that
// it describes.
func FromDockerfile(ctx context.Context, o Options) (v1.Image, error) {
	stages, err := parse(filepath.Join(o.Context, "Dockerfile"))
	if err != nil {
		return nil, err
	}
	b := &build{Options: o}
	if b.ignored, err = ignoreFile(filepath.Join(o.Context, ".dockerignore")); err != nil {
		return nil, err
	}
	if err := os.RemoveAll(o.Work); err != nil {
		return nil, err
	}
	for i, said := range stages {
		s, err := b.begin(i, said)
		if err != nil {
			return nil, err
		}
		for _, command := range said.Commands {
			if err := s.follow(ctx, command); err != nil {
				return nil, fmt.Errorf("following %q: %w", command, err)
			}
		}
	}
	if len(b.stages) == 0 {
		return nil, errors.New("the Dockerfile has no stage")
	}
	last := b.stages[len(b.stages)-1]
	if !last.scratch {
		return nil, fmt.Errorf("the last stage starts from %s: only an image from scratch can be made without an engine", last.base)
	}
	return pack(last.dir, last.config)
}

func parse(path string) ([]instructions.Stage, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	tree, err := parser.Parse(file)
	if err = errors.Join(err, file.Close()); err != nil {
		return nil, fmt.Errorf("parsing %s: %w", path, err)
	}
	stages, global, err := instructions.Parse(tree.AST, nil)
	if err != nil {
		return nil, fmt.Errorf("parsing %s: %w", path, err)
	}
	if len(global) > 0 {
		return nil, fmt.Errorf("parsing %s: ARG before the first FROM is not understood", path)
	}
	return stages, nil
}

// ignoreFile reads a .dockerignore; without one, nothing is ignored.
func ignoreFile(path string) (*patternmatcher.PatternMatcher, error) {
	file, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return patternmatcher.New(nil)
	}
	if err != nil {
		return nil, err
	}
	patterns, err := ignorefile.ReadAll(file)
	if err = errors.Join(err, file.Close()); err != nil {
		return nil, fmt.Errorf("parsing %s: %w", path, err)
	}
	return patternmatcher.New(patterns)
}

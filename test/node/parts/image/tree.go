// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package image

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
)

// copy follows COPY: from the context, less what .dockerignore names, or from an
// earlier stage.
func (s *stage) copy(c *instructions.CopyCommand) error {
	if c.Chown != "" || c.Chmod != "" || c.Link || c.Parents || len(c.ExcludePatterns) > 0 || len(c.SourceContents) > 0 {
		return fmt.Errorf("a flag: %w", errNotUnderstood)
	}
	for _, source := range c.SourcePaths {
		if strings.ContainsAny(source, "*?[") {
			return fmt.Errorf("a pattern: %w", errNotUnderstood)
		}
		from, skip, err := s.source(c.From, source)
		if err != nil {
			return err
		}
		if err := copyTree(from, s.target(c, source, from), skip); err != nil {
			return err
		}
	}
	return nil
}

// source finds what is to be copied, and what of it is left out.
func (s *stage) source(stageName, name string) (string, func(string) (bool, error), error) {
	everything := func(string) (bool, error) { return false, nil }
	if stageName == "" {
		return filepath.Join(s.build.Context, name), s.build.ignores, nil
	}
	for _, other := range s.build.stages {
		if other == s || other.name != stageName {
			continue
		}
		made := other.path(other.absolute(name))
		if _, err := os.Lstat(made); err == nil || other.scratch {
			return made, everything, nil
		}
		return filepath.FromSlash(other.absolute(name)), everything, nil
	}
	return "", nil, fmt.Errorf("stage %q: not found", stageName)
}

func (b *build) ignores(path string) (bool, error) {
	name, err := filepath.Rel(b.Context, path)
	if err != nil || name == "." {
		return false, err
	}
	return b.ignored.MatchesOrParentMatches(filepath.ToSlash(name))
}

// target is where a source goes: a directory's content into the destination, a
// file into it if it is a directory.
func (s *stage) target(c *instructions.CopyCommand, source, from string) string {
	to := s.path(s.absolute(c.DestPath))
	info, err := os.Stat(from)
	isFile := err == nil && !info.IsDir()
	if isFile && (strings.HasSuffix(c.DestPath, "/") || c.DestPath == ".") {
		return filepath.Join(to, filepath.Base(source))
	}
	return to
}

func copyTree(from, to string, skip func(string) (bool, error)) error {
	copied := 0
	err := filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		if skipped, err := skip(path); err != nil || skipped {
			return err
		}
		name, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		copied++
		return copyFile(path, filepath.Join(to, name))
	})
	if err == nil && copied == 0 {
		return fmt.Errorf("%s: nothing to copy, or all of it is ignored", from)
	}
	return err
}

// copyFile copies a file and its permissions, following a link.
func copyFile(from, to string) error {
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer source.Close()
	info, err := source.Stat()
	if err != nil {
		return err
	}
	target, err := os.OpenFile(to, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, info.Mode().Perm())
	if err != nil {
		return err
	}
	_, err = io.Copy(target, source)
	return errors.Join(err, target.Close())
}

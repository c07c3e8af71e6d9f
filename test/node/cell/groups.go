// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package cell

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

const cgroupRoot = "/sys/fs/cgroup"

// enclose makes a group of this name in each hierarchy and puts it in the
// hierarchy's place, so that what the programs call the top is the cell's. It
// needs an empty directory.
func enclose(name, stage string) error {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(mounts)) {
		top, version1, found := hierarchy(line)
		if !found {
			continue
		}
		group := filepath.Join(top, name)
		if err := os.Mkdir(group, 0o755); err != nil {
			return err
		}
		if version1 {
			if err := inherit(top, group); err != nil {
				return err
			}
		}
		if err := replace(top, group, stage); err != nil {
			return fmt.Errorf("mounting %s: %w", group, err)
		}
	}
	return nil
}

// replace mounts a directory of a file system where the whole of it is mounted. It
// does not only cover it: what reads the list of mounts would find the lower one.
func replace(top, dir, stage string) error {
	if err := syscall.Mount(dir, stage, "", syscall.MS_BIND, ""); err != nil {
		return err
	}
	if err := syscall.Unmount(top, syscall.MNT_DETACH); err != nil {
		return err
	}
	return syscall.Mount(stage, top, "", syscall.MS_MOVE, "")
}

// hierarchy reads a line of a process's mountinfo: where a hierarchy of control
// groups is mounted, and whether it is one of version 1.
func hierarchy(line string) (top string, version1, found bool) {
	before, after, _ := strings.Cut(line, " - ")
	place, kind := strings.Fields(before), strings.Fields(after)
	if len(place) < 5 || len(kind) == 0 || !strings.HasPrefix(place[4], cgroupRoot) {
		return "", false, false
	}
	return place[4], kind[0] == "cgroup", strings.HasPrefix(kind[0], "cgroup")
}

// inherit gives a group the processors and the memory of the one above it. In
// version 1 a new group has none, and nothing can run in it.
func inherit(from, to string) error {
	for _, name := range []string{"cpuset.cpus", "cpuset.mems"} {
		value, err := os.ReadFile(filepath.Join(from, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(to, name), bytes.TrimSpace(value), 0); err != nil {
			return err
		}
	}
	return nil
}

// removeCgroups removes the groups of this name at the top of each hierarchy, of
// version 1 and 2. A group is busy until the kernel is done with its processes.
func removeCgroups(name string) error {
	if name == "" {
		return nil
	}
	var tops []string
	for _, pattern := range []string{name, filepath.Join("*", name)} {
		found, err := filepath.Glob(filepath.Join(cgroupRoot, pattern))
		if err != nil {
			return err
		}
		tops = append(tops, found...)
	}
	return patiently(func() error {
		var errs []error
		for _, top := range tops {
			errs = append(errs, removeGroup(top))
		}
		return errors.Join(errs...)
	})
}

// removeGroup removes a group, the inner ones first. Their files cannot be removed
// and go with them.
func removeGroup(top string) error {
	var groups []string
	err := filepath.WalkDir(top, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil && entry.IsDir() {
			groups = append(groups, path)
		}
		return err
	})
	slices.Reverse(groups)
	errs := []error{err}
	for _, group := range groups {
		if err := os.Remove(group); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

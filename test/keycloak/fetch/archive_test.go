// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"archive/tar"
	"compress/gzip"
	"os"
	"path/filepath"
	"testing"
)

// pack writes an archive with one entry.
func pack(t *testing.T, header tar.Header, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "archive.tar.gz")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	packed := gzip.NewWriter(file)
	entries := tar.NewWriter(packed)
	header.Size = int64(len(content))
	if err := entries.WriteHeader(&header); err != nil {
		t.Fatal(err)
	}
	if _, err := entries.Write([]byte(content)); err != nil {
		t.Fatal(err)
	}
	for _, closer := range []interface{ Close() error }{entries, packed, file} {
		if err := closer.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

func TestUnpackLeavesTheFirstFolderOutAndKeepsModes(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "server")
	archive := pack(t, tar.Header{Typeflag: tar.TypeReg, Name: "keycloak-1/bin/kc.sh", Mode: 0o755}, "#!/bin/sh\n")
	if err := unpack(archive, dir); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(dir, "bin", "kc.sh"))
	if err != nil || info.Mode().Perm()&0o100 == 0 {
		t.Errorf("%v, %v", info, err)
	}
}

func TestUnpackStaysInside(t *testing.T) {
	for name, header := range map[string]tar.Header{
		"a way out":      {Typeflag: tar.TypeReg, Name: "keycloak-1/../../escaped", Mode: 0o644},
		"an absolute":    {Typeflag: tar.TypeReg, Name: "//../escaped", Mode: 0o644},
		"a link outside": {Typeflag: tar.TypeSymlink, Name: "keycloak-1/link", Linkname: "/etc"},
	} {
		top := t.TempDir()
		content := "x"
		if header.Typeflag != tar.TypeReg {
			content = ""
		}
		err := unpack(pack(t, header, content), filepath.Join(top, "server"))
		if _, statErr := os.Stat(filepath.Join(top, "escaped")); statErr == nil {
			t.Errorf("%s: written outside", name)
		}
		if header.Typeflag != tar.TypeReg && err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestVerifyRefusesAnotherArchive(t *testing.T) {
	path := filepath.Join(t.TempDir(), "archive.tar.gz")
	if err := os.WriteFile(path, []byte("something else"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := verify(path); err == nil {
		t.Error("no error")
	}
}

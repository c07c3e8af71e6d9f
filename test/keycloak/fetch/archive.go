// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
)

// copyGoal is the goal of Maven that brings an artifact.
const copyGoal = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy"

// fetch returns the path of the archive, brought by Maven unless the right one
// is there.
func fetch(ctx context.Context, bin string) (string, error) {
	archive := filepath.Join(bin, "keycloak-quarkus-dist-"+version+".tar.gz")
	if verify(archive) == nil {
		return archive, nil
	}
	if _, err := exec.LookPath("mvn"); err != nil {
		return "", fmt.Errorf("maven is needed: %w", err)
	}
	bring := exec.CommandContext(ctx, "mvn", "--batch-mode", "--quiet", copyGoal,
		"-Dartifact=org.keycloak:keycloak-quarkus-dist:"+version+":tar.gz",
		"-DoutputDirectory="+bin, "-Dmdep.useBaseVersion=true", "-Dmdep.overWriteReleases=true")
	bring.Dir = bin
	if said, err := bring.CombinedOutput(); err != nil {
		return "", errors.Join(fmt.Errorf("maven: %w\n%s", err, said), context.Cause(ctx))
	}
	return archive, verify(archive)
}

func verify(archive string) error {
	file, err := os.Open(archive)
	if err != nil {
		return err
	}
	defer file.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, file); err != nil {
		return err
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != digest {
		return fmt.Errorf("%s has the digest %s, not %s", filepath.Base(archive), got, digest)
	}
	return nil
}

// unpack writes the archive's files below dir, without their first folder.
func unpack(archive, dir string) error {
	file, err := os.Open(archive)
	if err != nil {
		return err
	}
	defer file.Close()
	packed, err := gzip.NewReader(file)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	for entries := tar.NewReader(packed); ; {
		header, err := entries.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := unpackEntry(root, header, entries); err != nil {
			return fmt.Errorf("%s: %w", header.Name, err)
		}
	}
}

func unpackEntry(root *os.Root, header *tar.Header, content io.Reader) error {
	_, name, inside := strings.Cut(path.Clean(header.Name), "/")
	if !inside {
		return nil
	}
	switch header.Typeflag {
	case tar.TypeDir:
		return root.MkdirAll(name, 0o755)
	case tar.TypeReg:
	default:
		return fmt.Errorf("an entry of type %q", header.Typeflag)
	}
	if err := root.MkdirAll(path.Dir(name), 0o755); err != nil {
		return err
	}
	file, err := root.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, header.FileInfo().Mode().Perm()|0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(file, content)
	return errors.Join(err, file.Close())
}

// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package image

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// Program makes an image of one static binary.
func Program(binary, work string) (v1.Image, error) {
	base := "/" + filepath.Base(binary)
	if err := errors.Join(os.RemoveAll(work), copyFile(binary, filepath.Join(work, base))); err != nil {
		return nil, err
	}
	return pack(work, v1.Config{Entrypoint: []string{base}, User: "65535:65535"})
}

// Write writes an image as an archive that can be imported under a name.
func Write(path, reference string, made v1.Image) error {
	tag, err := name.NewTag(reference)
	if err != nil {
		return err
	}
	temporary := path + ".new"
	if err := tarball.WriteToFile(temporary, tag, made); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return os.Rename(temporary, path)
}

// pack makes an image of one layer with what is in a directory.
func pack(dir string, config v1.Config) (v1.Image, error) {
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		reader, writer := io.Pipe()
		go func() { writer.CloseWithError(writeTar(writer, dir)) }()
		return reader, nil
	}, tarball.WithCompressionLevel(gzip.BestSpeed))
	if err != nil {
		return nil, fmt.Errorf("packing %s: %w", dir, err)
	}
	made, err := mutate.AppendLayers(empty.Image, layer)
	if err != nil {
		return nil, err
	}
	file, err := made.ConfigFile()
	if err != nil {
		return nil, err
	}
	file = file.DeepCopy()
	file.OS, file.Architecture, file.Config = "linux", runtime.GOARCH, config
	return mutate.ConfigFile(made, file)
}

// writeTar writes all of a directory as root's, and as old as time itself: the
// same content makes the same layer.
func writeTar(to io.Writer, dir string) error {
	archive := tar.NewWriter(to)
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		member, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		header := &tar.Header{Name: filepath.ToSlash(member), Mode: int64(info.Mode().Perm()), Typeflag: tar.TypeDir}
		if entry.IsDir() {
			header.Name += "/"
			return archive.WriteHeader(header)
		}
		header.Typeflag, header.Size = tar.TypeReg, info.Size()
		return writeFile(archive, header, path)
	})
	return errors.Join(err, archive.Close())
}

func writeFile(archive *tar.Writer, header *tar.Header, path string) error {
	if err := archive.WriteHeader(header); err != nil {
		return err
	}
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	_, err = io.Copy(archive, file)
	return errors.Join(err, file.Close())
}

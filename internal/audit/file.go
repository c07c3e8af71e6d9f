// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// headSuffix makes the name of the file that holds the position of the last
// line.
const headSuffix = ".head"

// renames is how often a file may be renamed while it is being opened.
const renames = 3

// file is a sink that other processes may write too, one line at a time: it is
// locked while it is written, and read again if it is not as it was left. It
// may be renamed and truncated at any time; then a new chain begins.
type file struct {
	path string
	file *os.File
	// keys are those that the last line may bear.
	keys Keys
	// published are the heads that a file of their chain must reach.
	published []Published
	// size is how long the file was after the last write; negative if it has to
	// be read.
	size int64
	// noted is the position that the head holds.
	noted Position
}

func (f *file) open() error {
	if info, err := os.Stat(f.path); err == nil && !info.Mode().IsRegular() {
		return fmt.Errorf(`%s is not a regular file: name one, or "-" for the standard output`, f.path)
	}
	opened, err := os.OpenFile(f.path, os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	f.file, f.size = opened, -1
	return nil
}

// acquire locks the file that has the path now, and reads where the stream in
// it stands if it is not as it was left.
func (f *file) acquire(s state) (state, error) {
	info, err := f.lock()
	if err != nil {
		return state{}, err
	}
	if info.Size() == f.size {
		return s, nil
	}
	read, err := f.standing(info.Size(), s.last)
	if err != nil {
		return state{}, errors.Join(err, f.unlock())
	}
	f.size = info.Size()
	return read, nil
}

func (f *file) lock() (os.FileInfo, error) {
	for range renames {
		if f.file == nil {
			if err := f.open(); err != nil {
				return nil, err
			}
		}
		if err := syscall.Flock(int(f.file.Fd()), syscall.LOCK_EX); err != nil {
			return nil, fmt.Errorf("locking %s: %w", f.path, err)
		}
		info, err := f.file.Stat()
		if err != nil {
			return nil, errors.Join(err, f.unlock())
		}
		if named, err := os.Stat(f.path); err == nil && os.SameFile(info, named) {
			return info, nil
		}
		if err := f.close(); err != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("opening %s: it is renamed again and again", f.path)
}

func (f *file) unlock() error {
	if err := syscall.Flock(int(f.file.Fd()), syscall.LOCK_UN); err != nil {
		return fmt.Errorf("unlocking %s: %w", f.path, err)
	}
	return nil
}

// moved implements sink.
func (f *file) moved() bool {
	info, err := f.file.Stat()
	if err != nil || info.Size() != f.size {
		return true
	}
	named, err := os.Stat(f.path)
	return err != nil || !os.SameFile(info, named)
}

// Write implements io.Writer.
func (f *file) Write(line []byte) (int, error) {
	n, err := f.file.Write(line)
	f.size += int64(n)
	return n, err
}

func (f *file) release(last Position, note bool) error {
	var err error
	if note && last.Sequence > 0 && last != f.noted {
		if err = writeHead(f.path+headSuffix, last); err == nil {
			f.noted = last
		}
	}
	return errors.Join(err, f.unlock())
}

// close implements sink. The file can be opened again.
func (f *file) close() error {
	if f.file == nil {
		return nil
	}
	err := errors.Join(f.file.Sync(), f.file.Close())
	f.file = nil
	return err
}

// writeHead replaces the head atomically.
func writeHead(path string, last Position) error {
	content, err := json.Marshal(last)
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	if err := os.WriteFile(path+".tmp", append(content, '\n'), 0o600); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	if err := os.Rename(path+".tmp", path); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return nil
}

// ReadHead reads the head that is kept beside a file: the position of its last
// line. It returns false if there is none.
func ReadHead(path string) (Position, bool, error) {
	content, err := os.ReadFile(path + headSuffix) //nolint:gosec // The operator's own file, named by who runs the program.
	if errors.Is(err, fs.ErrNotExist) {
		return Position{}, false, nil
	}
	if err != nil {
		return Position{}, false, err
	}
	var head Position
	if err := json.Unmarshal(content, &head); err != nil {
		return Position{}, false, fmt.Errorf("%s%s is damaged: %w", path, headSuffix, err)
	}
	if head.Chain == "" || head.Sequence == 0 || !isHash(head.Hash) {
		return Position{}, false, fmt.Errorf("%s%s is damaged: it names no line", path, headSuffix)
	}
	return head, true, nil
}

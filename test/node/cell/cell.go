// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package cell

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// The names under which the calling program runs again.
const (
	wardenName = "cell-warden"
	insideName = "cell-inside"
)

// lastWord is how Stop tells the warden to end the cell. Whoever dies says nothing.
const lastWord = "end"

// endTimeout bounds the end of a cell, cleaning up included.
const endTimeout = time.Minute

// Spec says what a cell is like.
type Spec struct {
	// Dir is removed with everything in it when the cell ends.
	Dir string
	// Orphan is another directory. It is removed only if whoever started the cell
	// dies: who lives to call Stop removes it.
	Orphan string
	// Cgroup is the name of a control group that is made at the top of each
	// hierarchy. To the programs it is the top: they make no groups outside of it.
	// With all that is in it, it is removed when the cell ends.
	Cgroup string
	// Mounts are put in place, in order, before the programs start.
	Mounts []Mount
	// Programs are started in order. If one ends, the cell ends.
	Programs []Program
}

// Mount shows a file or a directory at another path.
type Mount struct {
	// From is made as an empty directory if it is not there.
	From string
	// To is there already, on the machine.
	To string
}

// Program is a program to run.
type Program struct {
	// Path is the file to run.
	Path string
	// Args are the arguments, without the program's name.
	Args []string
	// Env is added to the environment.
	Env []string
	// Log is a file that receives what the program writes.
	Log string
	// Ready is a path that is there when the next program can be started. Empty
	// means at once.
	Ready string
}

// Cell is a running cell.
type Cell struct {
	warden *exec.Cmd
	word   io.WriteCloser
	ended  chan struct{}
	err    error
}

// Start starts a cell. What its two processes have to say goes to log. The cell
// ends with the calling program at the latest.
func Start(ctx context.Context, spec Spec, log *os.File) (*Cell, error) {
	reader, writer, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	c := &Cell{warden: again(context.WithoutCancel(ctx), wardenName), word: writer, ended: make(chan struct{})}
	c.warden.Stdin, c.warden.Stdout, c.warden.Stderr = reader, log, log
	c.warden.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := errors.Join(c.warden.Start(), reader.Close()); err != nil {
		return nil, errors.Join(fmt.Errorf("starting a cell: %w", err), writer.Close())
	}
	go func() {
		defer close(c.ended)
		c.err = c.warden.Wait()
	}()
	if err := json.NewEncoder(writer).Encode(spec); err != nil {
		return nil, errors.Join(fmt.Errorf("starting a cell: %w", err), c.Stop())
	}
	return c, nil
}

// Ended is closed when the cell is no more.
func (c *Cell) Ended() <-chan struct{} { return c.ended }

// Stop ends everything in the cell and returns when all is removed. It is an error
// if the cell had ended on its own.
func (c *Cell) Stop() error {
	// The warden may have ended, and nobody reads it.
	_, _ = io.WriteString(c.word, lastWord)
	if err := c.word.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
		return err
	}
	select {
	case <-c.ended:
	case <-time.After(endTimeout):
		return fmt.Errorf("ending the cell of process %d: still there after %s", c.warden.Process.Pid, endTimeout)
	}
	if c.err != nil {
		return fmt.Errorf("ending the cell: %w", c.err)
	}
	return nil
}

// Enter does the work of a process of a cell, and does not return, if the calling
// program was started as one. Call it first of all.
func Enter() {
	work := map[string]func(io.Reader) error{wardenName: watch, insideName: live}[os.Args[0]]
	if work == nil {
		return
	}
	if err := work(os.Stdin); err != nil {
		fmt.Fprintf(os.Stderr, "%s: error: %v\n", os.Args[0], err)
		os.Exit(1)
	}
	os.Exit(0)
}

// again is the calling program under another name.
func again(ctx context.Context, name string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "/proc/self/exe")
	cmd.Args = []string{name}
	return cmd
}

// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package image

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/shell"
)

var errNotUnderstood = errors.New("not understood here: teach test/node/parts/image what it means")

// stage is one stage of a build: a file system being filled, and what will be
// said about it.
type stage struct {
	build   *build
	name    string
	base    string
	scratch bool
	// dir is the root of the stage's file system.
	dir     string
	workdir string
	// env are the ARGs and ENVs so far.
	env    []string
	config v1.Config
}

// begin starts a stage. The base of a stage that is thrown away may be an image
// of the Go project: it is taken to be this machine, with its Go and its files.
func (b *build) begin(index int, said instructions.Stage) (*stage, error) {
	s := &stage{
		build: b, name: said.Name, base: said.BaseName, workdir: "/",
		scratch: said.BaseName == "scratch", dir: filepath.Join(b.Work, fmt.Sprintf("stage-%d", index)),
	}
	if !s.scratch && !strings.HasPrefix(s.base, "golang:") || said.Platform != "" {
		return nil, fmt.Errorf("%s: %w", said.OrigCmd+" "+s.base, errNotUnderstood)
	}
	b.stages = append(b.stages, s)
	return s, os.MkdirAll(s.dir, 0o755)
}

func (s *stage) follow(ctx context.Context, command instructions.Command) error {
	if expandable, ok := command.(instructions.SupportsSingleWordExpansion); ok {
		if err := expandable.Expand(s.expand); err != nil {
			return err
		}
	}
	switch c := command.(type) {
	case *instructions.ArgCommand:
		return s.arguments(c.Args)
	case *instructions.WorkdirCommand:
		s.workdir = s.absolute(c.Path)
		s.config.WorkingDir = s.workdir
		return os.MkdirAll(s.path(s.workdir), 0o755)
	case *instructions.CopyCommand:
		return s.copy(c)
	case *instructions.RunCommand:
		return s.run(ctx, c)
	case *instructions.UserCommand:
		s.config.User = c.User
	case *instructions.LabelCommand:
		return s.label(c)
	case *instructions.EntrypointCommand:
		s.config.Entrypoint = c.CmdLine
		return execForm(c.ShellDependantCmdLine)
	default:
		return errNotUnderstood
	}
	return nil
}

func (s *stage) expand(word string) (string, error) {
	expanded, _, err := shell.NewLex('\\').ProcessWord(word, shell.EnvsFromSlice(s.env))
	return expanded, err
}

func (s *stage) arguments(args []instructions.KeyValuePairOptional) error {
	for _, arg := range args {
		s.env = append(s.env, arg.Key+"="+arg.ValueString())
	}
	return nil
}

func (s *stage) label(c *instructions.LabelCommand) error {
	if s.config.Labels == nil {
		s.config.Labels = map[string]string{}
	}
	for _, pair := range c.Labels {
		s.config.Labels[pair.Key] = pair.Value
	}
	return nil
}

// execForm refuses what would need a shell in the image.
func execForm(line instructions.ShellDependantCmdLine) error {
	if line.PrependShell || len(line.Files) > 0 {
		return fmt.Errorf("the form with a shell: %w", errNotUnderstood)
	}
	return nil
}

// run runs a build with Go on this machine, in the stage's working directory.
// "go mod download" is left out: modules are fetched when the build needs them.
func (s *stage) run(ctx context.Context, c *instructions.RunCommand) error {
	words, err := shell.NewLex('\\').ProcessWords(strings.Join(c.CmdLine, " "), shell.EnvsFromSlice(s.env))
	if err != nil {
		return err
	}
	if slices.Equal(words, []string{"go", "mod", "download"}) {
		return nil
	}
	first := slices.IndexFunc(words, func(word string) bool { return !strings.Contains(word, "=") })
	if first < 0 || len(c.FlagsUsed) > 0 || !slices.Equal(words[first:min(first+2, len(words))], []string{"go", "build"}) {
		return errNotUnderstood
	}
	for i := first; i < len(words)-1; i++ {
		if words[i] == "-o" {
			words[i+1] = s.path(s.absolute(words[i+1]))
		}
	}
	cmd := exec.CommandContext(ctx, "go", words[first+1:]...)
	cmd.Dir = s.path(s.workdir)
	cmd.Env = slices.Concat(os.Environ(), []string{"GOFLAGS=", "GOWORK=off", "PWD=" + cmd.Dir}, s.env, words[:first])
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w\n%s", err, output)
	}
	return nil
}

// absolute is a path of the stage as an absolute one.
func (s *stage) absolute(name string) string {
	if path.IsAbs(name) {
		return path.Clean(name)
	}
	return path.Join(s.workdir, name)
}

// path is where this machine keeps an absolute path of the stage.
func (s *stage) path(absolute string) string {
	return filepath.Join(s.dir, filepath.FromSlash(absolute))
}

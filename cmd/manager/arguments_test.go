// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// TestArgumentsThatAreNotUnderstoodEndTheProgram starts both programs as they are
// built: what is not understood must never start anything.
func TestArgumentsThatAreNotUnderstoodEndTheProgram(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	const variables = "github.com/mcp-registrar/mcp-registrar/internal/command"
	build := exec.CommandContext(t.Context(), "go", "build", "-o", folder+"/", "-ldflags=-X "+variables+".version=v9.8.7 -X "+variables+".commit=c0ffee",
		"./cmd/manager", "./cmd/guard")
	build.Dir = filepath.Join("..", "..")
	if said, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	const built = "version v9.8.7, commit c0ffee, "
	for line, c := range map[string]struct {
		code         int
		stdout, says string
	}{
		"manager version": {2, "", `unexpected argument "version": every setting is a flag; --version prints the version`},
		"manager --operator-namespace=x --leader-elect true --watch-namespaces=a": {2, "", `unexpected argument "true": every setting is a flag; its value is joined to it by "=", as in --name=true`},
		"manager --operator-namespace=x audit verify":                             {2, "", `unexpected argument "audit"`},
		"manager --operator-namespace=x --no-such-flag":                           {2, "", "-no-such-flag"},
		"manager --operator-namespace=x -- --leader-elect":                        {2, "", `unexpected argument "--leader-elect"`},
		"manager --operator-namespace=x ''":                                       {2, "", `unexpected argument ""`},
		"manager audit":                                                           {2, "", `needs the word "verify"`},
		"manager audit verify /dev/null --expect-sequence=4":                      {2, "", `"--expect-sequence=4" stands after a file: flags come before the files`},
		"manager audit verify --no-such-flag /dev/null":                           {2, "", "-no-such-flag"},
		"manager --version":                                                       {0, "manager " + built + runtime.Version() + "\n", ""},
		"manager --version now":                                                   {2, "", `unexpected argument "now"`},
		"guard version":                                                           {2, "", `unexpected argument "version"`},
		"guard --server=a/b=http://127.0.0.1/ --pass-token false":                 {2, "", `unexpected argument "false"`},
		"guard --no-such-flag":                                                    {2, "", "-no-such-flag"},
		"guard --version":                                                         {0, "guard " + built + runtime.Version() + "\n", ""},
	} {
		t.Run(line, func(t *testing.T) {
			t.Parallel()
			words := strings.Fields(line)
			for i, word := range words {
				words[i] = strings.Trim(word, "'")
			}
			var stdout, stderr bytes.Buffer
			command := exec.CommandContext(t.Context(), filepath.Join(folder, words[0]), words[1:]...)
			// What starts nevertheless finds no cluster.
			command.Env = []string{"KUBECONFIG=/dev/null"}
			command.Stdout, command.Stderr = &stdout, &stderr
			// Its exit code says whether it failed.
			_ = command.Run()
			if code := command.ProcessState.ExitCode(); code != c.code || stdout.String() != c.stdout || !strings.Contains(stderr.String(), c.says) {
				t.Errorf("exit code %d, want %d\nstdout: %s\nstderr: %s", code, c.code, &stdout, &stderr)
			}
		})
	}
}

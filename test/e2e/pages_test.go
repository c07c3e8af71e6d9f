// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mcp-registrar/mcp-registrar/test/devas"
	"github.com/mcp-registrar/mcp-registrar/test/env"
	pagetable "github.com/mcp-registrar/mcp-registrar/test/pages"
)

// TestPages runs the commands of the pages as the people that they are written for, from
// an empty cluster to one that is empty again, and compares what they answer with what
// the pages show. The table in test/pages says by whom, after what and in which order.
func TestPages(t *testing.T) {
	t.Parallel()
	r := newReaders(t)
	rows, err := pagetable.Rows()
	if err != nil {
		t.Fatal(err)
	}
	all, err := pagetable.All(r.root)
	if err != nil {
		t.Fatal(err)
	}
	covered, faults := pagetable.Match(rows, all)
	if len(faults) > 0 {
		t.Fatalf("the table is not that of the pages:\n%s", strings.Join(faults, "\n"))
	}
	states := r.states()
	for _, c := range covered {
		for _, state := range c.After {
			bring, known := states[state]
			if !known {
				t.Fatalf("%s: %q: nobody knows how to bring about that %s", c.Page, c.Command, state)
			}
			bring(t)
		}
		t.Run(fmt.Sprintf("%s:%d %s", c.Page, c.Of.Line, c.Command), func(t *testing.T) { r.reads(t, c) })
	}
	for state := range maps.Keys(states) {
		if !slices.ContainsFunc(covered, func(c pagetable.Covered) bool { return slices.Contains(c.After, state) }) {
			t.Errorf("no row of the table needs that %s", state)
		}
	}
}

// readers are the people who read the pages, and what they have at hand.
type readers struct {
	// root is the top folder of the repository; dir is where people work, with its
	// content and what they write; bin has the programs that are built here.
	root, dir, bin string
	plane          *env.ControlPlane
	world          *world
	as             *devas.Server
	guard          *guard
	people         map[string]*person
	// variables are exported to commands; defined is what a page had them define.
	variables map[string]string
	defined   map[string][]string
}

// newReaders starts a control plane with nothing on it, and makes the cluster admin.
func newReaders(t *testing.T) *readers {
	t.Helper()
	root, err := env.ModuleRoot()
	if err != nil {
		t.Fatal(err)
	}
	r := &readers{
		root: root, bin: t.TempDir(), variables: map[string]string{}, defined: map[string][]string{},
		plane: env.StartForTest(t, env.Options{ControllerManager: true}), people: map[string]*person{},
	}
	r.moves(t)
	r.programs(t)
	r.newReader(t, "cluster admin", "carla", "system:masters")
	r.newReader(t, "anybody", "nobody")
	r.newReader(t, "contributor", "conny")
	r.newReader(t, "keycloak administrator", "kai")
	return r
}

// moves has people work in a new folder, with what of the repository they need.
func (r *readers) moves(t *testing.T) {
	t.Helper()
	r.dir = t.TempDir()
	for _, name := range []string{"charts", "config", "docs"} {
		if err := os.Symlink(filepath.Join(r.root, name), filepath.Join(r.dir, name)); err != nil {
			t.Fatal(err)
		}
	}
}

// programs puts those that the pages name and that are built here into bin.
func (r *readers) programs(t *testing.T) {
	t.Helper()
	command := exec.CommandContext(t.Context(), "go", "tool", "-n", "-modfile=hack/tools/go.mod", "helm")
	command.Dir = r.root
	helm, err := command.Output()
	if err != nil {
		t.Fatalf("building helm: %v", err)
	}
	for name, path := range map[string]string{
		"helm": strings.TrimSpace(string(helm)), "manager": binary(t), "guard": built(t, "guard"), "kubectl": kubectl(t),
	} {
		if err := os.Symlink(path, filepath.Join(r.bin, name)); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"bash", "jq", "curl", "openssl", "less", "comm"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Fatalf("the pages have people run %s: %v", name, err)
		}
	}
}

// newReader makes a user of some groups, who is called so in the table.
func (r *readers) newReader(t *testing.T, called, name string, groups ...string) *person {
	t.Helper()
	config, err := r.plane.UserConfig(name, groups...)
	if err != nil {
		t.Fatal(err)
	}
	p := &person{name: name, home: t.TempDir()}
	p.kubeconfig = filepath.Join(p.home, "kubeconfig")
	if err := r.plane.Kubeconfig(p.kubeconfig, config); err != nil {
		t.Fatal(err)
	}
	r.people[called] = p
	return p
}

// refused finds what a command that ends well must not say either.
var refused = regexp.MustCompile(`(?m)^(?:Error from server|error:|Error:)`)

// reads has a command of a page run by its reader.
func (r *readers) reads(t *testing.T, c pagetable.Covered) {
	if c.NotHere != "" && c.Instead == "" {
		t.Skip(c.NotHere)
	}
	by, known := r.people[c.By]
	if !known {
		t.Fatalf("there is no %s", c.By)
	}
	said, err := r.runs(t, by, c.Page, c.Line())
	if failed := err != nil || refused.MatchString(said); failed != c.Fails {
		t.Fatalf("as %s (%s): %v\n%s", by.name, c.By, err, said)
	}
	for _, shows := range c.Shows {
		if !regexp.MustCompile(shows).MatchString(said) {
			t.Errorf("as %s (%s): it does not show %q:\n%s", by.name, c.By, shows, said)
		}
	}
	if header := c.Of.Header(); header != nil {
		first, _, _ := strings.Cut(said, "\n")
		if diff := cmp.Diff(header, strings.Fields(first)); diff != "" {
			t.Errorf("the columns (-page +kubectl)\n%s", diff)
		}
	}
	if c.Defines() {
		r.defined[c.Page] = append(r.defined[c.Page], r.defines(t, by, c))
	}
}

// variable is a command that sets one.
var variable = regexp.MustCompile(`^(\w+)=`)

// defines is what has a shell know what a command defined: a function as it is, and a
// variable with its value.
func (r *readers) defines(t *testing.T, by *person, c pagetable.Covered) string {
	t.Helper()
	name := variable.FindStringSubmatch(c.Line())
	if name == nil {
		return c.Line()
	}
	said, err := r.runs(t, by, c.Page, c.Line()+"\ndeclare -p "+name[1])
	if err != nil {
		t.Fatal(err)
	}
	return said
}

// runs runs a line of a page in a shell, after what the page had defined before.
func (r *readers) runs(t *testing.T, by *person, page, line string) (said string, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	script := strings.Join(append(append([]string{"set -o pipefail"}, r.defined[page]...), line), "\n")
	command := exec.CommandContext(ctx, "bash", "-c", script)
	command.Dir = r.dir
	command.Env = append(os.Environ(), "KUBECONFIG="+by.kubeconfig, "PATH="+r.bin+":"+os.Getenv("PATH"))
	if by == r.people["contributor"] {
		command.Dir = r.root
	} else {
		command.Env = append(command.Env, "HOME="+by.home)
	}
	for name, value := range r.variables {
		command.Env = append(command.Env, name+"="+value)
	}
	output, err := command.CombinedOutput()
	return string(output), err
}

// does is a command of a state, which must succeed.
func (r *readers) does(t *testing.T, by, line string) string {
	t.Helper()
	said, err := r.runs(t, r.people[by], "", line)
	if err != nil {
		t.Fatalf("%s: %s: %v\n%s", by, line, err, said)
	}
	return said
}

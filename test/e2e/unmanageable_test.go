// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"bytes"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/contract"
)

// unmanageable is a real server that registers clients and gives no way to delete
// them again.
type unmanageable struct {
	*scene
	between *between
	// clients lists what the server has.
	clients string
	object  *v1alpha1.AuthorizationServer
	regs    []*v1alpha1.MCPClientRegistration
	// asked is how often it may have been asked for a client.
	asked int
}

// registeredClient is a client that a server without management has.
type registeredClient struct{ ID, Name string }

// TestUnmanageable has many registrations, restarts, changes and time at servers
// with RFC 7591 and without RFC 7592: one client is made, by which it is learnt, and
// no other until the AuthorizationServer changes.
func TestUnmanageable(t *testing.T) {
	installed, python := installPackages(t, clientsFolder), installFastMCP(t)
	w := startWorld(t)
	installed()
	all := []*unmanageable{w.startUnmanageable(t, "the-typescript-sdk", func(issuer string) string {
		return w.startProgram(t, clientsFolder, []string{"ISSUER=" + issuer}, append([]string{"node", "authserver.js"}, scopes...)...)
	})}
	if python := python(); python != "" {
		all = append(all, w.startUnmanageable(t, "fastmcp", func(issuer string) string {
			return w.startProgram(t, fastMCPFolder, []string{"ISSUER=" + issuer}, append([]string{python, "server.py"}, scopes...)...)
		}))
	}
	for _, u := range all {
		t.Run("is learnt once by many registrations: "+u.as, func(t *testing.T) { u.learn(t) })
	}
	learnt := time.Now()
	for _, step := range []struct {
		name string
		act  func(t *testing.T, u *unmanageable)
	}{
		{"another registration", func(t *testing.T, u *unmanageable) { u.ask(t, "late") }},
		{"a change of registrations", func(t *testing.T, u *unmanageable) { u.rename(t) }},
		{"a registration that is made again", func(t *testing.T, u *unmanageable) { u.replace(t) }},
	} {
		t.Run("nothing is sent after: "+step.name, func(t *testing.T) {
			for _, u := range all {
				step.act(t, u)
			}
			for _, u := range all {
				u.requireStill(t, 2*time.Second)
			}
		})
	}
	t.Run("nothing is sent after: a crash of the operator, while somebody empties each status", func(t *testing.T) {
		w.kill(t)
		for _, u := range all {
			u.wipe(t, u.object)
			for _, reg := range u.regs {
				u.wipe(t, reg)
			}
		}
		w.startManager(t)
		for _, u := range all {
			u.ask(t, "after-the-crash")
			u.requireStill(t, 2*time.Second)
		}
	})
	t.Run("nothing is sent after: more than a drift interval", func(t *testing.T) {
		time.Sleep(time.Until(learnt.Add(driftSeconds*time.Second + 10*time.Second)))
		for _, u := range all {
			u.requireStill(t, time.Second)
		}
	})
	for _, u := range all {
		t.Run("a change of the AuthorizationServer has it tried once: "+u.as, func(t *testing.T) { u.change(t) })
		t.Run("and so has another object for it: "+u.as, func(t *testing.T) { u.again(t) })
		t.Run("registrations without a client go at once: "+u.as, func(t *testing.T) { u.leave(t) })
	}
}

// driftSeconds is the shortest drift interval.
const driftSeconds = 60

// fastMCPFolder holds the program that runs FastMCP, and what it needs.
const fastMCPFolder = "fastmcp"

// installFastMCP begins to install FastMCP; see pythonFor.
func installFastMCP(t *testing.T) (python func() string) {
	t.Helper()
	return pythonFor(t, fastMCPFolder)
}

// pythonFor begins to install what the programs of a folder need, and returns what
// waits for it and says which Python runs them: none where this machine has no Python
// with venv.
func pythonFor(t *testing.T, folder string) (python func() string) {
	t.Helper()
	installed, err := installPython(t, folder)
	if err != nil {
		t.Logf("what needs %s is left out: %v", folder, err)
		return func() string { return "" }
	}
	return func() string { return filepath.Join(installed(), "bin", "python") }
}

// installPython begins to install what the requirements of a folder name, and returns
// what waits for it and says in which environment it is. An error says that this
// machine has no Python with venv.
func installPython(t *testing.T, folder string) (installed func() string, err error) {
	t.Helper()
	environment := t.TempDir()
	if out, err := exec.CommandContext(t.Context(), "python3", "-m", "venv", environment).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("there is no Python with venv: %w: %s", err, out)
	}
	install := exec.CommandContext(t.Context(), filepath.Join(environment, "bin", "python"), "-m", "pip", "install", "--quiet",
		"--require-hashes", "--no-deps", "--no-compile", "--only-binary=:all:", "--requirement=requirements.txt")
	install.Dir = folder
	var said bytes.Buffer
	install.Stdout, install.Stderr = &said, &said
	if err := install.Start(); err != nil {
		t.Fatal(err)
	}
	return func() string {
		if err := install.Wait(); err != nil {
			t.Fatalf("installing %s: %v\n%s", folder, err, said.String())
		}
		return environment
	}, nil
}

// startUnmanageable starts a server for an issuer and connects it.
func (w *world) startUnmanageable(t *testing.T, name string, start func(issuer string) (address string)) *unmanageable {
	t.Helper()
	u := &unmanageable{between: newBetween(t)}
	issuer := u.between.URL + "/"
	address := start(issuer)
	u.between.leadsTo(t, address)
	u.clients = address + "/clients"
	u.object = newAuthorizationServer(name, issuer)
	u.object.Spec.DynamicRegistration = &v1alpha1.DynamicRegistration{}
	u.object.Spec.DriftCheckSeconds = new(int32(driftSeconds))
	w.connectTo(t, u.object)
	u.scene = newScene(t, w, name)
	return u
}

// has are the clients at the server.
func (u *unmanageable) has(t *testing.T) []registeredClient {
	t.Helper()
	var found []registeredClient
	getJSON(t.Context(), t, u.clients, &found)
	return found
}

// ask makes a registration, and remembers it.
func (u *unmanageable) ask(t *testing.T, name string) {
	t.Helper()
	reg := u.newCodeClient(name, v1alpha1.AuthMethodNone)
	u.create(t, reg, u.newGrant(name, name, "files:read"))
	u.regs = append(u.regs, reg)
}

const unsupported = "False/" + v1alpha1.ReasonManagementUnsupported

// learn has many registrations at once find out, and holds what is said of it.
func (u *unmanageable) learn(t *testing.T) {
	g := NewWithT(t)
	g.Expect(condition(u.object, v1alpha1.ConditionManageable)).To(Equal("unseen"), "what nobody tried")
	for i := range 8 {
		u.ask(t, fmt.Sprintf("agent-%d", i))
	}
	u.asked = 1
	u.requireStill(t, 2*time.Second)
	told := meta.FindStatusCondition(u.object.Status.Conditions, v1alpha1.ConditionManageable)
	for _, part := range []string{"RFC 7592", "enable client management", "status.possibleOrphans"} {
		g.Expect(told.Message).To(ContainSubstring(part), "what is to be done")
	}
	marks := u.marks(t)
	g.Expect(marks).To(HaveLen(1), "each client has its mark told")
	found := u.has(t)[0]
	if !marked(found.Name, marks[0]) {
		t.Errorf("the client %q is not found by the mark %q", found.Name, marks[0])
	}
	u.between.requireNoManagement(t)
}

// requireNoManagement holds that the server was never asked for what it has not.
func (b *between) requireNoManagement(t *testing.T) {
	t.Helper()
	for _, step := range []contract.Operation{contract.Replace, contract.Revoke} {
		if times := b.all(step); times != 0 {
			t.Errorf("%s was asked %d times", step, times)
		}
	}
}

// marks are those of clients that nobody can delete.
func (u *unmanageable) marks(t *testing.T) []string {
	t.Helper()
	var marks []string
	for _, reg := range u.regs {
		u.ready(t, reg)()
		marks = append(marks, reg.Status.PossibleOrphans...)
	}
	return marks
}

// requireStill waits until everything says that clients cannot be managed, and holds
// that no further client is made.
func (u *unmanageable) requireStill(t *testing.T, during time.Duration) {
	t.Helper()
	g := NewWithT(t)
	for _, reg := range u.regs {
		g.Eventually(u.ready(t, reg), patience, often).Should(Equal(unsupported), reg.Name)
	}
	g.Eventually(u.ready(t, u.object), patience, often).Should(Equal(unsupported))
	g.Expect(condition(u.object, v1alpha1.ConditionManageable)).To(Equal(unsupported))
	g.Consistently(func() int { return u.between.all(contract.Register) }, during, often).Should(Equal(u.asked), "how often a client was asked for")
	g.Expect(u.has(t)).To(HaveLen(u.asked), "the clients at the server")
	g.Expect(u.marks(t)).To(HaveLen(u.asked), "the marks that are told")
}

// replace deletes a registration that was never asked for, and makes another of its
// name.
func (u *unmanageable) replace(t *testing.T) {
	t.Helper()
	i := slices.IndexFunc(u.regs, func(reg *v1alpha1.MCPClientRegistration) bool {
		u.ready(t, reg)()
		return len(reg.Status.PossibleOrphans) == 0
	})
	old := u.regs[i]
	u.regs = slices.Delete(u.regs, i, i+1)
	u.remove(t, old)
	u.requireGone(t, old)
	again := u.newCodeClient(old.Name, v1alpha1.AuthMethodNone)
	u.create(t, again)
	u.regs = append(u.regs, again)
}

// requireGone waits until a registration is let go.
func (w *world) requireGone(t *testing.T, reg *v1alpha1.MCPClientRegistration) {
	t.Helper()
	NewWithT(t).Eventually(func() bool {
		return apierrors.IsNotFound(w.Get(t.Context(), client.ObjectKeyFromObject(reg), reg))
	}, patience, often).Should(BeTrue(), func() string { return fmt.Sprintf("%s: %+v", reg.Name, reg.Status) })
}

// rename changes the spec of every second registration, that which found out among
// them.
func (u *unmanageable) rename(t *testing.T) {
	t.Helper()
	for i, reg := range u.regs {
		u.ready(t, reg)()
		if i%2 == 0 || len(reg.Status.PossibleOrphans) > 0 {
			u.merge(t, reg, fmt.Sprintf(`{"spec":{"clientName":"renamed %d"}}`, i))
		}
	}
}

// wipe empties the status of objects, as somebody who may.
func (w *world) wipe(t *testing.T, objects ...client.Object) {
	t.Helper()
	for _, object := range objects {
		patch := client.RawPatch("application/merge-patch+json", []byte(`{"status":null}`))
		if err := w.Status().Patch(t.Context(), object, patch); err != nil {
			t.Fatal(err)
		}
	}
}

// kill kills the operator.
func (w *world) kill(t *testing.T) {
	t.Helper()
	w.manager.signal(t, syscall.SIGKILL)
	<-w.manager.ended
}

// change is an AuthorizationServer that somebody looked after: it is tried again,
// by one registration.
func (u *unmanageable) change(t *testing.T) {
	u.asked++
	u.merge(t, u.object, `{"spec":{"driftCheckSeconds":3600}}`)
	NewWithT(t).Eventually(func() int { return u.between.all(contract.Register) }, patience, often).Should(Equal(u.asked))
	u.requireStill(t, 2*time.Second)
}

// again deletes the AuthorizationServer and makes it once more.
func (u *unmanageable) again(t *testing.T) {
	u.asked++
	u.remove(t, u.object)
	again := newAuthorizationServer(u.object.Name, u.object.Spec.Issuer)
	again.Spec = u.object.Spec
	u.object = again
	u.create(t, u.object)
	NewWithT(t).Eventually(func() int { return u.between.all(contract.Register) }, patience, often).Should(Equal(u.asked))
	u.requireStill(t, 2*time.Second)
}

// leave deletes all registrations: nothing can be deleted for them.
func (u *unmanageable) leave(t *testing.T) {
	for _, reg := range u.regs {
		u.remove(t, reg)
	}
	for _, reg := range u.regs {
		u.requireGone(t, reg)
	}
	if found := u.has(t); len(found) != u.asked {
		t.Errorf("the server has %v, want %d", found, u.asked)
	}
	u.between.requireNoManagement(t)
}

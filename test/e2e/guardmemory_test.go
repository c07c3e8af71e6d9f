// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	. "github.com/onsi/gomega"
)

const (
	mebibyte = 1 << 20
	// small is the memory limit of the guard's container in the manifests' smallest size.
	small = 256 * mebibyte
	// atOnce is how many requests are sent side by side, rounds how often.
	atOnce, rounds = 64, 4
)

// TestGuardMemory has the largest bodies that there may be sent to a guard with little
// memory: of a client that may call nothing they cost next to nothing, and those of one
// that may call do not end the guard.
func TestGuardMemory(t *testing.T) {
	w := startWorld(t)
	b := newBoundary(t, w)
	a := newAttacked(t, b)
	// What memlimit takes of a limit of the container.
	b.guard.environment = []string{fmt.Sprintf("GOMEMLIMIT=%d", small/5*4)}
	b.guard.start(t, w, b.kubeconfig, a.targets())
	c := &caller{guard: b.guard, path: "/" + victim, http: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: atOnce}}}
	resource := b.guard.resource(victim)
	token := func(id string) string { return a.forger.sign(t, a.forger.token(id, resource, scopeLooks)) }
	good, gone := token(a.admitted(t, "good", scopeLooks)), token(a.admitted(t, "gone", scopeLooks))
	plain := callOf(t, a.upstream.looks, a.upstream.arguments[a.upstream.looks])
	calls := func(token string) func() int {
		return func() int { return c.send(t, c.request(t, plain, token)).status }
	}
	for _, token := range []string{good, gone} {
		NewWithT(t).Eventually(calls(token), patience, often).Should(Equal(http.StatusOK))
	}
	b.deletes(t, "gone")
	NewWithT(t).Eventually(calls(gone), patience, often).Should(Equal(http.StatusUnauthorized))

	before := a.server.Requests()
	for name, body := range map[string]string{"many members": callWith(t, a, members(4*mebibyte-1024)), "one text": callWith(t, a, `"`+strings.Repeat("x", 4*mebibyte-1024)+`"`)} {
		statuses := flood(t, c, body, gone)
		if statuses[http.StatusOK] > 0 || statuses[http.StatusUnauthorized] == 0 {
			t.Errorf("%s of a revoked client: %v", name, statuses)
		}
		if peak := b.guard.peak(t); peak > 200*mebibyte {
			t.Errorf("%s of a revoked client: %d MiB at most", name, peak/mebibyte)
		} else {
			t.Logf("%s of a revoked client: %v, %d MiB at most", name, statuses, peak/mebibyte)
		}
	}
	NewWithT(t).Expect(a.server.Requests()).To(Equal(before), "the server saw something of it")
	for name, body := range map[string]string{"many members": callWith(t, a, members(4*mebibyte-1024)), "one text": callWith(t, a, `"`+strings.Repeat("x", 4*mebibyte-1024)+`"`)} {
		statuses := flood(t, c, body, good)
		peak := b.guard.peak(t)
		t.Logf("%s of a client that may call: %v, %d MiB at most", name, statuses, peak/mebibyte)
		if peak > small {
			t.Errorf("%s of a client that may call: %d MiB at most", name, peak/mebibyte)
		}
	}
	if status := calls(good)(); status != http.StatusOK {
		t.Errorf("afterwards a call is answered with %d", status)
	}
}

// callWith is a call with an argument beside those of the tool.
func callWith(t *testing.T, a *attacked, value string) string {
	t.Helper()
	body := callOf(t, a.upstream.looks, map[string]any{"argument": "VALUE"})
	return strings.Replace(body, `"VALUE"`, value, 1)
}

// members is an object of about so many bytes.
func members(size int) string {
	var text strings.Builder
	text.WriteString("{")
	for i := 0; text.Len() < size-16; i++ {
		fmt.Fprintf(&text, `"%x":1,`, i)
	}
	return text.String() + `"end":1}`
}

// flood sends a body again and again, and counts how it was answered: 0 is a connection
// that was closed before the body was sent whole.
func flood(t *testing.T, c *caller, body, token string) map[int]int {
	t.Helper()
	statuses := map[int]int{}
	var mu sync.Mutex
	var senders sync.WaitGroup
	for range atOnce {
		senders.Go(func() {
			for range rounds {
				answer, _ := c.try(c.request(t, body, token))
				mu.Lock()
				statuses[answer.status]++
				mu.Unlock()
			}
		})
	}
	senders.Wait()
	return statuses
}

// peak is how much memory the guard had at most.
func (g *guard) peak(t *testing.T) int64 {
	t.Helper()
	status, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(g.cmd.Process.Pid), "status"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kibibytes, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return kibibytes << 10
		}
	}
	t.Fatal("the kernel does not say")
	return 0
}

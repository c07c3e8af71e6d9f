// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package register_test

import (
	"context"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"k8s.io/client-go/rest"

	"github.com/mcp-registrar/mcp-registrar/internal/guard"
	"github.com/mcp-registrar/mcp-registrar/internal/guard/register"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

// cable carries connections to an API server. Cut connections stay open, and
// carry nothing any more: as when the other end lost its power.
type cable struct {
	net.Listener
	target string
	mu     sync.Mutex
	cut    chan struct{}
	ended  context.Context
}

func newCable(t *testing.T, target string) *cable {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended, end := context.WithCancel(context.Background())
	c := &cable{Listener: listener, target: target, cut: make(chan struct{}), ended: ended}
	t.Cleanup(func() {
		end()
		_ = listener.Close()
	})
	go c.serve()
	return c
}

// Cut silences the connections there are. Later ones are carried.
func (c *cable) Cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	close(c.cut)
	c.cut = make(chan struct{})
}

func (c *cable) serve() {
	for {
		near, err := c.Accept()
		if err != nil {
			return
		}
		far, err := (&net.Dialer{}).DialContext(c.ended, "tcp", c.target)
		if err != nil {
			_ = near.Close()
			continue
		}
		c.mu.Lock()
		cut := c.cut
		c.mu.Unlock()
		go c.carry(near, far, cut)
		go c.carry(far, near, cut)
	}
}

func (c *cable) carry(from, to net.Conn, cut chan struct{}) {
	defer func() { _, _ = from.Close(), to.Close() }()
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		select {
		case <-cut:
			<-c.ended.Done()
			return
		default:
		}
		if err != nil {
			return
		}
		if _, err := to.Write(buffer[:n]); err != nil {
			return
		}
	}
}

// byItself is less than the 45 seconds after which HTTP/2 of the Kubernetes client
// gives a connection up.
const byItself = 35 * time.Second

func testSilence(t *testing.T, w *world) {
	g := NewWithT(t)
	w.namespace(t, "silence")
	app := w.register(t, "silence", "app")
	line := newCable(t, strings.Trim(strings.TrimPrefix(w.plane.Config.Host, "https:"), "/"))
	through := rest.CopyConfig(w.plane.Config)
	through.Host = "https://" + line.Addr().String()
	r, _ := w.startedBy(t, through, register.Options{Servers: []guard.ServerName{{Namespace: "silence", Name: "files"}}})
	g.Eventually(complete(r), patience, often).Should(BeTrue())
	line.Cut()
	if err := w.Delete(t.Context(), app); err != nil {
		t.Fatal(err)
	}
	cut := time.Now()
	age := func() time.Duration {
		age, _ := r.Age()
		return age
	}
	g.Eventually(age, patience, often).Should(BeNumerically(">", 4*time.Second))
	g.Expect(call(r, "silence", "id-app")).To(BeEmpty(), "nothing can have come")
	g.Eventually(func() policy.Refusal { return call(r, "silence", "id-app") }, byItself, often).Should(Equal(policy.RefusedRevoked))
	g.Eventually(age, patience, often).Should(BeNumerically("<", time.Second))
	t.Logf("connected anew after %s", time.Since(cut))
}

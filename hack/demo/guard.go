// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/mcp-registrar/mcp-registrar/internal/audit"
	"github.com/mcp-registrar/mcp-registrar/test/mcpserver"
)

const (
	// serverNamespace and serverName are the sample MCPServer that is guarded.
	serverNamespace = "invoices"
	serverName      = "invoices"
	// guardAccount is the ServiceAccount of the example.
	guardAccount = "invoices"
	listenDelay  = 10 * time.Second
)

// toolsOf are the tools of the sample MCP server that each sample scope leads
// to. To one of its tools none leads.
var toolsOf = map[string][]any{
	"invoices:read":  {mcpserver.ToolRead, mcpserver.ToolList, mcpserver.ToolFollow},
	"invoices:write": {mcpserver.ToolPay},
}

// startGuard starts the sample MCP server and a guard in front of it, which runs
// under the roles of the chart, bound as in the example for a sidecar.
func (w *world) startGuard(ctx context.Context) error {
	server, err := mcpserver.New(mcpserver.Options{Stateless: true})
	if err != nil {
		return err
	}
	w.mcp = server
	if err := server.Start(context.WithoutCancel(ctx)); err != nil {
		return err
	}
	if err := w.installGuardAccount(ctx); err != nil {
		return err
	}
	config, err := w.plane.ServiceAccountConfig(ctx, serverNamespace, guardAccount)
	if err != nil {
		return err
	}
	if err := os.WriteFile(w.callsKey(), audit.NewKey(), 0o600); err != nil {
		return err
	}
	w.guard, err = w.spawn(ctx, "guard", config,
		"--server="+serverNamespace+"/"+serverName+"="+server.URL(),
		"--bind-address=127.0.0.1:0",
		"--metrics-bind-address=0",
		"--health-probe-bind-address=0",
		"--identity=demo",
		"--lease-namespace="+serverNamespace,
		"--audit-log="+w.callsLog(),
		"--audit-key-file="+w.callsKey(),
	)
	if err != nil {
		return err
	}
	address, err := w.listening(ctx)
	w.guardURL = "http://" + address + mcpserver.Path
	return err
}

// callsLog is where the guard writes its record of calls.
func (w *world) callsLog() string { return filepath.Join(w.dir, "calls.log") }

// callsKey is where the key of that record is.
func (w *world) callsKey() string { return filepath.Join(w.dir, "calls.key") }

// installGuardAccount applies what a guard needs of the cluster.
func (w *world) installGuardAccount(ctx context.Context) error {
	if err := w.plane.Apply(ctx, filepath.Join(w.root, "config", "samples", "namespaces.yaml")); err != nil {
		return err
	}
	objects, err := guardAccountObjects(w.root)
	if err != nil {
		return err
	}
	path := filepath.Join(w.dir, "guard.json")
	if err := write(path, objects); err != nil {
		return err
	}
	_, err = w.plane.RunKubectl(ctx, "apply", "--server-side", "-f", path)
	return err
}

// guardAccountObjects are the account and the bindings of the example for a
// sidecar, and the roles that they name as the chart renders them.
func guardAccountObjects(root string) ([]unstructured.Unstructured, error) {
	var found []unstructured.Unstructured
	for _, from := range []struct {
		path string
		want func(unstructured.Unstructured) bool
	}{
		{"docs/examples/guard-sidecar.yaml", func(o unstructured.Unstructured) bool {
			return slices.Contains([]string{"ServiceAccount", "ClusterRoleBinding", "RoleBinding"}, o.GetKind())
		}},
		{"test/chart/testdata/defaults.golden.yaml", func(o unstructured.Unstructured) bool {
			return o.GetKind() == "ClusterRole" && strings.HasPrefix(o.GetName(), "mcp-registrar-guard")
		}},
	} {
		text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(from.path))) //nolint:gosec // the paths are those above
		if err != nil {
			return nil, err
		}
		objects, err := parse(string(text))
		if err != nil {
			return nil, err
		}
		for _, object := range objects {
			if from.want(object) {
				found = append(found, object)
			}
		}
	}
	return found, nil
}

var errSilent = errors.New("it did not say where it listens")

// listening waits until the guard says where it listens.
func (w *world) listening(ctx context.Context) (address string, err error) {
	err = wait.PollUntilContextTimeout(ctx, 20*time.Millisecond, listenDelay, true, func(context.Context) (bool, error) {
		if err := w.guard.check(); err != nil {
			return false, err
		}
		text, err := os.ReadFile(w.guard.log.Name())
		address = listenerOf(string(text), "the proxy")
		return address != "", err
	})
	if wait.Interrupted(err) && ctx.Err() == nil {
		return "", fmt.Errorf("%w; the end of its log:\n%s", errSilent, w.guard.tail())
	}
	return address, err
}

// listenerOf finds the address of a listener in a log of JSON lines.
func listenerOf(log, listener string) string {
	for line := range strings.Lines(log) {
		var entry struct{ Msg, For, Address string }
		if json.Unmarshal([]byte(line), &entry) == nil && entry.Msg == "Listening" && entry.For == listener {
			return entry.Address
		}
	}
	return ""
}

// guarded makes the sample MCPServer the one that is in front of the sample MCP
// server: its resource, how it is reached, and the tools of its scopes.
func guarded(spec map[string]any, resource string) {
	spec["resource"], spec["boundary"] = resource, "Guarded"
	scopes, _ := spec["scopes"].([]any)
	for _, scope := range scopes {
		if scope, ok := scope.(map[string]any); ok {
			name, _ := scope["name"].(string)
			scope["tools"] = toolsOf[name]
		}
	}
}

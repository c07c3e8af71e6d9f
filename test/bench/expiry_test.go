// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build bench

package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/test/devas"
	"github.com/mcp-registrar/mcp-registrar/test/operator"
)

// endWithinOneSecond moves the end of each registration into one second that
// begins when the manager has seen all of it. It returns the end of each
// client.
func (b *bench) endWithinOneSecond(t *testing.T, all []string) map[string]time.Time {
	t.Helper()
	begin := time.Now().Add(15*time.Second + time.Duration(len(all))*40*time.Millisecond)
	ends := make(map[string]time.Time, len(all))
	moved := make([]*v1alpha1.MCPClientRegistration, len(all))
	for i, name := range all {
		ends[name] = begin.Add(time.Duration(i) * time.Second / time.Duration(len(all))).Truncate(time.Microsecond)
	}
	each(t, all, func(ctx context.Context, i int) error {
		change, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": operator.Identity(ends[all[i]])}})
		if err != nil {
			return err
		}
		moved[i] = &v1alpha1.MCPClientRegistration{}
		moved[i].Namespace, moved[i].Name = operator.TeamNamespace, all[i]
		return b.Patch(ctx, moved[i], client.RawPatch("application/merge-patch+json", change))
	})
	due := make(map[string]time.Time, len(all))
	for _, reg := range moved {
		if reg.Status.ClientID == "" {
			t.Fatalf("%s has no client", reg.Name)
		}
		due[reg.Status.ClientID] = ends[reg.Name]
	}
	b.awaitIdle(t)
	if !time.Now().Before(begin) {
		t.Fatalf("moving the ends took longer than the time until they come; want it done before %s", begin)
	}
	return due
}

// awaitDeleted returns how late each client was deleted.
func (b *bench) awaitDeleted(t *testing.T, due map[string]time.Time) spread {
	t.Helper()
	var late []time.Duration
	eventually(t, "waiting for the clients to be deleted", 5*time.Minute, func(context.Context) (bool, error) {
		late = late[:0]
		for _, entry := range b.AS.Log() {
			if end, ours := due[entry.ClientID]; ours && entry.Operation == devas.Delete {
				if entry.Status != 204 {
					return false, fmt.Errorf("a deletion was answered with %d", entry.Status)
				}
				late = append(late, entry.Time.Sub(end))
			}
		}
		return len(late) == len(due), nil
	})
	return newSpread(late)
}

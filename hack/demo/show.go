// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/test/env"
)

// lists is one list of each kind.
type lists struct {
	authorizationServers v1alpha1.AuthorizationServerList
	servers              v1alpha1.MCPServerList
	registrations        v1alpha1.MCPClientRegistrationList
	grants               v1alpha1.ScopeGrantList
}

func (w *world) list(ctx context.Context) (*lists, error) {
	var l lists
	return &l, errors.Join(
		w.client.List(ctx, &l.authorizationServers), w.client.List(ctx, &l.servers),
		w.client.List(ctx, &l.registrations), w.client.List(ctx, &l.grants),
	)
}

// conditioned is an object with conditions.
type conditioned interface {
	client.Object
	GetConditions() []metav1.Condition
}

func (l *lists) objects() map[string]conditioned {
	all := map[string]conditioned{}
	for i := range l.authorizationServers.Items {
		all["AuthorizationServer "+l.authorizationServers.Items[i].Name] = &l.authorizationServers.Items[i]
	}
	for i := range l.servers.Items {
		all["MCPServer "+key(&l.servers.Items[i])] = &l.servers.Items[i]
	}
	for i := range l.registrations.Items {
		all["MCPClientRegistration "+key(&l.registrations.Items[i])] = &l.registrations.Items[i]
	}
	for i := range l.grants.Items {
		all["ScopeGrant "+key(&l.grants.Items[i])] = &l.grants.Items[i]
	}
	return all
}

func key(object client.Object) string { return object.GetNamespace() + "/" + object.GetName() }

// show waits until all samples are Ready and prints who has access to what,
// until when.
func (w *world) show(ctx context.Context) error {
	l, err := w.ready(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintln(w.out)
	if err := table(w, l); err != nil {
		return err
	}
	return nil
}

// ready waits until each object was seen to be Ready. One that expires before
// the last one is Ready counts as well.
func (w *world) ready(ctx context.Context) (*lists, error) {
	var l *lists
	seen := map[string]bool{}
	missing := map[string]conditioned{}
	err := wait.PollUntilContextTimeout(ctx, 100*time.Millisecond, readyTimeout, true, func(ctx context.Context) (bool, error) {
		if err := w.manager.check(); err != nil {
			return false, err
		}
		var err error
		if l, err = w.list(ctx); err != nil {
			return false, fmt.Errorf("reading the samples: %w", err)
		}
		missing = map[string]conditioned{}
		for name, object := range l.objects() {
			seen[name] = seen[name] || meta.IsStatusConditionTrue(object.GetConditions(), v1alpha1.ConditionReady)
			if !seen[name] {
				missing[name] = object
			}
		}
		return len(missing) == 0, nil
	})
	if wait.Interrupted(err) && ctx.Err() == nil {
		return nil, fmt.Errorf("not Ready after %s:\n%sThe end of the operator's log:\n%s", readyTimeout, conditionsOf(missing), w.manager.tail())
	}
	return l, err
}

func conditionsOf(objects map[string]conditioned) string {
	var text strings.Builder
	names := make([]string, 0, len(objects))
	for name := range objects {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		fmt.Fprintln(&text, name)
		for _, c := range objects[name].GetConditions() {
			fmt.Fprintf(&text, "  %s=%s %s: %s\n", c.Type, c.Status, c.Reason, c.Message)
		}
		if len(objects[name].GetConditions()) == 0 {
			fmt.Fprintln(&text, "  no conditions: the operator has not seen it")
		}
	}
	return text.String()
}

func table(w *world, l *lists) error {
	out := tabwriter.NewWriter(w.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(out, "CLIENT\tOWNER\tSERVER\tSCOPES\tEXPIRES\tSTATE")
	for _, row := range rows(l) {
		fmt.Fprintln(out, strings.Join(row, "\t"))
	}
	return out.Flush()
}

// rows has one row for each registration.
func rows(l *lists) [][]string {
	var all [][]string
	for i := range l.registrations.Items {
		reg := &l.registrations.Items[i]
		var servers []string
		for j := range l.grants.Items {
			grant := &l.grants.Items[j]
			if grant.Namespace == reg.Namespace && grant.Spec.ClientRef.Name == reg.Name {
				servers = append(servers, grant.ServerNamespace()+"/"+grant.Spec.ServerRef.Name)
			}
		}
		slices.Sort(servers)
		all = append(all, []string{
			key(reg), reg.Annotations[v1alpha1.AnnotationOwner], strings.Join(slices.Compact(servers), " "),
			scopes(reg), end(reg), state(reg),
		})
	}
	slices.SortFunc(all, slices.Compare)
	return all
}

func scopes(reg *v1alpha1.MCPClientRegistration) string {
	var names []string
	for _, scope := range reg.Status.Scopes {
		names = append(names, scope.Name)
	}
	return strings.Join(names, " ")
}

func end(reg *v1alpha1.MCPClientRegistration) string {
	if reg.Status.ExpiresAt == nil {
		return "-"
	}
	return reg.Status.ExpiresAt.UTC().Format(time.RFC3339)
}

func state(reg *v1alpha1.MCPClientRegistration) string {
	if ready := meta.FindStatusCondition(reg.Status.Conditions, v1alpha1.ConditionReady); ready != nil {
		return ready.Reason
	}
	return "-"
}

// hints says what to try.
func (w *world) hints(ctx context.Context) {
	fmt.Fprintf(w.out, "\nIn another shell:\n\n  export KUBECONFIG=%s\n", w.kubeconfig)
	if _, err := exec.LookPath("kubectl"); err != nil {
		if path, err := env.Kubectl(ctx); err == nil {
			fmt.Fprintf(w.out, "  alias kubectl=%s\n", path)
		}
	}
	fmt.Fprintf(w.out, `
  look:    kubectl get mcpreg -A
  renew:   kubectl annotate mcpreg -n payments %[1]s --overwrite %[2]s=%[3]s
  revoke:  kubectl delete mcpreg -n assistants desktop

payments/%[1]s expires about a minute after the start, unless you renew it.

Call tools through the guard, as payments/reconciler:

  secret() { kubectl -n payments get secret reconciler-oauth -o go-template="{{index .data \"$1\" | base64decode}}"; }
  TOKEN=$(curl -s -u "$(secret client_id):$(secret client_secret)" "$(secret token_endpoint)" -d grant_type=client_credentials \
    --data-urlencode scope=invoices:read --data-urlencode "resource=$(secret resources)" | sed 's/.*"access_token":"\([^"]*\)".*/\1/')
  curl -si %[4]s -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' -H 'Accept: application/json, text/event-stream' \
    -d '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"pay_invoice","arguments":{"number":"INV-7"}}}'

or, with Node, by the Inspector:

  npx @modelcontextprotocol/inspector --cli %[4]s --transport http --method tools/list --header "Authorization: Bearer $TOKEN"

What you call is on record too. Nobody altered it:

  go run ./cmd/manager audit verify --key %[6]s %[5]s
`, shortLived, v1alpha1.AnnotationExpiresAt, time.Now().Add(term).UTC().Format(time.RFC3339), w.guardURL, w.callsLog(), w.callsKey())
}

// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package gitops

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	lua "github.com/yuin/gopher-lua"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/mcp-registrar/mcp-registrar/test/env"
)

// health is what a script answers to Argo CD.
type health struct{ status, message string }

// byKstatus is the health of an object unless it is listed in suspended.
var byKstatus = map[status.Status]string{
	status.CurrentStatus:     "Healthy",
	status.FailedStatus:      "Degraded",
	status.InProgressStatus:  "Progressing",
	status.TerminatingStatus: "Progressing",
}

// suspended are the objects that somebody wants as they are, or has yet to
// decide about.
var suspended = map[string]bool{
	"AuthorizationServer/paused":                 true,
	"MCPClientRegistration/paused":               true,
	"MCPClientRegistration/paused-with-a-change": true,
	"MCPClientRegistration/suspended":            true,
	"MCPClientRegistration/disabled":             true,
	"MCPClientRegistration/never-active":         true,
	"ScopeGrant/approval-required":               true,
}

func TestHealthOfEveryState(t *testing.T) {
	found := 0
	for _, object := range fixtures(t) {
		t.Run(id(object), func(t *testing.T) {
			got, ready := runHealth(t, object), readiness(t, object)
			want := byKstatus[kstatus(t, object)]
			if suspended[id(object)] {
				want = "Suspended"
				found++
			}
			if got.status != want {
				t.Errorf("health is %s (%s), want %s", got.status, got.message, want)
			}
			if ready.Status != "True" && !strings.HasSuffix(got.message, ready.Reason+": "+ready.Message) {
				t.Errorf("the message is %q, want reason and message of Ready: %s, %s", got.message, ready.Reason, ready.Message)
			}
		})
	}
	if found != len(suspended) {
		t.Errorf("%d of %d suspended objects are in testdata", found, len(suspended))
	}
}

func TestHealthMessages(t *testing.T) {
	cases := []struct {
		name   string
		object *unstructured.Unstructured
		want   health
	}{
		{"a registration in force says until when", one(t, "MCPClientRegistration", "ready"), health{"Healthy", "until 2026-10-01T12:00:00Z"}},
		{"a server in order says so", one(t, "MCPServer", "ready"), health{"Healthy", "everything holds"}},
		{"an object that nobody saw", changed(one(t, "ScopeGrant", "in-force"), unseen), health{"Progressing", "the operator has not looked at it yet"}},
		{"an object without status", changed(one(t, "ScopeGrant", "in-force"), without), health{"Progressing", "the operator has not looked at it yet"}},
		{"a spec that was changed since", changed(one(t, "MCPClientRegistration", "ready"), edited), health{"Progressing", "the operator has not looked at it yet"}},
		{"a failed one that was changed since", changed(one(t, "MCPClientRegistration", "expired"), edited), health{"Progressing", "the operator has not looked at it yet"}},
		{"an object that is being deleted", changed(one(t, "MCPClientRegistration", "ready"), deleted), health{"Progressing", "being deleted; Ready: everything holds"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if got := runHealth(t, c.object); got != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
	remedies := map[string]string{
		"MCPClientRegistration/expired": "move the annotation mcp-registrar.dev/expires-at forward to renew",
		"ScopeGrant/lapsed":             "move the annotation mcp-registrar.dev/expires-at forward to renew",
		"ScopeGrant/approval-required":  "create a ScopeGrantApproval",
		"AuthorizationServer/paused":    "remove the annotation to go on",
	}
	for name, remedy := range remedies {
		kind, object, _ := strings.Cut(name, "/")
		if got := runHealth(t, one(t, kind, object)); !strings.Contains(got.message, remedy) {
			t.Errorf("%s: the message %q does not say what to do: %s", name, got.message, remedy)
		}
	}
}

func changed(object *unstructured.Unstructured, change func(*unstructured.Unstructured)) *unstructured.Unstructured {
	change(object)
	return object
}

func script(t *testing.T) string {
	t.Helper()
	content, err := os.ReadFile(shipped(t, "argocd", "health.lua"))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// runHealth runs the script as Argo CD runs one that a user configured: the
// object is the global obj, its time is bounded, and of the libraries there are only
// base and table.
func runHealth(t *testing.T, object *unstructured.Unstructured) health {
	t.Helper()
	state := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer state.Close()
	for name, open := range map[string]lua.LGFunction{lua.BaseLibName: lua.OpenBase, lua.TabLibName: lua.OpenTable} {
		if err := state.CallByParam(lua.P{Fn: state.NewFunction(open), Protect: true}, lua.LString(name)); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	state.SetContext(ctx)
	state.SetGlobal("obj", toLua(t, state, object.Object))
	if err := state.DoString(script(t)); err != nil {
		t.Fatal(err)
	}
	answer, ok := state.Get(-1).(*lua.LTable)
	if !ok {
		t.Fatalf("the script returns %s, not a table", state.Get(-1).Type())
	}
	return health{lua.LVAsString(answer.RawGetString("status")), lua.LVAsString(answer.RawGetString("message"))}
}

// toLua turns a field into what a script sees of it.
func toLua(t *testing.T, state *lua.LState, value any) lua.LValue {
	t.Helper()
	switch v := value.(type) {
	case nil:
		return lua.LNil
	case bool:
		return lua.LBool(v)
	case string:
		return lua.LString(v)
	case int64:
		return lua.LNumber(v)
	case float64:
		return lua.LNumber(v)
	case []any:
		list := state.NewTable()
		for _, item := range v {
			list.Append(toLua(t, state, item))
		}
		return list
	case map[string]any:
		table := state.NewTable()
		for key, item := range v {
			table.RawSetString(key, toLua(t, state, item))
		}
		return table
	}
	t.Fatalf("a field of type %T", value)
	return nil
}

// TestHealthComponent adds the component to a ConfigMap as people have it.
func TestHealthComponent(t *testing.T) {
	kubectl, err := env.Kubectl(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	component, err := os.ReadFile(shipped(t, "argocd", "kustomization.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write(t, filepath.Join(dir, "checks", "kustomization.yaml"), string(component))
	write(t, filepath.Join(dir, "checks", "health.lua"), script(t))
	write(t, filepath.Join(dir, "argo-cd.yaml"), "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: argocd-cm\n  namespace: argocd\ndata:\n  url: https://argocd.example.com\n")
	write(t, filepath.Join(dir, "kustomization.yaml"), "resources: [argo-cd.yaml]\ncomponents: [checks]\n")
	out, err := exec.CommandContext(t.Context(), kubectl, "kustomize", dir).CombinedOutput()
	if err != nil {
		t.Fatalf("kubectl kustomize: %v\n%s", err, out)
	}
	var settings corev1.ConfigMap
	if err := yaml.UnmarshalStrict(out, &settings); err != nil {
		t.Fatal(err)
	}
	if settings.Name != "argocd-cm" || settings.Namespace != "argocd" || settings.Data["url"] == "" || len(settings.Data) != len(kinds)+1 {
		t.Errorf("what the component makes of argocd-cm:\n%s", out)
	}
	for _, kind := range kinds {
		if settings.Data["resource.customizations.health.mcp-registrar.dev_"+kind] != script(t) {
			t.Errorf("the health check of %s is not the script", kind)
		}
	}
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/test/env"
)

// kubectl runs kubectl as one person.
type kubectl struct {
	path, kubeconfig, dir string
}

func kubectlAs(t *testing.T, who string) kubectl {
	t.Helper()
	w := use(t)
	path, err := env.Kubectl(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	k := kubectl{path: path, dir: t.TempDir()}
	k.kubeconfig = filepath.Join(k.dir, who+".kubeconfig")
	if err := w.Kubeconfig(k.kubeconfig, w.configs[who]); err != nil {
		t.Fatal(err)
	}
	return k
}

func (k kubectl) run(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, k.path, append([]string{"--kubeconfig=" + k.kubeconfig, "--cache-dir=" + filepath.Join(k.dir, "cache")}, args...)...)
	out, err := cmd.Output()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		err = fmt.Errorf("%w: %s", err, exit.Stderr)
	}
	return string(out), err
}

func (k kubectl) must(t *testing.T, args ...string) string {
	t.Helper()
	out, err := k.run(t.Context(), args...)
	if err != nil {
		t.Fatalf("kubectl %q: %v", args, err)
	}
	return out
}

// file writes an object as a person has it in a repository.
func (k kubectl) file(t *testing.T, object client.Object) string {
	t.Helper()
	written := object.DeepCopyObject().(client.Object)
	switch o := written.(type) {
	case *v1alpha1.MCPClientRegistration:
		o.TypeMeta = metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "MCPClientRegistration"}
	case *v1alpha1.ScopeGrant:
		o.TypeMeta = metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "ScopeGrant"}
	case *v1alpha1.ScopeGrantApproval:
		o.TypeMeta = metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "ScopeGrantApproval"}
	default:
		t.Fatalf("no file for %T", object)
	}
	content, err := yaml.Marshal(written)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(content), "\nstatus:")
	path := filepath.Join(k.dir, object.GetName()+".yaml")
	if err := os.WriteFile(path, []byte(lines[0]+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// stamp is what the API server adds by itself.
type stamp struct {
	RequestedBy, ChangedBy string
	Finalizers             []string
}

func stampOf(object client.Object) stamp {
	return stamp{
		RequestedBy: object.GetAnnotations()[v1alpha1.AnnotationRequestedBy],
		ChangedBy:   object.GetAnnotations()[v1alpha1.AnnotationChangedBy],
		Finalizers:  object.GetFinalizers(),
	}
}

func wantStamp(t *testing.T, object client.Object, want stamp) {
	t.Helper()
	if diff := cmp.Diff(want, stampOf(stored(t, object))); diff != "" {
		t.Errorf("stamped otherwise (-want +got)\n%s", diff)
	}
}

// Every way of keeping objects in files keeps what was stamped, changes it only
// with the object, and is a clean diff afterwards.
func TestFilesKeepTheStamps(t *testing.T) {
	ways := map[string]func(file string) []string{
		"apply": func(file string) []string { return []string{"apply", "-f", file} },
		"server-side apply": func(file string) []string {
			return []string{"apply", "--server-side", "--field-manager=gitops", "-f", file}
		},
	}
	finalizers := []string{v1alpha1.Finalizer}
	for name, way := range ways {
		t.Run(name, func(t *testing.T) {
			k, robot := kubectlAs(t, alice), kubectlAs(t, bob)
			r := registration("k-" + suffix())
			k.must(t, way(k.file(t, r))...)
			wantStamp(t, r.DeepCopy(), stamp{RequestedBy: alice, Finalizers: finalizers})
			for range 2 {
				robot.must(t, way(robot.file(t, r))...)
				wantStamp(t, r.DeepCopy(), stamp{RequestedBy: alice, Finalizers: finalizers})
			}
			r.Spec.ClientName = "Another name"
			for range 2 {
				robot.must(t, way(robot.file(t, r))...)
				wantStamp(t, r.DeepCopy(), stamp{RequestedBy: alice, ChangedBy: bob, Finalizers: finalizers})
			}
			for _, args := range [][]string{{"diff", "-f", robot.file(t, r)}, {"diff", "--server-side", "--force-conflicts", "--field-manager=gitops", "-f", robot.file(t, r)}} {
				if out, err := robot.run(t.Context(), args...); err != nil {
					t.Errorf("kubectl %q: %v\n%s", args, err, out)
				}
			}
			endingAt(r, inDays(20))
			k.must(t, way(k.file(t, r))...)
			wantStamp(t, r.DeepCopy(), stamp{RequestedBy: alice, ChangedBy: alice, Finalizers: finalizers})
		})
	}
}

func TestReplaceKeepsTheStamps(t *testing.T) {
	k, robot := kubectlAs(t, alice), kubectlAs(t, bob)
	r := registration("k-" + suffix())
	k.must(t, "create", "-f", k.file(t, r))
	robot.must(t, "replace", "-f", robot.file(t, r))
	finalizers := []string{v1alpha1.Finalizer}
	wantStamp(t, r.DeepCopy(), stamp{RequestedBy: alice, Finalizers: finalizers})
	r.Finalizers = []string{"example.com/other"}
	r.Spec.State = v1alpha1.StateSuspended
	robot.must(t, "replace", "-f", robot.file(t, r))
	wantStamp(t, r.DeepCopy(), stamp{RequestedBy: alice, ChangedBy: bob, Finalizers: []string{"example.com/other", v1alpha1.Finalizer}})
	r.Finalizers = nil
	k.must(t, "replace", "-f", k.file(t, r))
	wantStamp(t, r.DeepCopy(), stamp{RequestedBy: alice, ChangedBy: bob, Finalizers: finalizers})
	out := k.must(t, "get", "mcpreg", "-n", clientsNamespace, r.Name, "-o", "yaml")
	if !strings.Contains(out, "requested-by: alice") {
		t.Errorf("no stamp in\n%s", out)
	}
}

// An approval is one kubectl create of what the status of the server shows; applied
// again from a file, it changes nothing.
func TestApprovalByKubectl(t *testing.T) {
	approver := kubectlAs(t, owner)
	a := looked(grant("k-"+suffix()), alice)
	approver.must(t, "create", "-f", approver.file(t, a))
	if got := approverOf(t, a); got != owner {
		t.Errorf("approved by %q", got)
	}
	b := beforehand("k-" + suffix())
	for range 2 {
		approver.must(t, "apply", "-f", approver.file(t, b))
	}
	approver.must(t, "apply", "--server-side", "--force-conflicts", "-f", approver.file(t, b))
	if got := approverOf(t, b); got != owner {
		t.Errorf("approved by %q", got)
	}
	approver.must(t, "delete", "mcpapproval", "-n", serversNamespace, a.Name)
}

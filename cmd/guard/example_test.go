// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/yaml"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
)

func page(t *testing.T, name ...string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(append([]string{"..", "..", "docs"}, name...)...))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// sidecar reads the example as an API server does that takes no unknown field.
func sidecar(t *testing.T) []runtime.Object {
	t.Helper()
	strict := serializer.NewCodecFactory(clientgoscheme.Scheme, serializer.EnableStrict).UniversalDeserializer()
	documents := yaml.NewDocumentDecoder(io.NopCloser(bytes.NewReader(page(t, "examples", "guard-sidecar.yaml"))))
	defer documents.Close()
	var objects []runtime.Object
	for buffer := make([]byte, 64<<10); ; {
		n, err := documents.Read(buffer)
		if errors.Is(err, io.EOF) {
			return objects
		}
		if err != nil {
			t.Fatal(err)
		}
		object, _, err := strict.Decode(buffer[:n], nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		objects = append(objects, object)
	}
}

func find[O runtime.Object](t *testing.T, objects []runtime.Object) O {
	t.Helper()
	var found []O
	for _, object := range objects {
		if typed, ok := object.(O); ok {
			found = append(found, typed)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d objects of the type %T, want 1", len(found), *new(O))
	}
	return found[0]
}

func quiet() *flag.FlagSet {
	flags := flag.NewFlagSet("guard", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	return flags
}

func TestTheExampleStartsAGuard(t *testing.T) {
	objects := sidecar(t)
	deployment := find[*appsv1.Deployment](t, objects)
	containers := deployment.Spec.Template.Spec.Containers
	at := slices.IndexFunc(containers, func(c corev1.Container) bool { return slices.Equal(c.Command, []string{"/guard"}) })
	if at < 0 {
		t.Fatal("no container has the command /guard")
	}
	guard := containers[at]
	fields := map[string]string{}
	for _, variable := range guard.Env {
		fields[variable.Name] = variable.ValueFrom.FieldRef.FieldPath
	}
	want := map[string]string{"POD_NAME": "metadata.name", "POD_NAMESPACE": "metadata.namespace", "POD_UID": "metadata.uid"}
	if diff := cmp.Diff(want, fields); diff != "" {
		t.Errorf("the environment of the guard (-want +example)\n%s", diff)
	}
	t.Setenv("POD_NAME", "invoices-0")
	t.Setenv("POD_NAMESPACE", deployment.Namespace)
	t.Setenv("POD_UID", "0")
	s, err := parse(quiet(), guard.Args)
	if err != nil {
		t.Fatal(err)
	}
	if s.leaseNamespace != deployment.Namespace || s.identity != "invoices-0" || s.podUID != "0" {
		t.Errorf("lease of %s in %s for %s", s.identity, s.leaseNamespace, s.podUID)
	}
	for _, name := range []string{"https", "metrics", "health"} {
		port := slices.IndexFunc(guard.Ports, func(p corev1.ContainerPort) bool { return p.Name == name })
		address := map[string]string{"https": s.address, "metrics": s.metricsAddress, "health": s.probeAddress}[name]
		if port < 0 || address != ":"+strconv.Itoa(int(guard.Ports[port].ContainerPort)) {
			t.Errorf("the port %s is not that of the flags, %s", name, address)
		}
	}
	if host := s.targets[0].upstream.Hostname(); host != "127.0.0.1" {
		t.Errorf("the server is at %s, not within the pod", host)
	}
}

func TestTheExampleLeavesOneWayIn(t *testing.T) {
	t.Parallel()
	objects := sidecar(t)
	deployment, policy := find[*appsv1.Deployment](t, objects), find[*networkingv1.NetworkPolicy](t, objects)
	pod := deployment.Spec.Template
	if diff := cmp.Diff(pod.Labels, policy.Spec.PodSelector.MatchLabels); diff != "" {
		t.Errorf("the policy selects other pods (-pods +selected)\n%s", diff)
	}
	service := find[*corev1.Service](t, objects)
	if diff := cmp.Diff(pod.Labels, service.Spec.Selector); diff != "" {
		t.Errorf("the service selects other pods (-pods +selected)\n%s", diff)
	}
	if in := policy.Spec.Ingress; len(in) != 1 || len(in[0].Ports) != 1 || in[0].Ports[0].Port.String() != service.Spec.Ports[0].TargetPort.String() {
		t.Errorf("the policy allows %+v", in)
	}
	account := find[*corev1.ServiceAccount](t, objects)
	if pod.Spec.ServiceAccountName != account.Name || account.Namespace != deployment.Namespace {
		t.Errorf("the pods run as %s, not as %s", pod.Spec.ServiceAccountName, account.Name)
	}
	for _, subjects := range [][]rbacv1.Subject{find[*rbacv1.ClusterRoleBinding](t, objects).Subjects, find[*rbacv1.RoleBinding](t, objects).Subjects} {
		want := []rbacv1.Subject{{Kind: "ServiceAccount", Name: account.Name, Namespace: account.Namespace}}
		if diff := cmp.Diff(want, subjects); diff != "" {
			t.Errorf("bound to others (-account +bound)\n%s", diff)
		}
	}
}

// flagRow is a row of the table of flags: | `--flag` | default | meaning |.
var flagRow = regexp.MustCompile("(?m)^\\| `--([a-z-]+)` \\| ([^|]*?) ?\\| [^|]+ \\|$")

// ofSurroundings are the flags whose default is not of this program, in words.
var ofSurroundings = map[string]string{"identity": "name of the pod or host", "lease-namespace": "`POD_NAMESPACE`"}

func TestEveryFlagIsDocumented(t *testing.T) {
	flags := quiet()
	if _, err := parse(flags, []string{"--server=a/b=http://127.0.0.1/mcp"}); err != nil {
		t.Fatal(err)
	}
	// controller-runtime adds this one to those of the command line.
	want := map[string]string{"kubeconfig": ""}
	flags.VisitAll(func(f *flag.Flag) {
		want[f.Name] = ofSurroundings[f.Name]
		if _, surrounded := ofSurroundings[f.Name]; !surrounded && f.DefValue != "" {
			want[f.Name] = "`" + f.DefValue + "`"
		}
	})
	documented := map[string]string{}
	for _, match := range flagRow.FindAllStringSubmatch(string(page(t, "boundary.md")), -1) {
		documented[match[1]] = match[2]
	}
	if diff := cmp.Diff(want, documented); diff != "" {
		t.Errorf("the flags and their defaults in docs/boundary.md (-flags +page)\n%s", diff)
	}
}

// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/yaml"

	"github.com/mcp-registrar/mcp-registrar/test/env"
)

// The kustomization lists every file, and nothing else.
func TestKustomizationIsComplete(t *testing.T) {
	t.Parallel()
	files, err := policyFiles()
	if err != nil || len(files) == 0 {
		t.Fatalf("no policies: %v", err)
	}
	content, err := os.ReadFile(filepath.Join(filepath.Dir(files[0]), "kustomization.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var listed struct {
		Resources []string `json:"resources"`
	}
	if err := yaml.Unmarshal(content, &listed); err != nil {
		t.Fatal(err)
	}
	var there []string
	for _, file := range files {
		there = append(there, filepath.Base(file))
	}
	slices.Sort(listed.Resources)
	if !slices.Equal(listed.Resources, there) {
		t.Errorf("listed: %q, there: %q", listed.Resources, there)
	}
}

// kube-controller-manager checks each expression against the schemas of the
// kinds that the policy matches.
func TestPoliciesTypeCheck(t *testing.T) {
	w := use(t)
	var policies admissionv1.ValidatingAdmissionPolicyList
	checked := func(ctx context.Context) (bool, error) {
		err := w.clients[admin].List(ctx, &policies)
		return !slices.ContainsFunc(policies.Items, func(p admissionv1.ValidatingAdmissionPolicy) bool {
			return p.Status.ObservedGeneration != p.Generation || p.Status.TypeChecking == nil
		}), err
	}
	if err := wait.PollUntilContextTimeout(t.Context(), 100*time.Millisecond, time.Minute, true, checked); err != nil {
		t.Fatal(err)
	}
	for _, policy := range policies.Items {
		for _, warning := range policy.Status.TypeChecking.ExpressionWarnings {
			t.Errorf("%s: %s: %s", policy.Name, warning.FieldRef, warning.Warning)
		}
	}
}

// Every refusal says what to do, with an example or a name to turn to.
func TestMessagesHelp(t *testing.T) {
	w := use(t)
	var policies admissionv1.ValidatingAdmissionPolicyList
	if err := w.clients[admin].List(t.Context(), &policies); err != nil {
		t.Fatal(err)
	}
	for _, policy := range policies.Items {
		for i, validation := range policy.Spec.Validations {
			message := validation.Message + validation.MessageExpression
			helps := func(words string) bool { return strings.Contains(message, words) }
			if !slices.ContainsFunc([]string{"for example", "ask ", "remove", "create another", "delete the"}, helps) {
				t.Errorf("%s, validation %d does not say what to do: %s", policy.Name, i, message)
			}
			if strings.Contains(message, "\n") || strings.Contains(message, "  ") {
				t.Errorf("%s, validation %d is not one line: %q", policy.Name, i, message)
			}
		}
	}
}

// How an end date is read is said in several policies, and everywhere alike.
func TestEndDatesAreReadAlike(t *testing.T) {
	t.Parallel()
	shared := []string{"expiresAtFormed", "expiresAtDayExists", "expiresAtYear", "expiresAtReadable"}
	files, err := policyFiles()
	if err != nil {
		t.Fatal(err)
	}
	said := map[string][]string{}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var policy struct {
			Spec struct {
				Variables []admissionv1.Variable `json:"variables"`
			} `json:"spec"`
		}
		if err := yaml.Unmarshal(content, &policy); err != nil {
			t.Fatal(err)
		}
		for _, variable := range policy.Spec.Variables {
			if slices.Contains(shared, variable.Name) {
				said[variable.Name] = append(said[variable.Name], variable.Expression)
			}
		}
	}
	for _, name := range shared {
		if len(said[name]) != 3 || len(slices.Compact(said[name])) != 1 {
			t.Errorf("%s is said %d times, differently: %q", name, len(said[name]), said[name])
		}
	}
}

// The documentation has every message, or a part that tells it apart.
func TestMessagesAreDocumented(t *testing.T) {
	t.Parallel()
	root, err := env.ModuleRoot()
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(filepath.Join(root, "docs", "admission.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, policy := range loadPolicies(t) {
		if !strings.Contains(string(content), "`"+policy.Name+"`") {
			t.Errorf("%s is not documented", policy.Name)
		}
		for i, validation := range policy.Spec.Validations {
			literals := append(strings.Split(strings.ReplaceAll(validation.MessageExpression, `\"`, "'"), `"`), validation.Message)
			if !slices.ContainsFunc(literals, func(text string) bool { return told(string(content), text) }) {
				t.Errorf("%s, validation %d: no part of %q is documented", policy.Name, i, literals)
			}
		}
	}
}

// told says whether a page holds the beginning of a text of some length.
func told(page, text string) bool {
	text = strings.Trim(text, " :')")
	return len(text) >= 14 && strings.Contains(page, text[:min(len(text), 32)])
}

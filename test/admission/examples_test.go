// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
)

// examples are the registrations of well-known clients.
const examples = "../../docs/examples/clients"

// Each example is a registration that its team may create, at an AuthorizationServer
// that allows what the page says, and the page has it.
func TestExamplesOfClients(t *testing.T) {
	w := use(t)
	as := open("examples")
	as.Spec.Policy = &v1alpha1.RegistrationPolicy{RedirectURIPatterns: patternsOfThePage(t)}
	given(t, admin, as)
	files, err := filepath.Glob(filepath.Join(examples, "*.yaml"))
	if err != nil || len(files) < 9 {
		t.Fatalf("%d examples: %v", len(files), err)
	}
	page, err := os.ReadFile("../../docs/clients.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var r v1alpha1.MCPClientRegistration
			if err := yaml.UnmarshalStrict(text, &r); err != nil {
				t.Fatal(err)
			}
			r.Namespace, r.Spec.AuthorizationServerRef.Name = clientsNamespace, as.Name
			if err := w.clients[alice].Create(t.Context(), &r, client.DryRunAll); err != nil {
				t.Error(err)
			}
			if !strings.Contains(string(page), "(examples/clients/"+filepath.Base(file)+")") {
				t.Error("docs/clients.md does not lead to it")
			}
			for _, uri := range r.Spec.RedirectURIs {
				if !strings.Contains(string(page), "`"+string(uri)+"`") {
					t.Errorf("docs/clients.md does not have %s", uri)
				}
			}
		})
	}
}

// patternsOfThePage are those that docs/clients.md gives for the examples.
func patternsOfThePage(t *testing.T) []string {
	t.Helper()
	page, err := os.ReadFile("../../docs/clients.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(page), "redirectURIPatterns:\n")
	if !found {
		t.Fatal("docs/clients.md has no redirectURIPatterns")
	}
	block, _, _ := strings.Cut(rest, "```")
	var patterns []string
	if err := yaml.Unmarshal([]byte(block), &patterns); err != nil || len(patterns) == 0 {
		t.Fatalf("%q: %v", block, err)
	}
	return patterns
}

// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package hack

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"text/template"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
)

// The template of the page about approvals makes a manifest of each grant that waits,
// and nothing that a requester writes ends up anywhere but in its comments.
func TestApprovalsTemplate(t *testing.T) {
	const odd = "x\"\n  decision: Denied\n---\nkind: Secret\u2028\t'`{{ .name }}"
	waiting := v1alpha1.PendingGrant{
		Namespace: "payments", Name: "reader", UID: "u2", Generation: 3, Client: "agent",
		Registration: v1alpha1.ApprovedRegistration{UID: "u3", Generation: 4}, Digest: strings.Repeat("0", 64),
		Owner: odd, GrantOwner: odd, ClientName: odd, ApplicationType: odd, GrantTypes: []string{odd}, AuthMethod: odd, Resource: odd,
		RedirectURIs: []string{odd}, Keys: []string{odd}, Scopes: []v1alpha1.PendingScope{{Name: odd, Tier: odd, Tools: []string{odd}}},
		ToolsDigest: strings.Repeat("1", 64), ChangedTools: []string{odd}, Reason: odd, RequestedBy: odd,
	}
	server := v1alpha1.MCPServer{
		ObjectMeta: metav1.ObjectMeta{Name: "invoices", Namespace: "invoices", UID: "u1"},
		Status:     v1alpha1.MCPServerStatus{PendingGrants: []v1alpha1.PendingGrant{waiting, waiting}},
	}
	want := v1alpha1.ScopeGrantApproval{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "ScopeGrantApproval"},
		ObjectMeta: metav1.ObjectMeta{GenerateName: "reader-", Namespace: "invoices"},
		Spec: v1alpha1.ScopeGrantApprovalSpec{
			ServerRef:    v1alpha1.ApprovedServer{Name: "invoices", UID: "u1"},
			GrantRef:     &v1alpha1.ApprovedGrant{Namespace: "payments", Name: "reader", UID: "u2", Generation: 3},
			Registration: &v1alpha1.ApprovedRegistration{UID: "u3", Generation: 4},
			Digest:       strings.Repeat("0", 64), ToolsDigest: strings.Repeat("1", 64), RequestedBy: odd, Decision: v1alpha1.DecisionApproved,
		},
	}
	manifests := strings.Split(rendered(t, server), "\n---\n")
	if len(manifests) != 3 || strings.TrimSpace(manifests[0]) != "" {
		t.Fatalf("%d manifests:\n%s", len(manifests)-1, strings.Join(manifests, "\n---\n"))
	}
	for _, manifest := range manifests[1:] {
		var got v1alpha1.ScopeGrantApproval
		if err := yaml.UnmarshalStrict([]byte(manifest), &got); err != nil {
			t.Fatalf("%v:\n%s", err, manifest)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("manifest (-want +got)\n%s", diff)
		}
	}
	// What is not shown whole is no manifest.
	cut := waiting
	cut.Digest, cut.Message, cut.ScopesOmitted, cut.KeysOmitted, cut.RedirectURIsOmitted = "", odd, 1, 2, 3
	server.Status.PendingGrants = []v1alpha1.PendingGrant{cut, {Namespace: "payments", Name: "empty"}}
	for manifest := range strings.SplitSeq(rendered(t, server), "\n---\n") {
		var got any
		if err := yaml.Unmarshal([]byte(manifest), &got); err != nil || got != nil {
			t.Errorf("%v, %v:\n%s", got, err, manifest)
		}
	}
	server.Status.PendingGrants = nil
	if text := rendered(t, server); strings.TrimSpace(text) != "" {
		t.Errorf("of nothing that waits: %q", text)
	}
}

// The template shows every member that waits to be looked at.
func TestApprovalsTemplateShowsEveryMember(t *testing.T) {
	members := reflect.TypeFor[v1alpha1.PendingGrant]()
	text, err := os.ReadFile(filepath.Join("..", "docs", "examples", "approvals.tmpl"))
	if err != nil {
		t.Fatal(err)
	}
	for member := range members.Fields() {
		name, _, _ := strings.Cut(member.Tag.Get("json"), ",")
		if !strings.Contains(string(text), "."+name+" ") && !strings.Contains(string(text), "."+name+".") {
			t.Errorf("%s is not shown", name)
		}
	}
}

// A grant may have a name that YAML takes for something else than a text.
func TestApprovalsTemplateQuotesNames(t *testing.T) {
	for _, name := range []string{"123", "1e3", "true", "null", "0x1f", "010", "y"} {
		server := v1alpha1.MCPServer{
			ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: name, UID: "1e3"},
			Status: v1alpha1.MCPServerStatus{PendingGrants: []v1alpha1.PendingGrant{{
				Namespace: name, Name: name, UID: "2e3", Generation: 3, Client: "agent",
				Registration: v1alpha1.ApprovedRegistration{UID: "3e3", Generation: 4}, Digest: strings.Repeat("0", 64), RequestedBy: name,
			}}},
		}
		want := v1alpha1.ScopeGrantApproval{
			TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "ScopeGrantApproval"},
			ObjectMeta: metav1.ObjectMeta{GenerateName: name + "-", Namespace: name},
			Spec: v1alpha1.ScopeGrantApprovalSpec{
				ServerRef:    v1alpha1.ApprovedServer{Name: name, UID: "1e3"},
				GrantRef:     &v1alpha1.ApprovedGrant{Namespace: name, Name: name, UID: "2e3", Generation: 3},
				Registration: &v1alpha1.ApprovedRegistration{UID: "3e3", Generation: 4},
				Digest:       strings.Repeat("0", 64), RequestedBy: name, Decision: v1alpha1.DecisionApproved,
			},
		}
		var got v1alpha1.ScopeGrantApproval
		if err := yaml.UnmarshalStrict([]byte(rendered(t, server)), &got); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got)\n%s", name, diff)
		}
	}
}

// rendered is what kubectl prints of an object.
func rendered(t *testing.T, server v1alpha1.MCPServer) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "docs", "examples", "approvals.tmpl"))
	if err != nil {
		t.Fatal(err)
	}
	content, err := json.Marshal(server)
	if err != nil {
		t.Fatal(err)
	}
	var object any
	if err := json.Unmarshal(content, &object); err != nil {
		t.Fatal(err)
	}
	made, err := template.New("approvals").Parse(string(text))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := made.Execute(&out, object); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package api

import (
	"maps"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
)

// width is what a terminal shows on one line.
const width = 120

// age is what kubectl prints of a time just past.
var (
	age  = regexp.MustCompile(`\s\d+s$`)
	ages = regexp.MustCompile(`\s\d+s\s`)
)

func TestColumns(t *testing.T) {
	c, namespace := useCluster(t)
	const (
		owner   = "team-payments@example.com"
		expires = "2028-03-31T00:00:00Z"
		reason  = v1alpha1.ReasonAuthorizationServerNotReady
	)
	owned := set("metadata.annotations", map[string]any{v1alpha1.AnnotationOwner: owner})
	for _, table := range []struct {
		shortName string
		object    *unstructured.Unstructured
		status    map[string]any
		want      []string
	}{
		{
			shortName: "mcpas",
			object:    edited(authorizationServer(), set("metadata.name", "company"), set("issuer", "https://auth.example.com/realms/mcp")),
			status:    map[string]any{"clients": map[string]any{"managed": int64(1250), "possibleOrphans": int64(3)}},
			want: []string{
				"NAME|READY|REASON|ISSUER|CLIENTS|ORPHANS|AGE",
				"company|False|" + reason + "|https://auth.example.com/realms/mcp|1250|3|AGE",
			},
		},
		{
			shortName: "mcpsrv",
			object:    edited(mcpServer(), set("metadata.name", "invoices"), owned),
			status:    map[string]any{"grants": map[string]any{"inForce": 12, "pending": 3, "clients": 7}},
			want: []string{
				"NAME|READY|REASON|OWNER|AS|GRANTS|PENDING|AGE",
				"invoices|False|" + reason + "|" + owner + "|company|12|3|AGE",
			},
		},
		{
			shortName: "mcpreg",
			object:    edited(registration(), set("metadata.name", "invoice-auditor"), owned),
			status:    map[string]any{"expiresAt": expires, "clientID": "5f0c7d6e"},
			want: []string{
				"NAME|READY|REASON|OWNER|EXPIRES|AS|AGE",
				"invoice-auditor|False|" + reason + "|" + owner + "|" + expires + "|company|AGE",
			},
		},
		{
			shortName: "mcpgrant",
			object:    edited(scopeGrant(), set("metadata.name", "desktop-reads-invoices"), owned),
			status:    map[string]any{"expiresAt": expires},
			want: []string{
				"NAME|READY|REASON|EXPIRES|CLIENT|SERVER|AGE",
				"desktop-reads-invoices|False|" + reason + "|" + expires + "|desktop|invoices|AGE",
			},
		},
		{
			shortName: "mcpdeny",
			object:    edited(accessDenial(), set("metadata.name", "incident-4711"), set("expirationTime", expires)),
			status:    map[string]any{"enforcedTime": time.Now().UTC().Format(time.RFC3339)},
			want: []string{
				"NAME|CLIENT|REGISTRATION|REASON|ENFORCED|EXPIRES|AGE",
				"incident-4711|5f0c7d6e|Key|leaked,|incident|4711|ENFORCED|" + expires + "|AGE",
			},
		},
	} {
		t.Run(table.shortName, func(t *testing.T) {
			create(t, c, namespace, table.object, reason, table.status)
			output, err := c.RunKubectl(t.Context(), "get", table.shortName, table.object.GetName(), "--namespace="+namespace)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(table.want, cells(t, output)); diff != "" {
				t.Errorf("kubectl prints something else (-want +got)\n%s", diff)
			}
		})
	}
}

func TestCategoryNamesEveryKind(t *testing.T) {
	c, namespace := useCluster(t)
	var want []string
	for _, base := range kinds() {
		object := base()
		place(object, namespace)
		if err := c.Create(t.Context(), object); err != nil {
			t.Fatal(err)
		}
		want = append(want, strings.ToLower(object.GetKind())+".mcp-registrar.dev/"+object.GetName())
	}
	output, err := c.RunKubectl(t.Context(), "get", "mcp-registrar", "--namespace="+namespace, "--output=name")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range want {
		if !strings.Contains(output, name+"\n") {
			t.Errorf("kubectl get mcp-registrar does not list %s but\n%s", name, output)
		}
	}
}

// create stores an object that is not Ready for a reason with a long name.
func create(t *testing.T, c *cluster, namespace string, object *unstructured.Unstructured, reason string, status map[string]any) {
	t.Helper()
	if !clusterScoped(object.GetKind()) {
		object.SetNamespace(namespace)
	}
	if err := c.Create(t.Context(), object); err != nil {
		t.Fatal(err)
	}
	full := map[string]any{"conditions": list(map[string]any{
		"type": v1alpha1.ConditionReady, "status": "False", "reason": reason,
		"message": "Waiting.", "lastTransitionTime": "2026-01-02T03:04:05Z",
	})}
	maps.Copy(full, status)
	object.Object["status"] = full
	if err := c.Status().Update(t.Context(), object); err != nil {
		t.Fatal(err)
	}
}

// cells are the lines of a table, each with its cells joined. A line that is too
// wide for a terminal fails the test.
func cells(t *testing.T, output string) []string {
	t.Helper()
	var lines []string
	for line := range strings.Lines(output) {
		line = strings.TrimRight(line, " \n")
		if len(line) > width {
			t.Errorf("a line has %d columns, want at most %d:\n%s", len(line), width, line)
		}
		line = ages.ReplaceAllString(age.ReplaceAllString(line, " AGE"), " ENFORCED ")
		lines = append(lines, strings.Join(strings.Fields(line), "|"))
	}
	return lines
}

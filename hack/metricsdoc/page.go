// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	_ "embed"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/template"

	"github.com/mcp-registrar/mcp-registrar/internal/audit"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/instrumented"
	"github.com/mcp-registrar/mcp-registrar/internal/guard"
	"github.com/mcp-registrar/mcp-registrar/internal/guard/record"
)

var (
	//go:embed page.md.tmpl
	layout string
	//go:embed alerts.yaml
	alerts string
)

// label explains a label of the operator's own metrics.
type label struct {
	Name, Meaning string
	// Values is the closed set, where there is one.
	Values []string
}

// explained are the labels of the operator's own metrics.
func explained(words vocabulary) []label {
	return []label{
		{Name: "authorization_server", Meaning: "Name of an AuthorizationServer object."},
		{Name: "cause", Meaning: "Why the client was revoked, as in `status.revocation.cause`.", Values: words.causes},
		{Name: "kind", Meaning: "Kind of an object.",
			Values: []string{"AuthorizationServer", "MCPServer", "MCPClientRegistration", "ScopeGrant", "ScopeGrantApproval", "AccessDenial"}},
		{Name: "method", Meaning: "HTTP method.", Values: []string{"GET", "POST", "PUT", "DELETE"}},
		{Name: "name", Meaning: "Name of an object. As many as there are objects."},
		{Name: "namespace", Meaning: "Namespace of that object."},
		{Name: "operation", Meaning: "What was asked of the authorization server.", Values: instrumented.Operations()},
		{Name: "outcome", Meaning: "What came of it. `unsent`: held back, because the server is to be left alone or all places are taken.",
			Values: instrumented.Outcomes()},
		{Name: "owner", Meaning: "Whose a client in a list is: of a registration, of this cluster without a registration, or of somebody else.",
			Values: []string{"Managed", "Orphaned", "Unmanaged"}},
		{Name: "ready", Meaning: "Status of the condition `Ready`.", Values: []string{"True", "False", "Unknown"}},
		{Name: "reason", Meaning: "Reason of the condition `Ready`. `NotSeen`: the object has no such condition yet. `Other`: somebody else wrote it.",
			Values: append([]string{"NotSeen", "Other"}, words.reasons...)},
		{Name: "resource", Meaning: "Resource of the Kubernetes API that the operator writes, with its subresource, for example `mcpclientregistrations/status`."},
		{Name: "result", Meaning: "Reason of the condition `Protected` of an MCPServer that a probe led to."},
		{Name: "type", Meaning: "Type of an event of the audit stream.", Values: auditTypes()},
		{Name: "verb", Meaning: "HTTP method of the write.", Values: []string{"post", "put", "patch", "delete"}},
	}
}

// explainedGuard are the labels of the guard's metrics.
func explainedGuard() []label {
	var reasons []string
	for _, reason := range guard.Reasons() {
		reasons = append(reasons, string(reason))
	}
	var failures []string
	for _, failure := range guard.Failures() {
		failures = append(failures, string(failure))
	}
	return []label{
		{Name: "client", Meaning: "The MCPClientRegistration that the token was issued to, `namespace/name`; empty where that is not known."},
		{Name: "decision", Meaning: "What came of it.", Values: []string{audit.VerdictAllowed, audit.VerdictRefused}},
		{Name: "kind", Meaning: "What was wrong: [the server's failures](boundary.md#when-the-server-fails).", Values: failures},
		{Name: "reason", Meaning: "Why.", Values: reasons},
		{Name: "server", Meaning: "The MCPServer, `namespace/name`."},
		{Name: "tool", Meaning: "The tool that was called; empty for what is no tool. " + code(record.Other) + ": one that no scope of the server leads to."},
	}
}

func auditTypes() []string {
	var types []string
	for _, kind := range audit.Types() {
		types = append(types, string(kind))
	}
	return types
}

// catalogue is what there is to describe.
type catalogue struct {
	own, guard []metric
	libraries  map[string]metric
}

// render writes the page.
func render(all catalogue, words vocabulary) ([]byte, error) {
	labels, err := used(all.own, explained(words))
	if err != nil {
		return nil, err
	}
	guardLabels, err := used(all.guard, explainedGuard())
	if err != nil {
		return nil, fmt.Errorf("the guard: %w", err)
	}
	page, err := template.New("page").Funcs(template.FuncMap{
		"code": func(word string) string { return code(word) },
		"list": func(words []string) string { return code(words...) },
		"library": func(name, kind, says string) (string, error) {
			m, found := all.libraries[name]
			if !found {
				return "", fmt.Errorf("no library has the metric %s", name)
			}
			return row(code(name), kind, code(m.Labels...), says), nil
		},
		"row": row,
	}).Parse(layout)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err = page.Execute(&b, struct {
		Metrics, Guard      []metric
		Labels, GuardLabels []label
		Alerts              string
	}{all.own, all.guard, labels, guardLabels, strings.TrimSpace(alerts)})
	return b.Bytes(), err
}

// used is an error unless the labels that are explained are those that the
// metrics have.
func used(own []metric, labels []label) ([]label, error) {
	found := map[string]bool{}
	for _, m := range own {
		for _, name := range m.Labels {
			found[name] = true
		}
	}
	for _, l := range labels {
		if !found[l.Name] {
			return nil, fmt.Errorf("no metric has the label %s", l.Name)
		}
		delete(found, l.Name)
	}
	if len(found) > 0 {
		return nil, fmt.Errorf("labels that are not explained: %s", strings.Join(slices.Sorted(maps.Keys(found)), ", "))
	}
	return labels, nil
}

// code writes words in the form of code.
func code(words ...string) string {
	if len(words) == 0 {
		return ""
	}
	return "`" + strings.Join(words, "`, `") + "`"
}

// row writes a row of a table.
func row(cells ...string) string {
	return strings.Join(strings.Fields("| "+strings.Join(cells, " | ")+" |"), " ")
}

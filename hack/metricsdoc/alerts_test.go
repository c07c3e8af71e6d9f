// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"
)

// ruleFile is a rule file of Prometheus.
type ruleFile struct {
	Groups []struct {
		Name  string `json:"name"`
		Rules []rule `json:"rules"`
	} `json:"groups"`
}

type rule struct {
	Alert       string            `json:"alert"`
	Expr        string            `json:"expr"`
	For         string            `json:"for"`
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
}

func rules(t *testing.T) []rule {
	t.Helper()
	var file ruleFile
	if err := yaml.UnmarshalStrict([]byte(alerts), &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Groups) != 1 || len(file.Groups[0].Rules) < 6 {
		t.Fatalf("%d groups", len(file.Groups))
	}
	return file.Groups[0].Rules
}

func TestTheAlertsAreWhole(t *testing.T) {
	t.Parallel()
	names := map[string]bool{}
	for _, r := range rules(t) {
		if names[r.Alert] || !strings.HasPrefix(r.Alert, "MCPRegistrar") {
			t.Errorf("%q is not a name of its own", r.Alert)
		}
		names[r.Alert] = true
		if _, err := time.ParseDuration(r.For); r.For != "" && err != nil {
			t.Errorf("%s: for: %v", r.Alert, err)
		}
		if !slices.Contains([]string{"critical", "warning", "info"}, r.Labels["severity"]) || r.Annotations["summary"] == "" {
			t.Errorf("%s has no severity or no summary", r.Alert)
		}
	}
}

// TestTheQueriesAskForWhatThereIs holds every metric, label and label value in
// the alerts, and in the queries of the page, against the descriptors.
func TestTheQueriesAskForWhatThereIs(t *testing.T) {
	t.Parallel()
	known := knownMetrics(t)
	var queries []string
	for _, r := range rules(t) {
		queries = append(queries, r.Expr)
	}
	_, rest, _ := strings.Cut(layout, "```promql\n")
	block, _, found := strings.Cut(rest, "\n```")
	if !found {
		t.Fatal("the page has no queries")
	}
	for _, query := range append(queries, strings.Split(block, "\n")...) {
		if err := known.check(query); err != nil {
			t.Errorf("%s: %v", query, err)
		}
	}
}

func TestAWrongQueryIsFound(t *testing.T) {
	t.Parallel()
	known := knownMetrics(t)
	for _, query := range []string{
		`max(mcp_registrar_object)`,
		`max(mcp_registrar_possible_orphans`,
		`max by (colour) (mcp_registrar_possible_orphans)`,
		`max(mcp_registrar_objects{colour="red"})`,
		`max(mcp_registrar_objects{reason="Tired"})`,
		`max(mcp_registrar_objects{reason=~"Expired|Tired"})`,
		`max(mcp_registrar_objects_bucket)`,
		`max(1)`,
	} {
		if err := known.check(query); err == nil {
			t.Errorf("%s passes", query)
		}
	}
}

// known are the labels of every metric that a query may name, and the closed
// sets of their values.
type known struct {
	labels map[string][]string
	values map[string][]string
}

func knownMetrics(t *testing.T) known {
	t.Helper()
	k := known{labels: map[string][]string{}, values: map[string][]string{}}
	own, err := ours(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	boundary, err := guards()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range append(own, boundary...) {
		k.labels[m.Name] = m.Labels
		if m.Type == "histogram" {
			k.labels[m.Name+"_bucket"] = append(slices.Clone(m.Labels), "le")
			delete(k.labels, m.Name)
		}
	}
	for name, m := range libraries() {
		k.labels[name] = m.Labels
	}
	for _, l := range explained(vocabularyOf(t)) {
		if len(l.Values) > 0 {
			k.values[l.Name] = l.Values
		}
	}
	return k
}

var (
	selector  = regexp.MustCompile(`\b([a-z_]+_[a-z_]+)(\{[^}]*\})?`)
	matcher   = regexp.MustCompile(`([a-z_]+)(?:=~|!~|!=|=)"([^"]*)"`)
	grouping  = regexp.MustCompile(`\bby \(([^)]*)\)`)
	functions = []string{"histogram_quantile"}
)

// check is an error if a query names what there is not. It knows only as much of
// the language as the queries here use.
func (k known) check(query string) error {
	if strings.Count(query, "(") != strings.Count(query, ")") || strings.Count(query, "{") != strings.Count(query, "}") {
		return errors.New("brackets do not match")
	}
	var named, labels []string
	for _, match := range selector.FindAllStringSubmatch(grouping.ReplaceAllString(query, ""), -1) {
		if slices.Contains(functions, match[1]) {
			continue
		}
		of, found := k.labels[match[1]]
		if !found {
			return fmt.Errorf("there is no metric %s", match[1])
		}
		named, labels = append(named, match[1]), append(labels, of...)
		if err := k.checkMatchers(match[2], of); err != nil {
			return err
		}
	}
	if len(named) == 0 {
		return errors.New("no metric is named")
	}
	for _, match := range grouping.FindAllStringSubmatch(query, -1) {
		for name := range strings.SplitSeq(match[1], ", ") {
			if !slices.Contains(labels, name) {
				return fmt.Errorf("%v have no label %s", named, name)
			}
		}
	}
	return nil
}

func (k known) checkMatchers(text string, labels []string) error {
	for _, match := range matcher.FindAllStringSubmatch(text, -1) {
		if !slices.Contains(labels, match[1]) {
			return fmt.Errorf("there is no label %s", match[1])
		}
		for value := range strings.SplitSeq(match[2], "|") {
			if set := k.values[match[1]]; set != nil && !slices.Contains(set, value) {
				return fmt.Errorf("%s is never %s", match[1], value)
			}
		}
	}
	return nil
}

// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package chart

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
)

func TestT10GrantsAreNoWiderThanNeeded(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		render func(*testing.T) string
	}{
		{name: "chart", render: func(t *testing.T) string { return mustTemplate(t, "1.37.0") }},
		{name: "kustomize", render: func(t *testing.T) string { return kustomizeBuild(t, "default") }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			objects := parse(t, c.render(t))
			clusterRoles := ofKind(objects, "ClusterRole")
			if len(clusterRoles) != 3 {
				t.Errorf("%d ClusterRoles, want 3", len(clusterRoles))
			}
			for _, role := range append(clusterRoles, ofKind(objects, "Role")...) {
				for _, rule := range rules(t, role) {
					checkRule(t, role.GetName(), rule)
				}
			}
			for _, role := range clusterRoles {
				for _, rule := range rules(t, role) {
					checkSecrets(t, role.GetName(), rule)
				}
			}
		})
	}
}

func TestChartAndKustomizeGrantTheSame(t *testing.T) {
	t.Parallel()
	chart := parse(t, mustTemplate(t, "1.37.0"))
	kustomize := parse(t, kustomizeBuild(t, "default"))
	for _, kind := range []string{"ClusterRole", "Role"} {
		if diff := cmp.Diff(allRules(t, ofKind(kustomize, kind)), allRules(t, ofKind(chart, kind))); diff != "" {
			t.Errorf("the rules of kind %s differ (-config +chart)\n%s", kind, diff)
		}
	}
}

// checkRule holds for every role: nothing by wildcard, nothing that lets the
// manager grant itself more.
func checkRule(t *testing.T, role string, rule rbacv1.PolicyRule) {
	t.Helper()
	for _, list := range [][]string{rule.APIGroups, rule.Resources, rule.Verbs, rule.NonResourceURLs} {
		if slices.Contains(list, "*") {
			t.Errorf("%s grants by wildcard: %v", role, rule)
		}
	}
	for _, verb := range []string{"escalate", "bind", "impersonate"} {
		if slices.Contains(rule.Verbs, verb) {
			t.Errorf("%s grants %s: %v", role, verb, rule)
		}
	}
	if slices.Contains(rule.APIGroups, rbacv1.GroupName) {
		t.Errorf("%s reaches roles or bindings: %v", role, rule)
	}
}

// checkSecrets holds for cluster roles: a Secret may be asked for by its name,
// but no one may read them all.
func checkSecrets(t *testing.T, role string, rule rbacv1.PolicyRule) {
	t.Helper()
	if !slices.Contains(rule.Resources, "secrets") {
		return
	}
	for _, verb := range []string{"list", "watch", "deletecollection"} {
		if slices.Contains(rule.Verbs, verb) {
			t.Errorf("%s grants %s on the Secrets of the whole cluster", role, verb)
		}
	}
}

func allRules(t *testing.T, roles []unstructured.Unstructured) [][]rbacv1.PolicyRule {
	t.Helper()
	var all [][]rbacv1.PolicyRule
	for _, role := range roles {
		all = append(all, rules(t, role))
	}
	slices.SortFunc(all, func(a, b []rbacv1.PolicyRule) int {
		return slices.Compare([]string{a[0].String()}, []string{b[0].String()})
	})
	return all
}

func rules(t *testing.T, role unstructured.Unstructured) []rbacv1.PolicyRule {
	t.Helper()
	var typed rbacv1.ClusterRole
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(role.Object, &typed); err != nil {
		t.Fatal(err)
	}
	if len(typed.Rules) == 0 {
		t.Fatalf("%s has no rules", role.GetName())
	}
	return typed.Rules
}

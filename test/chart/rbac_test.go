// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package chart

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
)

// everywhere is the place of a ClusterRole.
const everywhere = "the whole cluster"

// role is a role that the operator's account is bound to, and where it holds.
type role struct {
	name, place string
	rules       []rbacv1.PolicyRule
}

func TestT10GrantsAreNoWiderThanNeeded(t *testing.T) {
	t.Parallel()
	renderings := map[string]func(*testing.T) string{
		"kustomize":            func(t *testing.T) string { return kustomizeBuild(t, "default") },
		"kustomize for guards": func(t *testing.T) string { return kustomizeBuild(t, "guard") },
	}
	for _, set := range valueSets {
		renderings[set.name] = func(t *testing.T) string { return set.render(t) }
	}
	for name, render := range renderings {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			objects := parse(t, render(t))
			for _, kind := range []string{"ClusterRole", "Role"} {
				for _, object := range ofKind(objects, kind) {
					for _, rule := range rules(t, object) {
						checkRule(t, object.GetName(), rule)
					}
				}
			}
			for _, role := range operatorRoles(t, objects) {
				for _, rule := range role.rules {
					checkSecrets(t, role, rule)
				}
			}
		})
	}
}

// With a list of namespaces nothing but what belongs to none is granted in the
// whole cluster.
func TestT10AListOfNamespacesHoldsNothingElsewhere(t *testing.T) {
	t.Parallel()
	allowed := []string{
		"namespaces", "accessdenials", "accessdenials/status", "authorizationservers", "authorizationservers/status",
		"validatingadmissionpolicies", "validatingadmissionpolicybindings", "tokenreviews", "subjectaccessreviews",
	}
	for _, mode := range []string{"watch-list", "watch-single"} {
		for _, role := range operatorRoles(t, parse(t, valueSet{mode, "1.37.0"}.render(t))) {
			for _, rule := range role.rules {
				for _, resource := range rule.Resources {
					if role.place == everywhere && !slices.Contains(allowed, resource) {
						t.Errorf("%s: %s grants %s of %s in the whole cluster", mode, role.name, rule.Verbs, resource)
					}
				}
			}
		}
	}
}

func TestChartAndKustomizeGrantTheSame(t *testing.T) {
	t.Parallel()
	chart := rulesByPlace(operatorRoles(t, parse(t, mustTemplate(t, "1.37.0"))))
	kustomize := rulesByPlace(operatorRoles(t, parse(t, kustomizeBuild(t, "default"))))
	if diff := gocmp.Diff(kustomize, chart); diff != "" {
		t.Errorf("the operator's rules differ (-config +chart)\n%s", diff)
	}
}

// Guards get the same by either way, under the same names.
func TestChartAndKustomizeGrantGuardsTheSame(t *testing.T) {
	t.Parallel()
	chart := rulesByName(t, parse(t, mustTemplate(t, "1.37.0", "--show-only=templates/roles.yaml")))
	maps.DeleteFunc(chart, func(name string, _ []rbacv1.PolicyRule) bool { return !strings.Contains(name, "guard") })
	kustomize := rulesByName(t, parse(t, kustomizeBuild(t, "guard")))
	if diff := gocmp.Diff(kustomize, chart); diff != "" || len(kustomize) == 0 {
		t.Errorf("the rules of guards differ (-config +chart)\n%s", diff)
	}
}

// rulesByName are the rules of objects that must all be roles, by kind and name.
func rulesByName(t *testing.T, objects []unstructured.Unstructured) map[string][]rbacv1.PolicyRule {
	t.Helper()
	found := map[string][]rbacv1.PolicyRule{}
	for _, object := range objects {
		found[object.GetKind()+"/"+object.GetName()] = rules(t, object)
	}
	return found
}

func rulesByPlace(roles []role) map[string][][]rbacv1.PolicyRule {
	found := map[string][][]rbacv1.PolicyRule{}
	for _, role := range roles {
		found[role.place] = append(found[role.place], role.rules)
	}
	for _, rules := range found {
		slices.SortFunc(rules, func(a, b []rbacv1.PolicyRule) int { return cmp.Compare(a[0].String(), b[0].String()) })
	}
	return found
}

// operatorRoles are the roles that something is bound to: the chart and the
// kustomize folders bind nobody but the operator's account, and, where they are
// named, those who read metrics.
func operatorRoles(t *testing.T, objects []unstructured.Unstructured) []role {
	t.Helper()
	ruled := map[string][]rbacv1.PolicyRule{}
	for _, kind := range []string{"ClusterRole", "Role"} {
		for _, object := range ofKind(objects, kind) {
			ruled[kind+"/"+object.GetNamespace()+"/"+object.GetName()] = rules(t, object)
		}
	}
	accounts := ofKind(objects, "ServiceAccount")
	var found []role
	for _, kind := range []string{"ClusterRoleBinding", "RoleBinding"} {
		for _, object := range ofKind(objects, kind) {
			var binding rbacv1.RoleBinding
			if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, &binding); err != nil {
				t.Fatal(err)
			}
			if len(binding.Subjects) != 1 || len(accounts) != 1 || binding.Subjects[0].Name != accounts[0].GetName() {
				continue
			}
			place := binding.Namespace
			if kind == "ClusterRoleBinding" {
				place = everywhere
			}
			rules := ruled[binding.RoleRef.Kind+"/"+binding.Namespace+"/"+binding.RoleRef.Name]
			if len(rules) == 0 {
				t.Fatalf("the binding %s is to a role that is not rendered", binding.Name)
			}
			found = append(found, role{name: binding.RoleRef.Name, place: place, rules: rules})
		}
	}
	return found
}

// checkRule holds for every role: nothing by wildcard, nothing that lets its
// holder grant more.
func checkRule(t *testing.T, role string, rule rbacv1.PolicyRule) {
	t.Helper()
	for _, list := range [][]string{rule.APIGroups, rule.Resources, rule.Verbs, rule.NonResourceURLs} {
		if slices.Contains(list, "*") {
			t.Errorf("%s grants by wildcard: %v", role, rule)
		}
	}
	for _, verb := range []string{"escalate", "bind", "impersonate", "deletecollection"} {
		if slices.Contains(rule.Verbs, verb) {
			t.Errorf("%s grants %s: %v", role, verb, rule)
		}
	}
	if slices.Contains(rule.APIGroups, rbacv1.GroupName) {
		t.Errorf("%s reaches roles or bindings: %v", role, rule)
	}
}

// checkSecrets holds for the operator: a Secret may be asked for by its name,
// but only those of its own namespace may be listed.
func checkSecrets(t *testing.T, role role, rule rbacv1.PolicyRule) {
	t.Helper()
	if role.place == namespace || !slices.Contains(rule.Resources, "secrets") {
		return
	}
	for _, verb := range []string{"list", "watch"} {
		if slices.Contains(rule.Verbs, verb) {
			t.Errorf("%s grants %s on Secrets in %s", role.name, verb, role.place)
		}
	}
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

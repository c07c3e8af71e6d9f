// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package chart

import (
	"maps"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/mcp-registrar/mcp-registrar/test/env"
)

// The bindings that docs/helm.md shows give each group what its role is for.
func TestRolesForPeople(t *testing.T) {
	t.Parallel()
	plane := env.StartForTest(t, env.Options{})
	createNamespaces(t, plane, namespace, "invoices", "payments")
	rendered := written(t, mustTemplate(t, "1.37.0", "--show-only=templates/roles.yaml"))
	if err := plane.Apply(t.Context(), rendered, filepath.Join(testdata(t), "bindings.yaml")); err != nil {
		t.Fatal(err)
	}
	reads := map[question]bool{
		{namespace: "payments", verb: "watch", resource: "mcp/mcpclientregistrations"}: true,
		{namespace: "payments", verb: "list", resource: "mcp/scopegrants"}:             true,
		{namespace: "invoices", verb: "get", resource: "mcp/mcpservers"}:               true,
		{verb: "list", resource: "mcp/authorizationservers"}:                           true,
	}
	for _, c := range []struct {
		group string
		want  map[question]bool
	}{
		{group: "platform-team", want: with(reads, map[question]bool{
			{verb: "create", resource: "mcp/authorizationservers"}:                              true,
			{verb: "create", resource: "mcp/accessdenials"}:                                     true,
			{verb: "delete", resource: "mcp/accessdenials"}:                                     true,
			{verb: "patch", resource: "mcp/accessdenials"}:                                      true,
			{verb: "update", resource: "mcp/accessdenials/status"}:                              false,
			{verb: "update", resource: "mcp/authorizationservers/status"}:                       false,
			{namespace: "payments", verb: "release", resource: "mcp/mcpclientregistrations"}:    true,
			{namespace: "payments", verb: "delete", resource: "mcp/mcpclientregistrations"}:     true,
			{namespace: "payments", verb: "create", resource: "mcp/mcpclientregistrations"}:     false,
			{namespace: "invoices", verb: "create", resource: "mcp/scopegrantapprovals"}:        false,
			{namespace: "invoices", verb: "list", resource: "mcp/scopegrantapprovals"}:          true,
			{namespace: "payments", verb: "patch", resource: "mcp/scopegrants/status"}:          false,
			{namespace: "payments", verb: "operate", resource: "mcp/mcpclientregistrations"}:    false,
			{namespace: "payments", verb: "get", resource: "core/secrets"}:                      false,
			{namespace: namespace, verb: "patch", resource: "core/secrets"}:                     true,
			{namespace: namespace, verb: "delete", resource: "core/secrets"}:                    false,
			{namespace: namespace, verb: "get", resource: "core/pods/log"}:                      true,
			{namespace: namespace, verb: "create", resource: "core/pods/exec"}:                  false,
			{namespace: namespace, verb: "get", resource: "core/configmaps"}:                    false,
			{namespace: "payments", verb: "get", resource: "core/pods/log"}:                     false,
			{namespace: "payments", verb: "list", resource: "core/events"}:                      true,
			{namespace: "payments", verb: "create", resource: "core/events"}:                    false,
			{verb: "list", resource: "coordination/leases"}:                                     true,
			{verb: "update", resource: "coordination/leases"}:                                   false,
			{verb: "list", resource: "admission/mutatingadmissionpolicies"}:                     true,
			{verb: "delete", resource: "admission/validatingadmissionpolicies"}:                 false,
			{namespace: "payments", verb: "patch", resource: "mcp/mcpclientregistrations"}:      true,
			{namespace: "payments", verb: "patch", resource: "mcp/scopegrants"}:                 false,
			{namespace: "invoices", verb: "update", resource: "mcp/mcpservers"}:                 false,
			{namespace: "payments", verb: "get", resource: "mcp/mcpclientregistrations/status"}: false,
		})},
		{group: "team-invoices", want: map[question]bool{
			{namespace: "invoices", verb: "update", resource: "mcp/mcpservers"}:             true,
			{namespace: "invoices", verb: "create", resource: "mcp/scopegrantapprovals"}:    true,
			{namespace: "invoices", verb: "delete", resource: "mcp/scopegrantapprovals"}:    true,
			{namespace: "invoices", verb: "update", resource: "mcp/scopegrantapprovals"}:    false,
			{namespace: "payments", verb: "create", resource: "mcp/scopegrantapprovals"}:    false,
			{namespace: "payments", verb: "update", resource: "mcp/mcpservers"}:             false,
			{namespace: "payments", verb: "patch", resource: "mcp/scopegrants/status"}:      false,
			{namespace: "payments", verb: "list", resource: "mcp/mcpclientregistrations"}:   false,
			{namespace: "payments", verb: "update", resource: "mcp/scopegrants"}:            false,
			{namespace: "payments", verb: "create", resource: "mcp/mcpclientregistrations"}: false,
			{namespace: "invoices", verb: "get", resource: "core/secrets"}:                  false,
			{verb: "list", resource: "mcp/authorizationservers"}:                            false,
			{verb: "create", resource: "mcp/accessdenials"}:                                 false,
			{verb: "delete", resource: "mcp/accessdenials"}:                                 false,
		}},
		{group: "team-payments", want: map[question]bool{
			{namespace: "payments", verb: "create", resource: "mcp/mcpclientregistrations"}:       true,
			{namespace: "payments", verb: "delete", resource: "mcp/scopegrants"}:                  true,
			{namespace: "payments", verb: "get", resource: "mcp/mcpservers"}:                      true,
			{namespace: "payments", verb: "update", resource: "mcp/mcpservers"}:                   false,
			{namespace: "payments", verb: "patch", resource: "mcp/scopegrants/status"}:            false,
			{namespace: "payments", verb: "patch", resource: "mcp/mcpclientregistrations/status"}: false,
			{namespace: "payments", verb: "release", resource: "mcp/mcpclientregistrations"}:      false,
			{namespace: "payments", verb: "get", resource: "core/secrets"}:                        false,
			{namespace: "invoices", verb: "get", resource: "mcp/mcpservers"}:                      false,
			{namespace: "invoices", verb: "create", resource: "mcp/scopegrantapprovals"}:          false,
			{namespace: "payments", verb: "create", resource: "mcp/scopegrantapprovals"}:          false,
			{verb: "create", resource: "mcp/accessdenials"}:                                       false,
			{verb: "delete", resource: "mcp/accessdenials"}:                                       false,
		}},
		{group: "auditors", want: with(reads, map[question]bool{
			{namespace: "payments", verb: "get", resource: "core/secrets"}:                  false,
			{namespace: namespace, verb: "list", resource: "core/secrets"}:                  false,
			{namespace: "payments", verb: "create", resource: "mcp/mcpclientregistrations"}: false,
			{namespace: "payments", verb: "patch", resource: "mcp/scopegrants/status"}:      false,
			{namespace: "payments", verb: "delete", resource: "mcp/scopegrants"}:            false,
			{verb: "patch", resource: "mcp/authorizationservers"}:                           false,
			{verb: "list", resource: "mcp/accessdenials"}:                                   true,
			{verb: "create", resource: "mcp/accessdenials"}:                                 false,
		})},
	} {
		t.Run(c.group, func(t *testing.T) {
			compareAccess(t, plane, subject{user: "somebody", groups: []string{c.group}}, c.want)
		})
	}
}

func with(some, more map[question]bool) map[question]bool {
	all := maps.Clone(some)
	maps.Copy(all, more)
	return all
}

func TestRolesForPeopleAreAggregatedOnlyWhenAskedFor(t *testing.T) {
	t.Parallel()
	aggregated := func(args ...string) map[string]string {
		found := map[string]string{}
		objects := parse(t, mustTemplate(t, "1.37.0", append(args, "--show-only=templates/roles.yaml")...))
		for _, role := range ofKind(objects, "ClusterRole") {
			for _, to := range []string{"admin", "edit", "view"} {
				if label(role, "rbac.authorization.k8s.io/aggregate-to-"+to) == "true" {
					found[role.GetName()] = to
				}
			}
		}
		return found
	}
	if diff := cmp.Diff(map[string]string{}, aggregated()); diff != "" {
		t.Errorf("by default (-want +got)\n%s", diff)
	}
	want := map[string]string{
		"mcp-registrar-server-owner": "admin", "mcp-registrar-grant-approver": "admin",
		"mcp-registrar-client-developer": "edit", "mcp-registrar-auditor": "view",
	}
	if diff := cmp.Diff(want, aggregated("--set=rbac.roles.aggregateToDefaultRoles=true")); diff != "" {
		t.Errorf("when asked for (-want +got)\n%s", diff)
	}
}

func label(object unstructured.Unstructured, name string) string {
	return object.GetLabels()[name]
}

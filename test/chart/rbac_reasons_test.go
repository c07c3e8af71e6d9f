// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package chart

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
)

// reason says why the operator may do something. A permission without a reason,
// or with two, fails the test, and so does a reason without a permission.
type reason struct {
	// own is for the Role in the operator's own namespace.
	own       bool
	group     string
	resources string
	verbs     string
	because   string
}

var reasons = []reason{
	{
		group: "mcp-registrar.dev", resources: "authorizationservers mcpservers scopegrants scopegrantapprovals mcpclientregistrations", verbs: "get list watch",
		because: "the facts of a decision",
	},
	{
		group: "mcp-registrar.dev", resources: "mcpclientregistrations", verbs: "patch update",
		because: "the finalizer; neither spec nor annotations of users are written",
	},
	{
		group: "mcp-registrar.dev", resources: "mcpclientregistrations/finalizers", verbs: "update",
		because: "owner references of the credentials Secrets",
	},
	{
		group: "mcp-registrar.dev", verbs: "get patch update",
		resources: "accessdenials/status authorizationservers/status mcpservers/status scopegrants/status scopegrantapprovals/status mcpclientregistrations/status",
		because:   "reports",
	},
	{
		group: "mcp-registrar.dev", resources: "authorizationservers mcpservers scopegrants scopegrantapprovals mcpclientregistrations", verbs: "operate",
		because: "the admission policies know the operator by it",
	},
	{
		group: "mcp-registrar.dev", resources: "accessdenials", verbs: "get list watch create update delete operate",
		because: "denials that no object of a tenant carries: who is denied, and those that the operator makes itself",
	},
	{
		resources: "namespaces", verbs: "get list watch",
		because: "labels that selectors match; the UID of kube-system, which names the cluster in marks",
	},
	{
		resources: "secrets", verbs: "get create update delete",
		because: "the credentials Secret of each registration, by its name; never list or watch",
	},
	{
		group: "events.k8s.io", resources: "events", verbs: "create patch",
		because: "events; those about AuthorizationServers are kept in the namespace default",
	},
	{
		group: "admissionregistration.k8s.io", resources: "validatingadmissionpolicies validatingadmissionpolicybindings", verbs: "get list watch",
		because: "an approval counts only while the policies that note who gave it are in force",
	},
	{
		group: "coordination.k8s.io", resources: "leases", verbs: "get list watch",
		because: "what guards know, each by a Lease of its own: when every guard refuses a revoked client",
	},
	{
		group: "authentication.k8s.io", resources: "tokenreviews", verbs: "create",
		because: "who asks for metrics",
	},
	{
		group: "authorization.k8s.io", resources: "subjectaccessreviews", verbs: "create",
		because: "whether they may have them",
	},
	{
		own: true, resources: "secrets", verbs: "get list watch create update patch delete",
		because: "registration records, the keys of the audit stream, and the credentials that AuthorizationServers name",
	},
	{
		own: true, resources: "configmaps", verbs: "get create update",
		because: "where the audit stream ends, so that lines that are removed there are missed",
	},
	{
		own: true, group: "coordination.k8s.io", resources: "leases", verbs: "get create update",
		because: "leader election; the nonces by which every replica notices that the API server was put back",
	},
	{
		own: true, resources: "events", verbs: "create patch",
		because: "events of leader election",
	},
	{
		own: true, group: "mcp-registrar.dev", resources: "mcpclientregistrations", verbs: "operate",
		because: "the admission policies know the operator by it where it writes records, also if it does not watch its own namespace",
	},
}

func (r reason) covers(own bool, group, resource, verb string) bool {
	return r.own == own && r.group == group &&
		slices.Contains(strings.Fields(r.resources), resource) && slices.Contains(strings.Fields(r.verbs), verb)
}

// TestT10EachPermissionHasAReason compares what the operator may do in each way
// of watching namespaces with testdata/rbac.golden.md.
func TestT10EachPermissionHasAReason(t *testing.T) {
	t.Parallel()
	used := map[int]map[string]bool{}
	var page strings.Builder
	for _, mode := range []string{"watch-cluster", "watch-list", "watch-single"} {
		objects := parse(t, valueSet{mode, "1.37.0"}.render(t))
		fmt.Fprintf(&page, "## %s\n\n| role | where | group | resource | verbs | because |\n| --- | --- | --- | --- | --- | --- |\n", mode)
		for _, role := range operatorRoles(t, objects) {
			own := role.place == namespace && role.name == release
			for _, rule := range role.rules {
				for _, line := range explain(t, used, own, rule) {
					fmt.Fprintf(&page, "| %s | %s | %s |\n", role.name, role.place, line)
				}
			}
		}
		page.WriteString("\n")
	}
	for i, r := range reasons {
		for resource := range strings.FieldsSeq(r.resources) {
			for verb := range strings.FieldsSeq(r.verbs) {
				if !used[i][resource+" "+verb] {
					t.Errorf("there is a reason to %s %s (%q), but no permission", verb, resource, r.because)
				}
			}
		}
	}
	compareWithGolden(t, "rbac.golden.md", strings.TrimSuffix(page.String(), "\n"))
}

// explain gives a line for each resource of a rule and each reason, and notes
// the reasons that it used.
func explain(t *testing.T, used map[int]map[string]bool, own bool, rule rbacv1.PolicyRule) []string {
	t.Helper()
	var lines []string
	for _, group := range rule.APIGroups {
		for _, resource := range rule.Resources {
			verbs := map[int][]string{}
			for _, verb := range rule.Verbs {
				i := reasonFor(t, own, group, resource, verb)
				verbs[i] = append(verbs[i], verb)
				if used[i] == nil {
					used[i] = map[string]bool{}
				}
				used[i][resource+" "+verb] = true
			}
			for i, r := range reasons {
				if len(verbs[i]) > 0 {
					lines = append(lines, fmt.Sprintf("%s | %s | %s | %s", group, resource, strings.Join(verbs[i], ", "), r.because))
				}
			}
		}
	}
	return lines
}

func reasonFor(t *testing.T, own bool, group, resource, verb string) int {
	t.Helper()
	var found []int
	for i, r := range reasons {
		if r.covers(own, group, resource, verb) {
			found = append(found, i)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d reasons in rbac_reasons_test.go to %s %s of the group %q (in the operator's own namespace: %t), want 1",
			len(found), verb, resource, group, own)
	}
	return found[0]
}

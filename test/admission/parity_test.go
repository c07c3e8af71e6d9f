// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/version"
	"k8s.io/apiserver/pkg/cel/environment"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

// rounds is how many random objects of each kind are compared.
const rounds = 3000

// saidBy are the words of each refusal that the rules in Go know too, in the
// order in which those ask.
var saidBy = []struct{ reason, words string }{
	{v1alpha1.ReasonOwnerMissing, "mcp-registrar.dev/owner is missing"},
	{v1alpha1.ReasonOwnerInvalid, "mcp-registrar.dev/owner must be one line"},
	{v1alpha1.ReasonExpiryMissing, "mcp-registrar.dev/expires-at is missing"},
	{v1alpha1.ReasonExpiryInvalid, "mcp-registrar.dev/expires-at is not an RFC 3339 instant"},
	{v1alpha1.ReasonExpired, "mcp-registrar.dev/expires-at has passed already"},
	{v1alpha1.ReasonOwnerNotAllowed, "mcp-registrar.dev/owner does not match the pattern"},
	{v1alpha1.ReasonLifetimeTooLong, "mcp-registrar.dev/expires-at is beyond the maximum lifetime"},
	{v1alpha1.ReasonGrantTypeNotAllowed, "spec.grantTypes: "},
	{v1alpha1.ReasonAuthMethodNotAllowed, "spec.tokenEndpointAuthMethod: "},
	{v1alpha1.ReasonRedirectURINotAllowed, "spec.redirectURIs: "},
	{v1alpha1.ReasonJWKSNotAllowed, "spec.jwksURI: "},
}

// firstReason is the reason of the first of some refusals; every message must
// be one that is known.
func firstReason(t *testing.T, refusals map[string][]string) string {
	t.Helper()
	first := len(saidBy)
	for message := range slices.Values(slices.Concat(slices.Collect(maps.Values(refusals))...)) {
		at := slices.IndexFunc(saidBy, func(s struct{ reason, words string }) bool { return strings.Contains(message, s.words) })
		if at < 0 {
			t.Fatalf("a message that is not known: %s", message)
		}
		first = min(first, at)
	}
	if first == len(saidBy) {
		return ""
	}
	return saidBy[first].reason
}

// known is a reason that the policies can give, else empty.
func known(reason string, except ...string) string {
	told := slices.ContainsFunc(saidBy, func(s struct{ reason, words string }) bool { return s.reason == reason })
	if !told || slices.Contains(except, reason) {
		return ""
	}
	return reason
}

// tally counts what was compared, so that a comparison of nothing is seen.
type tally map[string]int

func (c tally) compare(t *testing.T, object client.Object, got, want string) {
	t.Helper()
	c[want]++
	if got != want {
		t.Errorf("the policies say %q, the rules in Go %q\n%s", got, want, write(t, object))
	}
}

func (c tally) saw(t *testing.T, reasons ...string) {
	t.Helper()
	for _, reason := range append(reasons, "") {
		if c[reason] < 3 {
			t.Errorf("%q was compared %d times only: %v", reason, c[reason], c)
		}
	}
}

func write(t *testing.T, objects ...client.Object) string {
	t.Helper()
	var all strings.Builder
	for _, object := range objects {
		content, err := yaml.Marshal(object)
		if err != nil {
			// YAML has no control characters.
			content = fmt.Appendf(nil, "%+q\n", object)
		}
		all.Write(content)
	}
	return all.String()
}

func TestRegistrationsAreJudgedAlike(t *testing.T) {
	t.Parallel()
	d, policies, count := throw(t), evaluators(t), tally{}
	for range rounds {
		as, r := d.authorizationServer(), d.registration()
		decision := policy.Registration(policy.RegistrationFacts{
			Registration:        r,
			AuthorizationServer: policy.AuthorizationServerFact{Is: policy.Present, Object: as},
			Namespace:           policy.NamespaceFact{Is: policy.Present, Name: r.Namespace},
			GrantsAre:           policy.Present,
			RecordIs:            policy.Absent,
			Credentials:         policy.CredentialsFact{Is: policy.Absent},
		}, created)
		said := firstReason(t, ask(t, policies, question{who: alice, object: r, params: as}))
		count.compare(t, r, said, known(decision.Verdict.Reason))
		if t.Failed() {
			t.Fatalf("the authorization server was\n%s", write(t, as))
		}
	}
	var all []string
	for _, entry := range saidBy {
		all = append(all, entry.reason)
	}
	count.saw(t, all...)
}

func TestServersAreJudgedAlike(t *testing.T) {
	t.Parallel()
	d, policies, count := throw(t), evaluators(t), tally{}
	for range rounds {
		as, s := d.authorizationServer(), d.server()
		verdict := policy.Server(policy.ServerFacts{Server: s, AuthorizationServer: policy.AuthorizationServerFact{Is: policy.Present, Object: as}, Claims: policy.ClaimsFact{Is: policy.Present}, Room: policy.NewRoom(nil)})
		said := firstReason(t, ask(t, policies, question{who: alice, object: s, params: as}))
		count.compare(t, s, said, known(verdict.Reason))
		if t.Failed() {
			t.Fatalf("the authorization server was\n%s", write(t, as))
		}
	}
	count.saw(t, v1alpha1.ReasonOwnerMissing, v1alpha1.ReasonOwnerInvalid, v1alpha1.ReasonOwnerNotAllowed)
}

// The authorization server of a grant is that of its registration, which a
// policy cannot read: what depends on it is left to the controllers.
func TestGrantsAreJudgedAlike(t *testing.T) {
	t.Parallel()
	d, policies, count := throw(t), evaluators(t), tally{}
	for range rounds {
		g := d.grant()
		decision := policy.Grant(policy.GrantFacts{Grant: g}, created)
		said := firstReason(t, ask(t, policies, question{who: alice, object: g}))
		count.compare(t, g, said, known(decision.Verdict.Reason))
	}
	count.saw(t, v1alpha1.ReasonOwnerMissing, v1alpha1.ReasonOwnerInvalid, v1alpha1.ReasonExpiryMissing, v1alpha1.ReasonExpiryInvalid, v1alpha1.ReasonExpired)
}

// An approval that the API server admits is one that holds by the names on it, and one
// that it refuses would not hold.
func TestApprovalsAreJudgedAlike(t *testing.T) {
	t.Parallel()
	d, policies, count := throw(t), evaluators(t), tally{}
	for range rounds {
		g, r, s := grant("random"), registration("random"), server("invoices")
		asked, who := pick(d, alice, bob, owner), pick(d, alice, bob, owner)
		with(g, v1alpha1.AnnotationRequestedBy, asked)
		a := looked(g, asked)
		a.Spec.Digest = policy.Look(g, r, s).Digest()
		if d.IntN(4) > 0 {
			with(a, v1alpha1.AnnotationApprovedBy, pick(d, who, who, who, alice, bob))
		}
		refusals := ask(t, policies, question{who: who, object: a})
		// A name that is not that of the user is refused; the operator sees only names.
		named := a.Annotations[v1alpha1.AnnotationApprovedBy]
		facts := policy.GrantFacts{Grant: g, Registration: r, Server: policy.ServerFact{Is: policy.Present, Object: s}, ServerClaims: policy.ClaimsFact{Is: policy.Present}, Room: policy.NewRoom(nil)}
		void := policy.Void(facts, a) != "" || named != who
		count.compare(t, a, verdict(len(refusals) > 0), verdict(void))
		if t.Failed() {
			t.Fatalf("void: %q, refused: %q", policy.Void(facts, a), refusals)
		}
	}
	if count["void"] < 100 || count["holds"] < 100 {
		t.Errorf("compared %v", count)
	}
}

func verdict(void bool) string {
	if void {
		return "void"
	}
	return "holds"
}

// The policies are for clusters from Kubernetes 1.30 on.
func TestPoliciesCompileOnOldClusters(t *testing.T) {
	t.Parallel()
	for _, policy := range loadPolicies(t) {
		_, errs := compile(policy, environment.MustBaseEnvSet(version.MajorMinor(1, 30)), environment.NewExpressions)
		for _, err := range errs {
			t.Errorf("%s: %v", policy.Name, err)
		}
	}
}

// What the schema refuses of scope names is what the rules in Go refuse.
func TestScopesAreJudgedAlike(t *testing.T) {
	t.Parallel()
	d, count, refuses := throw(t), tally{}, schemaOf(t, "mcpservers")
	for range 2 * rounds {
		s := server("random")
		s.Spec.Scopes[0].Name = d.scope()
		verdict := policy.Server(policy.ServerFacts{Server: s, AuthorizationServer: policy.AuthorizationServerFact{Is: policy.Present, Object: open("strict")}, Claims: policy.ClaimsFact{Is: policy.Present}, Room: policy.NewRoom(nil)})
		said := ""
		if refusal := refuses(s); refusal != "" {
			said = v1alpha1.ReasonScopeNotAllowed
			if !strings.Contains(refusal, "a scope must") && !strings.Contains(refusal, "Too long") {
				t.Fatalf("refused in another way: %s", refusal)
			}
		}
		want := verdict.Reason
		if verdict.Standing == policy.Allowed {
			want = ""
		}
		count.compare(t, s, said, want)
	}
	count.saw(t, v1alpha1.ReasonScopeNotAllowed)
}

// What the schema refuses of the names of clients is what the rules in Go refuse,
// but for white space at the ends, which only the schema minds.
func TestClientNamesAreJudgedAlike(t *testing.T) {
	t.Parallel()
	d, count, refuses := throw(t), tally{}, schemaOf(t, "mcpclientregistrations")
	for range rounds {
		r, as := registration("random"), open("strict")
		r.Spec.ClientName = d.clientName()
		as.Spec.AllowedNamespaces = &v1alpha1.AllowedNamespaces{From: v1alpha1.NamespacesAll}
		decision := policy.Registration(policy.RegistrationFacts{
			Registration: r, AuthorizationServer: policy.AuthorizationServerFact{Is: policy.Present, Object: as},
			Namespace: policy.NamespaceFact{Is: policy.Present, Name: r.Namespace}, GrantsAre: policy.Present, RecordIs: policy.Absent,
		}, created)
		said := ""
		refusal := refuses(r)
		switch {
		case strings.Contains(refusal, "must be one line"), strings.Contains(refusal, "Too long"):
			said = v1alpha1.ReasonClientNameNotAllowed
		case refusal != "" && !strings.Contains(refusal, "white space"):
			t.Fatalf("refused in another way: %s", refusal)
		}
		want := ""
		if decision.Verdict.Reason == v1alpha1.ReasonClientNameNotAllowed {
			want = decision.Verdict.Reason
		}
		count.compare(t, r, said, want)
	}
	count.saw(t, v1alpha1.ReasonClientNameNotAllowed)
}

// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"strings"
	"sync"
	"testing"
	"unicode/utf8"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

// FuzzParity gives any annotations, patterns and places to the policies and to the
// rules in Go, which must refuse the same for the same reason.
func FuzzParity(f *testing.F) {
	f.Add("2026-10-01T00:00:00Z", testOwner, `[a-z-]+@example\.com`, "https://app.example.com/keys", `https://app\.example\.com/.*`, int64(86400))
	f.Add("9998-12-31T23:30:00-01:00", "\u00a0", "(?i)X", "https://a.example", "a|https://a.example", int64(60))
	f.Add("2026-09-01T12:00:00Z", "", "[", "", "(?:", int64(0))
	f.Add("2027-02-29T00:00:00Z", "a\n", `\Qa`, "https://app.example.com/keys\n", "(?s).*", int64(315360000))
	f.Add("2026-09-02T12:00:00.0000000001Z", "x", ".", "https://app.example.com/keys", "^https://app.example.com/keys$", int64(86400))
	var once sync.Once
	var policies []evaluator
	var refusesServer, refusesRegistration func(client.Object) string
	f.Fuzz(func(t *testing.T, end, owner, ownerPattern, place, pattern string, longest int64) {
		for _, text := range []string{end, owner, ownerPattern, place, pattern} {
			if !utf8.ValidString(text) || strings.ContainsRune(text, 0) || len(text) > 256 {
				return // JSON does not carry it so far.
			}
		}
		as := open("strict")
		as.Spec.AllowedNamespaces = &v1alpha1.AllowedNamespaces{From: v1alpha1.NamespacesAll}
		as.Spec.Policy = &v1alpha1.RegistrationPolicy{OwnerPattern: ownerPattern, JWKSURIPatterns: []string{pattern}}
		if longest >= 60 && longest <= 315360000 {
			as.Spec.Policy.MaxRegistrationLifetimeSeconds = &longest
		}
		r := registration("")
		r.ObjectMeta = metav1.ObjectMeta{
			Name: "random", Namespace: clientsNamespace, Generation: 1, CreationTimestamp: metav1.NewTime(created),
			Annotations: map[string]string{v1alpha1.AnnotationOwner: owner, v1alpha1.AnnotationExpiresAt: end},
		}
		r.Status.ObservedGeneration = -1
		r.Spec.TokenEndpointAuthMethod, r.Spec.JWKSURI = v1alpha1.AuthMethodPrivateKeyJWT, place
		decision := policy.Registration(policy.RegistrationFacts{
			Registration: r, AuthorizationServer: policy.AuthorizationServerFact{Is: policy.Present, Object: as},
			Namespace: policy.NamespaceFact{Is: policy.Present, Name: r.Namespace},
			GrantsAre: policy.Present, RecordIs: policy.Absent, Credentials: policy.CredentialsFact{Is: policy.Absent},
		}, created)
		once.Do(func() {
			policies, refusesServer, refusesRegistration = evaluators(t), schemaOf(t, "authorizationservers"), schemaOf(t, "mcpclientregistrations")
		})
		if refusesServer(as) != "" || refusesRegistration(r) != "" {
			return
		}
		said := firstReason(t, ask(t, policies, question{who: alice, object: r, params: as}))
		if want := known(decision.Verdict.Reason); said != want {
			t.Errorf("the policies say %q, the rules in Go %q\n%s%s", said, want, write(t, r), write(t, as))
		}
	})
}

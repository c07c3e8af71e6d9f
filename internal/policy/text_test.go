// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"strings"
	"testing"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
)

var (
	goodOwners = map[string]string{
		"an address": testOwner, "a team in another script": "経理チーム äö", "256 emoji": strings.Repeat("😀", 256),
		"256 letters": strings.Repeat("a", 256), "words": "Team Payments <pay@example.com>",
	}
	badOwners = map[string]string{
		"a line that is ended": "team@example.com\n", "a carriage return": "team@example.com\r", "a tab within": "team\t@example.com",
		"a null": "team\x00@example.com", "an escape": "\x1b[31mteam", "a delete": "team\x7f", "a control of C1": "team\u0085b",
		"a separator of lines": "team\u2028b", "a separator of paragraphs": "team\u2029b",
		"a turn of the text": "team\u202eb", "an isolate": "team\u2066b", "a space of no width": "team\u200bb", "a mark of byte order": "\ufeffteam",
		"a tag that nobody sees": "team\U000E0041", "a space before": " team@example.com", "a space after": "team@example.com ", "a wide space after": "team\u3000",
		"257 letters": strings.Repeat("a", 257), "257 emoji": strings.Repeat("😀", 257), "a quarter of a megabyte": strings.Repeat("a", 256<<10),
		"no character": "team\xff",
	}
)

// An owner that an authorization server could not repeat is refused for every
// kind, and never sent.
func TestOwnersAreOneLine(t *testing.T) {
	for name, owner := range goodOwners {
		f := facts(func(f *RegistrationFacts) { annotate(f.Registration, v1alpha1.AnnotationOwner, owner) })
		d := Registration(f, now)
		equal(t, name, Register, d.Action)
		equal(t, name+": contacts", []string{owner}, d.Wish.Contacts)
	}
	for name, owner := range badOwners {
		f := liveFacts(func(f *RegistrationFacts) { annotate(f.Registration, v1alpha1.AnnotationOwner, owner) })
		d := Registration(f, now)
		equal(t, name, refusedFor(v1alpha1.ReasonOwnerInvalid, v1alpha1.CauseOwnerMissing), brief(d.Verdict))
		equal(t, name+": action", Revoke, d.Action)
		equal(t, name+": contacts", 0, len(d.Wish.Contacts))
		mentions(t, d.Verdict.Message, "mcp-registrar.dev/owner", "256 characters", "control", "for example")
		g := grant()
		annotate(g, v1alpha1.AnnotationOwner, owner)
		equal(t, name+": grant", v1alpha1.ReasonOwnerInvalid, Grant(grantFacts(g), now).Verdict.Reason)
		s := server()
		annotate(s, v1alpha1.AnnotationOwner, owner)
		equal(t, name+": server", v1alpha1.ReasonOwnerInvalid, Server(ServerFacts{Server: s}).Reason)
		equal(t, name+": guards", RefusedRevoked, ClientOf(f.Registration).Left)
	}
}

// The name and the places of a client, where the schema was bypassed.
func TestTextsOfAClientAreBounded(t *testing.T) {
	named := func(name string) func(*RegistrationFacts) {
		return func(f *RegistrationFacts) { f.Registration.Spec.ClientName = name }
	}
	redirects := func(uris ...v1alpha1.RedirectURI) func(*RegistrationFacts) {
		return func(f *RegistrationFacts) { interactive(f.Registration); f.Registration.Spec.RedirectURIs = uris }
	}
	keys := func(change func(*v1alpha1.MCPClientRegistrationSpec)) func(*RegistrationFacts) {
		return func(f *RegistrationFacts) {
			privateKeyJWT(f.Registration)
			change(&f.Registration.Spec)
			f.change(func(as *v1alpha1.AuthorizationServer) { as.Spec.Policy.JWKSURIPatterns = []string{"(?s).*"} })
		}
	}
	at := func(uri string) func(*RegistrationFacts) {
		return keys(func(s *v1alpha1.MCPClientRegistrationSpec) { s.JWKSURI = uri })
	}
	word := func(member, value string) func(*RegistrationFacts) {
		return keys(func(s *v1alpha1.MCPClientRegistrationSpec) {
			s.JWKS = fmt.Sprintf(`{"keys":[{"kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM","%s":"%s"}]}`, member, value)
		})
	}
	uri := func(n int) string { return "https://app.example.com/" + strings.Repeat("a", n-24) }
	var crowd []v1alpha1.RedirectURI
	for i := range 33 {
		crowd = append(crowd, v1alpha1.RedirectURI(fmt.Sprintf("https://app.example.com/%d", i)))
	}
	for name, c := range map[string]struct {
		change func(*RegistrationFacts)
		reason string
	}{
		"128 emoji":                 {named(strings.Repeat("😀", 128)), v1alpha1.ReasonAccepted},
		"joined emoji":              {named("請求書 👩‍💻"), v1alpha1.ReasonAccepted},
		"a long name":               {named(strings.Repeat("n", 129)), v1alpha1.ReasonClientNameNotAllowed},
		"a name of two lines":       {named("a\nb"), v1alpha1.ReasonClientNameNotAllowed},
		"a name with a null":        {named("a\x00"), v1alpha1.ReasonClientNameNotAllowed},
		"a name that turns round":   {named("a\u202eb"), v1alpha1.ReasonClientNameNotAllowed},
		"a blank name":              {named(" "), v1alpha1.ReasonClientNameNotAllowed},
		"32 redirects":              {redirects(crowd[:32]...), v1alpha1.ReasonAccepted},
		"33 redirects":              {redirects(crowd...), v1alpha1.ReasonRedirectURINotAllowed},
		"a redirect of 512":         {redirects(v1alpha1.RedirectURI(uri(512))), v1alpha1.ReasonAccepted},
		"a redirect of 513":         {redirects(v1alpha1.RedirectURI(uri(513))), v1alpha1.ReasonRedirectURINotAllowed},
		"an address of 512":         {at(uri(512)), v1alpha1.ReasonAccepted},
		"an address of 513":         {at(uri(513)), v1alpha1.ReasonJWKSNotAllowed},
		"an address of two lines":   {at("https://app.example.com/\n"), v1alpha1.ReasonJWKSNotAllowed},
		"a key's id":                {word("kid", strings.Repeat("k", 256)), v1alpha1.ReasonAccepted},
		"a key's long id":           {word("kid", strings.Repeat("k", 257)), v1alpha1.ReasonJWKSNotAllowed},
		"a key's id with a null":    {word("kid", `a\u0000`), v1alpha1.ReasonJWKSNotAllowed},
		"a key's use of two lines":  {word("use", `a\n`), v1alpha1.ReasonJWKSNotAllowed},
		"a key's algorithm, a line": {word("alg", `a\u2028b`), v1alpha1.ReasonJWKSNotAllowed},
	} {
		equal(t, name, c.reason, Registration(facts(c.change), now).Verdict.Reason)
	}
}

func TestScopeNamesAreBounded(t *testing.T) {
	equal(t, "128 characters", "", scopeRefusal(v1alpha1.ScopeName(strings.Repeat("s", 128))))
	mentions(t, scopeRefusal(v1alpha1.ScopeName(strings.Repeat("s", 129))), "128 characters", "for example")
}

// A word that is too long to be kept in the record asks for no rotation.
func TestRotationRequestsAreBounded(t *testing.T) {
	for length, want := range map[int]Action{256: Rotate, 257: Keep} {
		f := liveFacts(rotating(315360000, 60))
		annotate(f.Registration, v1alpha1.AnnotationRotate, strings.Repeat("r", length))
		equal(t, fmt.Sprintf("%d characters", length), want, Registration(f, now).Action)
	}
}

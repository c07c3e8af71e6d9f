// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
)

var seed = flag.Uint64("seed", 0, "seed of the random objects; 0 takes another one each time")

// dice makes random objects, valid and broken ones.
type dice struct{ *rand.Rand }

func throw(t *testing.T) dice {
	t.Helper()
	used := *seed
	if used == 0 {
		used = rand.Uint64()
	}
	t.Logf("-seed=%d", used)
	return dice{rand.New(rand.NewPCG(used, 0))}
}

func pick[T any](d dice, of ...T) T { return of[d.IntN(len(of))] }

// some keeps each element with even odds.
func some[T any](d dice, of ...T) []T {
	var kept []T
	for _, element := range of {
		if d.IntN(2) == 0 {
			kept = append(kept, element)
		}
	}
	return kept
}

// created is the present of every random object.
var created = time.Date(2026, 9, 1, 12, 0, 0, 0, time.UTC)

// instant is a date as people and programs write it, right and wrong.
func (d dice) instant() string {
	if d.IntN(3) > 0 {
		return created.Add(time.Duration(d.IntN(80*24)-20*24) * time.Hour).Format(time.RFC3339)
	}
	number := func(width int, of ...int) string { return fmt.Sprintf("%0*d", width, pick(d, of...)) }
	year := number(4, 0, 1, 2, 1900, 2000, 2024, 2026, 2027, 2100, 9998, 9999)
	month, day := number(2, 0, 1, 2, 2, 2, 4, 11, 12, 12, 13), number(2, 0, 1, 1, 28, 29, 30, 31, 31, 32)
	hour, minute, second := number(pick(d, 1, 2, 2, 2), 0, 1, 9, 12, 23, 24), number(2, 0, 5, 59, 60), number(2, 0, 59, 60)
	fraction := pick(d, "", "", "", ".5", ",5", ".", ".999999999", ".0000000000001", ".x")
	zone := pick(d, "Z", "Z", "Z", "+00:00", "-01:00", "+14:00", "-23:59", "+24:00", "+24:60", "+25:00", "+00:61", "-0100", "+1:00", "z", "", " Z")
	text := year + "-" + month + "-" + day + pick(d, "T", "T", "T", "T", "t", " ") + hour + ":" + minute + ":" + second + fraction + zone
	if d.IntN(10) == 0 {
		at := d.IntN(len(text))
		text = text[:at] + pick(d, "", "0", "x", "-", "٣", "\n", "+") + text[at+1:]
	}
	return text
}

func (d dice) owner() string {
	if d.IntN(3) > 0 {
		return pick(d, testOwner, "team-b@example.com", "a")
	}
	return pick(d, "x", "X team-payments@example.com", "team-payments@example.com\n", " ", "\t\n",
		"\u00a0", "\u2003\u3000", "\u0085", "\u200b", "\ufeff", "", "a", "b", "[", "äö@example.com", d.oddOwner())
}

// oddOwner is an owner with a character that it may not have, or at its bound.
func (d dice) oddOwner() string {
	if d.IntN(3) == 0 {
		return strings.Repeat(pick(d, "a", "ä", "😀"), pick(d, 255, 256, 257, 1000))
	}
	odd := pick(d, "\x00", "\t", "\r", "\n", "\x1b", "\x7f", "\u0080", "\u0085", "\u009f", "\u00ad", "\u061c", "\u200b", "\u200d", "\u200e",
		"\u2028", "\u2029", "\u202e", "\u2066", "\ufeff", "\U000e0041", "\u00a0", " ", "\u2003", "é", "\u0301", "😀", "\ue000", "\U0010ffff", "\u0378")
	at := d.IntN(len(testOwner) + 1)
	return testOwner[:at] + odd + testOwner[at:]
}

// clientName is a name that people may see, or may not.
func (d dice) clientName() string {
	name := []rune("Desktop assistant")
	if d.IntN(4) == 0 {
		name = []rune(strings.Repeat(pick(d, "a", "😀"), pick(d, 127, 128, 129, 300)))
	}
	for range d.IntN(3) {
		name[d.IntN(len(name))] = pick(d, 0, '\t', '\n', 0x1f, 0x7f, 0x80, 0x9f, 0xa0, 0xad, 0x200b, 0x200d, 0x2027, 0x2028, 0x2029, 0x202a, 0x202e, 0x202f, 0x2065, 0x2066, 0x2069, 0x206a, 0xfeff)
	}
	return string(name)
}

func (d dice) annotations() map[string]string {
	all := map[string]string{}
	if d.IntN(8) > 0 {
		all[v1alpha1.AnnotationOwner] = d.owner()
	}
	if d.IntN(10) > 0 {
		all[v1alpha1.AnnotationExpiresAt] = d.instant()
	}
	if len(all) == 0 {
		return nil
	}
	return all
}

func (d dice) meta() metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Name: "random", Namespace: clientsNamespace, Generation: 1,
		CreationTimestamp: metav1.NewTime(created), Annotations: d.annotations(),
	}
}

// pattern is a regular expression, or not quite one.
func (d dice) pattern() string {
	return pick(d, `[a-z-]+@example\.com`, `^[a-z-]+@example\.com$`, ".*", "(?s).*", "a|b", "a)|(b", "[", "(?i)X", `\Q`, `a|\Q`, "(?:", `\pL+@example\.com`, "team",
		`https://app\.example\.com/.*`, `https://[a-z]+\.example\.com(/[a-z]*)?`, "https://", `(?m)^https://app\.example\.com/$`, "x{1001}", `\C`, `(?P<n>a)`, "a**")
}

func (d dice) patterns() []string {
	var all []string
	for range d.IntN(4) {
		all = append(all, d.pattern())
	}
	return all
}

var (
	allGrantTypes = []v1alpha1.GrantType{v1alpha1.GrantAuthorizationCode, v1alpha1.GrantRefreshToken, v1alpha1.GrantClientCredentials, v1alpha1.GrantTokenExchange}
	allMethods    = []v1alpha1.TokenEndpointAuthMethod{v1alpha1.AuthMethodNone, v1alpha1.AuthMethodPrivateKeyJWT, v1alpha1.AuthMethodClientSecretBasic, v1alpha1.AuthMethodClientSecretPost, v1alpha1.AuthMethodClientSecret}
)

func (d dice) authorizationServer() *v1alpha1.AuthorizationServer {
	as := open("strict")
	as.Spec.AllowedNamespaces = &v1alpha1.AllowedNamespaces{From: v1alpha1.NamespacesAll}
	if d.IntN(10) == 0 {
		return as
	}
	as.Spec.Policy = &v1alpha1.RegistrationPolicy{
		AllowedGrantTypes:               some(d, allGrantTypes...),
		AllowedTokenEndpointAuthMethods: some(d, allMethods...),
		RedirectURIPatterns:             append(d.patterns(), some(d, "cursor://.*", `[a-z.]+:/+[a-z./]*`, `(com\.example\.app|cursor):.*`)...),
		JWKSURIPatterns:                 d.patterns(),
	}
	if d.IntN(2) == 0 {
		as.Spec.Policy.OwnerPattern = d.pattern()
	}
	if d.IntN(3) > 0 {
		as.Spec.Policy.MaxRegistrationLifetimeSeconds = new(pick(d, int64(60), 3600, 30*24*3600, 315360000))
	}
	return as
}

// registration is one that the schema admits, but for its annotations.
func (d dice) registration() *v1alpha1.MCPClientRegistration {
	r := registration("")
	r.ObjectMeta = d.meta()
	r.Status.ObservedGeneration = -1
	r.Spec.TokenEndpointAuthMethod = pick(d, allMethods...)
	r.Spec.GrantTypes = some(d, v1alpha1.GrantClientCredentials, v1alpha1.GrantTokenExchange)
	if r.Spec.TokenEndpointAuthMethod == v1alpha1.AuthMethodNone || len(r.Spec.GrantTypes) == 0 || d.IntN(2) == 0 {
		r.Spec.GrantTypes = append(some(d, v1alpha1.GrantRefreshToken), v1alpha1.GrantAuthorizationCode)
		for range 1 + d.IntN(3) {
			r.Spec.RedirectURIs = append(r.Spec.RedirectURIs, pick[v1alpha1.RedirectURI](d, "https://app.example.com/", "https://app.example.com/a", "https://b.example.com", "https://app.example.com/a%20b?x=1", "https://app.example.com:8443/", "cursor://app.example.com/a", "com.example.app:/callback"))
		}
		if slices.ContainsFunc(r.Spec.RedirectURIs, func(uri v1alpha1.RedirectURI) bool { return !strings.HasPrefix(string(uri), "https:") }) {
			r.Spec.ApplicationType = v1alpha1.ApplicationNative
		}
	}
	if r.Spec.TokenEndpointAuthMethod == v1alpha1.AuthMethodPrivateKeyJWT && d.IntN(2) == 0 {
		r.Spec.JWKSURI = pick(d, "https://app.example.com/", "https://app.example.com/keys", "https://keys.example.com/a", "https://other.example.org/A")
	}
	return r
}

func (d dice) grant() *v1alpha1.ScopeGrant {
	g := grant("")
	g.ObjectMeta = d.meta()
	g.Status.ObservedGeneration = -1
	return g
}

func (d dice) server() *v1alpha1.MCPServer {
	s := server("random")
	s.ObjectMeta = d.meta()
	return s
}

// scope is a scope name, or not quite one.
func (d dice) scope() v1alpha1.ScopeName {
	parts := []string{"*", "all", "any", "admin", "Root", "full", "-", "_", ".", ":", "/", "access", "invoices", "read", "é", "\n", "ALL", "everything",
		" ", `"`, `\`, "!", "#", "~", "\x7f", "super", "user", "wild", "card", "istrator", "K", "ſ", "İ", "administrator", "[", "]", "^"}
	var name strings.Builder
	for range 1 + d.IntN(5) {
		name.WriteString(pick(d, parts...))
	}
	if d.IntN(10) == 0 {
		name.WriteString(strings.Repeat("s", max(pick(d, 127, 128, 129, 200)-name.Len(), 0)))
	}
	return v1alpha1.ScopeName(name.String())
}

// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package tenant

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/test/devas"
)

// oddity is one thing that is odd about the objects of a tenant.
type oddity struct {
	name string
	make func(d dice, o *objects)
	// bare is refused by our admission policies, wherever they are.
	bare bool
}

// oddities are all of them. Each must be admitted in each run, in each world that
// can admit it.
var oddities = []oddity{
	{name: "owner of letters", make: func(d dice, o *objects) {
		for _, object := range o.all() {
			annotated(object, v1alpha1.AnnotationOwner, d.text(1+d.IntN(256), letters...))
		}
	}},
	{name: "owner with a line feed", bare: true, make: func(_ dice, o *objects) { annotated(o.reg, v1alpha1.AnnotationOwner, owner+"\n") }},
	{name: "owner that is long", bare: true, make: func(d dice, o *objects) {
		annotated(o.reg, v1alpha1.AnnotationOwner, strings.Repeat(pick(d, letters...), pick(d, 257, 4096, 60_000)))
	}},
	{name: "owner with controls", bare: true, make: func(d dice, o *objects) {
		annotated(pick(d, o.all()...), v1alpha1.AnnotationOwner, d.mixed(1+d.IntN(300)))
	}},
	{name: "owner that is blank", bare: true, make: func(d dice, o *objects) {
		annotated(pick(d, o.all()...), v1alpha1.AnnotationOwner, pick(d, "", " ", "\n", "\u00a0", "\u3000", "\x00"))
	}},
	{name: "end at an extreme", make: func(d dice, o *objects) {
		annotated(pick(d, client.Object(o.reg), client.Object(o.grants[0])), v1alpha1.AnnotationExpiresAt, pick(d,
			"9998-12-31T23:59:59Z", "9998-12-31T23:59:59.999999999+00:00", "2100-02-28T24:00:00Z", "2099-01-01T0:00:00Z", "2099-01-01T00:00:00,5Z",
			"2999-01-01T00:00:00."+strings.Repeat("9", 300)+"Z", "2999-01-01T00:00:00+23:59", "2999-01-01T00:00:00-24:00", "2096-02-29T00:00:00+24:60"))
	}},
	{name: "end that cannot be read", bare: true, make: func(d dice, o *objects) {
		annotated(pick(d, client.Object(o.reg), client.Object(o.grants[0])), v1alpha1.AnnotationExpiresAt, pick(d,
			"", "never", "9999-12-31T23:59:59-23:59", "10000-01-01T00:00:00Z", "2099-02-29T00:00:00Z", "99999999999", "2999-01-01T00:00:00Z\n", d.mixed(40), strings.Repeat("9", 100_000)))
	}},
	{name: "client name of letters", make: func(d dice, o *objects) { o.reg.Spec.ClientName = "a" + d.text(126, letters...) + "z" }},
	{name: "client name of syntax", make: func(d dice, o *objects) {
		name := "a" + d.text(1+d.IntN(12), syntax...)
		o.reg.Spec.ClientName = strings.TrimSpace(name[:min(len(name), 128)])
	}},
	{name: "name of 253 characters", make: func(d dice, o *objects) { o.renamed(d.longName(253)) }},
	{name: "server name of 253 characters", make: func(d dice, o *objects) {
		o.server.Name = d.longName(253)
		for _, grant := range o.grants {
			grant.Spec.ServerRef.Name = o.server.Name
		}
	}},
	{name: "grant name of 253 characters", make: func(d dice, o *objects) { o.grants[0].Name = d.longName(253) }},
	{name: "authorization server name of 253 characters", make: func(d dice, o *objects) {
		o.as.Name = d.longName(253)
		o.reg.Spec.AuthorizationServerRef.Name, o.server.Spec.AuthorizationServerRef.Name = o.as.Name, o.as.Name
	}},
	{name: "many long redirect URIs", make: func(d dice, o *objects) {
		var uris []v1alpha1.RedirectURI
		for i := range 32 {
			uris = append(uris, v1alpha1.RedirectURI(fmt.Sprintf("https://app.example.com/%02d/%s", i, d.text(512-27, plainest...))))
		}
		o.interactive(v1alpha1.ApplicationWeb, uris...)
	}},
	{name: "odd redirect URI", make: func(d dice, o *objects) { o.interactive(v1alpha1.ApplicationNative, d.redirect()) }},
	{name: "odd resource", make: func(d dice, o *objects) { o.server.Spec.Resource = d.resource(o.server.Spec.Resource) }},
	{name: "odd audience", make: func(d dice, o *objects) { o.server.Spec.Audience = d.resource("https://audience.example.com") }},
	{name: "many long scopes", make: func(d dice, o *objects) {
		o.server.Spec.Scopes = nil
		for i := range 128 {
			name := v1alpha1.ScopeName(fmt.Sprintf("%03d:%s", i, d.text(124, plainest...)))
			o.server.Spec.Scopes = append(o.server.Spec.Scopes, v1alpha1.Scope{Name: name, Tier: v1alpha1.TierRead})
		}
		o.grants = []*v1alpha1.ScopeGrant{o.grant(o.server.Name, names(o.server.Spec.Scopes[:64])...), o.grant(o.server.Name[:min(len(o.server.Name), 200)]+"-2", names(o.server.Spec.Scopes[64:])...)}
	}},
	{name: "odd scopes", make: func(d dice, o *objects) {
		for i := range o.server.Spec.Scopes {
			o.server.Spec.Scopes[i].Name = v1alpha1.ScopeName(fmt.Sprintf("%d%s", i, d.text(1+d.IntN(127), tokens...)))
		}
		for _, grant := range o.grants {
			grant.Spec.Scopes = names(o.server.Spec.Scopes[:min(len(o.server.Spec.Scopes), 64)])
		}
	}},
	{name: "odd tools", make: func(d dice, o *objects) {
		for i := range 250 {
			o.server.Spec.Scopes[0].Tools = append(o.server.Spec.Scopes[0].Tools, fmt.Sprintf("%d", i)+d.mixed(1+d.IntN(6)))
		}
		o.server.Spec.Scopes[1].Tools = []string{strings.Repeat(pick(d, letters...), 128)}
		o.server.Spec.ToolChanges = v1alpha1.ToolChangesWithhold
	}},
	{name: "odd descriptions", make: func(d dice, o *objects) {
		for i := range o.server.Spec.Scopes {
			o.server.Spec.Scopes[i].Description = cut(d.mixed(512), 512)
		}
	}},
	{name: "scopes above Read", make: func(d dice, o *objects) {
		o.server.Spec.Scopes[0].Tier = pick(d, v1alpha1.TierWrite, v1alpha1.TierElevated)
		o.grants[0].Spec.Reason = cut(d.mixed(1024), 1024)
		o.approval = &v1alpha1.ScopeGrantApproval{
			ObjectMeta: metav1.ObjectMeta{Namespace: teamNamespace, GenerateName: "odd-"},
			Spec: v1alpha1.ScopeGrantApprovalSpec{
				ServerRef: v1alpha1.ApprovedServer{Name: o.server.Name}, ClientRef: &v1alpha1.ApprovedClient{Namespace: teamNamespace, Name: o.reg.Name},
				Scopes: []string{string(o.server.Spec.Scopes[0].Name)}, Decision: v1alpha1.DecisionApproved, Reason: cut(d.mixed(1024), 1024),
				ExpirationTime: new(metav1.NewTime(inAnHour())),
			},
		}
	}},
	{name: "guarded", make: func(d dice, o *objects) {
		o.server.Spec.Boundary, o.server.Spec.GuardNamespaces = v1alpha1.BoundaryGuarded, []string{guardNamespace}
		for i := range 15 {
			o.server.Spec.GuardNamespaces = append(o.server.Spec.GuardNamespaces, fmt.Sprintf("%02d%s", i, d.text(61, letters...)))
		}
		o.server.Spec.AccessTokenLifetimeSeconds = new(pick(d, int32(30), int32(3600)))
	}},
	{name: "many grants", make: func(d dice, o *objects) {
		count := 2 + d.IntN(12)
		if d.odds(16) {
			count = 260
		}
		for i := range count {
			o.grants = append(o.grants, o.grant(fmt.Sprintf("%s-m%d", o.server.Name[:min(len(o.server.Name), 200)], i), o.grants[0].Spec.Scopes[0]))
		}
	}},
	{name: "grants of nothing", make: func(d dice, o *objects) {
		name := o.server.Name[:min(len(o.server.Name), 200)]
		gone, foreign, other := o.grant(name+"-gone", "no:such"), o.grant(name+"-far", "files:read"), o.grant(name+"-other", "files:read")
		gone.Spec.ServerRef.Name, foreign.Spec.ServerRef.Namespace = d.mixed(20), d.mixed(5)
		other.Spec.ClientRef.Name = d.mixed(20)
		o.grants = append(o.grants, gone, foreign, other)
	}},
	{name: "grants with odd reasons", make: func(d dice, o *objects) {
		for _, grant := range o.grants {
			grant.Spec.Reason = cut(d.mixed(1024), 1024)
		}
	}},
	{name: "many labels", make: func(d dice, o *objects) {
		object, labels := pick(d, o.all()...), map[string]string{}
		for i := range pick(d, 10, 100, 120) {
			labels[d.longName(200)+"/"+fmt.Sprintf("%03d", i)+d.text(60, plainest...)] = d.text(63, plainest...)
		}
		object.SetLabels(labels)
	}},
	{name: "full of annotations", make: func(d dice, o *objects) {
		object := pick(d, o.all()...)
		for i := range 60 {
			annotated(object, fmt.Sprintf("%s/k-%d", d.longName(200), i), cut(d.mixed(600), 600))
		}
	}},
	{name: "beyond our annotations", bare: true, make: func(d dice, o *objects) {
		object := pick(d, o.all()...)
		annotated(object, "example.com/x", strings.Repeat(pick(d, "a", "\x01", "😀"), (70_000+d.IntN(180_000))/4))
		annotated(object, "example.com/y", strings.Repeat("y", 70_000))
	}},
	{name: "finalizers of others", make: func(d dice, o *objects) {
		for i := range 1 + d.IntN(16) {
			o.reg.Finalizers = append(o.reg.Finalizers, fmt.Sprintf("example.com/%d-%s", i, d.text(50, plainest...)))
		}
	}},
	{name: "our finalizer beforehand", bare: true, make: func(_ dice, o *objects) { o.reg.Finalizers = append(o.reg.Finalizers, v1alpha1.Finalizer) }},
	{name: "owners of others", make: func(d dice, o *objects) {
		descend(pick(d, o.all()...), 1+d.IntN(16), 1+d.IntN(400))
	}},
	{name: "filled by finalizers", bare: true, make: func(d dice, o *objects) {
		for i := range d.filling() / 130 {
			o.reg.Finalizers = append(o.reg.Finalizers, fmt.Sprintf("%s.example.com/%060d", strings.Repeat("a", 50), i))
		}
	}},
	{name: "filled by owners", bare: true, make: func(d dice, o *objects) {
		length := 100 + d.IntN(1000)
		descend(pick(d, o.all()...), d.filling()/(length+100), length)
	}},
	{name: "filled by labels", bare: true, make: func(d dice, o *objects) {
		labels := map[string]string{}
		for i := range d.filling() / 400 {
			labels[fmt.Sprintf("%s.example.com/%063d", strings.Repeat("a", 63), i)] = d.text(63, plainest...)
		}
		pick(d, client.Object(o.reg), client.Object(o.grants[0])).SetLabels(labels)
	}},
	{name: "many field managers", make: func(d dice, o *objects) { o.managers = 10 + d.IntN(40) }},
	{name: "rotate", make: func(d dice, o *objects) { annotated(o.reg, v1alpha1.AnnotationRotate, cut(d.mixed(256), 256)) }},
	{name: "adopt", make: func(d dice, o *objects) { annotated(o.reg, v1alpha1.AnnotationAdopt, cut(d.mixed(512), 512)) }},
	{name: "words of ours", bare: true, make: func(d dice, o *objects) {
		for _, key := range []string{
			v1alpha1.AnnotationRotate, v1alpha1.AnnotationPaused, v1alpha1.AnnotationRelease, v1alpha1.AnnotationRegistration, v1alpha1.AnnotationSeen,
			"mcp-registrar.dev/force-release", v1alpha1.AnnotationRequestedBy, v1alpha1.AnnotationChangedBy,
		} {
			annotated(pick(d, o.all()...), key, pick(d, "", "true", d.mixed(100), strings.Repeat("x", 10_000)))
		}
	}},
	{name: "labels of ours", bare: true, make: func(d dice, o *objects) {
		o.reg.Labels = map[string]string{
			v1alpha1.LabelManagedBy: v1alpha1.ManagedByValue, v1alpha1.LabelRegistrationUID: "x", v1alpha1.LabelPossibleOrphan: "true",
			v1alpha1.LabelClient: d.text(63, plainest...), v1alpha1.LabelAuthorizationServer: "other", v1alpha1.LabelGuard: "true",
		}
	}},
	{name: "full Secret", make: func(d dice, o *objects) {
		c := &v1alpha1.Credentials{SecretName: d.longName(253), Labels: map[string]string{}, Annotations: map[string]string{}}
		for i := range 12 {
			c.Labels[fmt.Sprintf("%s/l-%d", d.longName(200), i)] = d.text(63, plainest...)
		}
		for i := range 32 {
			c.Annotations[fmt.Sprintf("%s/a-%d", d.longName(200), i)] = cut(d.mixed(512), 512)
		}
		c.RotateAfterSeconds, c.RotationOverlapSeconds = new(pick(d, int32(300), int32(315360000))), new(pick(d, int32(1), int32(86400)))
		o.reg.Spec.Credentials = c
	}},
	{name: "keys of one's own", make: func(d dice, o *objects) {
		o.reg.Spec.TokenEndpointAuthMethod, o.reg.Spec.JWKS, o.reg.Spec.Credentials = v1alpha1.AuthMethodPrivateKeyJWT, d.keys(), nil
		if len(o.reg.Name) > 242 {
			o.reg.Spec.Credentials = &v1alpha1.Credentials{SecretName: o.reg.Name}
		}
	}},
	{name: "server with ids of ours", make: func(_ dice, o *objects) { o.ownIDs = true }},
	{name: "server that answers oddly", make: func(d dice, o *objects) { o.switches = d.switches() }},
}

// all are the objects of the tenant but for the grants after the first.
func (o *objects) all() []client.Object { return []client.Object{o.reg, o.server, o.grants[0]} }

func names(scopes []v1alpha1.Scope) []v1alpha1.ScopeName {
	var all []v1alpha1.ScopeName
	for _, scope := range scopes {
		all = append(all, scope.Name)
	}
	return all
}

// cut keeps so many characters.
func cut(text string, most int) string {
	text = strings.ReplaceAll(text, half, "")
	return string([]rune(text)[:min(len([]rune(text)), most)])
}

func descend(object client.Object, count, length int) {
	var owners []metav1.OwnerReference
	for i := range count {
		owners = append(owners, metav1.OwnerReference{APIVersion: "v1", Kind: "ConfigMap", Name: strings.Repeat("n", length), UID: types.UID(fmt.Sprintf("%036d", i))})
	}
	object.SetOwnerReferences(owners)
}

// filling is how many bytes an object is filled with: up to what etcd takes.
func (d dice) filling() int {
	return pick(d, 70_000, 500_000, 1_000_000, 1_200_000, 1_350_000, 1_420_000, 1_470_000, 1_500_000)
}

func (d dice) redirect() v1alpha1.RedirectURI {
	return v1alpha1.RedirectURI(pick(d,
		"http://[::1]:65535/", "http://127.0.0.1:0/cb", "http://localhost", "http://localhost?", "https://xn--mnchen-3ya.example/cb", "https://EXAMPLE.com/CB",
		"https://app.example.com/%00%0a%ff", "https://app.example.com//a///b", "https://app.example.com/cb?a=b&a=b&=&%26", "https://app.example.com/cb?code=x&state=y",
		"https://app.example.com:443/cb", "https://app.example.com./cb", "https://1.2.3.4/cb", "https://[::ffff:1.2.3.4]/cb", "https://app.example.com/;p=1/(x)!$'",
		"https://app.example.com/"+d.text(160, "~a-", "%20", "a=&")))
}

func (d dice) resource(from string) string {
	return from + pick(d, "/", "//", "?a=b", "?", "/%2e%2e/x", "/%00", "/;a=b", "/(!$&',)", ":@", "/"+strings.Repeat("x", 512-len(from)-1), "/~", "/%E2%80%AE")
}

// keys is a set of public keys near its bound, with members that nobody knows.
func (d dice) keys() string {
	var set jose.JSONWebKeySet
	for i := range 1 + d.IntN(30) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			panic(err) // the system's randomness is at its end
		}
		set.Keys = append(set.Keys, jose.JSONWebKey{Key: key.Public(), KeyID: fmt.Sprintf("%d-%s", i, d.text(100, letters...)), Algorithm: "ES256", Use: "sig"})
	}
	text, err := json.Marshal(set)
	if err != nil {
		panic(err) // jose cannot write what it made
	}
	return string(text)
}

// switches are deviations of a server that say nothing about whether its clients
// can be deleted.
func (d dice) switches() devas.Switches {
	members := map[string]json.RawMessage{
		"contacts": json.RawMessage(pick(d, `["a\n"]`, `"a"`, `{}`, `[[]]`, `null`)), "client_name": json.RawMessage(pick(d, `"a\u2028b"`, `7`, `null`)),
		"scope":                    json.RawMessage(pick(d, `["files:read"]`, fmt.Sprintf("%q", strings.Repeat("s", 100_000)), `null`)),
		"client_secret_expires_at": json.RawMessage(pick(d, `"0"`, `1900000000000`, `null`)), "jwks": json.RawMessage(`"none"`),
		"logo_uri": json.RawMessage(`"\ud800"`), "redirect_uris": json.RawMessage(pick(d, `[1,2]`, `null`)),
	}
	one := pick(d, "contacts", "client_name", "scope", "client_secret_expires_at", "jwks", "logo_uri", "redirect_uris")
	return pick(d,
		devas.Switches{RotateRegistrationToken: devas.RotateAlways}, devas.Switches{RotateRegistrationToken: devas.RotateOnPut, RotateSecretOnPut: true},
		devas.Switches{DropUnknownFields: true, DropSoftware: true}, devas.Switches{SecretMask: "********"}, devas.Switches{SecretForPublic: true},
		devas.Switches{ExtraScope: "admin"}, devas.Switches{OnlyScopes: []string{"notes:read"}}, devas.Switches{LatencyMillis: 100 + d.IntN(400)},
		devas.Switches{ClockAheadSeconds: d.IntN(7200) - 3600}, devas.Switches{AnswerWith: map[string]json.RawMessage{one: members[one]}},
		devas.Switches{AnswerWith: map[string]json.RawMessage{one: members[one]}}, devas.Switches{TokenLifetimeSeconds: int(time.Hour / time.Second)},
	)
}

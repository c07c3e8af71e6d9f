// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package tenant

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/test/devas"
)

const owner = "team-a@example.com"

// objects are what one tenant writes, and the authorization server that it is at.
type objects struct {
	as     *v1alpha1.AuthorizationServer
	server *v1alpha1.MCPServer
	reg    *v1alpha1.MCPClientRegistration
	grants []*v1alpha1.ScopeGrant
	// approval is what an owner of the server said beforehand; nil for nothing.
	approval *v1alpha1.ScopeGrantApproval
	// managers is how many field managers apply something to the registration.
	managers int
	// ownIDs and switches are of the authorization server.
	ownIDs   bool
	switches devas.Switches
}

func identity(until time.Time) map[string]string {
	return map[string]string{v1alpha1.AnnotationOwner: owner, v1alpha1.AnnotationExpiresAt: until.UTC().Format(time.RFC3339)}
}

func inAnHour() time.Time { return time.Now().Add(time.Hour) }

// newObjects are those of a tenant that nothing is odd about.
func newObjects(name, as string) *objects {
	o := &objects{
		as: &v1alpha1.AuthorizationServer{
			ObjectMeta: metav1.ObjectMeta{Name: as},
			Spec:       v1alpha1.AuthorizationServerSpec{AllowedNamespaces: &v1alpha1.AllowedNamespaces{From: v1alpha1.NamespacesAll}, AllowedServers: &v1alpha1.AllowedNamespaces{From: v1alpha1.NamespacesAll}},
		},
		server: &v1alpha1.MCPServer{
			TypeMeta:   typeMeta("MCPServer"),
			ObjectMeta: metav1.ObjectMeta{Namespace: teamNamespace, Name: name, Annotations: map[string]string{v1alpha1.AnnotationOwner: owner}},
			Spec: v1alpha1.MCPServerSpec{
				Resource:               "https://mcp.example.com/" + name,
				AuthorizationServerRef: v1alpha1.AuthorizationServerReference{Name: as},
				Scopes: []v1alpha1.Scope{
					{Name: "files:read", Tier: v1alpha1.TierRead}, {Name: "notes:read", Tier: v1alpha1.TierRead},
				},
			},
		},
		reg: &v1alpha1.MCPClientRegistration{
			TypeMeta:   typeMeta("MCPClientRegistration"),
			ObjectMeta: metav1.ObjectMeta{Namespace: teamNamespace, Name: name, Annotations: identity(inAnHour())},
			Spec: v1alpha1.MCPClientRegistrationSpec{
				AuthorizationServerRef: v1alpha1.AuthorizationServerReference{Name: as},
				ClientName:             "Desktop assistant", ApplicationType: v1alpha1.ApplicationWeb,
				GrantTypes:              []v1alpha1.GrantType{v1alpha1.GrantClientCredentials},
				TokenEndpointAuthMethod: v1alpha1.AuthMethodClientSecretBasic,
			},
		},
	}
	o.grants = []*v1alpha1.ScopeGrant{o.grant(name, "files:read")}
	return o
}

func typeMeta(kind string) metav1.TypeMeta {
	return metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: kind}
}

// grant is one more grant for the client.
func (o *objects) grant(name string, scopes ...v1alpha1.ScopeName) *v1alpha1.ScopeGrant {
	return &v1alpha1.ScopeGrant{
		TypeMeta:   typeMeta("ScopeGrant"),
		ObjectMeta: metav1.ObjectMeta{Namespace: teamNamespace, Name: name, Annotations: identity(inAnHour())},
		Spec: v1alpha1.ScopeGrantSpec{
			ClientRef: v1alpha1.LocalReference{Name: o.reg.Name}, ServerRef: v1alpha1.ServerReference{Name: o.server.Name}, Scopes: scopes,
		},
	}
}

// interactive makes the client one that people log in to.
func (o *objects) interactive(application v1alpha1.ApplicationType, uris ...v1alpha1.RedirectURI) {
	o.reg.Spec.ApplicationType, o.reg.Spec.RedirectURIs = application, uris
	o.reg.Spec.GrantTypes = []v1alpha1.GrantType{v1alpha1.GrantAuthorizationCode, v1alpha1.GrantRefreshToken}
}

// renamed gives the registration, and what names it, another name.
func (o *objects) renamed(name string) {
	o.reg.Name = name
	o.reg.Spec.Credentials = &v1alpha1.Credentials{SecretName: name}
	for _, grant := range o.grants {
		grant.Spec.ClientRef.Name = name
	}
	if o.approval != nil {
		o.approval.Spec.ClientRef.Name = name
	}
}

func annotated[T client.Object](object T, key, value string) T {
	annotations := object.GetAnnotations()
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[key] = value
	object.SetAnnotations(annotations)
	return object
}

// half is where half of a surrogate pair is put into the JSON, escaped.
const half = "HALF-A-PAIR"

// send creates an object as a tenant would whose tool writes JSON by itself.
func (w *world) send(ctx context.Context, resource string, object client.Object) error {
	text, err := json.Marshal(object)
	if err != nil {
		return err
	}
	text = bytes.ReplaceAll(text, []byte(half), []byte(`\ud83d`))
	return w.raw.Post().Namespace(teamNamespace).Resource(resource).SetHeader("Content-Type", "application/json").Body(text).Do(ctx).Error()
}

// apply has so many field managers each apply something to the registration.
func (w *world) apply(ctx context.Context, o *objects) error {
	for i := range o.managers {
		key := fmt.Sprintf("%s-%d", strings.Repeat("k", 50), i)
		patch := fmt.Sprintf(`{"apiVersion":%q,"kind":"MCPClientRegistration","metadata":{"annotations":{"example.com/%s":"x"}}}`, v1alpha1.GroupVersion, key)
		err := w.raw.Patch("application/apply-patch+yaml").Namespace(teamNamespace).Resource("mcpclientregistrations").Name(o.reg.Name).
			Param("fieldManager", fmt.Sprintf("%0120d", i)).Body([]byte(patch)).Do(ctx).Error()
		if err != nil {
			return err
		}
	}
	return nil
}

// dice make what is random.
type dice struct{ *rand.Rand }

func pick[T any](d dice, of ...T) T { return of[d.IntN(len(of))] }

// odds says yes once in so many times.
func (d dice) odds(times int) bool { return d.IntN(times) == 0 }

// text has so many characters of these.
func (d dice) text(characters int, of ...string) string {
	var text strings.Builder
	for range characters {
		text.WriteString(pick(d, of...))
	}
	return text.String()
}

var (
	// plainest are characters of names.
	plainest = strings.Split("abcdefghijklmnopqrstuvwxyz0123456789", "")
	// tokens are the characters of a scope, but for the wildcard.
	tokens = strings.Split("!#$%&'()+,-./:;<=>?@[]^_`{|}~aZ09", "")
	// letters are visible and odd: astral, combining, from the right to the left.
	letters = []string{
		"a", "é", "ß", "ſ", "İ", "K", "א", "ع", "ह", "\u0301", "\u0338", "한", "漢", "😀", "𝒳", "\U0001f468", "\U00020bb7", "\u0e33", "\u1abe", "ﷺ", "\ufb03",
	}
	// controls are those that hardly anything shows.
	controls = []string{
		"\x00", "\x01", "\t", "\n", "\r", "\r\n", "\x1b[2J", "\x7f", "\u0080", "\u0085", "\u00a0", "\u00ad", "\u061c", "\u200b", "\u200d", "\u200e",
		"\u2028", "\u2029", "\u202e", "\u2066", "\ufeff", "\ufffd", "\ufffe", "\uffff", "\U000e0041", "\U0010ffff", "\ue000", half,
	}
	// syntax means something to somebody.
	syntax = []string{
		`"`, `\`, `'`, `%00`, `%s%n`, `<script>`, `${jndi:ldap://127.0.0.1/x}`, `{{.}}`, `$(id)`, "`", `--`, `;`, `|`, `&amp;`, `#`, `: `, `- `, `? `, `[mcp-registrar/`, `]`, `\u0000`, `null`, `~`,
	}
)

// mixed is text of all of it.
func (d dice) mixed(characters int) string {
	return d.text(characters, append(append(append([]string{}, letters...), controls...), syntax...)...)
}

// longName is the longest name that an object can have.
func (d dice) longName(length int) string {
	name := []byte(d.text(length, plainest...))
	for at := 50 + d.IntN(10); at < length-1; at += 3 + d.IntN(60) {
		name[at] = pick(d, byte('-'), byte('.'))
	}
	for i := 1; i < len(name)-1; i++ {
		if name[i] == '.' && (name[i-1] == '-' || name[i-1] == '.' || name[i+1] == '-') {
			name[i] = 'x'
		}
		if name[i] == '-' && name[i-1] == '.' {
			name[i] = 'x'
		}
	}
	return string(name)
}

// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
)

func TestRegistrationAccepted(t *testing.T) {
	f := facts()
	d := Registration(f, now)
	d.Verdict.DueAt = time.Time{}
	equal(t, "decision", RegistrationDecision{
		Action:  Register,
		Verdict: Verdict{Standing: Allowed, Reason: v1alpha1.ReasonAccepted, Message: "the registration is accepted"},
		Wish: authserver.ClientMetadata{
			Name: "Payments agent", ApplicationType: "web", GrantTypes: []string{"client_credentials"},
			Scopes: []string{"invoices:read"}, AuthMethod: "client_secret_basic", Contacts: []string{testOwner},
		},
		AuthMethods:   []string{authserver.SecretBasic},
		Scopes:        []v1alpha1.EffectiveScope{{Name: "invoices:read", Grants: []string{"reader"}}},
		Grants:        []GrantInForce{{Grant: f.Grants[0].Grant, Basis: v1alpha1.BasisAutomatic}},
		Resources:     []string{"https://mcp.example.com/invoices"},
		Audiences:     []string{"https://mcp.example.com/invoices"},
		Term:          termOf(now.Add(-day), now.Add(30*day)),
		ExpiresAt:     now.Add(30 * day),
		TokenLifetime: 900 * time.Second,
		TokenBound:    900 * time.Second,
		Connection:    authserver.Config{Name: "main", Issuer: testIssuer, MaxInFlight: 16},
		TokenEndpoint: testIssuer + "/token",
		Next:          now.Add(10 * day),
		TakesAwayAt:   now.Add(10 * day),
	}, d)
}

// Each rule accepts these.
func TestRegistrationRulesAccept(t *testing.T) {
	cases := []struct {
		name   string
		change func(f *RegistrationFacts)
	}{
		{"state Active", func(f *RegistrationFacts) { f.Registration.Spec.State = v1alpha1.StateActive }},
		{"an owner that the pattern matches as a whole", func(f *RegistrationFacts) {
			f.change(func(as *v1alpha1.AuthorizationServer) { as.Spec.Policy.OwnerPattern = `[a-z-]+@example\.com` })
		}},
		{"no policy at all", func(f *RegistrationFacts) {
			f.change(func(as *v1alpha1.AuthorizationServer) { as.Spec.Policy = nil })
		}},
		{"a namespace whose labels match", func(f *RegistrationFacts) {
			f.change(selecting(map[string]string{"mcp": "yes"}))
			f.Namespace.Labels = map[string]string{"mcp": "yes", "other": "no"}
		}},
		{"a grant type that the policy lists", func(f *RegistrationFacts) {
			f.change(func(as *v1alpha1.AuthorizationServer) {
				as.Spec.Policy.AllowedGrantTypes = []v1alpha1.GrantType{v1alpha1.GrantTokenExchange, v1alpha1.GrantClientCredentials}
			})
		}},
		{"an authentication method that the policy lists", func(f *RegistrationFacts) {
			f.change(func(as *v1alpha1.AuthorizationServer) {
				as.Spec.Policy.AllowedTokenEndpointAuthMethods = []v1alpha1.TokenEndpointAuthMethod{v1alpha1.AuthMethodClientSecretBasic}
			})
		}},
		{"an interactive client with S256", func(f *RegistrationFacts) { interactive(f.Registration) }},
		{"a redirect URI that a pattern matches", func(f *RegistrationFacts) {
			interactive(f.Registration)
			f.change(func(as *v1alpha1.AuthorizationServer) {
				as.Spec.Policy.RedirectURIPatterns = []string{"nothing", `https://[a-z]+\.example\.com/callback`}
			})
		}},
		{"a public key set", func(f *RegistrationFacts) {
			privateKeyJWT(f.Registration)
			f.Registration.Spec.JWKS = publicSet(t)
		}},
		{"a key set URI that the policy lists", func(f *RegistrationFacts) {
			privateKeyJWT(f.Registration)
			f.Registration.Spec.JWKSURI = "https://app.example.com/jwks.json"
			f.change(func(as *v1alpha1.AuthorizationServer) {
				as.Spec.Policy.JWKSURIPatterns = []string{`https://app\.example\.com/jwks\.json`}
			})
		}},
		{"a public client whatever is known of a Secret", func(f *RegistrationFacts) {
			interactive(f.Registration)
			f.Credentials = CredentialsFact{Is: Unknown, Foreign: true}
		}},
		{"one orphan short of the bound", func(f *RegistrationFacts) {
			f.RecordIs, f.Record = Present, Record{State: RecordPending, Orphans: make([]string, maxOrphans-1)}
		}},
		{"a refusal of another wish", func(f *RegistrationFacts) {
			*f = refusedFacts(now.Add(-time.Minute))
			f.Registration.Spec.ClientName = "Another name"
		}},
		{"a new term within the maximum", func(f *RegistrationFacts) { f.change(maximum(31 * day)) }},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			d := Registration(facts(c.change), now)
			equal(t, "action", Register, d.Action)
			equal(t, "verdict", verdict{Standing: Allowed, Reason: v1alpha1.ReasonAccepted}, brief(d.Verdict))
		})
	}
}

func selecting(labels map[string]string) func(*v1alpha1.AuthorizationServer) {
	return func(as *v1alpha1.AuthorizationServer) {
		as.Spec.AllowedNamespaces = &v1alpha1.AllowedNamespaces{
			From: v1alpha1.NamespacesSelector, Selector: &metav1.LabelSelector{MatchLabels: labels},
		}
	}
}

type refusalCase struct {
	name   string
	change func(f *RegistrationFacts)
	// action is that for a live client; a client that is not registered yet
	// must not be.
	action Action
	want   verdict
	says   []string
}

func refusedFor(reason string, cause v1alpha1.RevocationCause) verdict {
	return verdict{Standing: Refused, Reason: reason, Cause: cause}
}

func waitingFor(standing Standing, reason string, cause v1alpha1.RevocationCause) verdict {
	return verdict{Standing: standing, Reason: reason, Cause: cause, Waiting: true}
}

// Each rule that needs only the object, or the policy of the authorization
// server, refuses these.
func TestRegistrationRulesRefuseTheObject(t *testing.T) {
	notAllowed := v1alpha1.CauseNotAllowed
	runRefusals(t, []refusalCase{
		{"it is being deleted", func(f *RegistrationFacts) { deleting(f.Registration) }, Revoke,
			waitingFor(Refused, v1alpha1.ReasonDeleting, v1alpha1.CauseDeleted), []string{"deleted", "proven"}},
		{"it has no owner", func(f *RegistrationFacts) { remove(f.Registration, v1alpha1.AnnotationOwner) }, Revoke,
			refusedFor(v1alpha1.ReasonOwnerMissing, v1alpha1.CauseOwnerMissing), []string{"mcp-registrar.dev/owner", ownerExample}},
		{"its owner is empty", func(f *RegistrationFacts) { annotate(f.Registration, v1alpha1.AnnotationOwner, "") }, Revoke,
			refusedFor(v1alpha1.ReasonOwnerMissing, v1alpha1.CauseOwnerMissing), []string{"mcp-registrar.dev/owner", ownerExample}},
		{"it has no end", func(f *RegistrationFacts) { remove(f.Registration, v1alpha1.AnnotationExpiresAt) }, Revoke,
			refusedFor(v1alpha1.ReasonExpiryMissing, v1alpha1.CauseExpiryMissing), []string{"mcp-registrar.dev/expires-at", expiryExample}},
		{"its end cannot be read", func(f *RegistrationFacts) { annotate(f.Registration, v1alpha1.AnnotationExpiresAt, "soon") }, Revoke,
			refusedFor(v1alpha1.ReasonExpiryInvalid, v1alpha1.CauseExpiryMissing), []string{"mcp-registrar.dev/expires-at", expiryExample}},
		{"its end has come", func(f *RegistrationFacts) { setEnd(f.Registration, now) }, Revoke,
			refusedFor(v1alpha1.ReasonExpired, v1alpha1.CauseExpired), []string{"2026-09-01T12:00:00Z", "mcp-registrar.dev/expires-at", expiryExample}},
		{"it is suspended", func(f *RegistrationFacts) { f.Registration.Spec.State = v1alpha1.StateSuspended }, Revoke,
			refusedFor(v1alpha1.ReasonSuspended, v1alpha1.CauseSuspended), []string{"spec.state", "Active"}},
		{"its state is a word that nobody knows", func(f *RegistrationFacts) { f.Registration.Spec.State = "Asleep" }, Revoke,
			refusedFor(v1alpha1.ReasonSuspended, v1alpha1.CauseSuspended), []string{"spec.state"}},
		{"its owner does not match the pattern", func(f *RegistrationFacts) {
			f.change(func(as *v1alpha1.AuthorizationServer) { as.Spec.Policy.OwnerPattern = "[a-z-]+@example.org" })
		}, Revoke, refusedFor(v1alpha1.ReasonOwnerNotAllowed, notAllowed), []string{"mcp-registrar.dev/owner", "[a-z-]+@example.org", ownerExample}},
		{"its owner matches the pattern only in part", func(f *RegistrationFacts) {
			f.change(func(as *v1alpha1.AuthorizationServer) { as.Spec.Policy.OwnerPattern = "team-payments" })
		}, Revoke, refusedFor(v1alpha1.ReasonOwnerNotAllowed, notAllowed), []string{"mcp-registrar.dev/owner"}},
		{"the pattern of owners does not compile", func(f *RegistrationFacts) {
			f.change(func(as *v1alpha1.AuthorizationServer) { as.Spec.Policy.OwnerPattern = ".*)|(.*" })
		}, Keep, waitingFor(Undecided, v1alpha1.ReasonAuthorizationServerNotReady, ""), []string{"regular expression"}},
		{"its first term is beyond the maximum", func(f *RegistrationFacts) { f.change(maximum(30 * day)) }, Revoke,
			refusedFor(v1alpha1.ReasonLifetimeTooLong, notAllowed), []string{"mcp-registrar.dev/expires-at", "2592000 seconds", "for example"}},
		{"its new term is beyond the maximum", func(f *RegistrationFacts) {
			f.change(maximum(30 * day))
			f.Registration.Status.Term = termOf(now.Add(-day), now.Add(day))
			setEnd(f.Registration, now.Add(31*day))
		}, Keep, verdict{Standing: Frozen, Reason: v1alpha1.ReasonLifetimeTooLong, Cause: notAllowed},
			[]string{"mcp-registrar.dev/expires-at", "2592000 seconds", "for example"}},
		{"a grant type is not listed", func(f *RegistrationFacts) {
			f.change(func(as *v1alpha1.AuthorizationServer) {
				as.Spec.Policy.AllowedGrantTypes = []v1alpha1.GrantType{v1alpha1.GrantTokenExchange}
			})
		}, Revoke, refusedFor(v1alpha1.ReasonGrantTypeNotAllowed, notAllowed), []string{"spec.grantTypes", "ClientCredentials"}},
		{"a grant type is one that nobody knows", func(f *RegistrationFacts) { f.Registration.Spec.GrantTypes = []v1alpha1.GrantType{"Implicit"} },
			Revoke, refusedFor(v1alpha1.ReasonGrantTypeNotAllowed, notAllowed), []string{"spec.grantTypes", "Implicit"}},
		{"its authentication method is not listed", func(f *RegistrationFacts) {
			f.change(func(as *v1alpha1.AuthorizationServer) {
				as.Spec.Policy.AllowedTokenEndpointAuthMethods = []v1alpha1.TokenEndpointAuthMethod{v1alpha1.AuthMethodPrivateKeyJWT}
			})
		}, Revoke, refusedFor(v1alpha1.ReasonAuthMethodNotAllowed, notAllowed), []string{"spec.tokenEndpointAuthMethod", "ClientSecretBasic"}},
		{"its authentication method is one that nobody knows", func(f *RegistrationFacts) { f.Registration.Spec.TokenEndpointAuthMethod = "Trust" },
			Revoke, refusedFor(v1alpha1.ReasonAuthMethodNotAllowed, notAllowed), []string{"spec.tokenEndpointAuthMethod", "Trust"}},
		{"a redirect URI is not https", func(f *RegistrationFacts) {
			f.Registration.Spec.RedirectURIs = []v1alpha1.RedirectURI{"http://app.example.com/"}
		},
			Revoke, refusedFor(v1alpha1.ReasonRedirectURINotAllowed, notAllowed), []string{"spec.redirectURIs", "http://app.example.com/", "for example https://"}},
		{"a redirect URI matches no pattern as a whole", func(f *RegistrationFacts) {
			f.Registration.Spec.RedirectURIs = []v1alpha1.RedirectURI{"https://app.example.com/callback/more"}
			f.change(func(as *v1alpha1.AuthorizationServer) {
				as.Spec.Policy.RedirectURIPatterns = []string{`https://app\.example\.com/callback`}
			})
		}, Revoke, refusedFor(v1alpha1.ReasonRedirectURINotAllowed, notAllowed), []string{"spec.redirectURIs", "https://app.example.com/callback/more"}},
		{"its key set is none", func(f *RegistrationFacts) { f.Registration.Spec.JWKS = "{}" }, Revoke,
			refusedFor(v1alpha1.ReasonJWKSNotAllowed, notAllowed), []string{"spec.jwks", "for example {"}},
		{"its key set URI is not listed", func(f *RegistrationFacts) { f.Registration.Spec.JWKSURI = "https://169.254.169.254/" }, Revoke,
			refusedFor(v1alpha1.ReasonJWKSNotAllowed, notAllowed), []string{"spec.jwksURI", "spec.jwks"}},
	})
}

// Each rule that needs other facts refuses, freezes or leaves these open.
func TestRegistrationRulesRefuseTheWorld(t *testing.T) {
	gone := v1alpha1.CauseAuthorizationServerGone
	unknown := waitingFor(Undecided, v1alpha1.ReasonFactUnknown, "")
	runRefusals(t, []refusalCase{
		{"its AuthorizationServer could not be read", blind, Keep, unknown, []string{"AuthorizationServer", "could not be read"}},
		{"its AuthorizationServer is not there", func(f *RegistrationFacts) { f.use(AuthorizationServerFact{Is: Absent}) }, Revoke,
			waitingFor(Refused, v1alpha1.ReasonAuthorizationServerNotFound, gone), []string{"spec.authorizationServerRef", `"main"`}},
		{"its AuthorizationServer is being deleted", func(f *RegistrationFacts) { deleting(f.AuthorizationServer.Object) }, Revoke,
			waitingFor(Refused, v1alpha1.ReasonAuthorizationServerNotFound, gone), []string{"spec.authorizationServerRef", `"main"`}},
		{"no namespace is admitted", func(f *RegistrationFacts) {
			f.change(func(as *v1alpha1.AuthorizationServer) { as.Spec.AllowedNamespaces = nil })
		}, Revoke, refusedFor(v1alpha1.ReasonNamespaceNotAllowed, v1alpha1.CauseNotAllowed), []string{"spec.authorizationServerRef", "spec.allowedNamespaces"}},
		{"its namespace has other labels", func(f *RegistrationFacts) { f.change(selecting(map[string]string{"mcp": "yes"})) }, Revoke,
			refusedFor(v1alpha1.ReasonNamespaceNotAllowed, v1alpha1.CauseNotAllowed), []string{"spec.allowedNamespaces"}},
		{"the labels of its namespace could not be read", func(f *RegistrationFacts) {
			f.change(selecting(map[string]string{"mcp": "yes"}))
			f.Namespace = NamespaceFact{Is: Unknown, Name: "payments"}
		}, Keep, unknown, []string{"the namespace could not be read"}},
		{"its grants could not be listed", func(f *RegistrationFacts) { f.GrantsAre, f.Grants = Unknown, nil }, Keep, unknown, []string{"ScopeGrant"}},
		{"the server of a grant could not be read", func(f *RegistrationFacts) { f.Grants[0].Server = ServerFact{} }, Keep, unknown, []string{"MCPServer"}},
		{"there is no grant", func(f *RegistrationFacts) { f.Grants = nil }, Revoke,
			waitingFor(Refused, v1alpha1.ReasonNoGrantInForce, v1alpha1.CauseNoGrantInForce), []string{"ScopeGrant"}},
		{"no grant is in force", func(f *RegistrationFacts) { setEnd(f.Grants[0].Grant, now) }, Revoke,
			waitingFor(Refused, v1alpha1.ReasonNoGrantInForce, v1alpha1.CauseNoGrantInForce), []string{"ScopeGrant"}},
		{"its Secret is somebody else's", func(f *RegistrationFacts) { f.Credentials = CredentialsFact{Is: Present, Foreign: true} }, Keep,
			verdict{Standing: Frozen, Reason: v1alpha1.ReasonSecretConflict}, []string{`"agent-mcp-client"`, "for example spec.credentials.secretName: agent-credentials"}},
		{"its Secret could not be read", func(f *RegistrationFacts) { f.Credentials.Is = Unknown }, Keep, unknown, []string{"Secret"}},
		{"the authorization server was not discovered", freeze, Keep,
			waitingFor(Frozen, v1alpha1.ReasonAuthorizationServerNotReady, ""), []string{"spec.authorizationServerRef", "not ready"}},
		{"there is no registration endpoint", func(f *RegistrationFacts) {
			f.change(func(as *v1alpha1.AuthorizationServer) { as.Status.Metadata.RegistrationEndpoint = "" })
		}, Keep, waitingFor(Frozen, v1alpha1.ReasonAuthorizationServerNotReady, ""), []string{"not ready"}},
		{"the code grant has no S256", func(f *RegistrationFacts) {
			interactive(f.Registration)
			f.change(func(as *v1alpha1.AuthorizationServer) { as.Status.Capabilities = []v1alpha1.Capability{"Registration"} })
		}, Keep, verdict{Standing: Frozen, Reason: v1alpha1.ReasonPKCEUnsupported}, []string{"S256", "AuthorizationCode"}},
	})
}

// While a changed AuthorizationServer is discovered anew, a client that is as
// wished stays ready, and nothing new is given.
func TestOlderDiscovery(t *testing.T) {
	older := func(f *RegistrationFacts) {
		f.change(func(as *v1alpha1.AuthorizationServer) { as.Generation++ })
	}
	notReady := waitingFor(Frozen, v1alpha1.ReasonAuthorizationServerNotReady, "")
	equal(t, "as wished", verdict{Standing: Allowed, Reason: v1alpha1.ReasonAccepted}, brief(Registration(liveFacts(older), now).Verdict))
	equal(t, "a new one", notReady, brief(Registration(facts(older), now).Verdict))
	more := liveFacts(withGrants(grant(), grant(giving("exporter", "invoices:export"))), older)
	equal(t, "with more", notReady, brief(Registration(more, now).Verdict))
}

func runRefusals(t *testing.T, cases []refusalCase) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			held := Registration(liveFacts(c.change), now)
			equal(t, "action for a live client", c.action, held.Action)
			equal(t, "verdict", c.want, brief(held.Verdict))
			mentions(t, held.Verdict.Message, c.says...)
			fresh := facts(c.change)
			d := Registration(fresh, now)
			want := Nothing
			if fresh.Registration.DeletionTimestamp != nil {
				want = Revoke
			}
			equal(t, "action without a client", want, d.Action)
			equal(t, "verdict without a client", brief(held.Verdict), brief(d.Verdict))
		})
	}
}

// Rules about the record of the client.
func TestRegistrationRulesOfTheRecord(t *testing.T) {
	cases := []struct {
		name   string
		facts  RegistrationFacts
		action Action
		want   verdict
		says   []string
	}{
		{"the record could not be read", liveFacts(func(f *RegistrationFacts) { f.RecordIs, f.Record = Unknown, Record{} }), Nothing,
			waitingFor(Undecided, v1alpha1.ReasonFactUnknown, ""), []string{"registration record"}},
		{"the record of a client is gone", liveFacts(func(f *RegistrationFacts) { f.RecordIs, f.Record = Absent, Record{} }), Nothing,
			verdict{Standing: Undecided, Reason: v1alpha1.ReasonManagementLost}, []string{"status.clientID"}},
		{"the record of a client that is to go is gone", liveFacts(refuse, func(f *RegistrationFacts) {
			deleting(f.Registration)
			f.Registration.Finalizers = []string{v1alpha1.Finalizer}
			f.RecordIs, f.Record = Absent, Record{}
		}), Nothing, verdict{Standing: Undecided, Reason: v1alpha1.ReasonManagementLost}, []string{"status.clientID"}},
		{"the AuthorizationServer became another", liveFacts(func(f *RegistrationFacts) {
			f.change(func(as *v1alpha1.AuthorizationServer) { as.Spec.Issuer = "https://other.example.com" })
		}), Revoke, waitingFor(Refused, v1alpha1.ReasonAuthorizationServerNotFound, v1alpha1.CauseAuthorizationServerGone), []string{"another issuer"}},
		{"the client was widened", liveFacts(func(f *RegistrationFacts) { f.Record.Excess = []string{"scope admin", "grant type implicit"} }), Revoke,
			refusedFor(v1alpha1.ReasonWidened, v1alpha1.CauseWidened), []string{"scope admin, grant type implicit"}},
		{"the secret has expired", liveFacts(func(f *RegistrationFacts) { f.Record.Client.SecretExpiresAt = now }), Revoke,
			refusedFor(v1alpha1.ReasonSecretExpired, v1alpha1.CauseSecretExpired), []string{"client_secret_expires_at"}},
		{"too many requests were lost", facts(func(f *RegistrationFacts) {
			f.RecordIs, f.Record = Present, Record{State: RecordPending, Orphans: make([]string, maxOrphans)}
		}), Nothing, verdict{Standing: Frozen, Reason: v1alpha1.ReasonPossibleOrphans}, []string{"16 registration requests", "status.possibleOrphans"}},
		{"two answers in a row were lost", facts(func(f *RegistrationFacts) {
			f.RecordIs, f.Record = Present, Record{Unanswered: maxUnanswered, Orphans: make([]string, maxUnanswered)}
		}), Nothing, verdict{Standing: Frozen, Reason: v1alpha1.ReasonPossibleOrphans}, []string{"2 registration requests", "status.possibleOrphans"}},
		{"one answer was lost", facts(func(f *RegistrationFacts) {
			f.RecordIs, f.Record = Present, Record{State: RecordPending, Unanswered: maxUnanswered - 1}
		}), Register, verdict{Standing: Allowed, Reason: v1alpha1.ReasonAccepted}, nil},
		{"the orphans of a live client do not matter", liveFacts(func(f *RegistrationFacts) { f.Record.Orphans = make([]string, maxOrphans) }), Keep,
			verdict{Standing: Allowed, Reason: v1alpha1.ReasonAccepted}, nil},
		{"the same wish was refused", refusedFacts(now.Add(-time.Minute)), Nothing,
			verdict{Standing: Frozen, Reason: v1alpha1.ReasonRejected}, []string{"invalid_client_metadata"}},
		{"an update of a live client was refused", liveFacts(func(f *RegistrationFacts) {
			f.Registration.Spec.ClientName = "New name"
			f.Record.RefusedReason, f.Record.RefusedAt = v1alpha1.ReasonRejected, now.Add(-time.Minute)
			f.Record.RefusedDigest = Digest(Registration(*f, now).Wish)
		}), Keep, verdict{Standing: Frozen, Reason: v1alpha1.ReasonRejected}, []string{"refuses the registration"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			d := Registration(c.facts, now)
			equal(t, "action", c.action, d.Action)
			equal(t, "verdict", c.want, brief(d.Verdict))
			mentions(t, d.Verdict.Message, c.says...)
		})
	}
}

func TestRefusedMessages(t *testing.T) {
	for reason, part := range map[string]string{
		v1alpha1.ReasonWidened:               "more than was asked for (scope admin)",
		v1alpha1.ReasonSecretExpired:         "client_secret_expires_at",
		v1alpha1.ReasonManagementUnsupported: "status.possibleOrphans",
		v1alpha1.ReasonRejected:              "correct the spec",
	} {
		mentions(t, refusedMessage(Record{RefusedReason: reason, Excess: []string{"scope admin"}}), part)
	}
	mentions(t, refusedMessage(Record{RefusedReason: v1alpha1.ReasonRejected, RefusedCode: "invalid_redirect_uri"}), "with invalid_redirect_uri:")
	for code := range policyAdvice {
		mentions(t, refusedMessage(Record{RefusedReason: v1alpha1.ReasonRejected, RefusedCode: code}), "own registration policy", "Keycloak", "asked again")
	}
}

// A private-use scheme needs a program on a user's machine and a pattern of the
// platform team.
func TestPrivateUseSchemes(t *testing.T) {
	t.Parallel()
	const cursor = `cursor://anysphere\.cursor-mcp/oauth/callback`
	asking := func(kind v1alpha1.ApplicationType, patterns ...string) RegistrationDecision {
		return Registration(facts(func(f *RegistrationFacts) {
			interactive(f.Registration)
			f.Registration.Spec.ApplicationType = kind
			f.Registration.Spec.RedirectURIs = []v1alpha1.RedirectURI{"cursor://anysphere.cursor-mcp/oauth/callback"}
			f.change(func(as *v1alpha1.AuthorizationServer) {
				as.Spec.Policy = &v1alpha1.RegistrationPolicy{RedirectURIPatterns: patterns}
			})
		}), now)
	}
	if d := asking(v1alpha1.ApplicationNative, cursor); d.Verdict.Standing != Allowed {
		t.Errorf("with a pattern: %+v", d.Verdict)
	}
	for words, d := range map[string]RegistrationDecision{
		"no pattern that names its": asking(v1alpha1.ApplicationNative),
		"applicationType: Native":   asking(v1alpha1.ApplicationWeb, cursor),
		"matches no pattern":        asking(v1alpha1.ApplicationNative, `https://.*`),
	} {
		if d.Verdict.Reason != v1alpha1.ReasonRedirectURINotAllowed || !strings.Contains(d.Verdict.Message, words) {
			t.Errorf("%s: %+v", words, d.Verdict)
		}
	}
}

// The server's words are marked as such, and are part of no other message.
func TestTheServersWordsAreQuoted(t *testing.T) {
	said := Record{RefusedReason: v1alpha1.ReasonRejected, RefusedCode: "invalid_redirect_uri", RefusedQuote: "no loopback"}
	mentions(t, refusedMessage(said), "with invalid_redirect_uri:", `; the authorization server says: "no loopback"`)
	said.RefusedCode = "refused_by_policy"
	mentions(t, refusedMessage(said), "own registration policy", `says: "no loopback"`)
	for _, reason := range []string{v1alpha1.ReasonWidened, v1alpha1.ReasonSecretExpired, v1alpha1.ReasonManagementUnsupported} {
		said.RefusedReason = reason
		if message := refusedMessage(said); strings.Contains(message, "loopback") {
			t.Errorf("%s: %s", reason, message)
		}
	}
}

// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"errors"
	"fmt"

	apimeta "k8s.io/apimachinery/pkg/api/meta"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
)

// AccessFact is what is known of the operator's own access to an authorization server.
type AccessFact struct {
	// Asked says that the server was asked, with Err as answer.
	Asked bool
	Err   error
	// Shown is what the last registration showed where the server cannot be asked.
	Shown Knowledge
	// Forgotten says that there was none since the operator was started: what status says
	// of those before it stands.
	Forgotten bool
}

// Lacking reports whether the server was asked, and does not let the operator manage
// clients.
func (a AccessFact) Lacking() bool {
	var answer *authserver.Error
	return a.Asked && errors.As(a.Err, &answer) && answer.Kind != authserver.Unavailable
}

// AdminAccess is what is known of the operator's own access to an authorization server,
// as its condition says: Absent where it is lacking.
func AdminAccess(as *v1alpha1.AuthorizationServer) Knowledge {
	return learnt(as, v1alpha1.ConditionAdminAccess)
}

// judgeAccess is the verdict behind the condition AdminAccess; nil where there is
// nothing to be had, or nothing known.
func judgeAccess(f AuthorizationServerFacts) *Verdict {
	switch {
	case f.CredentialIs == Unknown:
		return unknownVerdict("the Secret of the operator's initial access token or credentials")
	case f.CredentialIs == Absent:
		return &Verdict{Reason: v1alpha1.ReasonCredentialsMissing, Waiting: true, Message: credentialMissing(f.Server.Spec)}
	case !f.Traits.ChecksAccess:
		return accessShown(f)
	case !f.Access.Asked:
		return &Verdict{
			Standing: Undecided, Waiting: true, Reason: v1alpha1.ReasonUnavailable,
			Message: "whether the operator may manage clients was not asked yet",
		}
	case f.Access.Err == nil:
		return &Verdict{Standing: Allowed, Reason: v1alpha1.ReasonGranted, Message: "the operator may manage clients"}
	}
	return judgeAccessError(f)
}

// accessShown is the verdict where the server cannot be asked: an initial access token
// is only taken, or refused, with a registration.
func accessShown(f AuthorizationServerFacts) *Verdict {
	d := f.Server.Spec.DynamicRegistration
	if d == nil || d.InitialAccessTokenSecretRef == nil {
		return nil
	}
	switch shown := f.Access.shown(f.Server); shown {
	case Present:
		return &Verdict{Standing: Allowed, Reason: v1alpha1.ReasonGranted, Message: "the last registration was accepted with the initial access token"}
	case Absent:
		return &Verdict{
			Reason:  v1alpha1.ReasonUnauthorized,
			Message: "spec.dynamicRegistration.initialAccessTokenSecretRef: the authorization server refused the initial access token with the last registration: renew it in that Secret; it is tried with the next registration",
		}
	case Unknown:
	}
	return nil
}

// shown is what the last registration showed, before the operator was started if need be.
func (a AccessFact) shown(as *v1alpha1.AuthorizationServer) Knowledge {
	if !a.Forgotten {
		return a.Shown
	}
	c := apimeta.FindStatusCondition(as.Status.Conditions, v1alpha1.ConditionAdminAccess)
	if c == nil || c.Reason != v1alpha1.ReasonGranted && c.Reason != v1alpha1.ReasonUnauthorized {
		return Unknown
	}
	return AdminAccess(as)
}

func credentialMissing(spec v1alpha1.AuthorizationServerSpec) string {
	if spec.Keycloak != nil {
		return "spec.keycloak.credentialsSecretRef: the operator's namespace has no such Secret with the keys client-id and client-secret: create it"
	}
	return "spec.dynamicRegistration.initialAccessTokenSecretRef: the operator's namespace has no such Secret with that key: create it"
}

// The remedies by the words of the adapters. What is before the parenthesis is shown
// with the upstream's code.
var accessRemedies = map[string]struct{ reason, message string }{
	"admin_credentials_refused": {
		v1alpha1.ReasonUnauthorized,
		"spec.keycloak.credentialsSecretRef: the realm refuses the operator's client or its secret: compare client-id and client-secret of that Secret with the client in the realm, which must be enabled, confidential, and have service accounts on",
	},
	"missing_role_manage_clients": {
		v1alpha1.ReasonRoleMissing,
		"spec.keycloak: the service account of the operator's client may not manage clients: give it the role manage-clients of the client realm-management",
	},
	"realm_not_found": {
		v1alpha1.ReasonRealmNotFound,
		"spec.keycloak: there is no such realm at the base URL, or no Keycloak: correct realm and baseURL, or create the realm",
	},
	"admin_api_not_found": {
		v1alpha1.ReasonAdminAPINotFound,
		"spec.hydra.adminURL: nothing there answers as Hydra's admin API does: correct the URL",
	},
}

// judgeAccessError turns a refused question into a verdict, with the remedy.
func judgeAccessError(f AuthorizationServerFacts) *Verdict {
	var answer *authserver.Error
	if !errors.As(f.Access.Err, &answer) {
		answer = &authserver.Error{}
	}
	known, found := accessRemedies[answer.Code]
	switch {
	case answer.Kind == authserver.Unavailable && found:
		// Something answers in the server's place.
		return &Verdict{
			Standing: Undecided, Waiting: true, Reason: v1alpha1.ReasonUnavailable,
			Message: "whether the operator may manage clients is not known: something else answers (" + upstream(answer) + "): tried again; " + known.message,
		}
	case answer.Kind == authserver.Unavailable:
		return &Verdict{
			Standing: Undecided, Waiting: true, Reason: v1alpha1.ReasonUnavailable,
			Message: "whether the operator may manage clients is not known: the authorization server gives no usable answer now: tried again",
		}
	case found:
		return &Verdict{Reason: known.reason, Message: known.message + " (" + upstream(answer) + ")"}
	case answer.Kind == authserver.Unauthorized:
		return &Verdict{
			Reason:  v1alpha1.ReasonUnauthorized,
			Message: "the admin API, or what stands in front of it, refuses the operator: let it in (" + upstream(answer) + ")",
		}
	}
	return &Verdict{
		Reason:  v1alpha1.ReasonRejected,
		Message: "the admin API does not answer as it should: check spec, and the version of the authorization server (" + upstream(answer) + ")",
	}
}

// upstream is what the server said, as codes.
func upstream(answer *authserver.Error) string {
	text := answer.Kind.String()
	if answer.Status != 0 {
		text = fmt.Sprintf("status %d", answer.Status)
	}
	if answer.Code != "" {
		text = answer.Code + ", " + text
	}
	return text
}

// Where the operator has no access nothing new can be registered, and nothing is tried.
// Only a registration can show it where the server cannot be asked.
func operatorHasAccess(q *inquiry) *Verdict {
	as := q.AuthorizationServer.Object
	if as == nil || !q.Traits.ChecksAccess || q.Record.Live() || AdminAccess(as) != Absent {
		return nil
	}
	return &Verdict{
		Standing: Frozen, Reason: v1alpha1.ReasonUnauthorized, Waiting: true,
		Message: fmt.Sprintf("spec.authorizationServerRef: the operator has no access to the authorization server now: it is the platform team's turn, whom the condition AdminAccess of the AuthorizationServer %q tells what to do; nothing needs to be done here, and it goes on by itself", as.Name),
	}
}

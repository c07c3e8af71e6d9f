// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"errors"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
)

func TestAdminAccess(t *testing.T) {
	answered := func(kind authserver.Kind, status int, code string) func(*AuthorizationServerFacts) {
		return func(f *AuthorizationServerFacts) {
			f.Traits.ChecksAccess = true
			f.Access = AccessFact{Asked: true, Err: &authserver.Error{Kind: kind, Status: status, Code: code}}
		}
	}
	token := func(shown Knowledge) func(*AuthorizationServerFacts) {
		return func(f *AuthorizationServerFacts) {
			f.Server.Spec.DynamicRegistration = &v1alpha1.DynamicRegistration{InitialAccessTokenSecretRef: &v1alpha1.SecretKeyReference{Name: "token", Key: "token"}}
			f.Access.Shown = shown
		}
	}
	// told is what status says, after a start of the operator.
	told := func(status metav1.ConditionStatus, reason string, generations int64) func(*AuthorizationServerFacts) {
		return func(f *AuthorizationServerFacts) {
			token(Unknown)(f)
			f.Access.Forgotten = true
			f.Server.Status.Conditions = append(f.Server.Status.Conditions, metav1.Condition{
				Type: v1alpha1.ConditionAdminAccess, Status: status, Reason: reason, ObservedGeneration: f.Server.Generation - generations,
			})
		}
	}
	unavailable := waitingFor(Undecided, v1alpha1.ReasonUnavailable, "")
	cases := []struct {
		name   string
		change func(*AuthorizationServerFacts)
		want   verdict
		says   []string
	}{
		{"the Secret could not be read", func(f *AuthorizationServerFacts) { f.CredentialIs = Unknown },
			waitingFor(Undecided, v1alpha1.ReasonFactUnknown, ""), []string{"initial access token"}},
		{"the token is not there", func(f *AuthorizationServerFacts) { f.CredentialIs = Absent },
			waitingFor(Refused, v1alpha1.ReasonCredentialsMissing, ""), []string{"spec.dynamicRegistration.initialAccessTokenSecretRef", "create it"}},
		{"a key is not there", func(f *AuthorizationServerFacts) {
			f.Server.Spec.DynamicRegistration, f.Server.Spec.Keycloak = nil, &v1alpha1.KeycloakManagement{Realm: "mcp"}
			f.CredentialIs = Absent
		}, waitingFor(Refused, v1alpha1.ReasonCredentialsMissing, ""), []string{"client-id and client-secret"}},
		{"not asked", func(f *AuthorizationServerFacts) { f.Traits.ChecksAccess = true }, unavailable, []string{"not asked"}},
		{"granted", func(f *AuthorizationServerFacts) { f.Traits.ChecksAccess, f.Access.Asked = true, true },
			verdict{Standing: Allowed, Reason: v1alpha1.ReasonGranted}, nil},
		{"another secret", answered(authserver.Unauthorized, 401, "admin_credentials_refused"),
			refusedFor(v1alpha1.ReasonUnauthorized, ""), []string{"client-secret", "(admin_credentials_refused, status 401)"}},
		{"no role", answered(authserver.Unauthorized, 403, "missing_role_manage_clients"),
			refusedFor(v1alpha1.ReasonRoleMissing, ""), []string{"role manage-clients of the client realm-management", "(missing_role_manage_clients, status 403)"}},
		{"no realm", answered(authserver.Rejected, 404, "realm_not_found"),
			refusedFor(v1alpha1.ReasonRealmNotFound, ""), []string{"correct realm and baseURL", "(realm_not_found, status 404)"}},
		{"no admin API", answered(authserver.Rejected, 404, "admin_api_not_found"),
			refusedFor(v1alpha1.ReasonAdminAPINotFound, ""), []string{"spec.hydra.adminURL"}},
		{"somebody in front", answered(authserver.Unauthorized, 403, ""), refusedFor(v1alpha1.ReasonUnauthorized, ""), []string{"in front of it", "(status 403)"}},
		{"another refusal", answered(authserver.Conflict, 0, ""), refusedFor(v1alpha1.ReasonRejected, ""), []string{"(conflict)"}},
		{"no answer", answered(authserver.Unavailable, 0, ""), unavailable, []string{"tried again"}},
		{"somebody in its place", answered(authserver.Unavailable, 404, "realm_not_found"), unavailable, []string{"something else answers", "baseURL"}},
		{"an error of another kind", func(f *AuthorizationServerFacts) {
			f.Traits.ChecksAccess, f.Access = true, AccessFact{Asked: true, Err: errors.New("broken")}
		}, unavailable, nil},
		{"a token that was taken", token(Present), verdict{Standing: Allowed, Reason: v1alpha1.ReasonGranted}, []string{"last registration"}},
		{"a token that was refused", token(Absent), refusedFor(v1alpha1.ReasonUnauthorized, ""), []string{"renew it"}},
		{"one that was taken before the operator was started", told(metav1.ConditionTrue, v1alpha1.ReasonGranted, 0),
			verdict{Standing: Allowed, Reason: v1alpha1.ReasonGranted}, []string{"last registration"}},
		{"one that was refused before", told(metav1.ConditionFalse, v1alpha1.ReasonUnauthorized, 0),
			refusedFor(v1alpha1.ReasonUnauthorized, ""), []string{"renew it"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got := AuthorizationServer(serverFacts(c.change))
			equal(t, "access", c.want, brief(*got.AdminAccess))
			mentions(t, got.AdminAccess.Message, c.says...)
			equal(t, "accepted", Allowed, got.Accepted.Standing)
		})
	}
	for name, change := range map[string]func(*AuthorizationServerFacts){
		"a token that was not tried":    token(Unknown),
		"one that was not there before": told(metav1.ConditionFalse, v1alpha1.ReasonCredentialsMissing, 0),
		"what was told of another spec": told(metav1.ConditionTrue, v1alpha1.ReasonGranted, 1),
		"another credential since the start": func(f *AuthorizationServerFacts) {
			told(metav1.ConditionFalse, v1alpha1.ReasonUnauthorized, 0)(f)
			f.Access.Forgotten = false
		},
		"no token, whatever is shown": func(f *AuthorizationServerFacts) { f.Access.Shown = Absent },
	} {
		if got := AuthorizationServer(serverFacts(change)); got.AdminAccess != nil {
			t.Errorf("%s: %+v", name, got.AdminAccess)
		}
	}
}

// Where the operator has no access nothing new is registered, where that was asked; what
// is there stays, and is taken away.
func TestNothingIsRegisteredWithoutAccess(t *testing.T) {
	lacking := func(f *RegistrationFacts) {
		f.Traits = authserver.Traits{OwnClientID: true, ChecksAccess: true}
		as := f.AuthorizationServer.Object
		as.Status.Conditions = append(as.Status.Conditions, metav1.Condition{
			Type: v1alpha1.ConditionAdminAccess, Status: metav1.ConditionFalse, Reason: v1alpha1.ReasonRoleMissing, ObservedGeneration: as.Generation,
		})
	}
	got := Registration(facts(lacking), now)
	equal(t, "verdict", waitingFor(Frozen, v1alpha1.ReasonUnauthorized, ""), brief(got.Verdict))
	mentions(t, got.Verdict.Message, "the platform team's turn", `"main"`, "nothing needs to be done here")
	equal(t, "action", Nothing, got.Action)
	for name, change := range map[string]func(*RegistrationFacts){
		"a server that cannot be asked": func(f *RegistrationFacts) { f.Traits.ChecksAccess = false },
		"another generation":            func(f *RegistrationFacts) { f.AuthorizationServer.Object.Status.Conditions[0].ObservedGeneration-- },
		"access": func(f *RegistrationFacts) {
			f.AuthorizationServer.Object.Status.Conditions[0].Status = metav1.ConditionTrue
		},
		"not known": func(f *RegistrationFacts) {
			f.AuthorizationServer.Object.Status.Conditions[0].Status = metav1.ConditionUnknown
		},
	} {
		if got := Registration(facts(lacking, change), now); got.Verdict.Reason == v1alpha1.ReasonUnauthorized {
			t.Errorf("%s: %+v", name, got.Verdict)
		}
	}
	equal(t, "of no server", Unknown, AdminAccess(nil))
}

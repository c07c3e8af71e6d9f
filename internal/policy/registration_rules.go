// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"slices"
	"strings"
	"time"

	apimeta "k8s.io/apimachinery/pkg/api/meta"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
)

// Without the record nothing is known of the client: nothing is changed.
func recordKnown(q *inquiry) *Verdict {
	if q.RecordIs == Unknown {
		return unknownVerdict("the registration record")
	}
	if q.recordLost() {
		return recordLostVerdict()
	}
	if q.Record.Damage != Undamaged || !q.Record.Legible() {
		return &Verdict{
			Standing: Frozen, Reason: v1alpha1.ReasonRecordDamaged,
			Message: "the registration record in the operator's namespace was changed by something else: nothing new is given, and the client is still revoked when its time comes; ask the platform team what changes Secrets there, for example a mutating admission policy that removes labels (see the runbook)",
		}
	}
	return nil
}

// recordLost says that there was a client and its record is gone: a missing
// record proves nothing about the client. An object that was let go before,
// and is only held by others, has lost nothing.
func (q *inquiry) recordLost() bool {
	held := q.Registration.DeletionTimestamp == nil || slices.Contains(q.Registration.Finalizers, v1alpha1.Finalizer)
	gone := q.RecordIs == Absent || (q.RecordIs == Present && q.Record.empty())
	return gone && q.Registration.Status.ClientID != "" && held
}

func recordLostVerdict() *Verdict {
	return &Verdict{
		Standing: Undecided, Reason: v1alpha1.ReasonManagementLost,
		Message: "the registration record of the client in status.clientID is gone from the operator's namespace: ask the platform team to restore it, or to delete the client at the authorization server and release it (see the runbook)",
	}
}

// A revocation that began is finished, even if its cause has passed: whether
// the server carried it out is not known. Then the client is registered anew.
func revocationFinished(q *inquiry) *Verdict {
	if q.Record.Cause == "" || (!q.Record.Live() && !q.Record.Findable()) {
		return nil
	}
	return &Verdict{
		Reason: v1alpha1.ReasonRevoking, Cause: q.Record.Cause, DueAt: q.Record.DueAt, Waiting: true,
		Message: "a revocation of the client began and is finished first; then the client is registered anew, with a new client id",
	}
}

// A client that can no longer be managed is given up when a person who has
// seen to it that it is gone lets go of it; then it is registered anew.
func unmanageableReleased(q *inquiry) *Verdict {
	if !q.Record.Live() || q.Record.Released == "" || !q.unmanageable() {
		return nil
	}
	return &Verdict{
		Reason: v1alpha1.ReasonRevoking, Cause: v1alpha1.CauseManagementLost, DueAt: q.now, Waiting: true,
		Message: "a person let go of the client, which could no longer be managed; the client is registered anew, with a new client id",
	}
}

// unmanageable says that the status tells so of this very client: only then a
// person may let go of it before a revocation was tried.
func (q *inquiry) unmanageable() bool {
	status := q.Registration.Status
	ready := apimeta.FindStatusCondition(status.Conditions, v1alpha1.ConditionReady)
	if ready == nil || status.ClientID != q.Record.Client.ID {
		return false
	}
	return ready.Reason == v1alpha1.ReasonManagementLost || ready.Reason == v1alpha1.ReasonManagementUnsupported
}

// A client belongs to one issuer. When the AuthorizationServer of that name
// became another one, the client at the old issuer is revoked.
func sameIssuer(q *inquiry) *Verdict {
	old := q.Record.Connection.Issuer
	if q.AuthorizationServer.Object == nil || !q.Record.Live() || old == "" || SameServer(q.Record.Connection, Connection(q.AuthorizationServer.Object)) {
		return nil
	}
	return &Verdict{
		Reason: v1alpha1.ReasonAuthorizationServerNotFound, Cause: v1alpha1.CauseAuthorizationServerGone, Waiting: true,
		Message: "spec.authorizationServerRef: the AuthorizationServer now has another issuer, or manages clients in another way: the client at the old one is revoked, then registered anew",
	}
}

// A client that was registered with more than was asked for is revoked.
func registeredAsAsked(q *inquiry) *Verdict {
	if !q.Record.Live() || len(q.Record.Excess) == 0 {
		return nil
	}
	return &Verdict{
		Reason: v1alpha1.ReasonWidened, Cause: v1alpha1.CauseWidened,
		Message: widenedMessage(q.Record.Excess),
	}
}

func widenedMessage(excess []string) string {
	return fmt.Sprintf("the authorization server registered more than was asked for (%s): the client is revoked; ask the platform team to correct the server's registration policy",
		strings.Join(excess, ", "))
}

// A client whose secret has expired is of no use and is revoked.
func secretNotExpired(q *inquiry) *Verdict {
	end := q.secretEnd()
	if !q.Record.Live() || end.IsZero() || !expired(q.now, end) {
		return nil
	}
	return &Verdict{
		Reason: v1alpha1.ReasonSecretExpired, Cause: v1alpha1.CauseSecretExpired, DueAt: end,
		Message: "the authorization server issued a client secret that has expired (client_secret_expires_at): the client is revoked; ask the platform team to let secrets live longer, or use tokenEndpointAuthMethod: PrivateKeyJWT",
	}
}

// secretEnd is when the client's secret ends, by the operator's clock: the
// server wrote it by its own. Zero means never (RFC 7591 §3.2.1).
func (q *inquiry) secretEnd() time.Time {
	end := q.Record.Client.SecretExpiresAt
	if as := q.AuthorizationServer.Object; !end.IsZero() && as != nil && as.Status.ClockSkewSeconds != nil {
		return end.Add(-time.Duration(*as.Status.ClockSkewSeconds) * time.Second)
	}
	return end
}

// A Secret that the operator did not create is never overwritten; without a
// place for its credentials no client is registered.
func secretNotForeign(q *inquiry) *Verdict {
	if !WantsSecret(q.Registration.Spec) {
		return nil
	}
	if q.Credentials.Foreign {
		return &Verdict{
			Standing: Frozen, Reason: v1alpha1.ReasonSecretConflict,
			Message: fmt.Sprintf("the Secret %q exists and was not created by the operator for this registration: delete it, or choose another name, for example spec.credentials.secretName: %s-credentials", SecretName(q.Registration), q.Registration.Name),
		}
	}
	if q.Credentials.Is == Unknown {
		return unknownVerdict("the credentials Secret")
	}
	return nil
}

// A client that is somebody else's is taken over only where the platform team
// gives it to this very registration, and only as its first client. What was
// begun without leave is undone.
func adoptionAllowed(q *inquiry) *Verdict {
	id := q.adopts()
	begun := q.Record.Adopting && q.Record.Findable()
	if q.AuthorizationServer.Object == nil || (q.Record.State != "" && !q.Record.Adopting) || (id == "" && !begun) {
		return nil
	}
	answer := q.adoptionRefusal(id, begun)
	if answer != nil && begun && (id != q.Record.Client.ID || !q.consented(id)) {
		answer.Standing, answer.Cause = Refused, v1alpha1.CauseNotAllowed
	}
	return answer
}

func (q *inquiry) adoptionRefusal(id string, begun bool) *Verdict {
	answer := &Verdict{Standing: Frozen, Reason: v1alpha1.ReasonAdoptionNotAllowed}
	switch {
	case !q.Traits.OwnClientID:
		answer.Message = "annotation mcp-registrar.dev/adopt: clients of this AuthorizationServer cannot be taken over, because they are managed by tokens of their own: remove the annotation to register a new client"
	case begun && id != q.Record.Client.ID:
		answer.Waiting = true
		answer.Message = "annotation mcp-registrar.dev/adopt was changed while the client was being taken over: that is given up first"
	case !q.consented(id):
		answer.Message = fmt.Sprintf("annotation mcp-registrar.dev/adopt: the AuthorizationServer does not give the client %q to this registration: ask the platform team to add it to spec.adoptions, or remove the annotation to register a new client", shorten(id))
	case begun && q.Observed.Looked && q.Observed.Is == Absent:
		answer.Message = fmt.Sprintf("annotation mcp-registrar.dev/adopt: the authorization server has no client %q: correct the annotation, or remove it to register a new client", shorten(id))
	default:
		return nil
	}
	return answer
}

// consented says that the platform team gives a client to the registration.
func (q *inquiry) consented(id string) bool {
	return slices.ContainsFunc(q.AuthorizationServer.Object.Spec.Adoptions, func(a v1alpha1.Adoption) bool {
		return a.ClientID == id && a.Namespace == q.Registration.Namespace && a.Name == q.Registration.Name
	})
}

// adopts is the client id that the registration asks to take over, as its
// first client; empty for none.
func (q *inquiry) adopts() string {
	if q.Registration.Status.Revocation != nil {
		return ""
	}
	return q.Registration.Annotations[v1alpha1.AnnotationAdopt]
}

// Without a registration endpoint nothing new can be asked for.
func endpointKnown(q *inquiry) *Verdict {
	as := q.AuthorizationServer.Object
	if as == nil {
		return nil
	}
	if m := as.Status.Metadata; m != nil && (m.RegistrationEndpoint != "" || q.Traits.OwnClientID) && (as.Status.ObservedGeneration == as.Generation || q.asWished()) {
		return nil
	}
	return &Verdict{
		Standing: Frozen, Reason: v1alpha1.ReasonAuthorizationServerNotReady, Waiting: true,
		Message: "spec.authorizationServerRef: the AuthorizationServer is not ready: ask the platform team to look at its conditions",
	}
}

// A client of the authorization-code grant needs a server that publishes S256
// (RFC 7636; the MCP specification lets clients refuse a server without).
func codeGrantHasPKCE(q *inquiry) *Verdict {
	if q.AuthorizationServer.Object == nil || !slices.Contains(q.Registration.Spec.GrantTypes, v1alpha1.GrantAuthorizationCode) ||
		slices.Contains(q.AuthorizationServer.Object.Status.Capabilities, v1alpha1.CapabilityPKCES256) {
		return nil
	}
	return &Verdict{
		Standing: Frozen, Reason: v1alpha1.ReasonPKCEUnsupported,
		Message: "the authorization server does not publish S256 in code_challenge_methods_supported: no client may use AuthorizationCode there; ask the platform team to enable PKCE",
	}
}

// A server that keeps losing answers is looked at by a person before more
// clients are created that nobody knows.
func orphansBounded(q *inquiry) *Verdict {
	if q.Record.Live() || (len(q.Record.Orphans) < maxOrphans && !q.Record.Unconfirmed()) {
		return nil
	}
	return &Verdict{
		Standing: Frozen, Reason: v1alpha1.ReasonPossibleOrphans,
		Message: fmt.Sprintf("%d registration requests ended without an answer: ask the platform team to look for the marks in status.possibleOrphans at the authorization server, then delete this registration and create it again", len(q.Record.Orphans)),
	}
}

// The same wish is not repeated for a while after a refusal.
func notRefusedBefore(q *inquiry) *Verdict {
	if server := q.Record.RefusedServer; server != "" {
		// What was refused then is a fact about the server as it was.
		if server != ServerDigest(q.AuthorizationServer.Object) {
			return nil
		}
		return &Verdict{Standing: Frozen, Reason: q.Record.RefusedReason, Message: refusedMessage(q.Record)}
	}
	if q.Record.RefusedReason == "" || q.Record.RefusedDigest != Digest(q.wish()) {
		return nil
	}
	if expired(q.now, q.Record.RefusedAt.Add(DriftCheckInterval(q.AuthorizationServer.Object))) {
		return nil
	}
	return &Verdict{Standing: Frozen, Reason: q.Record.RefusedReason, Message: refusedMessage(q.Record)}
}

// policyAdvice is what the platform team does about a policy of the authorization
// server, by the word of the refusal.
var policyAdvice = map[string]string{
	"scope_not_allowed": "one of the scopes is not open to registered clients; ask the platform team to allow it there (in Keycloak: a client scope of that name, and the client registration policy Allowed Client Scopes), or, if it is offline_access or openid, to leave it out of spec.policy.allowedOIDCScopes of the AuthorizationServer",
	"too_many_clients":  "it allows no more clients; ask the platform team to raise the limit there (in Keycloak: the client registration policy Max Clients Limit)",
	"host_not_trusted":  "it takes no registrations from the operator's address; ask the platform team to trust it there (in Keycloak: the client registration policy Trusted Hosts), or to name an initial access token",
	"uri_not_trusted":   "the host of a redirect URI is not trusted there; use another one, or ask the platform team to trust it (in Keycloak: the client registration policy Trusted Hosts)",
	"refused_by_policy": "ask the platform team what it allows (in Keycloak: the realm's client registration policies)",
}

// refusedMessage says why the wish is not asked for again, with the server's own words
// as a quotation: they are nobody's advice.
func refusedMessage(r Record) string {
	message := refusedAdvice(r)
	if r.RefusedReason == v1alpha1.ReasonRejected && r.RefusedQuote != "" {
		message += `; the authorization server says: "` + r.RefusedQuote + `"`
	}
	return message
}

func refusedAdvice(r Record) string {
	switch r.RefusedReason {
	case v1alpha1.ReasonWidened:
		return widenedMessage(r.Excess)
	case v1alpha1.ReasonSecretExpired:
		return "the authorization server issued a client secret that had expired (client_secret_expires_at): no client is kept; ask the platform team to let secrets live longer, or use tokenEndpointAuthMethod: PrivateKeyJWT"
	case v1alpha1.ReasonManagementUnsupported:
		return "the authorization server gave no way to manage the client (RFC 7592), so that it cannot be deleted again: nothing more is asked of it until the AuthorizationServer or its metadata change; look for the marks in status.possibleOrphans at the authorization server and delete what carries them"
	}
	if advice, known := policyAdvice[r.RefusedCode]; known {
		return "the authorization server's own registration policy refuses the client: " + advice + "; it is asked again with the next drift check, or at once when the wish changes"
	}
	if r.RefusedCode == "unusable_answer" {
		return "the authorization server's answer to the registration could not be used, and the client that it named was deleted again: ask the platform team to look at the operator's log, which says what was wrong with it; it is asked again with the next drift check, or at once when the wish changes"
	}
	if r.RefusedCode == "" {
		return "the authorization server refuses the registration: correct the spec, or ask the platform team what it accepts"
	}
	return fmt.Sprintf("the authorization server refuses the registration with %s: correct the spec, or ask the platform team what it accepts", r.RefusedCode)
}

// While the AuthorizationServer is paused nothing new is done there. A client
// that is as it should be is left alone, and stays ready.
func notPaused(q *inquiry) *Verdict {
	if !Paused(q.AuthorizationServer.Object) || q.asWished() {
		return nil
	}
	return &Verdict{
		Standing: Frozen, Reason: v1alpha1.ReasonPaused, Waiting: true,
		Message: "the platform team paused the AuthorizationServer: nothing is given until it goes on; what is to be taken away is taken away",
	}
}

// asWished says that there is a client and nothing is to be done about it.
func (q *inquiry) asWished() bool {
	if q.Record.Disabled || q.Record.Rotation.Waits() {
		return false
	}
	gone := q.Observed.Looked && q.Observed.Is == Absent
	keyless := NeedsOwnKey(q.Registration.Spec) && q.Credentials.PublicJWKS == ""
	return q.Record.Live() && !gone && !keyless && !q.Record.Replacing && q.Record.WishDigest == Digest(q.wish()) && !q.drifted()
}

// Paused says that an AuthorizationServer is paused.
func Paused(as *v1alpha1.AuthorizationServer) bool {
	if as == nil {
		return false
	}
	switch as.Annotations[v1alpha1.AnnotationPaused] {
	case "", "false":
		return false
	}
	return true
}

// Quota is how many clients a namespace may have at an authorization server;
// nil means any number.
func Quota(f AuthorizationServerFact) *int32 {
	return registrationPolicy(f).MaxRegistrationsPerNamespace
}

// The tokens of a ServiceAccount name one client: with two, the authorization
// server could not tell which of them is meant, and what is taken from one would
// still be had by way of the other.
func serviceAccountFree(q *inquiry) *Verdict {
	account := q.Registration.Spec.ServiceAccountName
	if account == "" || q.Record.State.HoldsPlace() {
		return nil
	}
	switch q.AccountIs {
	case Unknown:
		return unknownVerdict("who uses the ServiceAccount")
	case Absent:
		return nil
	case Present:
	}
	return &Verdict{
		Standing: Frozen, Reason: v1alpha1.ReasonServiceAccountInUse,
		Message: fmt.Sprintf("spec.serviceAccountName: another registration of this namespace has a client at the authorization server that authenticates as the ServiceAccount %q: end that registration, or create one with a ServiceAccount of its own", account),
	}
}

// A namespace has no more clients than the AuthorizationServer's policy
// allows. One that has its place keeps it, also when the policy becomes
// stricter.
func placeFree(q *inquiry) *Verdict {
	quota := Quota(q.AuthorizationServer)
	if quota == nil || q.Record.State.HoldsPlace() {
		return nil
	}
	switch {
	case q.PlacesAre == Unknown:
		return unknownVerdict("the number of registrations of the namespace")
	case q.PlacesTaken < int(*quota):
		return nil
	}
	return &Verdict{
		Standing: Frozen, Reason: v1alpha1.ReasonQuotaExceeded,
		Message: fmt.Sprintf("this namespace has %d clients at the authorization server, and the AuthorizationServer's policy allows %d (maxRegistrationsPerNamespace): end a registration that is no longer needed, or ask the platform team for more", q.PlacesTaken, *quota),
	}
}

// A new end date beyond the maximum is refused; the old term stands.
func newTermAccepted(q *inquiry) *Verdict { return q.term.refusal }

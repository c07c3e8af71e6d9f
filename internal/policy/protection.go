// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
)

// ProbeFacts are what was seen at a live MCP server. The zero value says that
// nothing was.
type ProbeFacts struct {
	// Contact says whether the server could be asked.
	Contact ProbeContact
	// Anonymous are its answers to the calls without a token, as far as they
	// got one.
	Anonymous []ProbeAnswer
	// MetadataIs says what its challenge, or the well-known place, led to:
	// Metadata when found.
	MetadataIs ProbeMetadataIs
	Metadata   ProbeMetadata
	// Audience says how it treated a token of another audience.
	Audience ProbeAudience
	// Trouble says why it could not be asked by the client that is named.
	Trouble ProbeTrouble
	// ToolsAre says whether its tools are known: Tools, by name.
	ToolsAre Knowledge
	Tools    []v1alpha1.ToolDigest
}

// ProbeContact says whether a server could be asked.
type ProbeContact int

// The values of ProbeContact.
const (
	// NoContact: it gave no answer.
	NoContact ProbeContact = iota
	// ContactRefused: its address is one that is not dialled, or its URL is
	// not usable.
	ContactRefused
	// ContactUntrusted: its certificate does not verify.
	ContactUntrusted
	// Contacted: it answered.
	Contacted
)

// ProbeAnswer is the answer to a call without a token.
type ProbeAnswer int

// The values of ProbeAnswer.
const (
	// AnswerOdd: an answer that is neither a refusal nor a result.
	AnswerOdd ProbeAnswer = iota
	// AnswerAccepted: a result.
	AnswerAccepted
	// AnswerChallenged: 401 with a Bearer challenge.
	AnswerChallenged
	// AnswerRefused: another refusal.
	AnswerRefused
	// AnswerPassing: the server is not able to answer at present.
	AnswerPassing
)

// ProbeMetadataIs says what became of the protected resource metadata.
type ProbeMetadataIs int

// The values of ProbeMetadataIs.
const (
	// MetadataAbsent: there is none.
	MetadataAbsent ProbeMetadataIs = iota
	// MetadataFound: it was read.
	MetadataFound
	// MetadataForeign: the challenge leads to another origin; nothing was
	// fetched.
	MetadataForeign
	// MetadataAstray: the challenge leads to a place without it.
	MetadataAstray
	// MetadataUnavailable: the server is not able to give it at present.
	MetadataUnavailable
)

// ProbeMetadata is of the protected resource metadata (RFC 9728 §2) what is
// judged.
type ProbeMetadata struct {
	Resource             string
	AuthorizationServers []string
	Scopes               []string
}

// ProbeAudience says how a token of another audience was treated.
type ProbeAudience int

// The values of ProbeAudience.
const (
	// AudienceUntried: none was offered.
	AudienceUntried ProbeAudience = iota
	// AudienceCompared: it was refused.
	AudienceCompared
	// AudienceIgnored: it was accepted.
	AudienceIgnored
	// AudienceUnclear: the authorization server gives no token that is known
	// to be of another audience, or the answer says nothing.
	AudienceUnclear
)

// ProbeTrouble says why a server could not be asked by a client.
type ProbeTrouble int

// The values of ProbeTrouble.
const (
	// NoTrouble: it could, or was not to be.
	NoTrouble ProbeTrouble = iota
	// TroubleNoAnswer: the authorization server, or the server, did not
	// answer.
	TroubleNoAnswer
	// TroubleNoToken: the authorization server gave no token.
	TroubleNoToken
	// TroubleRefused: the server refused the token.
	TroubleRefused
	// TroubleNoTools: the server gave no usable list of its tools.
	TroubleNoTools
)

// ProtectionVerdict is the Protected condition in the making.
type ProtectionVerdict struct {
	Status  metav1.ConditionStatus
	Reason  string
	Message string
}

// Protection judges what was seen at a live MCP server.
func Protection(s ProbeSubject, plan ProbePlan, f ProbeFacts) ProtectionVerdict {
	for _, rule := range protectionRules {
		if verdict := rule(s, plan, f); verdict != nil {
			return *verdict
		}
	}
	return ProtectionVerdict{metav1.ConditionTrue, v1alpha1.ReasonProtected, "the live server refuses calls without a token and publishes fitting metadata; " + audienceNote(plan, f)}
}

func audienceNote(plan ProbePlan, f ProbeFacts) string {
	switch {
	case f.Audience == AudienceCompared:
		return "it refused a token of another audience"
	case plan.WithClient:
		return "whether it compares aud is unclear: there was no token that is known to be of another audience"
	}
	return "whether it compares aud was not tried"
}

// protectionRules are asked in this order; the first that speaks wins. What
// lets anybody in comes first.
var protectionRules = []func(ProbeSubject, ProbePlan, ProbeFacts) *ProtectionVerdict{
	serverIsDialled,
	serverRefusesAnonymous,
	serverComparesAudience,
	serverAnswers,
	serverChallenges,
	serverPublishesMetadata,
	metadataIsOfResource,
	metadataListsIssuer,
	metadataScopesAreNarrow,
	issuerPublishesPKCE,
	clientCouldAsk,
}

// unprotected and unclear are verdicts other than True.
func unprotected(reason, message string) *ProtectionVerdict {
	return &ProtectionVerdict{metav1.ConditionFalse, reason, message}
}

func unclear(reason, message string) *ProtectionVerdict {
	return &ProtectionVerdict{metav1.ConditionUnknown, reason, message}
}

// A server at an address that is not dialled says nothing.
func serverIsDialled(_ ProbeSubject, _ ProbePlan, f ProbeFacts) *ProtectionVerdict {
	if f.Contact != ContactRefused {
		return nil
	}
	return unclear(v1alpha1.ReasonAddressRefused,
		"spec.resource has an address that the operator does not dial: ask the platform team to allow private addresses (--probe-private-networks), or set spec.probe.mode to Disabled")
}

// A server that answers a call without a token protects nothing.
func serverRefusesAnonymous(_ ProbeSubject, _ ProbePlan, f ProbeFacts) *ProtectionVerdict {
	if !slices.Contains(f.Anonymous, AnswerAccepted) {
		return nil
	}
	return unprotected(v1alpha1.ReasonAnonymousAccepted, "the live server answers calls without a token: put a guard in front of it, or turn its authorization on")
}

// A server that takes tokens meant for others protects nothing from them.
func serverComparesAudience(_ ProbeSubject, _ ProbePlan, f ProbeFacts) *ProtectionVerdict {
	if f.Audience != AudienceIgnored {
		return nil
	}
	return unprotected(v1alpha1.ReasonAudienceNotChecked, "the live server accepted a token of another audience: have it compare aud with spec.resource (RFC 8707)")
}

// A server that gives no answer, or is not able to at present, is not judged.
func serverAnswers(_ ProbeSubject, _ ProbePlan, f ProbeFacts) *ProtectionVerdict {
	switch {
	case f.Contact == ContactUntrusted:
		return unclear(v1alpha1.ReasonUnavailable, "the certificate of the live server does not verify: have it issued by an authority that the operator trusts")
	case f.Contact != Contacted, len(f.Anonymous) == 0, slices.Contains(f.Anonymous, AnswerPassing), f.MetadataIs == MetadataUnavailable:
		return unclear(v1alpha1.ReasonUnavailable, "the live server gives no usable answer: asked again")
	}
	return nil
}

// A refusal must be 401 with a Bearer challenge that leads to the metadata.
func serverChallenges(_ ProbeSubject, _ ProbePlan, f ProbeFacts) *ProtectionVerdict {
	switch {
	case slices.Contains(f.Anonymous, AnswerRefused):
		return unprotected(v1alpha1.ReasonChallengeUnusable, "the live server refuses calls without a token, but not with 401 and a Bearer challenge: clients cannot find out where to get a token (RFC 9728 section 5.1)")
	case slices.Contains(f.Anonymous, AnswerOdd):
		return unclear(v1alpha1.ReasonUnclear, "the live server's answer to a call without a token is neither a refusal nor a result: see that spec.resource is its MCP endpoint")
	case f.MetadataIs == MetadataForeign:
		return unprotected(v1alpha1.ReasonChallengeUnusable, "resource_metadata in the live server's challenge is on another origin than spec.resource: serve the metadata at the server's own origin (RFC 9728 section 3)")
	case f.MetadataIs == MetadataAstray:
		return unprotected(v1alpha1.ReasonChallengeUnusable, "resource_metadata in the live server's challenge does not lead to usable metadata: correct the challenge, or publish the metadata there (RFC 9728 section 5.1)")
	}
	return nil
}

// There must be metadata.
func serverPublishesMetadata(_ ProbeSubject, _ ProbePlan, f ProbeFacts) *ProtectionVerdict {
	if f.MetadataIs == MetadataFound {
		return nil
	}
	return unprotected(v1alpha1.ReasonMetadataMissing, "the live server publishes no usable protected resource metadata: publish it (RFC 9728 section 3)")
}

// The metadata must be of this resource, to the letter.
func metadataIsOfResource(s ProbeSubject, _ ProbePlan, f ProbeFacts) *ProtectionVerdict {
	if f.Metadata.Resource == s.Server.Spec.Resource {
		return nil
	}
	return unprotected(v1alpha1.ReasonResourceMismatch, "resource in the live server's metadata is not equal to spec.resource: clients refuse it (RFC 9728 section 3.3)")
}

// The metadata must list the issuer, to the letter.
func metadataListsIssuer(s ProbeSubject, _ ProbePlan, f ProbeFacts) *ProtectionVerdict {
	switch {
	case s.AuthorizationServer.Object == nil:
		return unclear(v1alpha1.ReasonUnclear, "the AuthorizationServer could not be read: tried again")
	case slices.Contains(f.Metadata.AuthorizationServers, s.AuthorizationServer.Object.Spec.Issuer):
		return nil
	}
	return unprotected(v1alpha1.ReasonAuthorizationServerNotListed, "authorization_servers in the live server's metadata does not list the issuer of the AuthorizationServer: list it")
}

// The metadata must not have clients ask for everything, or for refresh tokens.
func metadataScopesAreNarrow(_ ProbeSubject, _ ProbePlan, f ProbeFacts) *ProtectionVerdict {
	wide := func(scope string) bool {
		return strings.Contains(scope, "*") || catchAll.MatchString(strings.ToLower(scope)) || scope == "offline_access"
	}
	if !slices.ContainsFunc(f.Metadata.Scopes, wide) {
		return nil
	}
	return unprotected(v1alpha1.ReasonScopesTooWide, "scopes_supported in the live server's metadata holds a wildcard, a catch-all name or offline_access: publish what a first call needs")
}

// The authorization server must publish S256, or clients have to give up.
func issuerPublishesPKCE(s ProbeSubject, _ ProbePlan, _ ProbeFacts) *ProtectionVerdict {
	switch status := s.AuthorizationServer.Object.Status; {
	case slices.Contains(status.Capabilities, v1alpha1.CapabilityPKCES256):
		return nil
	case status.Metadata == nil:
		return unclear(v1alpha1.ReasonUnclear, "the metadata of the authorization server is not known yet: see the conditions of the AuthorizationServer")
	}
	return unprotected(v1alpha1.ReasonPKCENotPublished, "the authorization server does not publish S256 in code_challenge_methods_supported: ask the platform team to have it do so (RFC 8414 section 2)")
}

// Where a client is named, the server must have been asked by it.
func clientCouldAsk(_ ProbeSubject, plan ProbePlan, f ProbeFacts) *ProtectionVerdict {
	const client = "spec.probe.clientRef: the live server could not be asked by the client: "
	switch {
	case plan.Obstacle != "":
		return unclear(v1alpha1.ReasonUnclear, client+plan.Obstacle)
	case f.Trouble == TroubleNoAnswer:
		return unclear(v1alpha1.ReasonUnavailable, client+"it, or the authorization server, gave no usable answer: asked again")
	case f.Trouble == TroubleNoToken:
		return unclear(v1alpha1.ReasonUnclear, client+"the authorization server gave it no token: see its condition TokensConform")
	case f.Trouble == TroubleRefused:
		return unclear(v1alpha1.ReasonUnclear, client+"its token was refused: see that the server accepts tokens of the AuthorizationServer for spec.resource")
	case f.Trouble == TroubleNoTools:
		return unclear(v1alpha1.ReasonUnclear, client+"there was no usable answer to tools/list")
	}
	return nil
}

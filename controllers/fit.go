// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"math"
	"unicode/utf8"

	"k8s.io/apimachinery/pkg/api/equality"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
)

// The bounds of the schemas of status. A status beyond one of them is refused as a
// whole by the API server, and what it had to say would be heard by nobody.
const (
	maxConditions    = 16
	maxCapabilities  = 16
	maxMethods       = 5
	maxMessage       = 32768
	maxSources       = 256
	maxCarried       = 1024
	maxMarks         = 64
	maxMark          = 128
	maxName          = 128
	maxObjectName    = 253
	maxLongText      = 4096
	maxPerson        = 1024
	maxOwner         = 256
	maxHost          = 512
	maxURIs          = 32
	maxKey           = 640
	maxTypes         = 8
	maxWord          = 32
	maxPendingScopes = 64
	maxNamespace     = 63
	maxUID           = 64
	maxDigest        = 64
	maxTools         = 256
	maxUnmapped      = 50
	maxOrphansNamed  = 50
	maxSnapshotNamed = 256
	maxRecorded      = 16
)

// fit cuts the lists and texts of a status to the bounds of its schema, and says
// how much was left out. What it cuts is a copy: lists are shared with the object
// as it was, and with what was decided on.
func fit(object reported) {
	switch o := object.(type) {
	case *v1alpha1.MCPClientRegistration:
		o.Status = *o.Status.DeepCopy()
		fitRegistration(&o.Status)
	case *v1alpha1.ScopeGrant:
		o.Status = *o.Status.DeepCopy()
		fitGrant(&o.Status)
	case *v1alpha1.MCPServer:
		o.Status = *o.Status.DeepCopy()
		fitServer(&o.Status)
	case *v1alpha1.AuthorizationServer:
		o.Status = *o.Status.DeepCopy()
		fitAuthorizationServer(&o.Status)
	}
	conditions := object.GetConditions()
	conditions = conditions[:min(len(conditions), maxConditions)]
	for i := range conditions {
		conditions[i].Message = shortText(conditions[i].Message, maxMessage)
	}
	object.SetConditions(conditions)
}

func fitRegistration(s *v1alpha1.MCPClientRegistrationStatus) {
	s.ClientID, s.SecretName = shortText(s.ClientID, maxLongText), shortText(s.SecretName, maxObjectName)
	s.Scopes, s.ScopesOmitted = firstOf(s.Scopes, maxCarried, s.ScopesOmitted)
	for i := range s.Scopes {
		scope := &s.Scopes[i]
		scope.Name = shortText(scope.Name, maxName)
		scope.Grants, scope.GrantsOmitted = firstOf(scope.Grants, maxSources, scope.GrantsOmitted)
		shortTexts(scope.Grants, maxObjectName)
	}
	s.PossibleOrphans, s.PossibleOrphansOmitted = firstOf(s.PossibleOrphans, maxMarks, s.PossibleOrphansOmitted)
	shortTexts(s.PossibleOrphans, maxMark)
	if s.Revocation != nil {
		s.Revocation.ClientID = shortText(s.Revocation.ClientID, maxLongText)
	}
}

func fitGrant(s *v1alpha1.ScopeGrantStatus) {
	s.ChangedTools, s.ChangedToolsOmitted = firstOf(s.ChangedTools, maxTools, s.ChangedToolsOmitted)
	shortTexts(s.ChangedTools, maxName)
	s.RecordedApprovals = s.RecordedApprovals[:min(len(s.RecordedApprovals), maxRecorded)]
	shortTexts(s.RecordedApprovals, maxUID)
	if shot := s.ToolSnapshot; shot != nil {
		shot.Scopes = shot.Scopes[:min(len(shot.Scopes), maxSnapshotNamed)]
		shortTexts(shot.Scopes, maxName)
		shot.Tools, shot.ToolsOmitted = firstOf(shot.Tools, maxTools, shot.ToolsOmitted)
		fitDigests(shot.Tools)
	}
	if a := s.Approval; a != nil {
		a.Name, a.UID = shortText(a.Name, maxObjectName), shortText(a.UID, maxUID)
		a.Reason, a.ApprovedBy = shortText(a.Reason, maxPerson), shortText(a.ApprovedBy, maxPerson)
	}
}

func fitServer(s *v1alpha1.MCPServerStatus) {
	s.PendingGrants, s.PendingGrantsOmitted = firstOf(s.PendingGrants, maxPending, s.PendingGrantsOmitted)
	for i := range s.PendingGrants {
		fitPending(&s.PendingGrants[i])
	}
	s.PendingGrantsOmittedIn = s.PendingGrantsOmittedIn[:min(len(s.PendingGrantsOmittedIn), maxPending)]
	for i := range s.PendingGrantsOmittedIn {
		s.PendingGrantsOmittedIn[i].Namespace = shortText(s.PendingGrantsOmittedIn[i].Namespace, maxNamespace)
	}
	s.Tools, s.ToolsOmitted = firstOf(s.Tools, maxTools, s.ToolsOmitted)
	fitDigests(s.Tools)
	s.UnmappedTools, s.UnmappedToolsOmitted = firstOf(s.UnmappedTools, maxUnmapped, s.UnmappedToolsOmitted)
	shortTexts(s.UnmappedTools, maxName)
}

// fitPending cuts a grant that waits, which policy has made to fit. What is cut all
// the same loses its digest: nobody approves what is not shown.
func fitPending(p *v1alpha1.PendingGrant) {
	whole := p.DeepCopy()
	p.Namespace, p.Name, p.UID = shortText(p.Namespace, maxNamespace), shortText(p.Name, maxObjectName), shortText(p.UID, maxUID)
	p.Client, p.Registration.UID = shortText(p.Client, maxObjectName), shortText(p.Registration.UID, maxUID)
	p.Digest, p.Message = shortText(p.Digest, maxDigest), shortText(p.Message, maxHost)
	p.ClientName, p.ApplicationType, p.AuthMethod = shortText(p.ClientName, maxName), shortText(p.ApplicationType, maxWord), shortText(p.AuthMethod, maxWord)
	p.Owner, p.GrantOwner, p.Resource = shortText(p.Owner, maxOwner), shortText(p.GrantOwner, maxOwner), shortText(p.Resource, maxHost)
	p.RequestedBy, p.Reason = shortText(p.RequestedBy, maxPerson), shortText(p.Reason, maxPerson)
	p.GrantTypes = p.GrantTypes[:min(len(p.GrantTypes), maxTypes)]
	shortTexts(p.GrantTypes, maxWord)
	p.RedirectURIs, p.RedirectURIsOmitted = firstOf(p.RedirectURIs, maxURIs, p.RedirectURIsOmitted)
	shortTexts(p.RedirectURIs, maxHost)
	p.Keys, p.KeysOmitted = firstOf(p.Keys, maxURIs, p.KeysOmitted)
	shortTexts(p.Keys, maxKey)
	p.ToolsDigest = shortText(p.ToolsDigest, maxDigest)
	p.ChangedTools, p.ChangedToolsOmitted = firstOf(p.ChangedTools, maxTools, p.ChangedToolsOmitted)
	shortTexts(p.ChangedTools, maxName)
	p.Scopes, p.ScopesOmitted = firstOf(p.Scopes, maxPendingScopes, p.ScopesOmitted)
	for i := range p.Scopes {
		scope := &p.Scopes[i]
		scope.Name, scope.Tier = shortText(scope.Name, maxName), shortText(scope.Tier, maxWord)
		scope.Tools, scope.ToolsOmitted = firstOf(scope.Tools, maxTools, scope.ToolsOmitted)
		shortTexts(scope.Tools, maxName)
	}
	if !equality.Semantic.DeepEqual(whole, p) {
		p.Digest, p.ToolsDigest = "", ""
	}
}

func fitAuthorizationServer(s *v1alpha1.AuthorizationServerStatus) {
	s.Capabilities = s.Capabilities[:min(len(s.Capabilities), maxCapabilities)]
	if m := s.Metadata; m != nil {
		m.AuthorizationEndpoint, m.TokenEndpoint = shortText(m.AuthorizationEndpoint, maxLongText), shortText(m.TokenEndpoint, maxLongText)
		m.RegistrationEndpoint = shortText(m.RegistrationEndpoint, maxLongText)
		m.TokenEndpointAuthMethods = m.TokenEndpointAuthMethods[:min(len(m.TokenEndpointAuthMethods), maxMethods)]
	}
	// How many there are is counted beside these lists.
	if list := s.Inventory; list != nil {
		list.UnmanagedClients = list.UnmanagedClients[:min(len(list.UnmanagedClients), maxNamed)]
		shortTexts(list.UnmanagedClients, maxID)
		list.OrphanedClients = list.OrphanedClients[:min(len(list.OrphanedClients), maxOrphansNamed)]
		for i := range list.OrphanedClients {
			list.OrphanedClients[i].ClientID = shortText(list.OrphanedClients[i].ClientID, maxID)
		}
	}
}

func fitDigests(tools []v1alpha1.ToolDigest) {
	for i := range tools {
		tools[i].Name, tools[i].Digest = shortText(tools[i].Name, maxName), shortText(tools[i].Digest, 64)
	}
}

// firstOf cuts a list to its first elements, and adds to how many were left out.
func firstOf[T any](list []T, most int, omitted int32) (kept []T, left int32) {
	if len(list) <= most {
		return list, omitted
	}
	return list[:most], count32(int(omitted) + len(list) - most)
}

func count32(n int) int32 { return int32(min(max(n, 0), math.MaxInt32)) }

func shortTexts(texts []string, most int) {
	for i := range texts {
		texts[i] = shortText(texts[i], most)
	}
}

// bound cuts a text to a number of bytes, at the end of a character.
func bound(text string, size int) string {
	for len(text) > size {
		_, last := utf8.DecodeLastRuneInString(text)
		text = text[:len(text)-last]
	}
	return text
}

// shortText cuts a text to a number of characters.
func shortText(text string, most int) string {
	if len(text) <= most || utf8.RuneCountInString(text) <= most {
		return text
	}
	cut, count := 0, 0
	for cut = range text {
		if count == most {
			break
		}
		count++
	}
	return text[:cut]
}

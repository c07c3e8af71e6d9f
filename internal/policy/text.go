// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
)

// Bounds of what a tenant writes, in characters. An authorization server repeats
// all of it in its answers, and an answer that cannot be read would stand in the
// way of a revocation. The schema and the admission policies say the same.
const (
	maxOwner      = 256
	maxClientName = 128
	maxURI        = 512
	maxURIs       = 32
	maxScopeName  = 128
	maxKeyWord    = 256
	maxRequest    = 256
)

// breaksLine says that a character is none of a text of one line: a control
// character or a separator of lines, or one that turns the text round. The schema
// of clientName holds the same.
func breaksLine(r rune) bool {
	return unicode.In(r, unicode.Cc, unicode.Zl, unicode.Zp) || (r >= 0x202A && r <= 0x202E) || (r >= 0x2066 && r <= 0x2069)
}

// invisible says that a character is none of a name that is compared: as above,
// and what nobody sees (Unicode category Cf).
func invisible(r rune) bool { return breaksLine(r) || unicode.Is(unicode.Cf, r) }

// longer says that a text has more characters than some.
func longer(text string, most int) bool {
	return len(text) > most && utf8.RuneCountInString(text) > most
}

// readOwner refuses an object for which nobody answers. An owner is one line
// without invisible characters: it is sent as a contact of the client.
func readOwner(object metav1.Object) *Verdict {
	owner := object.GetAnnotations()[v1alpha1.AnnotationOwner]
	trimmed := strings.TrimSpace(owner)
	switch {
	case trimmed == "":
		return &Verdict{
			Reason: v1alpha1.ReasonOwnerMissing, Cause: v1alpha1.CauseOwnerMissing,
			Message: "annotation mcp-registrar.dev/owner is missing: set it, " + ownerExample,
		}
	case trimmed != owner, longer(owner, maxOwner), strings.ContainsFunc(owner, invisible), !utf8.ValidString(owner):
		return &Verdict{
			Reason: v1alpha1.ReasonOwnerInvalid, Cause: v1alpha1.CauseOwnerMissing,
			Message: fmt.Sprintf("annotation mcp-registrar.dev/owner must be one line of at most %d characters, without control or invisible characters and without white space at its ends: correct it, %s", maxOwner, ownerExample),
		}
	}
	return nil
}

// contacts is the owner as it is sent; none where it must not be.
func contacts(object metav1.Object) []string {
	if readOwner(object) != nil {
		return nil
	}
	return []string{object.GetAnnotations()[v1alpha1.AnnotationOwner]}
}

// The name must be one line: the authorization server shows and repeats it.
func clientNameAllowed(q *inquiry) *Verdict {
	name := q.Registration.Spec.ClientName
	if strings.TrimSpace(name) != "" && !longer(name, maxClientName) && !strings.ContainsFunc(name, breaksLine) && utf8.ValidString(name) {
		return nil
	}
	return notAllowed(v1alpha1.ReasonClientNameNotAllowed,
		fmt.Sprintf("spec.clientName must be one line of at most %d characters, without control or text-direction characters, and not blank: correct it, for example clientName: Desktop assistant", maxClientName))
}

// RotationRequest is the word by which a registration asks for new credentials;
// empty for none. What is too long to be kept asks for nothing.
func RotationRequest(reg *v1alpha1.MCPClientRegistration) string {
	word := reg.Annotations[v1alpha1.AnnotationRotate]
	if longer(word, maxRequest) {
		return ""
	}
	return word
}

// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/quotation"
)

// longestReason bounds what is shown of the API server's reason, in bytes.
const longestReason = 400

// refusedWrite is a write that the API server refused for what it is: the same write
// is refused again until somebody changes something.
type refusedWrite struct {
	// what completes "the API server refuses to".
	what string
	// cause is why, as far as it can be told.
	cause refusalCause
	// says is the API server's reason, cleaned.
	says string
	// err is the answer. Its text is never shown: an admission policy of others may have
	// put into it what it was shown.
	err error
}

// Error returns the text, for the operator's log.
func (e *refusedWrite) Error() string {
	return fmt.Sprintf("the API server refuses to %s, because of %s: %q", e.what, e.cause.name, e.says)
}

// Unwrap returns the answer.
func (e *refusedWrite) Unwrap() error { return e.err }

// refusalCause is a kind of refusal, and what helps.
type refusalCause struct {
	name, remedy string
	// passing says that nobody needs to act.
	passing bool
}

// wrapWrite adds to an error of a write what was to be done. objects are what was sent,
// and what it was to replace: where the write is refused the answer is shown to the
// team, without what they hold that is secret.
func wrapWrite(what string, err error, objects ...client.Object) error {
	if err == nil {
		return nil
	}
	said, refused := refusal(err)
	if !refused {
		return fmt.Errorf("trying to %s: %w", what, err)
	}
	options := quotation.Options{Longest: longestReason}
	for _, object := range objects {
		options.Sent += fmt.Sprintln(object.GetNamespace(), object.GetName(), object.GetLabels(), object.GetAnnotations())
		if secret, ok := object.(*corev1.Secret); ok {
			options.Secrets = append(options.Secrets, telling(secret)...)
		}
	}
	return &refusedWrite{what: what, cause: causeOf(err, said), says: quotation.Clean(said.Message, options), err: err}
}

// telling are the secrets in a credentials Secret, as they are and as they are sent.
func telling(secret *corev1.Secret) []string {
	var found []string
	for _, key := range []string{v1alpha1.SecretKeyClientSecret, v1alpha1.SecretKeyPrivateKey} {
		if value := secret.Data[key]; len(value) > 0 {
			found = append(found, string(value), base64.StdEncoding.EncodeToString(value))
		}
	}
	return found
}

// refusal reports whether an error is the API server's answer to a request that it
// refuses for what it is, and not for when it came.
func refusal(err error) (metav1.Status, bool) {
	answer, ok := errors.AsType[*apierrors.StatusError](err)
	if !ok {
		return metav1.Status{}, false
	}
	status := answer.Status()
	if slices.Contains(refusingCodes, status.Code) {
		return status, true
	}
	// Who refuses by admission chooses the code.
	return status, strings.Contains(status.Message, "denied request: ") || strings.Contains(status.Message, "denied the request") ||
		strings.Contains(status.Message, "failed calling webhook")
}

// refusingCodes are the HTTP status codes of a request that cannot be sent again as it
// is: bad, forbidden, not allowed, too large, unprocessable.
var refusingCodes = []int32{400, 403, 405, 413, 422}

// The kinds of refusals, by what the API server writes into its answer. The first that
// is found counts.
var refusalCauses = []struct {
	mark  string
	cause refusalCause
}{
	{"quota", refusalCause{name: "a quota", remedy: "make room in the ResourceQuota of the namespace, or ask for more"}},
	{"AdmissionPolicy '", refusalCause{name: "an admission policy", remedy: "do what the policy asks for (spec.credentials sets labels and annotations of the Secret), or ask whoever installed it for an exception"}},
	{"failed calling webhook", refusalCause{name: "an admission webhook that does not answer", remedy: "ask whoever runs the webhook"}},
	{"admission webhook ", refusalCause{name: "an admission webhook", remedy: "do what the webhook asks for (spec.credentials sets labels and annotations of the Secret), or ask whoever installed it for an exception"}},
	{" cannot ", refusalCause{name: "the operator's rights", remedy: "ask the platform team to give the operator's account this right in the namespace, as the chart does"}},
}

// causeOf is why a write is refused.
func causeOf(err error, said metav1.Status) refusalCause {
	if apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
		return refusalCause{name: "the end of the namespace", remedy: "nothing new is written into a namespace that is being deleted", passing: true}
	}
	for _, known := range refusalCauses {
		if strings.Contains(said.Message, known.mark) {
			return known.cause
		}
	}
	return refusalCause{name: "what is written", remedy: "correct what the API server names, or ask the platform team"}
}

// classifyCluster is classify for what the Kubernetes API answers.
func classifyCluster(err error) mishap {
	m := mishap{happened: true, reason: v1alpha1.ReasonFactUnknown, message: "something could not be read or written in the cluster: tried again"}
	if refused, ok := errors.AsType[*refusedWrite](err); ok {
		m.reason, m.stalled, m.says = v1alpha1.ReasonWriteRefused, !refused.cause.passing, refused.says
		m.message = fmt.Sprintf("the API server refuses to %s, because of %s: %s", refused.what, refused.cause.name, refused.cause.remedy)
		return m
	}
	if _, refused := refusal(err); refused {
		m.message = "the API server refuses a request of the operator outside this namespace, or a read: tried again; ask the platform team to look at the operator's log"
	}
	return m
}

// text is the message with the API server's reason. One that is worded anew each time
// is told once: before is what was told last.
func (m mishap) text(before *metav1.Condition) string {
	if m.says == "" {
		return m.message
	}
	head := m.message + "; it says: "
	if before != nil && strings.HasPrefix(before.Message, head) {
		return before.Message
	}
	return head + `"` + m.says + `"`
}

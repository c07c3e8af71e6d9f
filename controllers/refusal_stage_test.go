// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
)

// answered is an answer of the API server.
func answered(code int32, message string, causes ...metav1.StatusCause) error {
	return &apierrors.StatusError{ErrStatus: metav1.Status{
		Status: metav1.StatusFailure, Code: code, Message: message, Details: &metav1.StatusDetails{Causes: causes},
	}}
}

// The messages are those of a kube-apiserver 1.37.
func TestARefusedWriteSaysWhyAndWhoseTurnItIs(t *testing.T) {
	t.Parallel()
	const secretValue = "Zm9vYmFy-the-secret-of-the-client"
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: "payments", Name: "reconciler-2026-mcp-client", Labels: map[string]string{"team": "payments"}},
		Data:       map[string][]byte{v1alpha1.SecretKeyClientSecret: []byte(secretValue), v1alpha1.SecretKeyClientID: []byte("mcpr-1")},
	}
	const told = "the API server refuses to create the credentials Secret, because of "
	for name, c := range map[string]struct {
		err     error
		reason  string
		message string
		waiting bool
		says    string
	}{
		"a quota": {
			answered(403, `secrets "reconciler-2026-mcp-client" is forbidden: exceeded quota: few-secrets, requested: count/secrets=1, used: count/secrets=0, limited: count/secrets=0`),
			v1alpha1.ReasonWriteRefused, told + "a quota: make room in the ResourceQuota", false,
			"secrets 'reconciler-2026-mcp-client' is forbidden: exceeded quota: few-secrets, requested: count/secrets=1, used: count/secrets=0, limited: count/secrets=0",
		},
		"an admission policy": {
			answered(422, `secrets "a" is forbidden: ValidatingAdmissionPolicy 'cost-centre' with binding 'cost-centre' denied request: a Secret needs the label cost-centre`),
			v1alpha1.ReasonWriteRefused, told + "an admission policy: do what the policy asks for (spec.credentials", false,
			"secrets 'a' is forbidden: ValidatingAdmissionPolicy 'cost-centre' with binding 'cost-centre' denied request: a Secret needs the label cost-centre",
		},
		"an admission policy that answers 401": {
			answered(401, `secrets "a" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no`),
			v1alpha1.ReasonWriteRefused, told + "an admission policy", false, "secrets 'a' is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no",
		},
		"a webhook": {
			answered(418, `admission webhook "secrets.example.com" denied the request: see https://wiki.example.com/secrets`),
			v1alpha1.ReasonWriteRefused, told + "an admission webhook: do what", false, "admission webhook 'secrets.example.com' denied the request: see (…)",
		},
		"a webhook that is not there": {
			answered(500, `Internal error occurred: failed calling webhook "secrets.example.com": failed to call webhook: Post "https://hook.svc:443/x?timeout=10s": dial tcp 10.0.0.1:443: connect: connection refused`),
			v1alpha1.ReasonWriteRefused, told + "an admission webhook that does not answer: ask whoever", false,
			"Internal error occurred: failed calling webhook 'secrets.example.com': failed to call webhook: Post (…) dial tcp 10.0.0.1:443: connect: connection refused",
		},
		"a missing right": {
			answered(403, `secrets is forbidden: User "system:serviceaccount:mcp-registrar-system:mcp-registrar" cannot create resource "secrets" in API group "" in the namespace "payments"`),
			v1alpha1.ReasonWriteRefused, told + "the operator's rights: ask the platform team", false,
			"secrets is forbidden: User 'system:serviceaccount:mcp-registrar-system:mcp-registrar' cannot create resource 'secrets' in API group '' in the namespace 'payments'",
		},
		"a namespace that is being deleted": {
			answered(403, `secrets "a" is forbidden: unable to create new content in namespace payments because it is being terminated`, metav1.StatusCause{Type: corev1.NamespaceTerminatingCause}),
			v1alpha1.ReasonWriteRefused, told + "the end of the namespace", true, "secrets 'a' is forbidden: unable to create new content in namespace payments because it is being terminated",
		},
		"what is written": {
			answered(422, `Secret "a" is invalid: metadata.labels: Invalid value: "not a label": a valid label must be an empty string`),
			v1alpha1.ReasonWriteRefused, told + "what is written: correct", false, "Secret 'a' is invalid: metadata.labels: Invalid value: 'not a label': a valid label must be an empty string",
		},
		"a policy that tells the secret": {
			answered(422, `secrets "a" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no `+secretValue+` here`),
			v1alpha1.ReasonWriteRefused, told + "an admission policy", false, "",
		},
		"a policy that tells the secret in base64": {
			answered(422, `secrets "a" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no `+base64.StdEncoding.EncodeToString([]byte(secretValue))),
			v1alpha1.ReasonWriteRefused, told + "an admission policy", false, "",
		},
		"a server that is busy": {answered(429, "too many requests"), v1alpha1.ReasonFactUnknown, "something could not be read or written in the cluster: tried again", true, ""},
		"a server that fails":   {answered(500, "etcdserver: request timed out"), v1alpha1.ReasonFactUnknown, "something could not be read or written in the cluster: tried again", true, ""},
		"no answer":             {errors.New("connection refused"), v1alpha1.ReasonFactUnknown, "something could not be read or written in the cluster: tried again", true, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := fmt.Errorf("a pass: %w", wrapWrite("create the credentials Secret", c.err, secret))
			m := classify(err)
			if m.reason != c.reason || !strings.HasPrefix(m.message, c.message) || m.stalled == c.waiting || m.says != c.says {
				t.Errorf("got %+v", m)
			}
			if strings.Contains(err.Error(), "Zm9vYmFy") || strings.Contains(err.Error(), base64.StdEncoding.EncodeToString([]byte(secretValue))[:8]) {
				t.Errorf("the log is told a secret: %v", err)
			}
			if !errors.Is(err, c.err) {
				t.Error("the answer is lost")
			}
		})
	}
	if err := wrapWrite("create the credentials Secret", nil, secret); err != nil {
		t.Errorf("nothing refused is %v", err)
	}
}

func TestARefusedWriteIsToldOnce(t *testing.T) {
	t.Parallel()
	m := mishap{message: "refused", says: "request 2"}
	for before, want := range map[string]string{
		`refused; it says: "request 1"`: `refused; it says: "request 1"`,
		`another`:                       `refused; it says: "request 2"`,
	} {
		if got := m.text(&metav1.Condition{Message: before}); got != want {
			t.Errorf("after %q: %q", before, got)
		}
	}
}

// A refusal outside the team's namespace is not quoted to the team.
func TestARefusalElsewhereIsThePlatforms(t *testing.T) {
	t.Parallel()
	m := classify(fmt.Errorf("writing record: %w", answered(403, `exceeded quota: records`)))
	if m.reason != v1alpha1.ReasonFactUnknown || !strings.Contains(m.message, "ask the platform team") || m.says != "" || strings.Contains(m.message, "quota") {
		t.Errorf("got %+v", m)
	}
}

// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"encoding/json"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

// Labels and annotations of a record are for those who look things up: a third
// party's policy may take them off. What a record is about is in its name and its
// data, and that is what counts.

// recordPrefix is what the name of every record begins with; the UID of its
// registration follows.
const recordPrefix = "registration-"

func recordName(uid types.UID) string { return recordPrefix + string(uid) }

// recordUID is the UID of the registration that a record is of; empty for what is
// no record.
func recordUID(secret *corev1.Secret) types.UID {
	uid, named := strings.CutPrefix(secret.Name, recordPrefix)
	if !named || secret.Type != v1alpha1.SecretTypeRecord {
		return ""
	}
	return types.UID(uid)
}

// recordSummary is the part of a record that it is looked up by.
type recordSummary struct {
	State          policy.RecordState `json:"state"`
	Registration   storedReference    `json:"registration"`
	Connection     storedConnection   `json:"connection"`
	ServiceAccount string             `json:"serviceAccount"`
	Client         struct {
		ID string `json:"id"`
	} `json:"client"`
}

// storedReference names the registration of a record.
type storedReference struct {
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name,omitempty"`
}

// summarize reads what a record is looked up by, as far as it can be read.
func summarize(secret *corev1.Secret) recordSummary {
	var s recordSummary
	if data := secret.Data[recordKey]; json.Unmarshal(data, &s) != nil {
		lenient(data, &s)
	}
	if s.Registration.Name == "" {
		s.Registration = storedReference{
			Namespace: secret.Annotations[annotationRegistrationNamespace], Name: secret.Annotations[annotationRegistrationName],
		}
	}
	return s
}

// registrationKey names the registration of a record.
func registrationKey(secret *corev1.Secret) types.NamespacedName {
	return types.NamespacedName(summarize(secret).Registration)
}

// recordServer names the authorization server of a record: an index.
func recordServer(secret *corev1.Secret) string {
	if recordUID(secret) == "" {
		return ""
	}
	if name := summarize(secret).Connection.Name; name != "" {
		return name
	}
	return secret.Labels[v1alpha1.LabelAuthorizationServer]
}

// recordClient is the digest of the client that a record speaks of: an index.
func recordClient(secret *corev1.Secret) string {
	if s := summarize(secret); recordUID(secret) != "" && s.Client.ID != "" {
		return clientDigest(s.Connection.Issuer, s.Client.ID)
	}
	return secret.Labels[v1alpha1.LabelClient]
}

// lenient reads the members of a JSON object one by one, so that one that cannot
// be read takes no other with it. It reports whether it is an object at all.
func lenient(data []byte, into any) bool {
	var members map[string]json.RawMessage
	if json.Unmarshal(data, &members) != nil || members == nil {
		return false
	}
	for name, raw := range members {
		one, err := json.Marshal(map[string]json.RawMessage{name: raw})
		if err == nil {
			_ = json.Unmarshal(one, into) // what cannot be read stays empty
		}
	}
	return true
}

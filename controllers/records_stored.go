// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"encoding/json"
	"errors"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

// storedRecord is the JSON form of a policy.Record.
type storedRecord struct {
	State policy.RecordState `json:"state"`
	// Registration names the object that the record is of.
	Registration  storedReference  `json:"registration,omitzero"`
	Mark          string           `json:"mark,omitempty"`
	Owner         string           `json:"owner,omitempty"`
	Orphans       []string         `json:"orphans,omitempty"`
	Unanswered    int              `json:"unanswered,omitempty"`
	Connection    storedConnection `json:"connection"`
	Client        storedClient     `json:"client"`
	TokenEndpoint string           `json:"tokenEndpoint,omitempty"`
	// ServiceAccount is in the index of places.
	ServiceAccount string                   `json:"serviceAccount,omitempty"`
	WishDigest     string                   `json:"wishDigest,omitempty"`
	WitnessKey     string                   `json:"witnessKey,omitempty"`
	WitnessKeyID   string                   `json:"witnessKeyID,omitempty"`
	SecretDoubtful bool                     `json:"secretDoubtful,omitempty"`
	TokenDoubtful  bool                     `json:"tokenDoubtful,omitempty"`
	Replacing      bool                     `json:"replacing,omitempty"`
	KeptKeys       []string                 `json:"keptKeys,omitempty"`
	Disabled       bool                     `json:"disabled,omitempty"`
	Adopting       bool                     `json:"adopting,omitempty"`
	KeysSent       string                   `json:"keysSent,omitempty"`
	KeysChangedAt  time.Time                `json:"keysChangedAt,omitzero"`
	KeysSettleAt   time.Time                `json:"keysSettleAt,omitzero"`
	Rotation       storedRotation           `json:"rotation,omitzero"`
	Excess         []string                 `json:"excess,omitempty"`
	Missing        []string                 `json:"missing,omitempty"`
	TokenLifetime  time.Duration            `json:"tokenLifetimeNanoseconds,omitempty"`
	RegisteredAt   time.Time                `json:"registeredAt,omitzero"`
	Reached        []string                 `json:"reached,omitempty"`
	Cause          v1alpha1.RevocationCause `json:"cause,omitempty"`
	DueAt          time.Time                `json:"dueAt,omitzero"`
	DeletedAt      time.Time                `json:"deletedAt,omitzero"`
	VerifiedAt     time.Time                `json:"verifiedAt,omitzero"`
	Released       string                   `json:"released,omitempty"`
	RefusedReason  string                   `json:"refusedReason,omitempty"`
	RefusedCode    string                   `json:"refusedCode,omitempty"`
	RefusedQuote   string                   `json:"refusedQuote,omitempty"`
	RefusedDigest  string                   `json:"refusedDigest,omitempty"`
	RefusedAt      time.Time                `json:"refusedAt,omitzero"`
	RefusedServer  string                   `json:"refusedServer,omitempty"`
}

type storedConnection struct {
	Name              string `json:"name,omitempty"`
	Issuer            string `json:"issuer,omitempty"`
	CABundle          []byte `json:"caBundle,omitempty"`
	Method            string `json:"method,omitempty"`
	BaseURL           string `json:"baseURL,omitempty"`
	Realm             string `json:"realm,omitempty"`
	CopySeconds       int    `json:"copySeconds,omitempty"`
	AssertionIssuer   string `json:"assertionIssuer,omitempty"`
	AdminSecret       string `json:"adminSecret,omitempty"`
	RequestsPerSecond int    `json:"requestsPerSecond,omitempty"`
	MaxInFlight       int    `json:"maxInFlight,omitempty"`
}

type storedClient struct {
	ID              string         `json:"id,omitempty"`
	Secret          string         `json:"secret,omitempty"`
	SecretExpiresAt time.Time      `json:"secretExpiresAt,omitzero"`
	ManagementURI   string         `json:"managementURI,omitempty"`
	ManagementToken string         `json:"managementToken,omitempty"`
	Registered      storedMetadata `json:"registered,omitzero"`
}

// storedMetadata has the fields of authserver.ClientMetadata, under the names
// of RFC 7591 §2.
type storedMetadata struct {
	Name            string   `json:"client_name,omitempty"`
	SoftwareID      string   `json:"software_id,omitempty"`
	SoftwareVersion string   `json:"software_version,omitempty"`
	ApplicationType string   `json:"application_type,omitempty"`
	GrantTypes      []string `json:"grant_types,omitempty"`
	ResponseTypes   []string `json:"response_types,omitempty"`
	RedirectURIs    []string `json:"redirect_uris,omitempty"`
	Scopes          []string `json:"scopes,omitempty"`
	AuthMethod      string   `json:"token_endpoint_auth_method,omitempty"`
	JWKS            string   `json:"jwks,omitempty"`
	JWKSURI         string   `json:"jwks_uri,omitempty"`
	Contacts        []string `json:"contacts,omitempty"`
	Audiences       []string `json:"audiences,omitempty"`
	TokenLifetime   int64    `json:"accessTokenLifetimeNanoseconds,omitempty"`
	// AssertionIssuer and AssertionSubject are authserver.Assertion.
	AssertionIssuer  string `json:"assertion_issuer,omitempty"`
	AssertionSubject string `json:"assertion_subject,omitempty"`
}

// storedRotation has the fields of policy.Rotation.
type storedRotation struct {
	MadeAt     time.Time `json:"madeAt,omitzero"`
	Request    string    `json:"request,omitempty"`
	NextKey    string    `json:"nextKey,omitempty"`
	NextKeyID  string    `json:"nextKeyID,omitempty"`
	NextJWKS   string    `json:"nextJWKS,omitempty"`
	NextSecret string    `json:"nextSecret,omitempty"`
	OldJWKS    string    `json:"oldJWKS,omitempty"`
	OldUntil   time.Time `json:"oldUntil,omitzero"`
	NextFrom   time.Time `json:"nextFrom,omitzero"`
}

// store turns a record into its JSON form. That a person lets go is read from
// the annotation until it is carried out: a word of the past must not release
// the next client.
func store(r policy.Record) storedRecord {
	if r.State != policy.RecordRevoked {
		r.Released = ""
	}
	return storedRecord{
		State: r.State, Mark: r.Mark, Orphans: r.Orphans, Unanswered: r.Unanswered,
		Owner: r.Owner, Disabled: r.Disabled, Adopting: r.Adopting, Rotation: storeRotation(r.Rotation),
		Connection: storeConnection(r.Connection),
		Client: storedClient{
			ID: r.Client.ID, Secret: r.Client.Secret.Reveal(), SecretExpiresAt: r.Client.SecretExpiresAt,
			ManagementURI: r.Client.ManagementURI, ManagementToken: r.Client.ManagementToken.Reveal(),
			Registered: storeMetadata(r.Client.Registered),
		},
		ServiceAccount: r.ServiceAccount,
		TokenEndpoint:  r.TokenEndpoint, WishDigest: r.WishDigest, Replacing: r.Replacing, KeptKeys: r.KeptKeys, SecretDoubtful: r.SecretDoubtful, TokenDoubtful: r.TokenDoubtful,
		WitnessKey: r.WitnessKey.Reveal(), WitnessKeyID: r.WitnessKeyID,
		KeysSent: r.KeysSent, KeysChangedAt: r.KeysChangedAt, KeysSettleAt: r.KeysSettleAt,
		Excess: r.Excess, Missing: r.Missing, TokenLifetime: r.TokenLifetime, RegisteredAt: r.RegisteredAt, Reached: r.Reached,
		Cause: r.Cause, DueAt: r.DueAt, DeletedAt: r.DeletedAt, VerifiedAt: r.VerifiedAt, Released: r.Released,
		RefusedReason: r.RefusedReason, RefusedCode: r.RefusedCode, RefusedQuote: r.RefusedQuote, RefusedDigest: r.RefusedDigest, RefusedAt: r.RefusedAt, RefusedServer: r.RefusedServer,
	}
}

func storeMetadata(m authserver.ClientMetadata) storedMetadata {
	return storedMetadata{
		Name: m.Name, SoftwareID: m.SoftwareID, SoftwareVersion: m.SoftwareVersion, ApplicationType: m.ApplicationType,
		GrantTypes: m.GrantTypes, ResponseTypes: m.ResponseTypes, RedirectURIs: m.RedirectURIs, Scopes: m.Scopes,
		AuthMethod: m.AuthMethod, JWKS: m.JWKS, JWKSURI: m.JWKSURI, Contacts: m.Contacts,
		Audiences: m.Audiences, TokenLifetime: int64(m.TokenLifetime),
		AssertionIssuer: m.Assertion.Issuer, AssertionSubject: m.Assertion.Subject,
	}
}

func (s storedMetadata) metadata() authserver.ClientMetadata {
	return authserver.ClientMetadata{
		Name: s.Name, SoftwareID: s.SoftwareID, SoftwareVersion: s.SoftwareVersion, ApplicationType: s.ApplicationType,
		GrantTypes: s.GrantTypes, ResponseTypes: s.ResponseTypes, RedirectURIs: s.RedirectURIs, Scopes: s.Scopes,
		AuthMethod: s.AuthMethod, JWKS: s.JWKS, JWKSURI: s.JWKSURI, Contacts: s.Contacts,
		Audiences: s.Audiences, TokenLifetime: time.Duration(s.TokenLifetime),
		Assertion: authserver.Assertion{Issuer: s.AssertionIssuer, Subject: s.AssertionSubject},
	}
}

// unreadableState stands for a state that cannot be read: that of a client which
// may live.
const unreadableState policy.RecordState = "Unreadable"

// decodeRecord reads a record. A Secret without one is a record of nothing: a
// person may have made it to release a client. Of one that was changed by another
// hand all is read that can be: what a deletion needs must not be lost for the
// sake of the rest. A word by which a person lets go counts only where the
// admission policies guard it.
func decodeRecord(secret *corev1.Secret) (policy.Record, error) {
	var s storedRecord
	damage := policy.Undamaged
	if !marked(secret) {
		damage = policy.Unmarked
	}
	if data := secret.Data[recordKey]; len(data) > 0 && json.Unmarshal(data, &s) != nil {
		s, damage = storedRecord{}, policy.Altered
		if !s.salvage(data) {
			return policy.Record{}, errors.New("not the JSON of a record")
		}
	}
	record := policy.Record{
		State: s.State, Mark: s.Mark, Orphans: s.Orphans, Unanswered: s.Unanswered,
		Owner: s.Owner, Disabled: s.Disabled, Adopting: s.Adopting, Rotation: s.Rotation.rotation(),
		Connection: s.Connection.config(),
		Client: authserver.Client{
			ID: s.Client.ID, Secret: authserver.NewSecret(s.Client.Secret), SecretExpiresAt: s.Client.SecretExpiresAt,
			ManagementURI: s.Client.ManagementURI, ManagementToken: authserver.NewSecret(s.Client.ManagementToken),
			Registered: s.Client.Registered.metadata(),
		},
		ServiceAccount: s.ServiceAccount,
		TokenEndpoint:  s.TokenEndpoint, WishDigest: s.WishDigest, Replacing: s.Replacing, KeptKeys: s.KeptKeys, SecretDoubtful: s.SecretDoubtful, TokenDoubtful: s.TokenDoubtful,
		WitnessKey: authserver.NewSecret(s.WitnessKey), WitnessKeyID: s.WitnessKeyID,
		KeysSent: s.KeysSent, KeysChangedAt: s.KeysChangedAt, KeysSettleAt: s.KeysSettleAt,
		Excess: s.Excess, Missing: s.Missing, TokenLifetime: s.TokenLifetime, RegisteredAt: s.RegisteredAt, Reached: s.Reached,
		Cause: s.Cause, DueAt: s.DueAt, DeletedAt: s.DeletedAt, VerifiedAt: s.VerifiedAt, Released: s.Released,
		RefusedReason: s.RefusedReason, RefusedCode: s.RefusedCode, RefusedQuote: s.RefusedQuote, RefusedDigest: s.RefusedDigest, RefusedAt: s.RefusedAt, RefusedServer: s.RefusedServer,
		Version: secret.ResourceVersion, Damage: damage,
	}
	if released := secret.Annotations[v1alpha1.AnnotationRelease]; released != "" && marked(secret) {
		record.Released = released
	}
	return record, nil
}

// salvage reads what can be read, down to the members of the client and its
// connection.
func (s *storedRecord) salvage(data []byte) bool {
	if !lenient(data, s) {
		return false
	}
	var parts struct{ Client, Connection json.RawMessage }
	lenient(data, &parts)
	lenient(parts.Client, &s.Client)
	lenient(parts.Connection, &s.Connection)
	if s.State == "" {
		s.State = unreadableState
	}
	return true
}

func storeConnection(c authserver.Config) storedConnection {
	return storedConnection{
		Name: c.Name, Issuer: c.Issuer, CABundle: c.CABundle, RequestsPerSecond: c.RequestsPerSecond, MaxInFlight: c.MaxInFlight,
		Method: string(c.Method), BaseURL: c.BaseURL, Realm: c.Realm, CopySeconds: c.CopySeconds, AdminSecret: c.AdminSecret,
		AssertionIssuer: c.AssertionIssuer,
	}
}

func (s storedConnection) config() authserver.Config {
	return authserver.Config{
		Name: s.Name, Issuer: s.Issuer, CABundle: s.CABundle, RequestsPerSecond: s.RequestsPerSecond, MaxInFlight: s.MaxInFlight,
		Method: authserver.Method(s.Method), BaseURL: s.BaseURL, Realm: s.Realm, CopySeconds: s.CopySeconds, AdminSecret: s.AdminSecret,
		AssertionIssuer: s.AssertionIssuer,
	}
}

func storeRotation(r policy.Rotation) storedRotation {
	return storedRotation{
		MadeAt: r.MadeAt, Request: r.Request, NextKey: r.NextKey.Reveal(), NextKeyID: r.NextKeyID, NextJWKS: r.NextJWKS,
		NextSecret: r.NextSecret.Reveal(), OldJWKS: r.OldJWKS, OldUntil: r.OldUntil, NextFrom: r.NextFrom,
	}
}

func (s storedRotation) rotation() policy.Rotation {
	return policy.Rotation{
		MadeAt: s.MadeAt, Request: s.Request, NextKey: authserver.NewSecret(s.NextKey), NextKeyID: s.NextKeyID, NextJWKS: s.NextJWKS,
		NextSecret: authserver.NewSecret(s.NextSecret), OldJWKS: s.OldJWKS, OldUntil: s.OldUntil, NextFrom: s.NextFrom,
	}
}

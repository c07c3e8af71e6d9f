// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	logf "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
)

// Denials has guards refuse clients by AccessDenials, where the object of the team
// cannot carry the news. Nothing that a tenant can write is needed for it.
type Denials struct {
	// Client reads from the cache, Live from the API server.
	Client client.Client
	Live   client.Reader
}

// +kubebuilder:rbac:groups=mcp-registrar.dev,resources=accessdenials,verbs=get;list;watch;create;update;delete;operate

// errForeignDenial says that somebody else's AccessDenial has the name of ours.
var errForeignDenial = errors.New("an AccessDenial of that name was not created by the operator for this client")

// Bounds of the schema.
const (
	maxDenialReason = 1024
	maxDeniedClient = 2048
)

// Ensure has guards refuse the client of a registration until Remove. It names
// the client where it is known, so that it holds whatever becomes of the object;
// else the registration. It writes once, and not at all where the denial is there.
func (d *Denials) Ensure(ctx context.Context, reg types.NamespacedName, uid types.UID, authorizationServer, clientID, reason string) error {
	wanted := denialOf(reg, uid, authorizationServer, clientID, reason)
	var stored v1alpha1.AccessDenial
	err := d.Client.Get(ctx, client.ObjectKeyFromObject(wanted), &stored)
	if apierrors.IsNotFound(err) {
		err = d.Client.Create(ctx, wanted)
		if !apierrors.IsAlreadyExists(err) {
			return wrap("creating AccessDenial", err)
		}
		// The cache is behind.
		err = d.Live.Get(ctx, client.ObjectKeyFromObject(wanted), &stored)
	}
	if err != nil {
		return wrap("reading AccessDenial", err)
	}
	return d.keep(ctx, &stored, wanted)
}

// keep leaves a denial that is there, unless it would end or is not ours.
func (d *Denials) keep(ctx context.Context, stored, wanted *v1alpha1.AccessDenial) error {
	switch {
	case !operatorMade(stored) || !equality.Semantic.DeepEqual(stored.Spec.Client, wanted.Spec.Client) ||
		!equality.Semantic.DeepEqual(stored.Spec.Registration, wanted.Spec.Registration):
		return wrap("AccessDenial "+stored.Name, errForeignDenial)
	case stored.DeletionTimestamp != nil:
		// It ends while somebody's finalizer holds it, and is made again then.
		return wrap("AccessDenial "+stored.Name, errStale)
	case stored.Spec.ExpirationTime == nil:
		return nil
	}
	stored = stored.DeepCopy()
	stored.Spec.ExpirationTime = nil
	return wrap("writing AccessDenial", d.Client.Update(ctx, stored))
}

// Has reports whether a client of a registration is known to be denied by Ensure.
func (d *Denials) Has(ctx context.Context, uid types.UID, clientID string) bool {
	var denials v1alpha1.AccessDenialList
	if err := d.Client.List(ctx, &denials, client.MatchingFields{indexDenied: string(uid)}, client.UnsafeDisableDeepCopy); err != nil {
		logf.FromContext(ctx).Error(err, "Listing AccessDenials")
		return false
	}
	return slices.ContainsFunc(denials.Items, func(denial v1alpha1.AccessDenial) bool {
		return denial.DeletionTimestamp == nil && denial.Spec.Client != nil && denial.Spec.Client.ClientID == clientID
	})
}

// Remove takes back what Ensure did for a registration. It writes nothing where
// there is nothing, and never touches what people created.
func (d *Denials) Remove(ctx context.Context, uid types.UID) error {
	var denials v1alpha1.AccessDenialList
	if err := d.Client.List(ctx, &denials, client.MatchingFields{indexDenied: string(uid)}, client.UnsafeDisableDeepCopy); err != nil {
		return wrap("listing AccessDenials", err)
	}
	var errs []error
	for i := range denials.Items {
		errs = append(errs, d.delete(ctx, &denials.Items[i]))
	}
	return errors.Join(errs...)
}

// delete deletes the very object that was looked at.
func (d *Denials) delete(ctx context.Context, denial *v1alpha1.AccessDenial) error {
	if denial.DeletionTimestamp != nil {
		return nil
	}
	err := d.Client.Delete(ctx, denial, client.Preconditions{UID: &denial.UID})
	return wrap("deleting AccessDenial", client.IgnoreNotFound(err))
}

// indexDenied finds the denials that the operator made, by the UID of the
// registration.
const indexDenied = "denied"

func deniedRegistration(object client.Object) []string {
	denial, ok := object.(*v1alpha1.AccessDenial)
	if !ok || !operatorMade(denial) {
		return nil
	}
	return []string{denial.Labels[v1alpha1.LabelRegistrationUID]}
}

// operatorMade says that the operator made a denial. The admission policies keep
// the label to it.
func operatorMade(denial *v1alpha1.AccessDenial) bool {
	return denial.Labels[v1alpha1.LabelManagedBy] == v1alpha1.ManagedByValue && denial.Labels[v1alpha1.LabelRegistrationUID] != ""
}

// denialOf is the denial of a client of a registration. Its name is decided by
// whom it denies, so that it is never made twice.
func denialOf(reg types.NamespacedName, uid types.UID, authorizationServer, clientID, reason string) *v1alpha1.AccessDenial {
	denial := &v1alpha1.AccessDenial{ObjectMeta: metav1.ObjectMeta{
		Name:        "registration-" + strings.ToLower(string(uid)),
		Labels:      map[string]string{v1alpha1.LabelManagedBy: v1alpha1.ManagedByValue, v1alpha1.LabelRegistrationUID: string(uid)},
		Annotations: map[string]string{v1alpha1.AnnotationRegistration: reg.String()},
	}}
	denial.Spec.Reason = bound(oneLine(reason), maxDenialReason)
	if authorizationServer == "" || clientID == "" || len(clientID) > maxDeniedClient || !utf8.ValidString(clientID) {
		denial.Spec.Registration = &v1alpha1.DeniedRegistration{Namespace: reg.Namespace, Name: reg.Name, UID: string(uid)}
		return denial
	}
	digest := sha256.Sum256([]byte(authorizationServer + "\x00" + clientID))
	denial.Name += "-" + hex.EncodeToString(digest[:4])
	denial.Spec.Client = &v1alpha1.DeniedClient{
		AuthorizationServerRef: v1alpha1.AuthorizationServerReference{Name: authorizationServer}, ClientID: clientID,
	}
	return denial
}

// oneLine is a text as the schema takes it: without control and direction
// characters, and never empty.
func oneLine(text string) string {
	text = strings.TrimSpace(strings.Map(func(letter rune) rune {
		if unicode.In(letter, unicode.Cc, unicode.Zl, unicode.Zp, unicode.Bidi_Control) {
			return ' '
		}
		return letter
	}, text))
	if text == "" {
		return "the client was revoked"
	}
	return text
}

// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/utils/clock"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	fakeclient "sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/audit"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
)

// headsFixture is an API server that counts writes and fails when told to.
type headsFixture struct {
	client.Client
	t      *testing.T
	clock  *clocktesting.FakeClock
	writes int
	// before is called before each write; its error is the answer.
	before func() error
}

func newHeadsFixture(t *testing.T) *headsFixture {
	t.Helper()
	f := &headsFixture{t: t, clock: clocktesting.NewFakeClock(begun), before: func() error { return nil }}
	count := func() error {
		f.writes++
		return f.before()
	}
	f.Client = fakeclient.NewClientBuilder().WithInterceptorFuncs(interceptor.Funcs{
		Create: func(ctx context.Context, c client.WithWatch, object client.Object, options ...client.CreateOption) error {
			if err := count(); err != nil {
				return err
			}
			return c.Create(ctx, object, options...)
		},
		Update: func(ctx context.Context, c client.WithWatch, object client.Object, options ...client.UpdateOption) error {
			if err := count(); err != nil {
				return err
			}
			return c.Update(ctx, object, options...)
		},
	}).Build()
	return f
}

// position is a line of a chain.
func position(chain string, sequence int) audit.Position {
	return audit.Position{Chain: chain, Sequence: audit.Sequence(sequence), Hash: fmt.Sprintf("%064x", sequence)}
}

// heads are those of a replica whose stream ends with what the pointer says.
func (f *headsFixture) heads(last *audit.Position) *AuditHeads {
	return &AuditHeads{
		Client: f, Live: f, Clock: f.clock, Namespace: stageOperator,
		Head: func() (audit.Position, bool) { return *last, last.Sequence > 0 },
	}
}

func (f *headsFixture) stored() map[string]string {
	f.t.Helper()
	var stored corev1.ConfigMap
	if err := f.Get(f.t.Context(), client.ObjectKey{Namespace: stageOperator, Name: auditHeadsName}, &stored); err != nil {
		f.t.Fatal(err)
	}
	return stored.Data
}

func (f *headsFixture) publish(h *AuditHeads) {
	f.t.Helper()
	if err := h.Publish(f.t.Context()); err != nil {
		f.t.Fatal(err)
	}
}

// sequences are what is published, by chain.
func (f *headsFixture) sequences() map[string]int {
	f.t.Helper()
	found := map[string]int{}
	heads, err := f.heads(&audit.Position{}).Read(f.t.Context())
	if err != nil {
		f.t.Fatal(err)
	}
	for _, head := range heads {
		found[head.Chain] = int(head.Sequence)
	}
	return found
}

func TestTheEndOfTheAuditStreamIsPublished(t *testing.T) {
	t.Parallel()
	f := newHeadsFixture(t)
	var last audit.Position
	h := f.heads(&last)
	if heads, err := h.Read(t.Context()); err != nil || heads != nil {
		t.Errorf("before the first: %v, %v", heads, err)
	}
	f.publish(h)
	if f.writes != 0 {
		t.Error("a stream without a line was published")
	}
	last = position("a", 3)
	f.publish(h)
	f.publish(h)
	if f.writes != 1 {
		t.Errorf("%d writes of one head", f.writes)
	}
	heads, err := h.Read(t.Context())
	if err != nil || len(heads) != 1 || heads[0].Position != last || !heads[0].At.Equal(begun.UTC().Truncate(time.Second)) {
		t.Errorf("%+v, %v", heads, err)
	}
	last = position("a", 4)
	f.clock.Step(time.Minute)
	f.publish(h)
	last = position("b", 1)
	f.clock.Step(time.Minute)
	f.publish(h)
	if got := f.sequences(); !maps.Equal(got, map[string]int{"a": 4, "b": 1}) {
		t.Errorf("%v", got)
	}
}

// Who led before does not take back what the next leader of the same file published.
func TestAHeadIsNeverPutBack(t *testing.T) {
	t.Parallel()
	f := newHeadsFixture(t)
	first, second := position("a", 3), position("a", 9)
	before, after := f.heads(&first), f.heads(&second)
	f.publish(before)
	f.publish(after)
	first = position("a", 5)
	f.publish(before)
	if got := f.sequences(); !maps.Equal(got, map[string]int{"a": 9}) {
		t.Errorf("%v", got)
	}
}

func TestTheLatestChainsAreKept(t *testing.T) {
	t.Parallel()
	f := newHeadsFixture(t)
	var last audit.Position
	h := f.heads(&last)
	for n := range maxAuditHeads + 5 {
		last = position(fmt.Sprintf("c%02d", n), 1)
		f.clock.Step(time.Minute)
		f.publish(h)
	}
	last.Sequence++
	f.publish(h)
	chains := slices.Sorted(maps.Keys(f.sequences()))
	if len(chains) != maxAuditHeads || chains[0] != "c05" || chains[maxAuditHeads-1] != fmt.Sprintf("c%02d", maxAuditHeads+4) {
		t.Errorf("%v", chains)
	}
}

func TestWhatIsNoHeadIsLeftOut(t *testing.T) {
	t.Parallel()
	f := newHeadsFixture(t)
	last := position("a", 3)
	h := f.heads(&last)
	f.publish(h)
	var stored corev1.ConfigMap
	if err := f.Get(t.Context(), client.ObjectKey{Namespace: stageOperator, Name: auditHeadsName}, &stored); err != nil {
		t.Fatal(err)
	}
	stored.Data["b"], stored.Data["c"] = "soon", stored.Data["a"]
	if err := f.Update(t.Context(), &stored); err != nil {
		t.Fatal(err)
	}
	if got := f.sequences(); !maps.Equal(got, map[string]int{"a": 3}) {
		t.Errorf("%v", got)
	}
	last = position("a", 4)
	f.publish(h)
	if got := f.stored(); len(got) != 1 || got["a"] == "" {
		t.Errorf("%v", got)
	}
}

func TestAWriteThatRacesIsTriedAgainAndAFailureIsCounted(t *testing.T) {
	t.Parallel()
	f := newHeadsFixture(t)
	last := position("a", 3)
	h := f.heads(&last)
	resource := schema.GroupResource{Resource: "configmaps"}
	f.before = func() error {
		if f.writes == 1 {
			return apierrors.NewConflict(resource, auditHeadsName, errors.New("somebody else"))
		}
		return nil
	}
	f.publish(h)
	if got := f.sequences(); f.writes != 2 || got["a"] != 3 {
		t.Errorf("%d writes, %v", f.writes, got)
	}
	refused := apierrors.NewForbidden(resource, auditHeadsName, errors.New("no role"))
	f.before = func() error { return refused }
	last = position("a", 4)
	if err := h.Publish(t.Context()); !apierrors.IsForbidden(err) || f.writes != 3 {
		t.Errorf("%d writes, %v", f.writes, err)
	}
	f.before = func() error { return nil }
	f.publish(h)
	if got := f.sequences(); got["a"] != 4 {
		t.Errorf("after the failure: %v", got)
	}
}

// tickerClock notes how often its tickers tick.
type tickerClock struct {
	*clocktesting.FakeClock
	every chan time.Duration
}

func (c tickerClock) NewTicker(every time.Duration) clock.Ticker {
	defer func() { c.every <- every }()
	return c.FakeClock.NewTicker(every)
}

// The budget: one write a minute, however many lines there are.
func TestHeadsAreWrittenOnceAMinute(t *testing.T) {
	t.Parallel()
	f := newHeadsFixture(t)
	sequence, reads := 0, make(chan struct{})
	h := f.heads(nil)
	ticks := tickerClock{f.clock, make(chan time.Duration, 1)}
	h.Clock = ticks
	h.Head = func() (audit.Position, bool) {
		reads <- struct{}{}
		sequence++
		return position("a", sequence), true
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- h.Start(ctx) }()
	if every := <-ticks.every; every != time.Minute {
		t.Errorf("it ticks every %v", every)
	}
	<-reads
	const minutes = 5
	for range minutes {
		f.clock.Step(auditHeadsEvery)
		<-reads
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if f.writes < minutes || f.writes > minutes+1 {
		t.Errorf("%d writes in %d minutes", f.writes, minutes)
	}
}

func auditSecret(kind corev1.SecretType, keys []byte) *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: stageOperator, Name: auditKeyName}, Type: kind, Data: map[string][]byte{auditKeyMember: keys},
	}
}

func TestTheAuditKeyIsMadeOnceAndNeverWritten(t *testing.T) {
	t.Parallel()
	f := newHeadsFixture(t)
	made, err := AuditKeys(t.Context(), f, f, stageOperator)
	if err != nil || len(made.IDs()) != 1 {
		t.Fatalf("%v, %v", made.IDs(), err)
	}
	var secret corev1.Secret
	if err := f.Get(t.Context(), client.ObjectKey{Namespace: stageOperator, Name: auditKeyName}, &secret); err != nil {
		t.Fatal(err)
	}
	if secret.Type != v1alpha1.SecretTypeAuditKey || secret.Labels[v1alpha1.LabelManagedBy] != v1alpha1.ManagedByValue {
		t.Errorf("the policy would not let it be made: %s, %v", secret.Type, secret.Labels)
	}
	again, err := AuditKeys(t.Context(), f, f, stageOperator)
	if err != nil || !slices.Equal(again.IDs(), made.IDs()) || f.writes != 1 {
		t.Errorf("%v after %v in %d writes, %v", again.IDs(), made.IDs(), f.writes, err)
	}
	// A person adds a key in front.
	secret.Data[auditKeyMember] = append(audit.NewKey(), secret.Data[auditKeyMember]...)
	if err := f.Update(t.Context(), &secret); err != nil {
		t.Fatal(err)
	}
	if rotated, err := AuditKeys(t.Context(), f, f, stageOperator); err != nil || len(rotated.IDs()) != 2 || rotated.IDs()[1] != made.IDs()[0] || f.writes != 2 {
		t.Errorf("%v, %v", rotated.IDs(), err)
	}
}

func TestAnAuditKeyThatCannotBeUsedIsLeftAlone(t *testing.T) {
	t.Parallel()
	text := strings.TrimSpace(string(audit.NewKey()))
	for name, c := range map[string]struct {
		secret *corev1.Secret
		says   string
	}{
		"of another type": {auditSecret(corev1.SecretTypeOpaque, []byte(text)), "is not of the type mcp-registrar.dev/audit-key: remove it"},
		"empty":           {auditSecret(v1alpha1.SecretTypeAuditKey, nil), "there is no key"},
		"half a key":      {auditSecret(v1alpha1.SecretTypeAuditKey, []byte(text[:40])), "line 1 of the keys is not 64 hexadecimal digits"},
	} {
		f := newHeadsFixture(t)
		if err := f.Create(t.Context(), c.secret); err != nil {
			t.Fatal(err)
		}
		keys, err := AuditKeys(t.Context(), f, f, stageOperator)
		if err == nil || !strings.Contains(err.Error(), c.says) || !keys.IsZero() || strings.Contains(err.Error(), text[:40]) || f.writes != 1 {
			t.Errorf("%s: %v, %d writes", name, err, f.writes)
		}
	}
}

// Two replicas start at one time.
func TestAnAuditKeyOfAnotherReplicaIsTaken(t *testing.T) {
	t.Parallel()
	f := newHeadsFixture(t)
	theirs := auditSecret(v1alpha1.SecretTypeAuditKey, audit.NewKey())
	f.before = func() error {
		f.before = func() error { return nil }
		return f.Create(t.Context(), theirs)
	}
	keys, err := AuditKeys(t.Context(), f, f, stageOperator)
	want, _ := audit.ParseKeys(theirs.Data[auditKeyMember])
	if err != nil || !slices.Equal(keys.IDs(), want.IDs()) {
		t.Errorf("%v, want %v: %v", keys.IDs(), want.IDs(), err)
	}
	refused := newHeadsFixture(t)
	refused.before = func() error {
		return apierrors.NewForbidden(schema.GroupResource{Resource: "secrets"}, auditKeyName, errors.New("no role"))
	}
	if keys, err := AuditKeys(t.Context(), refused, refused, stageOperator); !apierrors.IsForbidden(err) || !keys.IsZero() {
		t.Errorf("%v", err)
	}
}

// An AuthorizationServer that names the Secret of the keys would have them sent to it.
func TestTheAuditKeyIsNoCredential(t *testing.T) {
	t.Parallel()
	f := newHeadsFixture(t)
	secret := auditSecret(v1alpha1.SecretTypeAuditKey, bytes.TrimSpace(audit.NewKey()))
	secret.Data[v1alpha1.SecretKeyAdminID], secret.Data[v1alpha1.SecretKeyAdminSecret] = []byte("admin"), []byte("secret")
	if err := f.Create(t.Context(), secret); err != nil {
		t.Fatal(err)
	}
	s := &Servers{Client: f, Namespace: stageOperator}
	as := &v1alpha1.AuthorizationServer{}
	as.Spec.DynamicRegistration = &v1alpha1.DynamicRegistration{
		InitialAccessTokenSecretRef: &v1alpha1.SecretKeyReference{Name: auditKeyName, Key: auditKeyMember},
	}
	if token, _, err := s.InitialAccessToken(t.Context(), as); err != nil || !token.IsZero() {
		t.Errorf("the key is an initial access token, %v", err)
	}
	config, err := s.administrator(t.Context(), authserver.Config{AdminSecret: auditKeyName})
	if !errors.Is(err, errInitialAccess) {
		t.Errorf("the key's Secret has an administrator: %+v, %v", config.AdminID, err)
	}
}

// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

// While many clients are to go at one time, that the server took one is left to memory
// for a moment. It is stored first of all in the next turn, and when the process ends
// in good order; one that dies has the server told again.

// owedRecord is a record that is to be stored.
type owedRecord struct {
	// registration has nothing but its name and UID.
	registration *v1alpha1.MCPClientRegistration
	record       policy.Record
}

// Owe keeps a record in memory until Settle.
func (s *Records) Owe(reg *v1alpha1.MCPClientRegistration, record policy.Record) {
	named := &v1alpha1.MCPClientRegistration{ObjectMeta: metav1.ObjectMeta{Namespace: reg.Namespace, Name: reg.Name, UID: reg.UID}}
	s.owed.Store(reg.UID, owedRecord{named, record})
}

// Settle stores what is owed of a registration, if anything is. What somebody else
// wrote about the same client meanwhile, as a label or an annotation, is no reason to
// forget it; another client is.
func (s *Records) Settle(ctx context.Context, uid types.UID) error {
	found, is := s.owed.Load(uid)
	if !is {
		return nil
	}
	owed := found.(owedRecord)
	_, err := s.Put(ctx, owed.registration, owed.record)
	if !errors.Is(err, errStale) {
		if err == nil {
			s.owed.Delete(uid)
		}
		return err
	}
	live, there, err := s.GetLive(ctx, uid)
	switch {
	case err != nil:
		return err
	case there == policy.Present && sameClient(live, owed.record):
		s.owed.Store(uid, owedRecord{owed.registration, owed.record.At(live.Version)})
	default:
		s.owed.Delete(uid)
	}
	return errStale
}

// owes says that something of a registration is to be stored.
func (s *Records) owes(uid types.UID) bool {
	_, is := s.owed.Load(uid)
	return is
}

// sameClient says that what is stored is what a record was before it was owed.
func sameClient(stored, owed policy.Record) bool {
	a, b := stored.Client, owed.Client
	return stored.Live() && stored.Mark == owed.Mark && a.ID == b.ID && a.ManagementURI == b.ManagementURI && a.ManagementToken.Equal(b.ManagementToken)
}

// forget drops what is kept in memory of a record that is gone.
func (s *Records) forget(uid types.UID) {
	s.owed.Delete(uid)
	s.written.Delete(uid)
}

// settleGrace bounds the storing of what is owed at the end of the process, and
// settlePause is what is waited for who was about to owe something.
const (
	settleGrace = 5 * time.Second
	settlePause = 100 * time.Millisecond
)

// settleAll stores all that is owed.
func (s *Records) settleAll(ctx context.Context) error {
	var errs []error
	s.owed.Range(func(uid, _ any) bool {
		err := s.Settle(ctx, uid.(types.UID))
		if errors.Is(err, errStale) {
			err = s.Settle(ctx, uid.(types.UID))
		}
		errs = append(errs, err)
		return ctx.Err() == nil
	})
	return errors.Join(errs...)
}

// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"strconv"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
)

// testRotation replaces the key of a client again and again while the client
// asks for one token after the other, and reads its Secret before each: it is
// never refused. A key before the last is of no use in the end.
func testRotation(t *testing.T, w *world, at venue) {
	g := NewWithT(t)
	s := at.scene(t, w)
	reg := s.newRegistration("busy", v1alpha1.AuthMethodPrivateKeyJWT)
	const overlap = time.Second
	reg.Spec.Credentials = &v1alpha1.Credentials{SecretName: "busy-keys", RotationOverlapSeconds: new(int32(overlap / time.Second))}
	s.create(t, reg, s.newGrant("busy", "busy", "files:read"))
	first := s.waitReady(t, reg)

	began, asked := time.Now(), 0
	keys := map[string]bool{first.keyID: true}
	s.annotate(t, reg, v1alpha1.AnnotationRotate, "0")
	for len(keys) <= at.rotations {
		if time.Since(began) > 5*patience {
			t.Fatalf("%d rotations in %s", len(keys)-1, time.Since(began).Round(time.Second))
		}
		read := time.Now()
		p := newParty(t, s.secret(t, "busy-keys"))
		answer := p.ask(t, p.scope, p.resources)
		took := time.Since(read)
		switch {
		case answer.AccessToken != "":
			asked++
		case took < overlap:
			t.Fatalf("request %d, with key %d, is refused: %d %s", asked, len(keys), answer.Status, answer.Error)
		default:
			// The key may have been good when it was read.
			t.Logf("request %d took %s, longer than a key is good for that was replaced: %s", asked, took, answer.Error)
			continue
		}
		if !keys[p.keyID] {
			keys[p.keyID] = true
			s.seen.keep(answer.AccessToken, "access token")
			s.annotate(t, reg, v1alpha1.AnnotationRotate, strconv.Itoa(len(keys)))
		}
	}
	t.Logf("%d tokens during %d rotations in %s", asked, at.rotations, time.Since(began).Round(time.Millisecond))
	g.Expect(asked).To(BeNumerically(">", at.rotations))

	g.Eventually(first.standing(t), patience, often).Should(Equal("invalid_client"), "the first key")
	g.Eventually(func() *metav1.Time {
		s.ready(t, reg)()
		return reg.Status.OldKeyUntil
	}, patience, often).Should(BeNil(), "a key before the last")
	g.Expect(s.waitReady(t, reg).id).To(Equal(first.id))
	g.Expect(reg.Status.RotatedAt).NotTo(BeNil())
}

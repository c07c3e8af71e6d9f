// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
)

// clocks are the reason of ClockSynchronized and of Ready, and the version of the object.
func (s *stage) clocks() (said, version string) {
	s.t.Helper()
	var as v1alpha1.AuthorizationServer
	if err := s.Get(s.t.Context(), client.ObjectKeyFromObject(s.issuer), &as); err != nil {
		s.t.Fatal(err)
	}
	for _, kind := range []string{v1alpha1.ConditionClockSynchronized, v1alpha1.ConditionReady} {
		if c := meta.FindStatusCondition(as.Status.Conditions, kind); c != nil {
			said += string(c.Status) + "/" + c.Reason + " "
		}
	}
	return strings.TrimSpace(said), as.ResourceVersion
}

// A clock that goes wrong while the operator runs is seen within minutes, told once by an
// event, and costs no write while it stays as it is; nothing else depends on it.
func TestAWrongClockIsToldOnce(t *testing.T) {
	s := newStage(t, "clocks")
	recorder := events.NewFakeRecorder(100)
	s.authServers.Recorder = recorder
	ahead := time.Duration(0)
	s.authServers.Ahead = func() (time.Duration, bool) { return ahead, true }
	s.begin()
	for _, step := range []struct {
		ahead       time.Duration
		said, event string
	}{
		{0, "True/Synchronized True/Ready", ""},
		{1800 * time.Millisecond, "True/Synchronized True/Ready", ""},
		{time.Hour, "False/OperatorClockOff True/Ready", "Warning OperatorClockOff"},
		{1500 * time.Millisecond, "False/OperatorClockOff True/Ready", ""},
		{300 * time.Millisecond, "True/Synchronized True/Ready", "Normal Synchronized"},
	} {
		for len(recorder.Events) > 0 {
			<-recorder.Events
		}
		ahead = step.ahead
		s.later(clockInterval)
		said, version := s.clocks()
		if said != step.said {
			t.Errorf("%s ahead: %s, want %s", ahead, said, step.said)
		}
		s.later(clockInterval)
		s.later(clockInterval)
		if _, again := s.clocks(); again != version {
			t.Errorf("%s ahead: the status is written although nothing changes", ahead)
		}
		var told []string
		for len(recorder.Events) > 0 {
			told = append(told, <-recorder.Events)
		}
		if (step.event == "") != (len(told) == 0) || step.event != "" && (len(told) != 1 || !strings.HasPrefix(told[0], step.event)) {
			t.Errorf("%s ahead: told %q, want %q", ahead, told, step.event)
		}
	}
}

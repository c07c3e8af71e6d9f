// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

// Package controllers is the only room that talks to the Kubernetes API. Every
// reconciler has the same four steps: observe gathers facts, internal/policy
// decides, enforce makes the authorization server agree, report writes status.
//
// It must never decide about owners, scopes or dates (internal/policy does),
// and never build an HTTP request (the adapters below internal/authserver do).
//
// Start reading at registration_controller.go, then report.go, which holds the
// one table from errors to conditions, and records.go, which stores what a
// revocation needs.
package controllers

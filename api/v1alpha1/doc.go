// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

// Package v1alpha1 is what users may say to MCP Registrar: the six kinds of
// the API group mcp-registrar.dev, their annotations, and the vocabulary of
// their conditions.
//
// It knows the shape and the bounds of a wish and nothing else: no decisions,
// no clients, no clock. Whether a wish is allowed is decided in
// internal/policy; what a schema can refuse is refused here by markers.
//
// Start reading at mcpclientregistration_types.go, then conditions.go.
//
// +kubebuilder:object:generate=true
// +groupName=mcp-registrar.dev
package v1alpha1

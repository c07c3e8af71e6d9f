// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

// Package hydra manages clients through the admin API of Ory Hydra. The
// register chooses client id and secret, so that a registration may be
// repeated: a client that is there already is a Conflict, and is found by its
// id. What marks a client as ours is Hydra's field owner together with the
// client's metadata, and it is looked at before anything is changed.
//
// It knows the admin API and what of the OAuth metadata Hydra has a place for.
// It must never know Kubernetes or policy, never take an answer that is not
// Hydra's own for the proof that a client is gone, and never change a client
// that does not carry the mark.
//
// Start reading at New; wire.go is the only place that knows Hydra's words,
// list.go reads every page.
package hydra

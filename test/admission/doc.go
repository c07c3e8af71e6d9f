// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

// Package admission tests the admission policies of config/admission on a real
// API server, as the people who meet them and with no operator running, and
// compares what they say with the rules in Go.
//
// It knows who may do what, and the words in which a refusal is told. It must
// never start the operator or look at an authorization server: what holds here
// holds while the operator is down.
//
// Start reading at main_test.go for the people, then one file for each policy;
// parity_test.go evaluates the same YAML in process on thousands of objects.
package admission

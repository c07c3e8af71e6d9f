// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

// Command metricsdoc writes docs/metrics.md from the descriptors of the metrics,
// and controllers/zz_generated.labels.go, the closed sets of label values, from
// the constants of the API.
//
// It knows which packages register metrics; it must never know a metric's name,
// labels or help text, which come from the code, but for those of libraries,
// which page.md.tmpl explains. The alerts are in alerts.yaml.
//
// Start reading at main.go.
package main

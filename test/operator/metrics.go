// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package operator

import (
	"context"
	"fmt"
	"net/http"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// Metrics are what a process said of itself at one moment.
type Metrics map[string]*dto.MetricFamily

// Metrics asks the process, which must have been started with Options.Metrics.
// A process that has only just started may not answer yet: an error.
func (p *Process) Metrics(ctx context.Context) (Metrics, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.metrics, nil)
	if err != nil {
		return nil, err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, fmt.Errorf("reading the manager's metrics: %w", err)
	}
	defer answer.Body.Close()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(answer.Body)
	if err != nil {
		return nil, fmt.Errorf("reading the manager's metrics: %w", err)
	}
	return families, nil
}

// Sum adds up the counters and gauges of one name whose labels have these
// values; labels that are not named may have any.
func (m Metrics) Sum(name string, labels map[string]string) float64 {
	var sum float64
	for _, metric := range m[name].GetMetric() {
		if matches(metric, labels) {
			sum += metric.GetCounter().GetValue() + metric.GetGauge().GetValue()
		}
	}
	return sum
}

// By adds up the counters and gauges of one name by the value of one label.
func (m Metrics) By(name, label string) map[string]float64 {
	sums := map[string]float64{}
	for _, metric := range m[name].GetMetric() {
		for _, pair := range metric.GetLabel() {
			if pair.GetName() == label {
				sums[pair.GetValue()] += metric.GetCounter().GetValue() + metric.GetGauge().GetValue()
			}
		}
	}
	return sums
}

func matches(metric *dto.Metric, labels map[string]string) bool {
	met := 0
	for _, pair := range metric.GetLabel() {
		if want, named := labels[pair.GetName()]; named && want == pair.GetValue() {
			met++
		}
	}
	return met == len(labels)
}

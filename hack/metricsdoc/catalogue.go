// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"k8s.io/utils/clock"
	ctrlmetrics "sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/mcp-registrar/mcp-registrar/controllers"
	"github.com/mcp-registrar/mcp-registrar/internal/agreedtime"
	"github.com/mcp-registrar/mcp-registrar/internal/audit"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/instrumented"
	"github.com/mcp-registrar/mcp-registrar/internal/guard"
	"github.com/mcp-registrar/mcp-registrar/internal/guard/record"
	"github.com/mcp-registrar/mcp-registrar/internal/kubewrites"
)

// metric is what the descriptor of a metric says.
type metric struct {
	Name, Type, Help string
	Labels           []string
}

// register registers every metric of the operator, as its main program does.
func register(ctx context.Context, registerer prometheus.Registerer) error {
	kubewrites.New(registerer)
	agreedtime.New(agreedtime.Registrar, clock.RealClock{}, registerer, logr.Discard())
	controllers.NewMetrics(registerer)
	if _, err := instrumented.NewMetrics(registerer, time.Now); err != nil {
		return err
	}
	stream, err := audit.Open(audit.Options{
		Path: audit.Stdout, Stdout: io.Discard, Source: "/metricsdoc", Now: time.Now, Registerer: registerer,
	})
	if err != nil {
		return err
	}
	if err := stream.Close(); err != nil {
		return err
	}
	return registerer.Register(controllers.NewCollector(ctx, sample{}, clock.RealClock{}))
}

// registerGuard registers every metric of the guard but those of its audit
// stream, which are the operator's too.
func registerGuard(registerer prometheus.Registerer) error {
	agreedtime.New(agreedtime.Guard, clock.RealClock{}, registerer, logr.Discard())
	r, err := record.New(record.Options{
		Registerer: registerer, Clock: clock.RealClock{},
		Stats: func() record.Stats { return record.Stats{Complete: true} },
		Open:  func() int { return 0 },
	})
	if err != nil {
		return err
	}
	// What its counters are is seen in one of them.
	r.Record(guard.Request{}, guard.Verdict{})
	r.Failed(guard.ServerName{}, guard.Unreachable)
	return nil
}

// ours describes every metric of the operator, by name.
func ours(ctx context.Context) ([]metric, error) {
	return described(func(r prometheus.Registerer) error { return register(ctx, r) })
}

// guards describes every metric of the guard, by name.
func guards() ([]metric, error) { return described(registerGuard) }

// described describes what a function registers.
func described(register func(prometheus.Registerer) error) ([]metric, error) {
	var seen recorder
	if err := register(&seen); err != nil {
		return nil, err
	}
	var found []metric
	for _, collector := range seen.collectors {
		described, err := describe(collector)
		if err != nil {
			return nil, err
		}
		found = append(found, described...)
	}
	slices.SortFunc(found, func(a, b metric) int { return cmp.Compare(a.Name, b.Name) })
	return found, nil
}

// libraries describes what the libraries registered when they were loaded,
// by name. Their types are not known.
func libraries() map[string]metric {
	found := map[string]metric{}
	collector, ok := ctrlmetrics.Registry.(prometheus.Collector)
	if !ok {
		return found
	}
	for _, desc := range descriptors(collector) {
		if m, err := parse(desc); err == nil {
			found[m.Name] = m
		}
	}
	return found
}

// recorder keeps what is registered.
type recorder struct{ collectors []prometheus.Collector }

// Register keeps a collector.
func (r *recorder) Register(collector prometheus.Collector) error {
	r.collectors = append(r.collectors, collector)
	return nil
}

// MustRegister keeps collectors.
func (r *recorder) MustRegister(collectors ...prometheus.Collector) {
	r.collectors = append(r.collectors, collectors...)
}

// Unregister does nothing.
func (r *recorder) Unregister(prometheus.Collector) bool { return false }

// describe describes the metrics of a collector.
func describe(collector prometheus.Collector) ([]metric, error) {
	types, err := typesOf(collector)
	if err != nil {
		return nil, err
	}
	var found []metric
	for _, desc := range descriptors(collector) {
		m, err := parse(desc)
		if err != nil {
			return nil, err
		}
		if m.Type = types(desc); m.Type == "" {
			return nil, fmt.Errorf("the type of %s is not known", m.Name)
		}
		found = append(found, m)
	}
	return found, nil
}

func descriptors(collector prometheus.Collector) []*prometheus.Desc {
	var found []*prometheus.Desc
	descs := make(chan *prometheus.Desc)
	go func() {
		defer close(descs)
		collector.Describe(descs)
	}()
	for desc := range descs {
		found = append(found, desc)
	}
	return found
}

// typesOf returns a function that knows the types of a collector's metrics:
// those of a vector are in its Go type, others are in what it collects.
func typesOf(collector prometheus.Collector) (func(*prometheus.Desc) string, error) {
	switch collector.(type) {
	case *prometheus.CounterVec:
		return func(*prometheus.Desc) string { return "counter" }, nil
	case *prometheus.GaugeVec:
		return func(*prometheus.Desc) string { return "gauge" }, nil
	case *prometheus.HistogramVec:
		return func(*prometheus.Desc) string { return "histogram" }, nil
	}
	types := map[*prometheus.Desc]string{}
	collected := make(chan prometheus.Metric)
	go func() {
		defer close(collected)
		collector.Collect(collected)
	}()
	var errs []error
	for one := range collected {
		var written dto.Metric
		errs = append(errs, one.Write(&written))
		types[one.Desc()] = typeOf(&written)
	}
	return func(desc *prometheus.Desc) string { return types[desc] }, errors.Join(errs...)
}

func typeOf(written *dto.Metric) string {
	switch {
	case written.Counter != nil:
		return "counter"
	case written.Gauge != nil:
		return "gauge"
	case written.Histogram != nil:
		return "histogram"
	}
	return ""
}

// descriptor is the text of a descriptor, which has no other way to be read.
var descriptor = regexp.MustCompile(
	`^Desc\{fqName: ("(?:[^"\\]|\\.)*"), help: ("(?:[^"\\]|\\.)*"), .*variableLabels: \{([^}]*)\}\}$`)

func parse(desc *prometheus.Desc) (metric, error) {
	match := descriptor.FindStringSubmatch(desc.String())
	if match == nil {
		return metric{}, fmt.Errorf("the descriptor %s cannot be read", desc)
	}
	name, err := strconv.Unquote(match[1])
	if err != nil {
		return metric{}, err
	}
	help, err := strconv.Unquote(match[2])
	if err != nil {
		return metric{}, err
	}
	return metric{Name: name, Help: help, Labels: strings.FieldsFunc(match[3], func(r rune) bool { return r == ',' })}, nil
}

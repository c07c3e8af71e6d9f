// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"flag"
	"os"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap/zapcore"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"

	"github.com/mcp-registrar/mcp-registrar/controllers"
	"github.com/mcp-registrar/mcp-registrar/internal/command"
	"github.com/mcp-registrar/mcp-registrar/internal/probe"
)

// settings are what the flags say.
type settings struct {
	leaderElect         bool
	metricsAddress      string
	metricsSecure       bool
	probeAddress        string
	operatorNamespace   string
	concurrent          int
	allowPrivate        bool
	kubeQPS             float64
	kubeBurst           int
	logLevel, logFormat string
	watchNamespaces     []string
	auditLog            string
	documentsAddress    string
	probeInterval       time.Duration
	probePrivate        bool
	// version says that nothing else is asked for.
	version bool
}

// parse reads the flags. An argument that is not understood is an error.
func parse(flags *flag.FlagSet, arguments []string) (settings, error) {
	var s settings
	flags.BoolVar(&s.leaderElect, "leader-elect", false,
		"Take part in leader election, so that of several managers only one acts.")
	flags.StringVar(&s.metricsAddress, "metrics-bind-address", ":8443",
		`Address of the metrics endpoint; "0" turns it off.`)
	flags.BoolVar(&s.metricsSecure, "metrics-secure", true,
		"Serve metrics over https, and only to those whom the cluster's RBAC allows to get the path /metrics.")
	flags.StringVar(&s.probeAddress, "health-probe-bind-address", ":8081",
		`Address of /healthz and /readyz; "0" turns them off.`)
	flags.StringVar(&s.operatorNamespace, "operator-namespace", os.Getenv("POD_NAMESPACE"),
		"Namespace of the operator: registration records are kept there and the credentials that AuthorizationServers name are read there. The default is the environment variable POD_NAMESPACE.")
	flags.IntVar(&s.concurrent, "concurrent-reconciles", 64,
		"How many registrations are worked on at one time.")
	flags.BoolVar(&s.allowPrivate, "allow-private-networks", true,
		"Allow authorization servers at private addresses (RFC 1918, unique-local, carrier-grade NAT). Link-local and cloud metadata addresses are never allowed.")
	flags.Float64Var(&s.kubeQPS, "kube-api-qps", 1000,
		"How many requests per second are sent to the Kubernetes API at most.")
	flags.IntVar(&s.kubeBurst, "kube-api-burst", 2000,
		"How many requests may be sent to the Kubernetes API at one time.")
	flags.StringVar(&s.logLevel, "log-level", "info", "What is logged: debug, info or error.")
	flags.StringVar(&s.logFormat, "log-format", "json", "How logs are written: json or console.")
	flags.Func("watch-namespaces", "Namespaces whose objects are worked on, separated by commas. Left out, all. MCPServers of other namespaces are not seen.",
		func(text string) error {
			s.watchNamespaces = namespaces(text)
			return nil
		})
	flags.StringVar(&s.auditLog, "audit-log", "-",
		`Where the audit record is written: a file, "-" for the standard output, or "disabled".`)
	documentsFlag(flags, &s.documentsAddress)
	flags.BoolVar(&s.probePrivate, "probe-private-networks", false,
		"Allow MCP servers that are probed at private addresses. Service teams name these addresses: with this they can have the operator send requests to what it reaches there. Link-local and cloud metadata addresses are never allowed.")
	flags.DurationVar(&s.probeInterval, "probe-interval", 10*time.Minute,
		"How often each live MCP server is asked whether it refuses what it has to refuse, beside after changes. 0: none is ever contacted.")
	var err error
	if s.version, err = command.Parse(flags, arguments); err != nil || s.version {
		return s, err
	}
	return s, s.check()
}

// namespaces splits a list of names.
func namespaces(text string) []string {
	var names []string
	for name := range strings.SplitSeq(text, ",") {
		if name = strings.TrimSpace(name); name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

func (s settings) check() error {
	switch {
	case s.operatorNamespace == "":
		return errors.New("--operator-namespace is empty: set it, or the environment variable POD_NAMESPACE")
	case s.auditLog == "":
		return errors.New(`--audit-log is empty: name a file, "-" for the standard output, or "disabled"`)
	case s.probeInterval < 0:
		return errors.New("--probe-interval must not be negative: 0 turns probes off")
	case s.concurrent < 1:
		return errors.New("--concurrent-reconciles must be at least 1")
	case !slices.Contains([]string{"debug", "info", "error"}, s.logLevel):
		return errors.New("--log-level must be debug, info or error")
	case s.logFormat != "json" && s.logFormat != "console":
		return errors.New("--log-format must be json or console")
	}
	return nil
}

// logOptions turn the settings into options of the logger.
func (s settings) logOptions() []zap.Opts {
	level := map[string]zapcore.Level{"debug": zapcore.DebugLevel, "info": zapcore.InfoLevel, "error": zapcore.ErrorLevel}[s.logLevel]
	encoder := zap.JSONEncoder()
	if s.logFormat == "console" {
		encoder = zap.ConsoleEncoder()
	}
	return []zap.Opts{zap.Level(level), encoder, zap.StacktraceLevel(zapcore.PanicLevel)}
}

// prober asks live MCP servers; nil asks none.
func (s settings) prober() controllers.Prober {
	if s.probeInterval <= 0 {
		return nil
	}
	return probe.New(probe.Options{AllowPrivate: s.probePrivate})
}

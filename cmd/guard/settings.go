// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"flag"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap/zapcore"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"

	"github.com/mcp-registrar/mcp-registrar/internal/command"
	"github.com/mcp-registrar/mcp-registrar/internal/guard"
)

// off turns an address off.
const off = "0"

// target is an MCPServer that is guarded.
type target struct {
	server guard.ServerName
	// upstream is where its requests go; nil where only ext_authz asks.
	upstream *url.URL
}

// settings are what the flags say.
type settings struct {
	targets                            []target
	address, certFile, keyFile         string
	extAuthzAddress                    string
	metricsAddress, probeAddress       string
	maxStaleness                       time.Duration
	namespaces                         []string
	identity, leaseNamespace, podUID   string
	allowPrivate, passToken            bool
	caFile                             string
	introspectionIssuer                string
	introspectionID, introspectionFile string
	introspectionCache                 time.Duration
	introspectJWTs                     bool
	maxBody                            int64
	maxRequests                        int
	origins                            []string
	upstreamIdle                       time.Duration
	auditLog, auditKeyFile             string
	logLevel, logFormat                string
	// version says that nothing else is asked for.
	version bool
}

// parse reads the flags.
func parse(flags *flag.FlagSet, arguments []string) (settings, error) {
	s := settings{podUID: os.Getenv("POD_UID")}
	flags.Func("server", `An MCPServer to guard, as "namespace/name=URL" with the URL that its requests are passed on to, or as "namespace/name" where only ext_authz asks about it. May be given several times.`,
		func(text string) error {
			t, err := parseTarget(text)
			s.targets = append(s.targets, t)
			return err
		})
	s.listeners(flags)
	s.browsers(flags)
	flags.DurationVar(&s.upstreamIdle, "upstream-idle-timeout", 4*time.Second,
		"For how long a connection to a server is kept for the next request. It must be less than the server keeps it, which is often 5 seconds. 0 keeps none.")
	s.register(flags)
	s.tokens(flags)
	flags.IntVar(&s.maxRequests, "max-requests", guard.DefaultMaxRequests,
		"How many requests one user of a client may have under way, and how many streams beside them; all users of a client together 16 times as many.")
	flags.Int64Var(&s.maxBody, "max-body-bytes", 4<<20, "How large the body of a request may be.")
	flags.StringVar(&s.auditLog, "audit-log", "-",
		`Where the record of calls is written: a file, "-" for the standard output, or "disabled".`)
	flags.StringVar(&s.auditKeyFile, "audit-key-file", "",
		"File with the keys that the record of calls is sealed with: a key a line, each 64 hexadecimal digits, the newest first. Left out, whoever can write the record can write another one that fits.")
	flags.StringVar(&s.logLevel, "log-level", "info", "What is logged: debug, info or error.")
	flags.StringVar(&s.logFormat, "log-format", "json", "How logs are written: json or console.")
	var err error
	if s.version, err = command.Parse(flags, arguments); err != nil || s.version {
		return s, err
	}
	return s, s.check()
}

func (s *settings) listeners(flags *flag.FlagSet) {
	flags.StringVar(&s.address, "bind-address", ":8080", `Address of the proxy; "0" turns it off.`)
	flags.StringVar(&s.certFile, "tls-cert-file", "", "Certificate (PEM) of the proxy and of ext_authz. Left out, they speak plain text: keep them within the pod.")
	flags.StringVar(&s.keyFile, "tls-key-file", "", "Private key (PEM) of that certificate.")
	flags.StringVar(&s.extAuthzAddress, "ext-authz-bind-address", off, `Address of the external authorization service for Envoy (gRPC); "0" turns it off.`)
	flags.StringVar(&s.metricsAddress, "metrics-bind-address", ":8090", `Address of the metrics endpoint /metrics; "0" turns it off.`)
	flags.StringVar(&s.probeAddress, "health-probe-bind-address", ":8081", `Address of /healthz and /readyz; "0" turns them off.`)
	flags.BoolVar(&s.passToken, "pass-token", false, "Pass the access token on to the server. Left out, the server never sees it.")
}

func (s *settings) browsers(flags *flag.FlagSet) {
	flags.Func("allow-origin", "An origin whose pages may call the servers from a browser, for example https://app.example.com. May be given several times. The servers' own origins always may.",
		func(text string) error {
			origin, err := guard.ParseOrigin(text)
			s.origins = append(s.origins, origin)
			return err
		})
}

func (s *settings) register(flags *flag.FlagSet) {
	flags.DurationVar(&s.maxStaleness, "max-staleness", time.Minute,
		"For how long the guard goes on without word of the Kubernetes API. After it everything is refused.")
	flags.Func("watch-namespaces", "Namespaces whose clients are known, separated by commas. Left out, all.", func(text string) error {
		for name := range strings.SplitSeq(text, ",") {
			if name = strings.TrimSpace(name); name != "" {
				s.namespaces = append(s.namespaces, name)
			}
		}
		return nil
	})
	host, _ := os.Hostname()
	if pod := os.Getenv("POD_NAME"); pod != "" {
		host = pod
	}
	flags.StringVar(&s.identity, "identity", host, "Name that tells this guard from others. The default is the environment variable POD_NAME, or else the name of the host.")
	flags.StringVar(&s.leaseNamespace, "lease-namespace", os.Getenv("POD_NAMESPACE"),
		`Namespace of the Lease by which the guard tells the operator what it knows; "" keeps none. The default is the environment variable POD_NAMESPACE.`)
}

func (s *settings) tokens(flags *flag.FlagSet) {
	flags.BoolVar(&s.allowPrivate, "allow-private-networks", true,
		"Allow authorization servers at private addresses (RFC 1918, unique-local, carrier-grade NAT). Link-local and cloud metadata addresses are never allowed.")
	flags.StringVar(&s.caFile, "issuer-ca-file", "", "Certificates (PEM) to trust for authorization servers, in place of the system's.")
	flags.StringVar(&s.introspectionIssuer, "introspection-issuer", "", "Issuer that is asked about its tokens (RFC 7662). Left out, only JWTs are understood.")
	flags.StringVar(&s.introspectionID, "introspection-client-id", "", "Client id of the guard at that issuer.")
	flags.StringVar(&s.introspectionFile, "introspection-client-secret-file", "", "File that holds the client secret of the guard at that issuer.")
	flags.DurationVar(&s.introspectionCache, "introspection-cache", 5*time.Second, "For how long an answer of that issuer holds at most.")
	flags.BoolVar(&s.introspectJWTs, "introspect-jwts", false, "Ask that issuer about JWTs too, once they are verified.")
}

// parseTarget reads the flag server.
func parseTarget(text string) (target, error) {
	name, upstream, proxied := strings.Cut(text, "=")
	namespace, name, found := strings.Cut(name, "/")
	if !found || namespace == "" || name == "" || strings.Contains(name, "/") {
		return target{}, errors.New(`name an MCPServer as namespace/name, for example tools/invoices=http://127.0.0.1:3000/mcp`)
	}
	t := target{server: guard.ServerName{Namespace: namespace, Name: name}}
	if !proxied {
		return t, nil
	}
	var err error
	t.upstream, err = parseUpstream(upstream)
	return t, err
}

// parseUpstream reads the URL of a server.
func parseUpstream(text string) (*url.URL, error) {
	parsed, err := url.Parse(text)
	if err != nil || parsed.Host == "" || !slices.Contains([]string{"http", "https", "h2c"}, parsed.Scheme) || parsed.User != nil || parsed.Fragment != "" {
		return nil, errors.New(`give the server's own URL after "=", for example tools/invoices=http://127.0.0.1:3000/mcp`)
	}
	return parsed, nil
}

func (s *settings) check() error {
	return errors.Join(s.checkAddresses(), s.checkBounds(), s.checkCredentials(), s.checkLog())
}

func (s *settings) checkAddresses() error {
	proxied := slices.ContainsFunc(s.targets, func(t target) bool { return t.upstream != nil })
	switch {
	case len(s.targets) == 0:
		return errors.New("no --server is given: name the MCPServer to guard, for example --server=tools/invoices=http://127.0.0.1:3000/mcp")
	case s.address != off && !proxied:
		return errors.New("the proxy has nowhere to pass requests on to: give --server a URL, or turn the proxy off by --bind-address=0")
	case s.address == off && s.extAuthzAddress == off:
		return errors.New("neither the proxy nor ext_authz is on: give --bind-address or --ext-authz-bind-address")
	}
	return nil
}

func (s *settings) checkBounds() error {
	switch {
	case s.maxStaleness < 5*time.Second || s.maxStaleness > time.Hour:
		return fmt.Errorf("--max-staleness is %s: it must be from 5s to 1h", s.maxStaleness)
	case s.upstreamIdle < 0 || s.upstreamIdle > 5*time.Minute:
		return fmt.Errorf("--upstream-idle-timeout is %s: it must be from 0s to 5m", s.upstreamIdle)
	case s.maxRequests < 1 || s.maxRequests > 100_000:
		return fmt.Errorf("--max-requests is %d: it must be from 1 to 100000", s.maxRequests)
	case s.maxBody < 1<<10 || s.maxBody > 64<<20:
		return fmt.Errorf("--max-body-bytes is %d: it must be from 1024 to 67108864", s.maxBody)
	}
	return nil
}

func (s *settings) checkCredentials() error {
	given := []bool{s.introspectionIssuer != "", s.introspectionID != "", s.introspectionFile != ""}
	switch {
	case (s.certFile == "") != (s.keyFile == ""):
		return errors.New("--tls-cert-file and --tls-key-file go together")
	case slices.Contains(given, true) && slices.Contains(given, false):
		return errors.New("--introspection-issuer, --introspection-client-id and --introspection-client-secret-file go together")
	}
	return nil
}

func (s *settings) checkLog() error {
	switch {
	case !slices.Contains([]string{"debug", "info", "error"}, s.logLevel):
		return fmt.Errorf("--log-level is %q: it must be debug, info or error", s.logLevel)
	case !slices.Contains([]string{"json", "console"}, s.logFormat):
		return fmt.Errorf("--log-format is %q: it must be json or console", s.logFormat)
	}
	return nil
}

func (s *settings) servers() []guard.ServerName {
	var names []guard.ServerName
	for _, t := range s.targets {
		if !slices.Contains(names, t.server) {
			names = append(names, t.server)
		}
	}
	return names
}

func (s *settings) logOptions() []zap.Opts {
	level := map[string]zapcore.Level{"debug": zapcore.DebugLevel, "info": zapcore.InfoLevel, "error": zapcore.ErrorLevel}[s.logLevel]
	encoder := zap.JSONEncoder()
	if s.logFormat == "console" {
		encoder = zap.ConsoleEncoder()
	}
	return []zap.Opts{zap.Level(level), encoder, zap.StacktraceLevel(zapcore.PanicLevel)}
}

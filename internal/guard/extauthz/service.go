// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package extauthz

import (
	"context"
	"net/http"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"k8s.io/utils/clock"

	"github.com/mcp-registrar/mcp-registrar/internal/guard"
)

// Options are what a Service is made of.
type Options struct {
	// Engine decides. Required.
	Engine *guard.Engine
	// Register knows the servers. Required.
	Register guard.Register
	// Clock tells when a check came. Nil: the real one.
	Clock clock.PassiveClock
	// Servers are those that are guarded here. A check of any other is refused.
	Servers []guard.ServerName
	// PassToken says that the token is passed on to a server. Nil: to none.
	PassToken func(guard.ServerName) bool
	// HeadersOnly says that a server holds requests to their headers Mcp-Method
	// and Mcp-Name, so that a request without its body can be decided about by
	// them. Nil: none does, and Envoy must send the body.
	HeadersOnly func(guard.ServerName) bool
	// Added takes how long a check took. Nil: nobody does.
	Added func(guard.ServerName, time.Duration)
}

// Service is the gRPC service. It may be used by several goroutines.
type Service struct {
	authv3.UnimplementedAuthorizationServer

	options Options
	served  map[guard.ServerName]bool
}

// New returns a Service.
func New(o Options) *Service {
	never := func(guard.ServerName) bool { return false }
	if o.PassToken == nil {
		o.PassToken = never
	}
	if o.HeadersOnly == nil {
		o.HeadersOnly = never
	}
	if o.Clock == nil {
		o.Clock = clock.RealClock{}
	}
	if o.Added == nil {
		o.Added = func(guard.ServerName, time.Duration) {}
	}
	s := &Service{options: o, served: map[guard.ServerName]bool{}}
	for _, name := range o.Servers {
		s.served[name] = true
	}
	return s
}

// Register adds the service, and that of its health, to a gRPC server.
func (s *Service) Register(server grpc.ServiceRegistrar) {
	authv3.RegisterAuthorizationServer(server, s)
	healthv1.RegisterHealthServer(server, &health{register: s.options.Register})
}

// Check answers a check. It never returns an error: Envoy could be configured
// to let pass what cannot be checked.
func (s *Service) Check(ctx context.Context, check *authv3.CheckRequest) (*authv3.CheckResponse, error) {
	received := s.options.Clock.Now()
	asked := check.GetAttributes().GetRequest().GetHttp()
	name, found := s.choose(check.GetAttributes().GetContextExtensions(), asked)
	if !found {
		return denied(notFound, ""), nil
	}
	if server, known := s.options.Register.Server(name); known && isMetadata(server, asked) {
		if asked.GetMethod() == http.MethodOptions {
			return preflight(), nil
		}
		return metadata(server, s.options.Register.FirstScopes(server)), nil
	}
	request, verdict := s.judge(ctx, name, asked, received)
	s.options.Added(name, s.options.Clock.Since(received))
	if !verdict.Allowed() {
		return denied(verdict, request.Message.ID), nil
	}
	return allowed(s.options.PassToken(name)), nil
}

// judge reads a request and decides about it. Who may call nothing has no large body
// read.
func (s *Service) judge(ctx context.Context, name guard.ServerName, asked *authv3.AttributeContext_HttpRequest, received time.Time) (guard.Request, guard.Verdict) {
	if len(bodyOf(asked)) > guard.SmallBody {
		unread := unread(name, asked, headerOf(asked))
		unread.ReceivedAt = received
		v, leave := s.options.Engine.Admit(ctx, unread, 0)
		leave()
		if !v.Allowed() {
			return unread, v
		}
	}
	request := s.read(name, asked)
	request.ReceivedAt = received
	return request, s.options.Engine.Decide(ctx, request)
}

// notFound is the answer about what is not guarded here.
var notFound = guard.Verdict{
	Reason: guard.ServerUnknown, Status: http.StatusNotFound, Code: guard.ServerUnknown.Code(),
	Text: "the guard has no MCPServer with this address",
}

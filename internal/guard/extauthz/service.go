// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package extauthz

import (
	"cmp"
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
	// MaxBody is how large a request's body may be, in bytes; 0 means
	// guard.DefaultMaxBody.
	MaxBody int64
	// Room is how many bytes checks may take together; 0 means guard.DefaultRoom.
	Room int64
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
	intake  *intake
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
	o.MaxBody = cmp.Or(o.MaxBody, guard.DefaultMaxBody)
	if o.Clock == nil {
		o.Clock = clock.RealClock{}
	}
	if o.Added == nil {
		o.Added = func(guard.ServerName, time.Duration) {}
	}
	s := &Service{options: o, intake: newIntake(cmp.Or(o.Room, guard.DefaultRoom), o.MaxBody, o.Servers), served: map[guard.ServerName]bool{}}
	for _, name := range o.Servers {
		s.served[name] = true
	}
	return s
}

// Register adds the service, and that of its health, to a gRPC server.
func (s *Service) Register(server grpc.ServiceRegistrar) {
	server.RegisterService(&description, s)
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
	header := headerOf(asked)
	request, verdict := s.judge(ctx, unread(name, asked, header, received), header, asked)
	s.options.Added(name, s.options.Clock.Since(received))
	if !verdict.Allowed() {
		return denied(verdict, request.Message.ID), nil
	}
	return allowed(header, s.options.PassToken(name)), nil
}

// judge reads a request and decides about it. Who may call nothing has no large body
// parsed, and who may has it counted. Of a page that may not call nothing is parsed.
func (s *Service) judge(ctx context.Context, request guard.Request, header http.Header, asked *authv3.AttributeContext_HttpRequest) (guard.Request, guard.Verdict) {
	body := bodyOf(asked)
	if len(body) > guard.SmallBody {
		leave, ok := s.intake.share(request.Server, len(body))
		if !ok {
			return request, s.options.Engine.Busy(request)
		}
		defer leave()
	}
	stranger := request.Origin != nil && !s.options.Engine.Welcome(request.Server, request.Origin, request.Host)
	if stranger || len(body) > guard.SmallBody {
		v, leave := s.options.Engine.Admit(ctx, request, s.takes(body))
		defer leave()
		if !v.Allowed() {
			return request, v
		}
	}
	s.read(&request, header, asked.GetMethod(), body)
	return request, s.options.Engine.Decide(ctx, request)
}

// takes is how much memory a body takes: one that is too large is not parsed.
func (s *Service) takes(body []byte) int64 {
	if size := int64(len(body)); size <= s.options.MaxBody {
		return size
	}
	return 0
}

// notFound is the answer about what is not guarded here.
var notFound = guard.Verdict{
	Reason: guard.ServerUnknown, Status: http.StatusNotFound, Code: guard.ServerUnknown.Code(),
	Text: "the guard has no MCPServer with this address",
}

// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package mcpserver

import (
	"context"
	"fmt"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// The tools, by what they need to be guarded as.
const (
	// ToolRead and ToolList look.
	ToolRead = "read_invoice"
	ToolList = "list_invoices"
	// ToolPay does what should rarely be done.
	ToolPay = "pay_invoice"
	// ToolFollow looks for a long time, and tells of its progress.
	ToolFollow = "follow_payments"
	// ToolVoid is for no scope to lead to.
	ToolVoid = "void_invoice"
)

// Tools are all of them.
func Tools() []string { return []string{ToolRead, ToolList, ToolPay, ToolFollow, ToolVoid} }

const (
	defaultSteps    = 6000
	defaultInterval = 100 * time.Millisecond
)

type oneInvoice struct {
	Number string `json:"number" jsonschema:"number of the invoice"`
}

type noInput struct{}

type following struct {
	Steps    int `json:"steps,omitempty" jsonschema:"how often to tell of progress; 6000 if left out"`
	Interval int `json:"interval,omitempty" jsonschema:"milliseconds between two tellings; 100 if left out"`
	// Reference is what Followed counts the call by.
	Reference string `json:"reference,omitempty" jsonschema:"what the call is known by"`
}

// newTools makes the server that answers for all sessions.
func (s *Server) newTools() *mcp.Server {
	server := mcp.NewServer(&mcp.Implementation{Name: "invoices", Version: "1.0.0"}, nil)
	add(s, server, ToolRead, "Shows an invoice.", func(_ context.Context, _ *mcp.CallToolRequest, in oneInvoice) (string, error) {
		return "invoice " + in.Number + ": 120.00 EUR, open", nil
	})
	add(s, server, ToolList, "Lists open invoices.", func(context.Context, *mcp.CallToolRequest, noInput) (string, error) {
		return "INV-1, INV-2, INV-3", nil
	})
	add(s, server, ToolPay, "Pays an invoice.", func(_ context.Context, _ *mcp.CallToolRequest, in oneInvoice) (string, error) {
		return "invoice " + in.Number + " is paid", nil
	})
	add(s, server, ToolFollow, "Follows payments for a long time.", s.follow)
	add(s, server, ToolVoid, "Voids an invoice.", func(_ context.Context, _ *mcp.CallToolRequest, in oneInvoice) (string, error) {
		return "invoice " + in.Number + " is void", nil
	})
	return server
}

// add adds a tool that answers with a text.
func add[In any](s *Server, server *mcp.Server, name, description string, do func(context.Context, *mcp.CallToolRequest, In) (string, error)) {
	mcp.AddTool(server, &mcp.Tool{Name: name, Description: description},
		func(ctx context.Context, request *mcp.CallToolRequest, in In) (*mcp.CallToolResult, any, error) {
			s.called(name)
			text, err := do(ctx, request, in)
			if err != nil {
				return nil, nil, err
			}
			return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: text}}}, nil, nil
		})
}

// follow tells of progress until it is done or its client left.
func (s *Server) follow(ctx context.Context, request *mcp.CallToolRequest, in following) (string, error) {
	s.streams.Add(1)
	defer s.streams.Add(-1)
	s.isFollowed(in.Reference)
	steps, interval := in.Steps, time.Duration(in.Interval)*time.Millisecond
	if steps <= 0 {
		steps = defaultSteps
	}
	if interval <= 0 {
		interval = defaultInterval
	}
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for step := range steps {
		select {
		case <-ctx.Done():
			return "", fmt.Errorf("following payments: %w", context.Cause(ctx))
		case <-ticker.C:
		}
		token := request.Params.GetProgressToken()
		if token == nil {
			continue
		}
		told := &mcp.ProgressNotificationParams{ProgressToken: token, Progress: float64(step + 1), Total: float64(steps)}
		if err := request.Session.NotifyProgress(ctx, told); err != nil {
			return "", fmt.Errorf("telling of progress: %w", err)
		}
	}
	return fmt.Sprintf("followed for %d steps", steps), nil
}

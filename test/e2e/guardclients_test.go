// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// clientsFolder is the npm project with the clients and servers of others.
const clientsFolder = "mcpclients"

// outcome is what became of a call.
type outcome struct {
	allowed bool
	// text is what an allowed call answered, and what a client says of a refusal.
	text string
	// status and challenge are those of a refusal; a client that does not show
	// them leaves them empty.
	status    int
	challenge string
}

// mcpUser is an MCP client with one access token.
type mcpUser interface {
	// list are the tools that it is shown.
	list(t *testing.T) []string
	// call calls a tool.
	call(t *testing.T, tool string, arguments map[string]any) outcome
	// follow begins a call that tells of its progress, and returns when it did.
	follow(t *testing.T, tool string, arguments map[string]any)
	// open is how many event streams are open.
	open() int
}

// dialer connects a client of a kind, which ends with the test.
type dialer func(t *testing.T, endpoint, token string) mcpUser

// goUser is the client of the official Go SDK.
type goUser struct {
	session  *mcp.ClientSession
	line     *line
	progress chan struct{}
}

// line is the HTTP side of a client: it adds the token, where there is one, and
// notes refusals and streams.
type line struct {
	token   string
	streams atomic.Int64

	mu        sync.Mutex
	status    int
	challenge string
}

// forget forgets the refusals before a call: one that is a response has no status.
func (l *line) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.status, l.challenge = 0, ""
}

// RoundTrip implements http.RoundTripper.
func (l *line) RoundTrip(request *http.Request) (*http.Response, error) {
	if l.token != "" {
		request = request.Clone(request.Context())
		request.Header.Set("Authorization", "Bearer "+l.token)
	}
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	if response.StatusCode >= http.StatusBadRequest {
		l.mu.Lock()
		l.status, l.challenge = response.StatusCode, response.Header.Get("WWW-Authenticate")
		l.mu.Unlock()
	}
	if response.StatusCode == http.StatusOK && strings.HasPrefix(response.Header.Get("Content-Type"), "text/event-stream") {
		l.streams.Add(1)
		response.Body = &watchedBody{ReadCloser: response.Body, ended: sync.OnceFunc(func() { l.streams.Add(-1) })}
	}
	return response, nil
}

// watchedBody tells when a body ends, however it does.
type watchedBody struct {
	io.ReadCloser
	ended func()
}

func (b *watchedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		b.ended()
	}
	return n, err
}

func (b *watchedBody) Close() error {
	b.ended()
	return b.ReadCloser.Close()
}

// dialGo connects by the Go SDK, which speaks the newest revision that the server
// does.
func dialGo(t *testing.T, endpoint, token string) mcpUser {
	return dialGoBy(t, endpoint, &line{token: token}, nil)
}

func dialGoBy(t *testing.T, endpoint string, l *line, handler auth.OAuthHandler) *goUser {
	t.Helper()
	u := &goUser{line: l, progress: make(chan struct{}, 1)}
	client := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1.0.0"}, &mcp.ClientOptions{
		ProgressNotificationHandler: func(context.Context, *mcp.ProgressNotificationClientRequest) {
			select {
			case u.progress <- struct{}{}:
			default:
			}
		},
	})
	var err error
	u.session, err = client.Connect(t.Context(), &mcp.StreamableClientTransport{
		Endpoint: endpoint, HTTPClient: &http.Client{Transport: l}, OAuthHandler: handler,
	}, nil)
	if err != nil {
		t.Fatalf("connecting to %s: %v", endpoint, err)
	}
	// A session that was refused cannot be ended well.
	t.Cleanup(func() { _ = u.session.Close() })
	return u
}

func (u *goUser) list(t *testing.T) []string {
	t.Helper()
	listed, err := u.session.ListTools(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	names := []string{}
	for _, tool := range listed.Tools {
		names = append(names, tool.Name)
	}
	return names
}

func (u *goUser) call(t *testing.T, tool string, arguments map[string]any) outcome {
	t.Helper()
	u.line.forget()
	answer, err := u.session.CallTool(t.Context(), &mcp.CallToolParams{Name: tool, Arguments: arguments})
	if err != nil {
		u.line.mu.Lock()
		defer u.line.mu.Unlock()
		return outcome{text: err.Error(), status: u.line.status, challenge: u.line.challenge}
	}
	var text strings.Builder
	for _, content := range answer.Content {
		if part, ok := content.(*mcp.TextContent); ok {
			text.WriteString(part.Text)
		}
	}
	return outcome{allowed: true, text: text.String()}
}

func (u *goUser) follow(t *testing.T, tool string, arguments map[string]any) {
	t.Helper()
	params := &mcp.CallToolParams{Name: tool, Arguments: arguments}
	params.SetProgressToken("progress")
	ended := make(chan error, 1)
	go func() {
		_, err := u.session.CallTool(t.Context(), params)
		ended <- err
	}()
	select {
	case <-u.progress:
	case err := <-ended:
		t.Fatalf("%s ended before it told of its progress: %v", tool, err)
	case <-time.After(patience):
		t.Fatalf("%s tells of no progress", tool)
	}
}

func (u *goUser) open() int { return int(u.line.streams.Load()) }

// nodeUser is a client in a process of its own, mostly one of the official TypeScript
// SDK.
type nodeUser struct {
	in      io.WriteCloser
	answers chan nodeAnswer
	streams atomic.Int64
}

type nodeAnswer struct {
	OK        bool
	Message   string
	Status    int
	Challenge string
	Revision  string
	Tools     []string
	Text      string
	Open      *int64
}

// dialNode connects by a generation of the TypeScript SDK: see mcpclients/client.js.
func dialNode(generation string) dialer {
	return func(t *testing.T, endpoint, token string) mcpUser {
		t.Helper()
		return dialNodeBy(t, generation, endpoint, "TOKEN="+token)
	}
}

func dialNodeBy(t *testing.T, generation, endpoint string, environment ...string) *nodeUser {
	t.Helper()
	u := startUser(t, clientsFolder, environment, "node", "client.js", generation, endpoint)
	if answer := u.does(t, "connect", "", nil); !answer.OK {
		t.Fatalf("connecting to %s: %d %s", endpoint, answer.Status, answer.Message)
	}
	return u
}

// startUser starts a client that is a program of a folder and does what it is told.
func startUser(t *testing.T, folder string, environment []string, program ...string) *nodeUser {
	t.Helper()
	u := &nodeUser{answers: make(chan nodeAnswer, 16)}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	command := exec.CommandContext(ctx, program[0], program[1:]...)
	command.Dir, command.Env = folder, append(os.Environ(), environment...)
	var said bytes.Buffer
	command.Stderr = &said
	var err error
	if u.in, err = command.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	stdout, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		u.read(stdout)
	}()
	t.Cleanup(func() {
		// It is of no use any more, whatever it is at.
		cancel()
		<-done
		_ = command.Wait()
		if t.Failed() {
			t.Logf("what the client said:\n%s", said.String())
		}
	})
	return u
}

// read takes what the process prints until it ends.
func (u *nodeUser) read(stdout io.Reader) {
	defer close(u.answers)
	lines := bufio.NewScanner(stdout)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var answer nodeAnswer
		if err := json.Unmarshal(lines.Bytes(), &answer); err != nil {
			answer = nodeAnswer{Message: fmt.Sprintf("%v: %s", err, lines.Bytes())}
		}
		if answer.Open != nil {
			u.streams.Store(*answer.Open)
			continue
		}
		u.answers <- answer
	}
}

func (u *nodeUser) does(t *testing.T, do, tool string, arguments map[string]any) nodeAnswer {
	t.Helper()
	command, err := json.Marshal(map[string]any{"do": do, "tool": tool, "arguments": arguments})
	if err == nil {
		_, err = u.in.Write(append(command, '\n'))
	}
	if err != nil {
		t.Fatal(err)
	}
	select {
	case answer, ok := <-u.answers:
		if !ok {
			t.Fatalf("%s: the client ended", do)
		}
		return answer
	case <-time.After(patience):
		t.Fatalf("%s: the client does not answer", do)
	}
	return nodeAnswer{}
}

func (u *nodeUser) list(t *testing.T) []string {
	t.Helper()
	answer := u.does(t, "list", "", nil)
	if !answer.OK {
		t.Fatal(answer.Message)
	}
	return answer.Tools
}

func (u *nodeUser) call(t *testing.T, tool string, arguments map[string]any) outcome {
	t.Helper()
	answer := u.does(t, "call", tool, arguments)
	if !answer.OK {
		return outcome{text: answer.Message, status: answer.Status, challenge: answer.Challenge}
	}
	return outcome{allowed: true, text: answer.Text}
}

func (u *nodeUser) follow(t *testing.T, tool string, arguments map[string]any) {
	t.Helper()
	if answer := u.does(t, "follow", tool, arguments); !answer.OK {
		t.Fatalf("%s ended before it told of its progress: %s", tool, answer.Message)
	}
}

func (u *nodeUser) open() int { return int(u.streams.Load()) }

// inspector is the command-line side of the official Inspector, as its option --cli
// starts it: a process for each request. It shows no status, and follows nothing.
type inspector struct{ endpoint, token string }

func dialInspector(endpoint, token string) mcpUser {
	return inspector{endpoint: endpoint, token: token}
}

func (i inspector) run(t *testing.T, arguments ...string) (said []byte, err error) {
	t.Helper()
	command := exec.CommandContext(t.Context(), "node", append([]string{
		"index.js", i.endpoint, "--transport", "http", "--header", "Authorization: Bearer " + i.token,
	}, arguments...)...)
	// It looks for its package.json from where it runs.
	command.Dir = filepath.Join(clientsFolder, "node_modules", "@modelcontextprotocol", "inspector-cli", "build")
	said, err = command.Output()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		err = fmt.Errorf("%w: %s", err, exit.Stderr)
	}
	return said, err
}

func (i inspector) list(t *testing.T) []string {
	t.Helper()
	said, err := i.run(t, "--method", "tools/list")
	var listed struct{ Tools []struct{ Name string } }
	if err := errors.Join(err, json.Unmarshal(said, &listed)); err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	names := []string{}
	for _, tool := range listed.Tools {
		names = append(names, tool.Name)
	}
	return names
}

func (i inspector) call(t *testing.T, tool string, arguments map[string]any) outcome {
	t.Helper()
	given := []string{"--method", "tools/call", "--tool-name", tool}
	for name, value := range arguments {
		given = append(given, "--tool-arg", fmt.Sprintf("%s=%v", name, value))
	}
	said, err := i.run(t, given...)
	if err != nil {
		return outcome{text: err.Error()}
	}
	return outcome{allowed: true, text: string(said)}
}

func (i inspector) follow(t *testing.T, _ string, _ map[string]any) {
	t.Fatal("the inspector follows nothing")
}

func (i inspector) open() int { return 0 }

// installPackages begins to install the npm project of a folder, and returns what
// waits for it.
func installPackages(t *testing.T, folder string) (installed func()) {
	t.Helper()
	install := exec.CommandContext(t.Context(), "npm", "ci", "--prefer-offline")
	install.Dir = folder
	var said bytes.Buffer
	install.Stdout, install.Stderr = &said, &said
	if err := install.Start(); err != nil {
		t.Fatal(err)
	}
	return func() {
		t.Helper()
		if err := install.Wait(); err != nil {
			t.Fatalf("installing %s: %v\n%s", folder, err, said.String())
		}
	}
}

// startEverything starts the server that exercises everything in MCP, and
// returns where it is.
func startEverything(t *testing.T) string {
	t.Helper()
	server := exec.CommandContext(context.WithoutCancel(t.Context()), "node", "everything.js")
	server.Dir = clientsFolder
	log, err := os.Create(filepath.Join(t.ArtifactDir(), "everything.log"))
	if err != nil {
		t.Fatal(err)
	}
	server.Stderr = log
	stdin, err := server.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := server.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(stdin.Close(), server.Wait(), log.Close()); err != nil {
			t.Errorf("stopping server-everything: %v", err)
		}
	})
	var said struct{ URL string }
	read, err := bufio.NewReader(stdout).ReadBytes('\n')
	if err := errors.Join(err, json.Unmarshal(read, &said)); err != nil {
		t.Fatalf("starting server-everything: %v\n%s", err, tail(t, log.Name()))
	}
	return said.URL
}

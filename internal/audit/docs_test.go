// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"bytes"
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// The examples in docs/audit.md are written by
// go test ./internal/audit -run Documented -update
var update = flag.Bool("update", false, "write the example lines into docs/audit.md")

var page = filepath.Join("..", "..", "docs", "audit.md")

// exampleBlock is a block of example lines in the page.
var exampleBlock = regexp.MustCompile("(?s)```json\n(.*?)```\n")

// documented joins the example lines of the page to one stream.
func documented(t *testing.T) []byte {
	t.Helper()
	var stream []byte
	for _, match := range exampleBlock.FindAllSubmatch(content(t, page), -1) {
		stream = append(stream, match[1]...)
	}
	return stream
}

func TestDocumentedExamplesAreWhatIsWritten(t *testing.T) {
	written := lines(examples(t))
	block := 0
	updated := exampleBlock.ReplaceAllFunc(content(t, page), func([]byte) []byte {
		block++
		if len(written) == 0 {
			return nil
		}
		example := written[0]
		written = written[1:]
		if !bytes.HasSuffix(example, []byte(sealEnd+"\n")) && len(written) > 0 {
			example, written = slices.Concat(example, written[0]), written[1:]
		}
		return slices.Concat([]byte("```json\n"), example, []byte("```\n"))
	})
	if len(written) > 0 {
		t.Fatalf("%d blocks in the page, %d lines are left", block, len(written))
	}
	if *update {
		store(t, page, updated)
	}
	if !bytes.Equal(updated, content(t, page)) {
		t.Error("docs/audit.md has other examples than are written: run this test with -update")
	}
	report, err := Verify(bytes.NewReader(documented(t)), Expect{Sequence: Sequence(len(Types()) + 1), Keys: exampleKeys(t)})
	if err != nil || report.Torn != 1 || report.Lost != 1 {
		t.Errorf("%+v, %v", report, err)
	}
}

func TestDocumentedAreAllTypesAndFields(t *testing.T) {
	text := string(content(t, page))
	for _, kind := range Types() {
		if !strings.Contains(text, "### `"+string(kind)+"`\n") {
			t.Errorf("%s has no heading", kind)
		}
		if !bytes.Contains(documented(t), []byte(`"type":"`+kind+`"`)) {
			t.Errorf("%s has no example", kind)
		}
	}
	for _, of := range []any{Data{}, Grant{}, Approval{}, CallData{}, streamData{}, tornLine{}} {
		for _, field := range reflect.VisibleFields(reflect.TypeOf(of)) {
			name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
			if name == "" || !strings.Contains(text, "`"+name+"`") {
				t.Errorf("%T: the field %s is not in the page as %q", of, field.Name, name)
			}
		}
	}
}

func TestTypesAreAllConstants(t *testing.T) {
	parsed, err := parser.ParseFile(token.NewFileSet(), "types.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var constants []Type
	ast.Inspect(parsed, func(node ast.Node) bool {
		if spec, ok := node.(*ast.ValueSpec); ok {
			value, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			constants = append(constants, Type(value))
		}
		return true
	})
	if !slices.Equal(constants, Types()) {
		t.Errorf("constants %v\nTypes %v", constants, Types())
	}
	form := regexp.MustCompile(`^dev\.mcp-registrar\.[a-z]+\.[a-z-]+$`)
	for _, kind := range constants {
		if !form.MatchString(string(kind)) {
			t.Errorf("%s has another form", kind)
		}
	}
}

func TestDocumentedByHandCheck(t *testing.T) {
	stream := documented(t)
	first := bytes.TrimSuffix(lines(stream)[0], []byte("\n"))
	hash := hashOf(first[:len(first)-148])
	for _, want := range []string{"\n" + hash + "  -\n", "\n" + hash + "\n", "= " + exampleKeys(t).keys[0].mac(hash) + "\n"} {
		if !strings.Contains(string(content(t, page)), want) {
			t.Errorf("the worked example should have %s", want)
		}
	}
	follows(t, lines(stream)[0])
}

func TestDocumentedPythonCheck(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("python3 is not installed")
	}
	match := regexp.MustCompile("(?s)```python\n(.*?)```\n").FindSubmatch(content(t, page))
	if match == nil {
		t.Fatal("the page has no Python check")
	}
	run := func(stream []byte) (string, error) {
		command := exec.CommandContext(t.Context(), python, "-c", string(match[1]), exampleKey)
		command.Stdin = bytes.NewReader(stream)
		out, err := command.CombinedOutput()
		return string(out), err
	}
	stream := documented(t)
	if out, err := run(stream); err != nil || !strings.Contains(out, "22 lines") {
		t.Errorf("%v\n%s", err, out)
	}
	split := lines(stream)
	for name, damaged := range map[string][]byte{
		"rewritten without the key": resealed(t, lines(stream)[0], 1, key{}, same),
		"rewritten with another":    resealed(t, lines(stream)[0], 1, key{exampleKeys(t).keys[0].id, make([]byte, keyLength)}, same),
		"altered":                   bytes.Replace(stream, []byte("jane"), []byte("joan"), 1),
		"removed":                   bytes.Join(slices.Delete(slices.Clone(split), 3, 4), nil),
		"torn":                      bytes.Join(slices.DeleteFunc(slices.Clone(split), func(l []byte) bool { return !bytes.HasSuffix(l, []byte("}\n")) }), nil),
	} {
		if out, err := run(damaged); err == nil {
			t.Errorf("%s: %s", name, out)
		}
	}
}

// exampleKey is the key of the examples, as in the page.
var exampleKey = strings.Repeat("0a1b2c3d", 8)

func exampleKeys(t *testing.T) Keys {
	t.Helper()
	if !strings.Contains(string(content(t, page)), exampleKey) {
		t.Error("the page does not show the key of the examples")
	}
	keys, err := ParseKeys([]byte(exampleKey))
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// examples writes a stream with a line of each type, as in the page.
func examples(t *testing.T) []byte {
	t.Helper()
	out := &faulty{}
	s, err := openStream(Options{Path: Stdout, Stdout: out, Source: "/clusters/7d0f/mcp-registrar", Keys: exampleKeys(t), Now: clock(), Patience: time.Minute},
		func() string { return "h4tqzk5c2v7rjm3xw6y2bdnf7e" })
	if err != nil {
		t.Fatal(err)
	}
	for _, event := range exampleEvents() {
		s.Record(event)
	}
	for _, call := range exampleCalls() {
		s.RecordCall(call)
	}
	out.accept = []int{120}
	s.Record(Event{Type: ClientRotated, Subject: registrationSubject, Data: registration()})
	closed(t, s)
	return out.Bytes()
}

const (
	registrationSubject = "MCPClientRegistration/payments/reconciler"
	grantSubject        = "ScopeGrant/payments/reconciler-ledger"
)

func date(month time.Month) time.Time { return time.Date(2026, month, 1, 0, 0, 0, 0, time.UTC) }

func registration() Data {
	return Data{
		Kind: "MCPClientRegistration", Namespace: "payments", Name: "reconciler", UID: "4f3c2a70-6d0e-4c3b-9a53-0d8f3c1b2e11", Generation: 1,
		AuthorizationServer: "corporate", Issuer: "https://login.example.com", Owner: "team-payments@example.com",
	}
}

func client() Data {
	d := registration()
	d.ClientID = "c-81f3"
	return d
}

func exampleGrant() Data {
	return Data{
		Kind: "ScopeGrant", Namespace: "payments", Name: "reconciler-ledger", UID: "b0a1d6c2-51f7-4c0e-8a9b-7d1f0f9d6a55", Generation: 2,
		Owner: "team-payments@example.com", Scopes: []string{"ledger:write"}, Server: "finance/ledger", Client: "payments/reconciler",
	}
}

func exampleEvents() []Event {
	of := func(kind Type, subject string, data Data, with func(*Data)) Event {
		with(&data)
		return Event{Type: kind, Subject: subject, Time: time.Date(2026, 8, 1, 9, 30, 0, 0, time.UTC), Data: data}
	}
	decided := Approval{By: "sam@example.com", At: date(8), Name: "finance/reconciler-ledger-7xk2p", Reason: "FIN-311", ExpiresAt: date(12)}
	return []Event{
		of(RegistrationRequested, registrationSubject, registration(), func(d *Data) {
			d.RequestedBy, d.ExpiresAt, d.Reason = "jane@example.com", date(12), "NoGrantInForce"
		}),
		of(ClientRegistered, registrationSubject, client(), func(d *Data) {
			d.Scopes, d.GrantTypes, d.AuthMethod = []string{"ledger:write"}, []string{"ClientCredentials"}, "ClientSecretBasic"
			d.Grants = []Grant{{
				Name: "reconciler-ledger", Scopes: []string{"ledger:write"}, Approval: "Approved",
				ApprovedBy: "sam@example.com", ApprovedAt: date(8), Generation: 2,
			}}
			d.ExpiresAt, d.Mark = date(12), "7d0f/4f3c2a70"
		}),
		of(ClientChanged, registrationSubject, client(), func(d *Data) {
			d.ChangedBy, d.Scopes, d.Removed = "jane@example.com", []string{"ledger:read"}, []string{"scope ledger:write"}
		}),
		of(ClientRotated, registrationSubject, client(), func(d *Data) { d.AuthMethod = "ClientSecretBasic" }),
		of(ClientRevoked, registrationSubject, client(), func(d *Data) { d.Cause, d.DueAt = "Expired", date(8) }),
		of(RevocationVerified, registrationSubject, client(), func(d *Data) { d.Cause, d.DueAt = "Expired", date(8) }),
		of(ClientReleased, registrationSubject, client(), func(d *Data) {
			d.Cause, d.DueAt, d.Message = "Deleted", date(8), "deleted by hand, INC-42"
		}),
		of(ClientVanished, registrationSubject, client(), func(*Data) {}),
		of(PossibleOrphan, registrationSubject, registration(), func(d *Data) { d.Mark = "7d0f/4f3c2a70" }),
		of(GrantRequested, grantSubject, exampleGrant(), func(d *Data) { d.RequestedBy, d.Reason = "jane@example.com", "month-end close" }),
		of(GrantApproved, grantSubject, exampleGrant(), func(d *Data) { d.Decision = &decided }),
		of(GrantDenied, grantSubject, exampleGrant(), func(d *Data) {
			d.Decision = &Approval{By: "sam@example.com", At: date(8), Name: "finance/reconciler-ledger-q2k8p", Reason: "use ledger:read"}
		}),
		of(ApprovalWithdrawn, grantSubject, exampleGrant(), func(d *Data) { d.Decision, d.Reason = &decided, "month-end close" }),
		of(ApprovalVoided, grantSubject, exampleGrant(), func(d *Data) {
			d.Generation, d.ChangedBy, d.Decision, d.Reason = 3, "jane@example.com", &decided, "month-end close"
			d.Message = `redirect URIs: added "https://evil.example.com/callback"`
		}),
		of(DecisionRestored, grantSubject, exampleGrant(), func(d *Data) {
			d.Generation, d.ChangedBy, d.Decision, d.Reason = 4, "jane@example.com", &decided, "month-end close"
			d.Message = "Approved"
		}),
	}
}

// exampleCalls are an allowed call, one that needs another scope, and one after
// the revocation of the client.
func exampleCalls() []CallEvent {
	at := func(minute int) time.Time { return time.Date(2026, 8, 1, 10, minute, 0, 0, time.UTC) }
	call := func(tool, id string) CallData {
		return CallData{
			Server: "finance/ledger", Resource: "https://ledger.example.com/mcp", Method: "tools/call", Tool: tool, RequestID: id,
			Verdict: VerdictRefused, AuthorizationServer: "corporate", Issuer: "https://login.example.com", ClientID: "c-81f3",
			Subject: "c-81f3", TokenID: "t-5d20", TokenExpiresAt: at(15), Client: "payments/reconciler",
			RegistrationUID: "4f3c2a70-6d0e-4c3b-9a53-0d8f3c1b2e11", Owner: "team-payments@example.com",
			TraceParent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
		}
	}
	allowed, stepUp, revoked := call("post_entry", "7"), call("close_month", "8"), call("post_entry", "9")
	allowed.Verdict, allowed.Reason = VerdictAllowed, "Allowed"
	allowed.Grant, allowed.Basis, allowed.ApprovedBy, allowed.Scope = "reconciler-ledger", "Approved", "sam@example.com", "ledger:write"
	stepUp.Reason, stepUp.StepUp = "ScopeMissing", []string{"ledger:close"}
	revoked.Reason = "Revoked"
	return []CallEvent{
		{Type: CallAllowed, Time: at(1), Data: allowed},
		{Type: CallRefused, Time: at(2), Data: stepUp},
		{Type: CallRefused, Time: at(3), Data: revoked},
	}
}

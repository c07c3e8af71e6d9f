// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
)

// auditPrefix begins the type of every event of the audit record.
const auditPrefix = "dev.mcp-registrar."

// auditLine is what a line of the audit record says, as far as it is asked for.
type auditLine struct {
	Type     string
	Subject  string
	Time     time.Time
	Sequence string
	Data     auditData
}

type auditData struct {
	Generation          int64
	AuthorizationServer string
	Issuer              string
	ClientID            string
	Owner               string
	RequestedBy         string
	ChangedBy           string
	Scopes              []string
	Grants              []auditGrant
	Cause               string
	DueAt               time.Time
	Decision            *auditDecision
	Added, Removed      []string
}

type auditGrant struct {
	Name       string
	Approval   string
	ApprovedBy string
	Generation int64
}

type auditDecision struct{ By string }

// TestAudit lives through a client's life and reads the audit record of it.
func TestAudit(t *testing.T) {
	file := filepath.Join(t.TempDir(), "audit.jsonl")
	w := startWorld(t, "audit.log="+file)
	as := w.startDevAS(t)
	w.connect(t, "devas", as.Issuer())
	o := newOffice(t, w, as)
	w.awaitPolicies(t)
	w.seen.logs = append(w.seen.logs, file)

	ids := o.lifeOnRecord(t)
	o.keepAuditKey(t, file)
	t.Run("the record is complete", func(t *testing.T) { testVerifies(t, file, "1 chain") })
	t.Run("it tells who, what, where and by which object", func(t *testing.T) { testTold(t, o, file, ids) })
	t.Run("what was altered is found", func(t *testing.T) { testTampering(t, file) })
	t.Run("the next manager goes on with it", func(t *testing.T) { testRecordGoesOn(t, o, file) })
	t.Run("no secret is shown", func(t *testing.T) {
		o.robot(t, "with-secret")
		testNoSecretIsShown(t, w, "access token")
	})
}

// lifeOnRecord creates, approves, changes, rotates, expires, renews and deletes a
// client. It returns the ids that it had.
func (o *office) lifeOnRecord(t *testing.T) []string {
	t.Helper()
	g := NewWithT(t)
	reg := o.newRegistration("robot", v1alpha1.AuthMethodPrivateKeyJWT)
	reads, elevated := o.grantOf("robot-reads", "robot", readScope), o.grantOf("robot-releases", "robot", releaseScope)
	o.asks(t, reg, reads)
	p := o.waitReady(t, reg)
	o.asks(t, elevated)
	o.olga.approve(t, o.world, elevated)
	o.requireScopes(t, p, readScope, releaseScope)

	o.olga.does(t, "patch", "mcpserver", "invoices", "-n", billing, "--type=merge", "-p", `{"spec":{"grants":{"autoApprovedTiers":["Read","Write"]}}}`)
	// The operator hears of servers and of grants in no order.
	g.Eventually(func() bool {
		o.ready(t, o.server)()
		return o.server.Status.ObservedGeneration == o.server.Generation
	}, patience, often).Should(BeTrue(), "the operator does not see the server's change")
	o.alice.does(t, "patch", "scopegrant", "robot-reads", "-n", team, "--type=merge", "-p", fmt.Sprintf(`{"spec":{"scopes":[%q,%q]}}`, readScope, writeScope))
	o.requireScopes(t, p, readScope, writeScope, releaseScope)

	o.remove(t, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: team, Name: secretName(reg)}})
	o.alice.does(t, "annotate", "mcpclientregistration", "robot", "-n", team, "example.com/rotate=now")
	g.Eventually(func() error {
		return o.Get(t.Context(), client.ObjectKey{Namespace: team, Name: secretName(reg)}, &corev1.Secret{})
	}, patience, often).Should(Succeed(), "no new credentials")
	rotated := o.waitReady(t, reg)
	g.Expect(rotated.id).To(Equal(p.id))
	g.Eventually(rotated.standing(t), patience, often).Should(Equal("known"), "the new key")
	g.Expect(p.standing(t)()).To(Equal("invalid_client"), "the old key")

	o.alice.annotate(t, "mcpclientregistration", "robot", time.Now().Add(2*time.Second))
	o.requireRevoked(t, reg, rotated, v1alpha1.ReasonExpired, v1alpha1.CauseExpired)
	o.alice.annotate(t, "mcpclientregistration", "robot", inAnHour())
	renewed := o.waitReady(t, reg)
	o.alice.does(t, "delete", "mcpclientregistration", "robot", "-n", team)
	g.Eventually(func() bool {
		return apierrors.IsNotFound(o.Get(t.Context(), client.ObjectKeyFromObject(reg), reg))
	}, patience, often).Should(BeTrue())
	return []string{p.id, renewed.id}
}

// readAudit reads the audit record.
func readAudit(t *testing.T, file string) []auditLine {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var lines []auditLine
	for text := range bytes.Lines(content) {
		var line auditLine
		if err := json.Unmarshal(text, &line); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		lines = append(lines, line)
	}
	return lines
}

// of picks the lines about an object.
func of(lines []auditLine, subject string) []auditLine {
	return slices.DeleteFunc(slices.Clone(lines), func(line auditLine) bool { return line.Subject != subject })
}

// kinds are the types of lines, without what they all begin with.
func kinds(lines []auditLine) []string {
	var types []string
	for _, line := range lines {
		types = append(types, strings.TrimPrefix(line.Type, auditPrefix))
	}
	return types
}

func testTold(t *testing.T, o *office, file string, ids []string) {
	g := NewWithT(t)
	lines := readAudit(t, file)
	client := of(lines, "MCPClientRegistration/team-a/robot")
	g.Expect(kinds(client)).To(Equal([]string{
		"registration.requested", "client.registered",
		"client.changed", "client.changed", "client.rotated", "client.revoked", "client.revocation-verified",
		"client.registered", "client.revoked", "client.revocation-verified",
	}))
	for i, line := range client {
		id, generation := ids[0], 1
		switch {
		case i == 0:
			id = ""
		case i >= 7:
			id = ids[1]
		}
		if i >= 8 {
			generation = 2 // The API server counts a deletion as a change.
		}
		g.Expect(line.Data.ClientID).To(Equal(id), line.Type)
		g.Expect(line.Data.AuthorizationServer).To(Equal("devas"), line.Type)
		g.Expect(line.Data.Issuer).To(Equal(o.as.Issuer()), line.Type)
		g.Expect(line.Data.RequestedBy).To(Equal("alice"), line.Type)
		g.Expect(line.Data.Owner).To(Equal("team-a@example.com"), line.Type)
		g.Expect(line.Data.Generation).To(BeEquivalentTo(generation), line.Type)
	}
	g.Expect(client[1].Data.Scopes).To(ConsistOf(readScope))
	g.Expect(client[1].Data.Grants).To(ConsistOf(auditGrant{Name: "robot-reads", Approval: "Automatic", Generation: 1}))
	g.Expect(client[2].Data.Added).To(ConsistOf("scope " + releaseScope))
	g.Expect(client[2].Data.Grants).To(ContainElement(auditGrant{Name: "robot-releases", Approval: "Approved", ApprovedBy: "olga", Generation: 1}))
	g.Expect(client[3].Data.Added).To(ConsistOf("scope " + writeScope))
	g.Expect(client[3].Data.Grants).To(ContainElement(auditGrant{Name: "robot-reads", Approval: "Automatic", Generation: 2}))
	g.Expect(client[5].Data.Cause).To(Equal(string(v1alpha1.CauseExpired)))
	g.Expect(client[5].Data.ChangedBy).To(Equal("alice"))
	g.Expect(client[5].Data.DueAt.After(client[5].Time)).To(BeFalse(), "revoked before it was due")
	g.Expect(client[8].Data.Cause).To(Equal(string(v1alpha1.CauseDeleted)))

	elevated := of(lines, "ScopeGrant/team-a/robot-releases")
	g.Expect(kinds(elevated)).To(Equal([]string{"grant.requested", "grant.approved"}))
	g.Expect(elevated[0].Data.RequestedBy).To(Equal("alice"))
	g.Expect(elevated[1].Data.Decision).To(Equal(&auditDecision{By: "olga"}))
	reads := of(lines, "ScopeGrant/team-a/robot-reads")
	g.Expect(kinds(reads)).To(Equal([]string{"grant.requested", "grant.requested"}))
	g.Expect(reads[1].Data.Generation).To(BeEquivalentTo(2))
	g.Expect(reads[1].Data.ChangedBy).To(Equal("alice"))
}

// keepAuditKey puts the key of the operator's record beside it, for verifyAudit.
func (o *office) keepAuditKey(t *testing.T, file string) {
	t.Helper()
	var secret corev1.Secret
	if err := o.Get(t.Context(), client.ObjectKey{Namespace: operatorNamespace, Name: "mcp-registrar-audit-key"}, &secret); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file+".key", secret.Data["keys"], 0o600); err != nil {
		t.Fatal(err)
	}
}

// verifyAudit runs the subcommand as a person would, with the key beside the file.
func verifyAudit(t *testing.T, file string, further ...string) (said string, code int) {
	t.Helper()
	arguments := append([]string{"audit", "verify", "--key=" + file + ".key"}, further...)
	command := exec.CommandContext(t.Context(), binary(t), append(arguments, file)...)
	output, err := command.CombinedOutput()
	if command.ProcessState == nil {
		t.Fatal(err)
	}
	return string(output), command.ProcessState.ExitCode()
}

func testVerifies(t *testing.T, file, chains string) {
	said, code := verifyAudit(t, file)
	if code != 0 || !strings.Contains(said, "complete") || !strings.Contains(said, chains) {
		t.Errorf("exit code %d: %s", code, said)
	}
}

func testTampering(t *testing.T, file string) {
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	lines := slices.Collect(bytes.Lines(content))
	middle := len(lines) / 2
	for name, altered := range map[string][][]byte{
		"a line is missing":           slices.Delete(slices.Clone(lines), middle, middle+1),
		"the last line is missing":    slices.Clone(lines[:len(lines)-1]),
		"two lines changed places":    swapped(lines, middle, middle+1),
		"a line is there twice":       slices.Insert(slices.Clone(lines), middle, lines[middle]),
		"a line says something else":  edited(lines, "alice", "olga"),
		"a line lost one of its bits": edited(lines, `"specversion":"1.0"`, `"specversion":"1.1"`),
	} {
		t.Run(name, func(t *testing.T) {
			copied := filepath.Join(t.TempDir(), "audit.jsonl")
			beside := map[string][]byte{copied: bytes.Join(altered, nil)}
			for _, suffix := range []string{".head", ".key"} {
				content, err := os.ReadFile(file + suffix)
				if err != nil {
					t.Fatal(err)
				}
				beside[copied+suffix] = content
			}
			for path, content := range beside {
				if err := os.WriteFile(path, content, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			said, code := verifyAudit(t, copied)
			if code != 1 || !strings.Contains(said, "DAMAGED") {
				t.Errorf("exit code %d: %s", code, said)
			}
			t.Log(said)
		})
	}
}

// requirePublishedEnd wants the end of a stopped manager's record in the ConfigMap, and
// a file that lost its last line found by it.
func (o *office) requirePublishedEnd(t *testing.T, file string) {
	t.Helper()
	var published corev1.ConfigMap
	if err := o.Get(t.Context(), client.ObjectKey{Namespace: operatorNamespace, Name: "mcp-registrar-audit-heads"}, &published); err != nil {
		t.Fatal(err)
	}
	encoded, err := json.Marshal(published.Data)
	if err != nil {
		t.Fatal(err)
	}
	heads, cut := filepath.Join(t.TempDir(), "heads"), filepath.Join(t.TempDir(), "cut")
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	o.keepAuditKey(t, cut)
	for path, content := range map[string][]byte{heads: encoded, cut: content[:bytes.LastIndexByte(content[:len(content)-1], '\n')+1]} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if said, code := verifyAudit(t, file, "--head="+heads); code != 0 {
		t.Errorf("exit code %d: %s", code, said)
	}
	if said, code := verifyAudit(t, cut); code != 0 {
		t.Errorf("cut, without the published head: exit code %d: %s", code, said)
	}
	if said, code := verifyAudit(t, cut, "--head="+heads); code != 1 || !strings.Contains(said, "the head that was published") {
		t.Errorf("cut: exit code %d: %s", code, said)
	}
}

func swapped(lines [][]byte, i, j int) [][]byte {
	other := slices.Clone(lines)
	other[i], other[j] = other[j], other[i]
	return other
}

// edited replaces a text in the first line in which it is.
func edited(lines [][]byte, old, next string) [][]byte {
	other := slices.Clone(lines)
	for i, line := range other {
		if bytes.Contains(line, []byte(old)) {
			other[i] = bytes.Replace(line, []byte(old), []byte(next), 1)
			break
		}
	}
	return other
}

func testRecordGoesOn(t *testing.T, o *office, file string) {
	before := readAudit(t, file)
	o.manager.stop(t)
	o.requirePublishedEnd(t, file)
	o.startManager(t)
	reg, _ := o.robot(t, "later")
	after := readAudit(t, file)
	NewWithT(t).Expect(after[:len(before)]).To(Equal(before), "what was on record changed")
	told := of(after[len(before):], "MCPClientRegistration/team-a/"+reg.Name)
	NewWithT(t).Expect(kinds(told)).To(Equal([]string{"registration.requested", "client.registered"}))
	NewWithT(t).Expect(of(after, "MCPClientRegistration/team-a/robot")).To(HaveLen(10), "the restart told of a client that is gone")
	testVerifies(t, file, "1 chain")
}

// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/mcp-registrar/mcp-registrar/test/devas"
)

func (r *readers) tokenForReading(t *testing.T) {
	r.variables["TOKEN"] = strings.TrimSpace(r.does(t, "team", `secret() { kubectl -n payments get secret reconciler-oauth -o go-template="{{index .data \"$1\" | base64decode}}"; }
		curl -sS -u "$(secret client_id):$(secret client_secret)" "$(secret token_endpoint)" -d grant_type=client_credentials -d scope=invoices:read \
			--data-urlencode "resource=$(secret resources)" | jq -r .access_token`))
	r.world.seen.keep(r.variables["TOKEN"], "access token")
	r.await(t, "anybody", `curl -s "$RESOURCE" -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' -H 'Accept: application/json, text/event-stream' \
		-d '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"pay_invoice","arguments":{}}}'`, "ScopeMissing")
}

func (r *readers) auditorHasExpired(t *testing.T) {
	r.does(t, "developer", "kubectl -n payments annotate mcpreg auditor --overwrite mcp-registrar.dev/expires-at="+instant(time.Now().Add(3*time.Second)))
	r.awaitReady(t, "mcpreg", "payments", "auditor", "False/Expired")
	r.await(t, "developer", "kubectl -n payments get mcpreg auditor -o jsonpath='{.status.revocation}'", "deniedAt")
	r.await(t, "developer", "kubectl -n payments get mcpreg auditor -o jsonpath='{.status.revocation}'", "verifiedAt")
}

func (r *readers) aliceHasAsked(t *testing.T) {
	r.client(t, "reconciler-voids", "company", "invoices", "invoices:void")
	r.does(t, "alice", "kubectl apply -f reconciler-voids.yaml")
	r.awaitPending(t, "reconciler-voids")
}

// awaitPending waits until the server shows a grant as one that waits.
func (r *readers) awaitPending(t *testing.T, grant string) {
	t.Helper()
	r.await(t, "approver", "kubectl -n invoices get mcpsrv invoices -o jsonpath='{.status.pendingGrants[*].name}'", grant)
}

func (r *readers) credentialsAreKept(t *testing.T) {
	for name, key := range map[string]string{"ID": "client_id", "SECRET": "client_secret"} {
		r.variables[name] = r.does(t, "team", "kubectl -n payments get secret reconciler-oauth -o go-template='{{.data."+key+" | base64decode}}'")
	}
	r.does(t, "alice", "kubectl -n payments delete mcpreg,mcpgrant reconciler-voids")
}

func (r *readers) writingWaits(t *testing.T) {
	r.does(t, "approver", "kubectl -n invoices delete mcpapproval --all")
	r.does(t, "server owner", `kubectl -n invoices patch mcpsrv invoices --type=merge -p '{"spec":{"grants":{"autoApprovedTiers":["Read"]}}}'`)
	r.does(t, "developer", `kubectl -n payments patch mcpreg reconciler --type=merge -p '{"spec":{"grantTypes":["AuthorizationCode","RefreshToken"],
		"redirectURIs":["https://app.example.com/callback"]}}'`)
	r.awaitReady(t, "mcpgrant", "payments", "reconciler-writes-invoices", "False/ApprovalRequired")
	r.await(t, "approver", "kubectl -n invoices get mcpsrv invoices -o jsonpath='{.status.pendingGrants[*].redirectURIs}'", "app.example.com")
	r.awaitPending(t, "reconciler-writes-invoices")
}

func (r *readers) approvalIsWithdrawn(t *testing.T) {
	r.awaitReady(t, "mcpgrant", "payments", "reconciler-writes-invoices", "True/Ready")
	r.does(t, "approver", "kubectl -n invoices delete mcpapproval --all")
	r.awaitPending(t, "reconciler-writes-invoices")
}

func (r *readers) approvalIsVoid(t *testing.T) {
	r.awaitReady(t, "mcpgrant", "payments", "reconciler-writes-invoices", "True/Ready")
	r.variables["APPROVAL"] = r.does(t, "approver", "kubectl -n invoices get mcpapproval -o jsonpath='{.items[*].metadata.name}'")
	r.await(t, "approver", "kubectl -n invoices get mcpapproval -o jsonpath='{.items[*].status}'", "lookedAt")
	r.does(t, "developer", `kubectl -n payments patch mcpreg reconciler --type=merge -p '{"spec":{"redirectURIs":["https://app.example.com/callback","https://evil.example.com/callback"]}}'`)
	r.awaitReady(t, "mcpapproval", "invoices", r.variables["APPROVAL"], "False/ApprovalVoid")
}

func (r *readers) folderIsApplied(t *testing.T) {
	r.client(t, "robot", "company", "invoices", "invoices:read")
	r.does(t, "flux", "mkdir mcp && mv robot.yaml mcp/ && kubectl apply --server-side --field-manager=flux -f mcp/")
	r.awaitReady(t, "mcpreg", "payments", "robot", "True/Ready")
	r.awaitReady(t, "mcpgrant", "payments", "robot", "True/Ready")
}

func (r *readers) incidentIsWritten(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(r.root, "docs", "accessdenial.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(page), "```yaml\n")
	manifest, _, _ := strings.Cut(after, "```")
	id := r.does(t, "developer", "kubectl -n payments get mcpreg robot -o jsonpath='{.status.clientID}'")
	r.writes(t, "incident-4711.yaml", strings.NewReplacer(
		"5f0c7d6e-6a1b-4c0e-9f7e-2d1b3c4a5e6f", id, "2027-03-31T00:00:00Z", r.variables["END"]).Replace(manifest))
}

func (r *readers) denialIsEnforced(t *testing.T) {
	r.await(t, "platform", "kubectl get mcpdeny incident-4711 -o jsonpath='{.status}'", "enforcedTime")
}

func (r *readers) resourceIsTaken(t *testing.T) {
	r.does(t, "server owner", `kubectl -n invoices get mcpsrv invoices -o json | jq '{apiVersion, kind, spec, metadata: {name: "second", namespace: "invoices",
		annotations: {"mcp-registrar.dev/owner": "team-invoices@example.com"}}}' | kubectl create -f -`)
	r.awaitReady(t, "mcpsrv", "invoices", "second", "False/ResourceTaken")
	r.await(t, "cluster admin", "kubectl get events -n default", "ResourceTaken")
	r.does(t, "server owner", "kubectl -n invoices delete mcpsrv second")
}

func (r *readers) revocationIsBlocked(t *testing.T) {
	r.client(t, "blocked", "company", "invoices", "invoices:read")
	r.does(t, "developer", "kubectl apply -f blocked.yaml")
	r.awaitReady(t, "mcpreg", "payments", "blocked", "True/Ready")
	id := r.does(t, "developer", "kubectl -n payments get mcpreg blocked -o jsonpath='{.status.clientID}'")
	r.orders(t, r.as, devas.Fault{Operation: devas.Delete, ClientID: id, Status: 503})
	r.does(t, "developer", "kubectl -n payments delete mcpreg blocked --wait=false")
	r.await(t, "developer", `kubectl -n payments get mcpreg blocked -o jsonpath='{.status.revocation.clientID} {.status.conditions[?(@.type=="Registered")].reason}'`, id+" Unavailable")
}

func (r *readers) orders(t *testing.T, as *devas.Server, fault devas.Fault) {
	t.Helper()
	if err := as.Order(fault); err != nil {
		t.Fatal(err)
	}
}

func (r *readers) clientMayBeOrphaned(t *testing.T) {
	r.orders(t, r.as, devas.Fault{Operation: devas.Register, Kind: devas.FaultClose, When: devas.After, Count: 1})
	r.client(t, "orphaned", "company", "invoices", "invoices:read")
	r.does(t, "developer", "kubectl apply -f orphaned.yaml")
	r.await(t, "developer", "kubectl -n payments get mcpreg orphaned -o jsonpath='{.status.possibleOrphans}'", "mcpr-")
	r.await(t, "platform", "kubectl -n mcp-registrar-system get secret -l mcp-registrar.dev/possible-orphan=true -o name", "registration-")
}

// otherServer is another authorization server of the platform team with a server of the
// service team, and a client that asks to be registered there.
func (r *readers) otherServer(t *testing.T, name, secret string, switches devas.Switches) {
	t.Helper()
	as := r.world.startDevAS(t)
	if err := as.Set(switches); err != nil {
		t.Fatal(err)
	}
	r.does(t, "platform", fmt.Sprintf(`kubectl get mcpas company -o json | jq '{apiVersion, kind, spec, metadata: {name: %[1]q}}
		| .spec.issuer = %[2]q | .spec.dynamicRegistration.initialAccessTokenSecretRef.name = %[3]q' | kubectl create -f -`, name, as.Issuer(), secret))
	r.does(t, "server owner", fmt.Sprintf(`kubectl -n invoices get mcpsrv invoices -o json | jq '{apiVersion, kind, spec, metadata: {name: %[1]q, namespace: "invoices",
		annotations: {"mcp-registrar.dev/owner": "team-invoices@example.com"}}} | .spec.authorizationServerRef.name = %[1]q
		| .spec.resource = "https://mcp.example.com/" + %[1]q' | kubectl create -f -`, name))
	r.client(t, name, name, name, "invoices:read")
	r.does(t, "developer", "kubectl apply -f "+name+".yaml")
}

func (r *readers) serverIsNotManageable(t *testing.T) {
	r.otherServer(t, "bad", "company-initial-access-token", devas.Switches{
		AnswerWith: map[string]json.RawMessage{"registration_client_uri": json.RawMessage("null")},
	})
	r.await(t, "platform", `kubectl get mcpas bad -o jsonpath='{.status.conditions[?(@.type=="Manageable")].status}'`, "False")
}

func (r *readers) clockIsWrong(t *testing.T) {
	r.otherServer(t, "ahead", "company-initial-access-token", devas.Switches{ClockAheadSeconds: 600})
	r.await(t, "platform", `kubectl get mcpas ahead -o jsonpath='{.status.conditions[?(@.type=="ClockSynchronized")].status}'`, "False")
}

func (r *readers) initialTokenIsWrong(t *testing.T) {
	r.does(t, "cluster admin", "kubectl -n mcp-registrar-system create secret generic wrong --from-literal=token=wrong")
	r.otherServer(t, "locked", "wrong", devas.Switches{})
	r.await(t, "platform", `kubectl get mcpas locked -o jsonpath='{.status.conditions[?(@.type=="AdminAccess")].status}'`, "False")
}

func (r *readers) recordIsLost(t *testing.T) {
	r.does(t, "cluster admin", `kubectl -n mcp-registrar-system delete secret \
		registration-$(kubectl -n payments get mcpreg reconciler -o jsonpath='{.metadata.uid}')`)
}

func (r *readers) recordHasNoRegistration(t *testing.T) {
	r.as.ClearFaults()
	r.does(t, "developer", "kubectl -n payments delete mcpreg orphaned")
}

// logLine finds the lines of an audit record.
var logLine = regexp.MustCompile(`(?m)^\{"specversion".*\}\n`)

// recordGoesOn has something happen that is put on record, in a new file.
func (r *readers) recordGoesOn(t *testing.T) {
	name := fmt.Sprintf("noted-%d", time.Now().Unix())
	r.client(t, name, "company", "invoices", "invoices:read")
	r.does(t, "developer", "kubectl apply -f "+name+".yaml")
	r.awaitReady(t, "mcpreg", "payments", name, "True/Ready")
	r.await(t, "anybody", "ls audit.jsonl", "<nil>")
}

// rotatedOnce is a rotation before the one of the page.
func (r *readers) rotatedOnce(t *testing.T) {
	r.does(t, "anybody", "mv audit.jsonl audit-2026-07.jsonl")
	r.recordGoesOn(t)
}

func (r *readers) twoLinesAreGone(t *testing.T) {
	record, err := os.ReadFile(filepath.Join(r.dir, "audit-2026-07.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	keys := r.does(t, "anybody", "cat keys")
	r.moves(t)
	lines := strings.SplitAfter(string(record), "\n")
	r.writes(t, "keys", keys)
	r.writes(t, "audit.jsonl", strings.Join(append(lines[:6:6], lines[8:]...), ""))
}

func (r *readers) auditExample(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(r.root, "docs", "audit.md"))
	if err != nil {
		t.Fatal(err)
	}
	r.writes(t, "audit.jsonl", strings.Join(logLine.FindAllString(string(page), -1), ""))
}

func (r *readers) guardIsDeployed(t *testing.T) {
	r.does(t, "cluster admin", "kubectl -n mcp-guard create deployment mcp-guard --image=registry.example.com/mcp-registrar/manager:dev -- /guard")
}

func (r *readers) clientsLiveOnTheServer(t *testing.T) {
	r.await(t, "server owner", `kubectl -n invoices get mcpsrv invoices -o jsonpath='clients={.status.grants.clients}' | grep -v 'clients=0*$'`, "clients=")
}

// nothingIsInstalled takes away what a release or a kustomization brought, and the
// namespace.
func (r *readers) nothingIsInstalled(t *testing.T) {
	r.does(t, "cluster admin", `kubectl delete clusterroles,clusterrolebindings,validatingadmissionpolicies,validatingadmissionpolicybindings,mutatingadmissionpolicies,mutatingadmissionpolicybindings,crds \
		-l app.kubernetes.io/name=mcp-registrar --ignore-not-found
		kubectl delete namespace mcp-registrar-system --ignore-not-found --wait=false`)
	r.await(t, "cluster admin", "kubectl get namespace mcp-registrar-system", "NotFound")
}

// podsRun says what a kubelet and the controller of Deployments would.
func (r *readers) podsRun(t *testing.T) {
	r.does(t, "cluster admin", `kubectl -n mcp-registrar-system patch deployment mcp-registrar --subresource=status --type=merge -p '{"status":{
		"observedGeneration":1,"replicas":1,"updatedReplicas":1,"readyReplicas":1,"availableReplicas":1}}'`)
}

func (r *readers) installerHasTheNamespace(t *testing.T) {
	r.newReader(t, "installer", "ines")
	r.does(t, "cluster admin", "kubectl -n mcp-registrar-system create rolebinding ines --clusterrole=admin --user=ines")
}

// reconcilerIsRegistered has its grant need nobody again.
func (r *readers) reconcilerIsRegistered(t *testing.T) {
	r.does(t, "server owner", `kubectl -n invoices patch mcpsrv invoices --type=merge -p '{"spec":{"grants":{"autoApprovedTiers":["Read", "Write"]}}}'`)
	r.awaitReady(t, "mcpreg", "payments", "reconciler", "True/Ready")
}

// statusIsRefused has a policy of somebody else refuse every status of a registration
// whose end comes.
func (r *readers) statusIsRefused(t *testing.T) {
	r.client(t, "refused", "company", "invoices", "invoices:read")
	r.does(t, "developer", "kubectl apply -f refused.yaml")
	r.awaitReady(t, "mcpreg", "payments", "refused", "True/Ready")
	r.writes(t, "policy.yaml", `apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: refuses}
spec:
  matchConstraints:
    resourceRules:
    - {apiGroups: [mcp-registrar.dev], apiVersions: ["*"], operations: [UPDATE], resources: [mcpclientregistrations/status]}
  matchConditions: [{name: one, expression: request.name == "refused"}]
  validations: [{expression: "false", message: not today}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: refuses}
spec: {policyName: refuses, validationActions: [Deny]}
`)
	r.does(t, "cluster admin", "kubectl apply -f policy.yaml")
	r.await(t, "cluster admin", `kubectl -n payments patch mcpreg refused --subresource=status --type=merge -p '{"status":{"clientID":"x"}}' --dry-run=server`, "not today")
	r.does(t, "developer", "kubectl -n payments annotate mcpreg refused --overwrite mcp-registrar.dev/expires-at="+instant(time.Now().Add(2*time.Second)))
	r.await(t, "platform", "kubectl get mcpdeny -l mcp-registrar.dev/registration-uid -o name", "accessdenial")
	r.await(t, "cluster admin", "kubectl get events -A --field-selector reason=StatusRefused", "refused")
	r.does(t, "cluster admin", "kubectl delete -f policy.yaml")
}

// manyAreRevoked has as many clients revoked at once as are told of.
func (r *readers) manyAreRevoked(t *testing.T) {
	for i := range 10 {
		r.client(t, fmt.Sprintf("many-%d", i), "company", "invoices", "invoices:read")
	}
	r.does(t, "developer", `for i in 0 1 2 3 4 5 6 7 8 9; do echo ---; cat many-$i.yaml; done | kubectl apply -f -`)
	for i := range 10 {
		r.awaitReady(t, "mcpreg", "payments", fmt.Sprintf("many-%d", i), "True/Ready")
	}
	r.does(t, "developer", "kubectl -n payments delete mcpreg many-0 many-1 many-2 many-3 many-4 many-5 many-6 many-7 many-8 many-9")
	r.await(t, "cluster admin", "kubectl get events -A --field-selector reason=MassRevocation", "MassRevocation")
}

// keycloakIsLoggedIn has a Keycloak with a realm of the name that the page has.
func (r *readers) keycloakIsLoggedIn(t *testing.T) {
	server := sharedKeycloak(t)
	server.NewRealmNamed(t, "tools")
	name, password := server.Administrator()
	if err := os.Symlink(filepath.Join(r.root, "bin", "keycloak", "server", "bin", "kcadm.sh"), filepath.Join(r.bin, "kcadm.sh")); err != nil {
		t.Fatal(err)
	}
	r.variables["KC_PASSWORD"] = password
	r.does(t, "keycloak administrator", `kcadm.sh config credentials --server `+server.URL+` --realm master --user `+name+` --password "$KC_PASSWORD"`)
}

// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
)

// witness remembers every secret value of a run and every version of what many
// may read: a canary test that looks only at the end would miss what was deleted.
type witness struct {
	mu sync.Mutex
	// secrets are by value, with what each is.
	secrets map[string]string
	// open are the versions of objects, by kind.
	open map[string][]string
	logs []string
}

func randomToken() string { return rand.Text() + rand.Text() }

func startWitness(t *testing.T, config *rest.Config, scheme *runtime.Scheme) *witness {
	t.Helper()
	s := &witness{secrets: map[string]string{}, open: map[string][]string{}}
	watched, err := cache.New(config, cache.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("watching: %v", err)
		}
	})
	go func() { ended <- watched.Start(ctx) }()
	for _, kind := range []client.Object{
		&corev1.Secret{}, &corev1.ConfigMap{}, &corev1.Event{}, &eventsv1.Event{},
		&v1alpha1.AuthorizationServer{}, &v1alpha1.MCPServer{}, &v1alpha1.MCPClientRegistration{}, &v1alpha1.ScopeGrant{},
	} {
		informer, err := watched.GetInformer(t.Context(), kind)
		if err != nil {
			t.Fatal(err)
		}
		handler := toolscache.ResourceEventHandlerFuncs{
			AddFunc:    s.look,
			UpdateFunc: func(_, object any) { s.look(object) },
			DeleteFunc: s.look,
		}
		if _, err := informer.AddEventHandler(handler); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// keep remembers a value that must not be seen.
func (s *witness) keep(value, what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(value) >= shortest {
		s.secrets[value] = what
	}
}

func (s *witness) look(object any) {
	if secret, ok := object.(*corev1.Secret); ok {
		s.lookInto(secret)
		return
	}
	content, err := json.Marshal(object)
	if err != nil {
		content = fmt.Append(nil, object)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	kind := fmt.Sprintf("%T", object)
	s.open[kind] = append(s.open[kind], string(content))
}

func (s *witness) lookInto(secret *corev1.Secret) {
	if secret.Type == v1alpha1.SecretTypeCredentials {
		s.keep(string(secret.Data[v1alpha1.SecretKeyClientSecret]), "client secret")
		for line := range strings.Lines(string(secret.Data[v1alpha1.SecretKeyPrivateKey])) {
			if !strings.HasPrefix(line, "-----") {
				s.keep(strings.TrimSpace(line), "private key")
			}
		}
	}
	if secret.Type == v1alpha1.SecretTypeRecord {
		for _, content := range secret.Data {
			var record struct {
				Client struct{ Secret, ManagementToken string }
			}
			if err := json.Unmarshal(content, &record); err != nil {
				continue
			}
			s.keep(record.Client.Secret, "client secret")
			s.keep(record.Client.ManagementToken, "registration access token")
		}
	}
}

// shortest is how long a value is at least that is looked for.
const shortest = 16

// find counts the secret values that a text shows, plain or in base64. It goes
// through the text once, however many values there are.
func (s *witness) find(text string) tally {
	type form struct{ text, what string }
	forms := map[string][]form{}
	for value, what := range s.secrets {
		for _, text := range []string{value, base64.StdEncoding.EncodeToString([]byte(value))} {
			forms[text[:shortest]] = append(forms[text[:shortest]], form{text, what})
		}
	}
	found := tally{}
	for at := range max(len(text)-shortest+1, 0) {
		for _, form := range forms[text[at:at+shortest]] {
			if strings.HasPrefix(text[at:], form.text) {
				found[form.what]++
			}
		}
	}
	return found
}

// openKinds are the kinds of objects that every run has versions of.
var openKinds = []string{
	"*v1.ConfigMap", "*v1.Event", "*v1alpha1.AuthorizationServer",
	"*v1alpha1.MCPServer", "*v1alpha1.MCPClientRegistration", "*v1alpha1.ScopeGrant",
}

// missing are the kinds of secrets, among those wanted, and the kinds of objects of
// which nothing was seen yet.
func (s *witness) missing(wanted []string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	kinds := slices.Collect(maps.Values(s.secrets))
	missing := slices.DeleteFunc(slices.Clone(wanted), func(what string) bool { return slices.Contains(kinds, what) })
	return append(missing, slices.DeleteFunc(slices.Clone(openKinds), func(kind string) bool { return len(s.open[kind]) > 0 })...)
}

// testNoSecretIsShown is the last test of a world: what was secret in it is
// nowhere to be read but in Secrets. Further names kinds of secrets that must have
// come up beside those that always do.
func testNoSecretIsShown(t *testing.T, w *world, further ...string) {
	wanted := append(further, "initial access token", "client secret", "private key", "registration access token")
	// What is watched arrives a little later.
	NewWithT(t).Eventually(func() []string { return w.seen.missing(wanted) }, patience, often).
		Should(BeEmpty(), "what came up in no part of the run: the test shows nothing")
	_, page := w.getMetrics(t, w.scrapeToken)
	w.seen.mu.Lock()
	defer w.seen.mu.Unlock()
	places := map[string]string{"metrics": string(page)}
	for kind, versions := range w.seen.open {
		places[kind] = strings.Join(versions, "\n")
	}
	for _, path := range w.seen.logs {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		places["log"] += string(content)
	}
	kinds := tally{}
	for _, what := range w.seen.secrets {
		kinds[what]++
	}
	t.Logf("looking for %v", kinds)
	for _, place := range append([]string{"metrics", "log"}, openKinds...) {
		if places[place] == "" {
			t.Errorf("%s: nothing to look at", place)
		}
	}
	for place, text := range places {
		found := w.seen.find(text)
		t.Logf("%s: %d bytes, %d secret values", place, len(text), found.total())
		for what, times := range found {
			if times > 0 {
				t.Errorf("%s: a %s is shown (%d times)", place, what, times)
			}
		}
	}
	if found := w.seen.find("x" + w.initialToken + "x"); found.total() != 1 {
		t.Errorf("the search itself does not work: found %v in a text with one secret", found)
	}
}

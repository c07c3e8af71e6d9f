// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build bench

package bench

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/test/devas"
	"github.com/mcp-registrar/mcp-registrar/test/operator"
)

var expiries = flag.String("expiries", "500,2000", "TestExpiries: how many clients are due within one second, with commas between")

// inFlight is how many requests the loader has under way at one time: as many as the
// manager sends by default.
const inFlight = 16

// TestExpiries measures how late clients are deleted that are due within one second:
// those of the manager alone, those of a loader that sends the same deletions by
// itself and knows all in advance, and both beside each other, which compete for the
// machine and for the server as others would. It fails if any was early.
func TestExpiries(t *testing.T) {
	path := *manager
	if path == "" {
		var err error
		if path, err = operator.Build(t.Context(), t.TempDir()); err != nil {
			t.Fatal(err)
		}
	}
	for text := range strings.SplitSeq(*expiries, ",") {
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(text, func(t *testing.T) {
			b := newBench(t, path, devas.Switches{LatencyMillis: 5})
			say(t, "machine", "load %s before, authorization server at 5 ms", load(t))
			loader := b.newLoader(t, n)
			alone := loader.run(t, time.Now().Add(2*time.Second))
			say(t, "loader alone", "%s", alone)
			ours := b.expire(t, "alone", n, nil)
			say(t, "manager alone", "%s; p99 %.1f times that of the loader alone", ours, ratio(ours, alone))
			beside := b.newLoader(t, n)
			both := b.expire(t, "beside", n, beside)
			theirs := beside.late(t)
			say(t, "loader beside the manager", "%s", theirs)
			say(t, "manager beside the loader", "%s; p99 %.1f times that of the loader beside it", both, ratio(both, theirs))
			for _, s := range []spread{ours, both} {
				if s[0] < 0 {
					t.Errorf("a client was deleted %s before it was due", -s[0])
				}
			}
			say(t, "machine", "load %s after", load(t))
		})
	}
	t.Logf("the same as a table:\n\n| run | measurement | figure |\n| --- | --- | --- |\n%s\n", strings.Join(rows, "\n"))
}

func ratio(a, b spread) float64 { return float64(a.at(0.99)) / float64(b.at(0.99)) }

// load is the load of the machine in the last minute.
func load(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		t.Fatal(err)
	}
	first, _, _ := strings.Cut(string(text), " ")
	return first
}

// expire makes registrations, lets them end within one second, and returns how late
// their clients were deleted. A loader does the same in the same second.
func (b *bench) expire(t *testing.T, prefix string, n int, beside *loader) spread {
	t.Helper()
	all := names(prefix, n)
	seen := b.watchReady(t, all)
	each(t, all, func(ctx context.Context, i int) error {
		for _, object := range registration(all[i], time.Now().Add(4*time.Hour)) {
			if err := b.Create(ctx, object); err != nil {
				return err
			}
		}
		return nil
	})
	seen.wait(t)
	due := b.endWithinOneSecond(t, all)
	before := b.usage(t)
	if beside != nil {
		begin := time.Time{}
		for _, end := range due {
			if begin.IsZero() || end.Before(begin) {
				begin = end
			}
		}
		beside.send(t, begin)
	}
	late := b.awaitDeleted(t, due)
	after := b.usage(t)
	_, _, _, writes := after.since(before)
	say(t, prefix, "Kubernetes requests per client until the last was deleted: %.3f reads, %.3f writes", (after.reads-before.reads)/float64(n), writes/float64(n))
	say(t, prefix, "processor time per client until then: %s", shares(before.cpu, after.cpu, n))
	return late
}

// loader has clients of its own at the authorization server.
type loader struct {
	*bench
	ids, uris, tokens []string
	due               map[string]time.Time
}

func (b *bench) newLoader(t *testing.T, n int) *loader {
	t.Helper()
	l := &loader{bench: b, due: map[string]time.Time{}}
	var as v1alpha1.AuthorizationServer
	if err := b.Get(t.Context(), client.ObjectKey{Name: operator.AuthorizationServer}, &as); err != nil {
		t.Fatal(err)
	}
	for i := range n {
		var made struct {
			ID    string `json:"client_id"`
			URI   string `json:"registration_client_uri"`
			Token string `json:"registration_access_token"`
		}
		body := fmt.Sprintf(`{"client_name":"loader %d","grant_types":["client_credentials"],"response_types":[],"token_endpoint_auth_method":"client_secret_basic","scope":%q}`, i, scope)
		answer, err := http.Post(as.Status.Metadata.RegistrationEndpoint, "application/json", strings.NewReader(body)) //nolint:noctx // it ends with the test
		if err != nil {
			t.Fatal(err)
		}
		if err := json.NewDecoder(answer.Body).Decode(&made); err != nil || answer.StatusCode != http.StatusCreated {
			t.Fatalf("registering a client of the loader: %d, %v", answer.StatusCode, err)
		}
		_ = answer.Body.Close()
		l.ids, l.uris, l.tokens = append(l.ids, made.ID), append(l.uris, made.URI), append(l.tokens, made.Token)
	}
	return l
}

// run sends the deletions from an instant on and returns how late they were.
func (l *loader) run(t *testing.T, begin time.Time) spread {
	t.Helper()
	l.send(t, begin)
	return l.late(t)
}

// send deletes each client when it is due, the first at begin and all within one
// second.
func (l *loader) send(t *testing.T, begin time.Time) {
	t.Helper()
	transport := &http.Transport{MaxIdleConnsPerHost: inFlight}
	sender := &http.Client{Transport: transport}
	group, ctx := errgroup.WithContext(t.Context())
	group.SetLimit(inFlight)
	for i, id := range l.ids {
		due := begin.Add(time.Duration(i) * time.Second / time.Duration(len(l.ids)))
		l.due[id] = due
		time.Sleep(time.Until(due))
		group.Go(func() error {
			request, err := http.NewRequestWithContext(ctx, http.MethodDelete, l.uris[i], nil)
			if err != nil {
				return err
			}
			request.Header.Set("Authorization", "Bearer "+l.tokens[i])
			answer, err := sender.Do(request)
			if err != nil {
				return err
			}
			return answer.Body.Close()
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	transport.CloseIdleConnections()
}

func (l *loader) late(t *testing.T) spread {
	t.Helper()
	return l.awaitDeleted(t, l.due)
}

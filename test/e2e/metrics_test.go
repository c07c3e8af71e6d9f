// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"bytes"
	"crypto/tls"
	"io"
	"maps"
	"net/http"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const scraper = "scraper"

// prepareScraping gives one account the role that the chart has for scraping,
// and makes another one without it.
func (w *world) prepareScraping(t *testing.T) {
	t.Helper()
	for _, name := range []string{scraper, "passer-by"} {
		w.create(t, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: metav1.NamespaceDefault, Name: name}})
	}
	w.create(t, &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: scraper},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: release + "-metrics"},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: metav1.NamespaceDefault, Name: scraper}},
	})
	w.scrapeToken = w.token(t, scraper)
}

func (w *world) token(t *testing.T, account string) string {
	t.Helper()
	config, err := w.plane.ServiceAccountConfig(t.Context(), metav1.NamespaceDefault, account)
	if err != nil {
		t.Fatal(err)
	}
	return config.BearerToken
}

// getMetrics is one request for the metrics page; status 0 says that nobody
// answered. The manager's certificate is one that it made itself.
func (w *world) getMetrics(t *testing.T, token string) (status int, body []byte) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+w.manager.metrics+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	defer transport.CloseIdleConnections()
	response, err := (&http.Client{Transport: transport}).Do(request)
	if err != nil {
		return 0, []byte(err.Error())
	}
	defer response.Body.Close()
	if body, err = io.ReadAll(response.Body); err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, body
}

func (w *world) metrics(t *testing.T) map[string]*dto.MetricFamily {
	t.Helper()
	status, body := w.getMetrics(t, w.scrapeToken)
	if status != http.StatusOK {
		t.Fatalf("metrics: status %d: %s", status, body)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	return families
}

// tally counts by "verb resource".
type tally map[string]int

func (y tally) total() int {
	sum := 0
	for _, n := range y {
		sum += n
	}
	return sum
}

// minus is what was added since an earlier tally.
func (y tally) minus(earlier tally) tally {
	added := tally{}
	for key, n := range y {
		if n != earlier[key] {
			added[key] = n - earlier[key]
		}
	}
	return added
}

// writes are the manager's own count of its writes to objects. The lease, events,
// the reviews that a request for metrics causes and the published end of the audit
// record, which is written once a minute, are left out.
func (w *world) writes(t *testing.T) tally {
	t.Helper()
	counted := tally{}
	for _, metric := range w.metrics(t)["mcp_registrar_kubernetes_writes_total"].GetMetric() {
		labels := map[string]string{}
		for _, label := range metric.GetLabel() {
			labels[label.GetName()] = label.GetValue()
		}
		switch labels["resource"] {
		case "leases", "events", "configmaps", "tokenreviews", "subjectaccessreviews":
		default:
			counted[labels["verb"]+" "+labels["resource"]] = int(metric.GetCounter().GetValue())
		}
	}
	return counted
}

// refused is how many requests of the manager the API server refused because they
// rested on an old version. They are in the count of writes and wrote nothing.
func (w *world) refused(t *testing.T) int {
	t.Helper()
	sum := 0.0
	for _, metric := range w.metrics(t)["rest_client_requests_total"].GetMetric() {
		for _, label := range metric.GetLabel() {
			if label.GetName() == "code" && label.GetValue() == "409" {
				sum += metric.GetCounter().GetValue()
			}
		}
	}
	return int(sum)
}

// settled waits until nothing was reconciled and nothing written for the quiet
// time, and returns the writes.
func (w *world) settled(t *testing.T, quiet time.Duration) tally {
	t.Helper()
	var last tally
	since := time.Now()
	NewWithT(t).Eventually(func() time.Duration {
		now := w.writes(t)
		now["reconciles"] = w.reconciles(t)
		if !maps.Equal(now, last) {
			last, since = now, time.Now()
		}
		return time.Since(since)
	}, patience, 4*often).Should(BeNumerically(">=", quiet), "the manager does not come to rest")
	delete(last, "reconciles")
	return last
}

// reconciles is how often any object was looked at.
func (w *world) reconciles(t *testing.T) int {
	t.Helper()
	sum := 0.0
	for _, metric := range w.metrics(t)["controller_runtime_reconcile_total"].GetMetric() {
		sum += metric.GetCounter().GetValue()
	}
	return int(sum)
}

func testMetricsEndpoint(t *testing.T, w *world) {
	for who, want := range map[string]int{"": http.StatusUnauthorized, "passer-by": http.StatusForbidden, scraper: http.StatusOK} {
		token := ""
		if who != "" {
			token = w.token(t, who)
		}
		status, body := w.getMetrics(t, token)
		if status != want {
			t.Errorf("metrics for %q: status %d, want %d", who, status, want)
		}
		if shown := bytes.Contains(body, []byte("mcp_registrar_")); shown != (want == http.StatusOK) {
			t.Errorf("metrics for %q: shown is %t", who, shown)
		}
	}
}

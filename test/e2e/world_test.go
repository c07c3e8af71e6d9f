// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/test/devas"
	"github.com/mcp-registrar/mcp-registrar/test/env"
)

const (
	operatorNamespace = "mcp-registrar-system"
	release           = "mcp-registrar"
	// patience bounds every wait for something that must happen.
	patience = time.Minute
	often    = 50 * time.Millisecond
	// week, in seconds, keeps drift checks out of what is counted.
	week = 7 * 24 * 60 * 60
)

func TestMain(m *testing.M) {
	ctrl.SetLogger(logr.Discard())
	slog.SetDefault(slog.New(slog.DiscardHandler))
	os.Exit(run(m))
}

// sideBySide is how many tests run at one time, unless -parallel says otherwise:
// more than there are processors, for most of them wait most of the time.
const sideBySide = "6"

func run(m *testing.M) (code int) {
	err := flag.Set("test.parallel", sideBySide)
	if err == nil {
		code = m.Run()
		err = stopKeycloak()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return max(code, 1)
	}
	return code
}

// world is one cluster with the chart installed and one manager at work.
type world struct {
	client.Client
	// root is the test that the world was started for.
	root    *testing.T
	plane   *env.ControlPlane
	chart   *chart
	manager *manager
	// binary is another manager than the one in bin, environment further variables of it.
	binary      string
	environment []string
	seen        *witness
	// initialToken is what registration requires at every authorization server.
	initialToken string
	scrapeToken  string
	namespaces   atomic.Int32
	runs         atomic.Int32
}

// startWorld starts everything but authorization servers, with the chart's
// defaults but for some values.
func startWorld(t *testing.T, values ...string) *world {
	t.Helper()
	rendered := renderChart(t, values...)
	plane := env.StartForTest(t, env.Options{Manifests: []string{rendered.manifests}, ControllerManager: true})
	return startWorldOn(t, plane, rendered)
}

// startWorldOn starts the rest of a world on a control plane on which the chart
// is installed.
func startWorldOn(t *testing.T, plane *env.ControlPlane, rendered *chart) *world {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := plane.RunKubectl(t.Context(), "wait", "--for=condition=Established", "--timeout=1m", "crd", "--all"); err != nil {
		t.Fatal(err)
	}
	direct, err := client.New(plane.Config, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{
		Client: direct, root: t, plane: plane, chart: rendered,
		seen: startWitness(t, plane.Config, scheme), initialToken: randomToken(),
	}
	w.seen.keep(w.initialToken, "initial access token")
	w.create(t, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: operatorNamespace, Name: "initial-access-token"},
		StringData: map[string]string{"token": w.initialToken},
	})
	w.waitForAdmission(t)
	w.prepareScraping(t)
	w.startManager(t)
	return w
}

// waitForAdmission waits until the chart's mutating policy works: an API server
// needs some seconds to know the schema of new kinds, and answers 503 until then.
func (w *world) waitForAdmission(t *testing.T) {
	t.Helper()
	if !w.chart.mutating {
		return
	}
	s := &scene{world: w, as: "none", namespace: metav1.NamespaceDefault}
	for _, object := range []client.Object{s.newRegistration("dry-run", v1alpha1.AuthMethodNone), s.newGrant("dry-run", "dry-run", "files:read")} {
		NewWithT(t).Eventually(func() (string, error) {
			attempt := object.DeepCopyObject().(client.Object)
			err := w.Create(t.Context(), attempt, client.DryRunAll)
			return attempt.GetAnnotations()[v1alpha1.AnnotationRequestedBy], err
		}, patience, often).ShouldNot(BeEmpty(), "nobody is noted as the one who asked for a %T", object)
	}
}

// startDevAS starts a development authorization server.
func (w *world) startDevAS(t *testing.T) *devas.Server {
	t.Helper()
	as, err := devas.New(devas.Options{InitialAccessToken: w.initialToken})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	t.Cleanup(cancel)
	if err := as.Start(ctx); err != nil {
		t.Fatal(err)
	}
	return as
}

// newAuthorizationServer is the object for an issuer, open to all namespaces.
func newAuthorizationServer(name, issuer string) *v1alpha1.AuthorizationServer {
	return &v1alpha1.AuthorizationServer{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "AuthorizationServer"},
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: v1alpha1.AuthorizationServerSpec{
			Issuer: issuer,
			DynamicRegistration: &v1alpha1.DynamicRegistration{
				InitialAccessTokenSecretRef: &v1alpha1.SecretKeyReference{Name: "initial-access-token", Key: "token"},
			},
			DriftCheckSeconds: new(int32(week)),
			AllowedNamespaces: &v1alpha1.AllowedNamespaces{From: v1alpha1.NamespacesAll}, AllowedServers: &v1alpha1.AllowedNamespaces{From: v1alpha1.NamespacesAll},
		},
	}
}

// connect creates the object for an issuer and waits until it is Ready.
func (w *world) connect(t *testing.T, name, issuer string) {
	t.Helper()
	as := newAuthorizationServer(name, issuer)
	w.create(t, as)
	NewWithT(t).Eventually(w.ready(t, as), patience, often).Should(Equal("True/Ready"))
}

func (w *world) create(t *testing.T, objects ...client.Object) {
	t.Helper()
	for _, object := range objects {
		err := w.Create(t.Context(), object)
		// For some seconds after the CRDs were created, what stamps an object does not
		// know its schema.
		for begun := time.Now(); apierrors.IsServiceUnavailable(err) && time.Since(begun) < patience; err = w.Create(t.Context(), object) {
			<-time.After(often)
		}
		if err != nil {
			t.Fatalf("creating %T %s: %v", object, object.GetName(), err)
		}
	}
}

// namespace creates a namespace that no other test uses.
func (w *world) namespace(t *testing.T) string {
	t.Helper()
	name := fmt.Sprintf("team-%d", w.namespaces.Add(1))
	w.create(t, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}})
	return name
}

// conditioned is an object with conditions.
type conditioned interface {
	client.Object
	GetConditions() []metav1.Condition
}

// ready reads an object anew and says its Ready condition in short: "True/Ready".
func (w *world) ready(t *testing.T, object conditioned) func() string {
	return func() string {
		if err := w.Get(t.Context(), client.ObjectKeyFromObject(object), object); err != nil {
			return err.Error()
		}
		return condition(object, v1alpha1.ConditionReady)
	}
}

func condition(object conditioned, kind string) string {
	found := meta.FindStatusCondition(object.GetConditions(), kind)
	if found == nil {
		return "unseen"
	}
	return string(found.Status) + "/" + found.Reason
}

// annotate sets an annotation, or removes it if the value is empty.
func (w *world) annotate(t *testing.T, object client.Object, key, value string) {
	t.Helper()
	quoted := "null"
	if value != "" {
		quoted = fmt.Sprintf("%q", value)
	}
	patch := fmt.Sprintf(`{"metadata":{"annotations":{%q:%s}}}`, key, quoted)
	if err := w.Patch(t.Context(), object, client.RawPatch("application/merge-patch+json", []byte(patch))); err != nil {
		t.Fatal(err)
	}
}

// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package api

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	kjson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/test/env"
)

// rounds is how many objects of each kind are tried, and up to ten times as many
// until fewest were admitted and each field was in one of them. Where that is not
// enough, the generator has lost touch with the rules.
const (
	rounds = 1000
	fewest = 100
)

var seed = flag.Uint64("seed", 0, "seed of the random objects; 0 takes another one in each run")

// TestWhatIsAdmittedDecodes holds for each kind: whatever the API server admits,
// in spec or in status, the Go type reads in full. An object that cannot be read
// stops the watch of its whole kind.
func TestWhatIsAdmittedDecodes(t *testing.T) {
	c, namespace := useCluster(t)
	if *seed == 0 {
		*seed = uint64(time.Now().UnixNano())
	}
	for _, base := range kinds() {
		kind := base().GetKind()
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			t.Logf("to repeat this: go test ./test/api -run %s -seed %d", t.Name(), *seed)
			schema := schemaOf(t, kind)
			trial := trial{
				cluster: c, kind: kind, base: base, namespace: namespace,
				generator: &generator{Rand: rand.New(rand.NewPCG(*seed, 0))},
				admitted:  map[string]bool{},
			}
			t.Run("spec", func(t *testing.T) { trial.specs(t, schema.Properties["spec"]) })
			t.Run("status", func(t *testing.T) { trial.statuses(t, schema.Properties["status"]) })
		})
	}
}

// trial is the trial of one kind.
type trial struct {
	*cluster
	*generator
	kind      string
	base      func() *unstructured.Unstructured
	namespace string
	admitted  map[string]bool
}

func (r *trial) specs(t *testing.T, schema apiextensionsv1.JSONSchemaProps) {
	r.try(t, "spec", schema, func() ([]byte, error) {
		object := r.base()
		place(object, r.namespace)
		object.Object["spec"] = r.settle(r.value("spec", schema), object.Object["spec"])
		return r.send(t, http.MethodPost, object, "")
	})
}

func (r *trial) statuses(t *testing.T, schema apiextensionsv1.JSONSchemaProps) {
	stored := r.base()
	place(stored, r.namespace)
	if err := r.Create(t.Context(), stored); err != nil {
		t.Fatal(err)
	}
	r.try(t, "status", schema, func() ([]byte, error) {
		object := stored.DeepCopy()
		object.Object["status"] = r.value("status", schema)
		return r.send(t, http.MethodPut, object, "status")
	})
}

// try sends random objects and reads those that are admitted. At the end every
// field of the schema must have been in one of them.
func (r *trial) try(t *testing.T, root string, schema apiextensionsv1.JSONSchemaProps, ask func() ([]byte, error)) {
	count, tried := 0, 0
	for tried < rounds || tried < 10*rounds && (count < fewest || len(r.missing(root, schema)) > 0) {
		tried++
		body, err := ask()
		if status := (*apierrors.StatusError)(nil); errors.As(err, &status) && status.ErrStatus.Code < http.StatusInternalServerError {
			continue
		}
		if err != nil {
			t.Fatalf("the API server gives no answer: %v", err)
		}
		count++
		requireReadInFull(t, r.kind, body)
		var object map[string]any
		if err := json.Unmarshal(body, &object); err != nil {
			t.Fatal(err)
		}
		r.mark(root, schema, object[root])
	}
	t.Logf("%d of %d were admitted", count, tried)
	if count < fewest {
		t.Errorf("%d of %d random objects were admitted, want at least %d", count, tried, fewest)
	}
	for _, path := range r.missing(root, schema) {
		t.Errorf("no random object with %s was admitted", path)
	}
}

// missing are the fields of the schema that no admitted object had so far.
func (r *trial) missing(root string, schema apiextensionsv1.JSONSchemaProps) []string {
	return slices.DeleteFunc(paths(root, schema), func(path string) bool { return r.admitted[path] })
}

// mark notes which fields of the schema an admitted value has.
func (r *trial) mark(path string, schema apiextensionsv1.JSONSchemaProps, value any) {
	r.admitted[path] = true
	switch v := value.(type) {
	case map[string]any:
		for name, inner := range v {
			if field, ok := schema.Properties[name]; ok {
				r.mark(path+"."+name, field, inner)
			} else if schema.AdditionalProperties != nil {
				r.mark(path+"{}", *schema.AdditionalProperties.Schema, inner)
			}
		}
	case []any:
		for _, inner := range v {
			r.mark(path+"[]", *schema.Items.Schema, inner)
		}
	}
}

func (r *trial) send(t *testing.T, verb string, object *unstructured.Unstructured, subresource string) ([]byte, error) {
	t.Helper()
	body, err := json.Marshal(object.Object)
	if err != nil {
		t.Fatal(err)
	}
	resource := strings.ToLower(r.kind) + "s"
	request := r.rest.Verb(verb).AbsPath("/apis/" + v1alpha1.GroupVersion.String())
	if object.GetNamespace() != "" {
		request = request.Namespace(object.GetNamespace())
	}
	request = request.Resource(resource)
	if subresource != "" {
		request = request.Name(object.GetName()).SubResource(subresource)
	}
	return request.Param("dryRun", "All").SetHeader("Content-Type", runtime.ContentTypeJSON).
		SetHeader("Accept", runtime.ContentTypeJSON).Body(body).DoRaw(t.Context())
}

// settle makes a random spec agree with the rules that bind fields together, as
// far as that takes more than luck, and keeps some fields of a spec that is
// admitted.
func (r *trial) settle(random, admitted any) any {
	spec, ok := random.(map[string]any)
	if !ok {
		return random
	}
	known := admitted.(map[string]any)
	for _, field := range slices.Sorted(maps.Keys(known)) {
		if r.IntN(3) > 0 {
			spec[field] = known[field]
		}
	}
	switch r.kind {
	case "AuthorizationServer":
		ways := []string{"dynamicRegistration", "keycloak", "hydra", "metadataDocument"}
		ways = slices.DeleteFunc(ways, func(way string) bool { return spec[way] == nil })
		r.keepOne(spec, ways...)
		agree(spec["allowedNamespaces"], "from")
	case "AccessDenial":
		r.keepOne(spec, "client", "registration")
	case "ScopeGrantApproval":
		// Of one of the two forms, with what that needs.
		others := []string{"clientRef", "scopes", "redirectHosts", "authMethods"}
		if r.IntN(2) == 0 {
			known = beforehand().Object["spec"].(map[string]any)
			others = []string{"grantRef", "registration", "digest", "toolsDigest", "requestedBy"}
		}
		maps.DeleteFunc(spec, func(field string, _ any) bool { return slices.Contains(others, field) })
		for field, value := range known {
			if spec[field] == nil {
				spec[field] = value
			}
		}
	case "MCPServer":
		agree(spec["allowedClients"], "namespaces")
	case "MCPClientRegistration":
		r.keepOne(spec, "jwks", "jwksURI", "serviceAccountName")
		if spec["jwks"] != nil || spec["jwksURI"] != nil || spec["serviceAccountName"] != nil {
			spec["tokenEndpointAuthMethod"] = "PrivateKeyJWT"
		}
	}
	return spec
}

// agree says Selector where there is one.
func agree(from any, field string) {
	if allowed, ok := from.(map[string]any); ok && allowed["selector"] != nil {
		allowed[field] = "Selector"
	}
}

func (r *trial) keepOne(spec map[string]any, fields ...string) {
	if len(fields) == 0 {
		return
	}
	kept := r.IntN(len(fields))
	for i, field := range fields {
		if i != kept {
			delete(spec, field)
		}
	}
}

// requireReadInFull reads an object as the operator does and compares what it
// would write with what it was given.
func requireReadInFull(t *testing.T, kind string, body []byte) {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	typed, err := scheme.New(v1alpha1.GroupVersion.WithKind(kind))
	if err != nil {
		t.Fatal(err)
	}
	strict, err := kjson.UnmarshalStrict(body, typed)
	if err != nil || len(strict) > 0 {
		t.Fatalf("an admitted object does not decode: %v %v\n%s", err, strict, body)
	}
	written, err := json.Marshal(typed)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(said(t, body), said(t, written)); diff != "" {
		t.Fatalf("an admitted object is read as another one (-admitted +read)\n%s\n%s", diff, body)
	}
}

// said is what spec and status of an object say: an empty text, list or set of
// labels says the same as none, except where the API tells them apart, and bytes
// and instants say the same in every spelling.
func said(t *testing.T, body []byte) map[string]any {
	t.Helper()
	var object map[string]any
	if err := json.Unmarshal(body, &object); err != nil {
		t.Fatal(err)
	}
	delete(object, "metadata")
	return plain("", object).(map[string]any)
}

func plain(field string, value any) any {
	switch v := value.(type) {
	case map[string]any:
		return plainObject(field, v)
	case []any:
		if len(v) == 0 && field != "autoApprovedTiers" {
			return nil
		}
		for i, inner := range v {
			v[i] = plain("", inner)
		}
	case string:
		return plainText(field, v)
	case float64:
		if v == 0 && field == "observedGeneration" {
			return nil
		}
	}
	return value
}

func plainObject(field string, object map[string]any) any {
	if len(object) == 0 && slices.Contains([]string{"labels", "annotations", "matchLabels"}, field) {
		return nil
	}
	for name, inner := range object {
		if said := plain(name, inner); said != nil {
			object[name] = said
		} else if field != "labels" && field != "annotations" && field != "matchLabels" {
			delete(object, name)
		}
	}
	return object
}

func plainText(field, text string) any {
	if text == "" {
		return nil
	}
	if field == "caBundle" {
		if bytes, err := base64.StdEncoding.DecodeString(text); err == nil {
			return bytes
		}
	}
	if instant, err := time.Parse(time.RFC3339, text); err == nil {
		return instant.Truncate(time.Second).UTC().Format(time.RFC3339)
	}
	return text
}

// paths are the fields of a schema.
func paths(root string, schema apiextensionsv1.JSONSchemaProps) []string {
	all := []string{root}
	for name, field := range schema.Properties {
		all = append(all, paths(root+"."+name, field)...)
	}
	if schema.Items != nil {
		all = append(all, paths(root+"[]", *schema.Items.Schema)...)
	}
	if schema.AdditionalProperties != nil {
		all = append(all, paths(root+"{}", *schema.AdditionalProperties.Schema)...)
	}
	slices.Sort(all)
	return all
}

func schemaOf(t *testing.T, kind string) apiextensionsv1.JSONSchemaProps {
	t.Helper()
	root, err := env.ModuleRoot()
	if err != nil {
		t.Fatal(err)
	}
	file := v1alpha1.GroupVersion.Group + "_" + strings.ToLower(kind) + "s.yaml"
	content, err := os.ReadFile(filepath.Join(root, "config", "crd", "bases", file))
	if err != nil {
		t.Fatal(err)
	}
	var crd apiextensionsv1.CustomResourceDefinition
	if err := yaml.UnmarshalStrict(content, &crd); err != nil {
		t.Fatal(err)
	}
	return *crd.Spec.Versions[0].Schema.OpenAPIV3Schema
}

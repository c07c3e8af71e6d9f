// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package threats

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	schemacel "k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"k8s.io/apimachinery/pkg/util/validation/field"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/test/env"
)

// plurals are the kinds, by the names of their files.
var plurals = []string{"authorizationservers", "mcpservers", "mcpclientregistrations", "scopegrants"}

func newObject(plural string) client.Object {
	return map[string]client.Object{
		"authorizationservers": &v1alpha1.AuthorizationServer{}, "mcpservers": &v1alpha1.MCPServer{},
		"mcpclientregistrations": &v1alpha1.MCPClientRegistration{}, "scopegrants": &v1alpha1.ScopeGrant{},
	}[plural]
}

// schema is what an API server does with an object before it stores it.
type schema struct {
	structural *structuralschema.Structural
	bounds     validation.SchemaValidator
	rules      *schemacel.Validator
}

// schemas are those of all kinds, read once in a process.
var schemas = sync.OnceValues(func() (map[string]*schema, error) {
	all := map[string]*schema{}
	for _, plural := range plurals {
		read, err := readSchema(plural)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", plural, err)
		}
		all[plural] = read
	}
	return all, nil
})

func readSchema(plural string) (*schema, error) {
	root, err := env.ModuleRoot()
	if err != nil {
		return nil, err
	}
	content, err := os.ReadFile(filepath.Join(root, "config", "crd", "bases", "mcp-registrar.dev_"+plural+".yaml"))
	if err != nil {
		return nil, err
	}
	var crd apiextensionsv1.CustomResourceDefinition
	if err := yaml.Unmarshal(content, &crd); err != nil {
		return nil, err
	}
	var props apiextensions.JSONSchemaProps
	if err := apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(crd.Spec.Versions[0].Schema.OpenAPIV3Schema, &props, nil); err != nil {
		return nil, err
	}
	structural, err := structuralschema.NewStructural(&props)
	if err != nil {
		return nil, err
	}
	bounds, _, err := validation.NewSchemaValidator(&props)
	return &schema{structural, bounds, schemacel.NewValidator(structural, true, celconfig.PerCallLimit)}, err
}

// admit does with JSON what an API server does with a new object: unknown fields
// go, defaults come, and the schema and its rules decide.
func (s *schema) admit(t *testing.T, raw []byte) (map[string]any, bool) {
	t.Helper()
	var object map[string]any
	if err := utiljson.Unmarshal(raw, &object); err != nil || object == nil {
		return nil, false
	}
	delete(object, "metadata")
	pruning.Prune(object, s.structural, true)
	defaulting.PruneNonNullableNullsWithoutDefaults(object, s.structural)
	defaulting.Default(object, s.structural)
	if refusals := validation.ValidateCustomResource(nil, object, s.bounds); len(refusals) > 0 {
		return nil, false
	}
	refusals, _ := s.rules.Validate(t.Context(), field.NewPath(""), s.structural, object, nil, celconfig.RuntimeCELCostBudget)
	return object, len(refusals) == 0
}

// decode reads what was admitted as a client does.
func decode(t *testing.T, object map[string]any, into client.Object) error {
	t.Helper()
	content, err := utiljson.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	return utiljson.Unmarshal(content, into)
}

// samples are the objects of the documentation as JSON, by kind.
func samples(tb testing.TB) map[string][]byte {
	tb.Helper()
	root, err := env.ModuleRoot()
	if err != nil {
		tb.Fatal(err)
	}
	all := map[string][]byte{}
	for _, plural := range plurals {
		content, err := os.ReadFile(filepath.Join(root, "config", "samples", strings.TrimSuffix(plural, "s")+".yaml"))
		if err != nil {
			tb.Fatal(err)
		}
		if all[plural], err = yaml.YAMLToJSON(content); err != nil {
			tb.Fatal(err)
		}
	}
	return all
}

// FuzzT6Admitted gives any JSON to the schema of each kind: what it admits is read
// in full. An object that cannot be read stops the watch of its whole kind.
func FuzzT6Admitted(f *testing.F) {
	for _, sample := range samples(f) {
		f.Add(sample)
		f.Add([]byte(strings.ReplaceAll(string(sample), ":read", ":r\u00e9ad")))
	}
	for _, seed := range []string{
		`{"spec":{"issuer":"https://a.example","dynamicRegistration":{}},"status":{"clockSkewSeconds":3e9,"metadata":{}}}`,
		`{"spec":{"issuer":"https://a.example","dynamicRegistration":{},"driftCheckSeconds":1e2,"policy":{"maxRegistrationLifetimeSeconds":9223372036854775807}}}`,
		`{"status":{"term":{"startedAt":"2027-01-01T00:00:00Zt","expiresAt":"2027-01-01T00:00:60Z"},"expiresAt":""}}`,
		`{"status":{"conditions":[{"type":"Ready","status":"True","reason":"A","message":"","lastTransitionTime":"2027-01-01t00:00:00z"}]}}`,
		`{"spec":{"caBundle":"A-_A"}}`, `{"spec":null}`, `[]`, `{}`, `{"spec":{"scopes":[null]}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		all, err := schemas()
		if err != nil {
			t.Fatal(err)
		}
		for plural, schema := range all {
			object, admitted := schema.admit(t, raw)
			if !admitted {
				continue
			}
			if err := decode(t, object, newObject(plural)); err != nil {
				t.Errorf("%s: admitted, and cannot be read: %v", plural, err)
			}
		}
	})
}

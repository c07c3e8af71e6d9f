// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/yaml"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

// schemas are those of every kind, by its name.
func schemas(t *testing.T) map[string]apiextensionsv1.JSONSchemaProps {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", "config", "crd", "bases", "*.yaml"))
	if err != nil || len(files) < 4 {
		t.Fatalf("%d CRDs: %v", len(files), err)
	}
	all := map[string]apiextensionsv1.JSONSchemaProps{}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var crd apiextensionsv1.CustomResourceDefinition
		if err := yaml.Unmarshal(content, &crd); err != nil {
			t.Fatal(err)
		}
		all[crd.Spec.Names.Kind] = *crd.Spec.Versions[0].Schema.OpenAPIV3Schema
	}
	return all
}

// unbounded names the lists and texts of a schema that have no bound.
func unbounded(path string, schema apiextensionsv1.JSONSchemaProps) []string {
	var found []string
	switch schema.Type {
	case "array":
		if schema.MaxItems == nil {
			found = append(found, path)
		}
		found = append(found, unbounded(path+"[]", *schema.Items.Schema)...)
	case "object":
		if schema.AdditionalProperties != nil && schema.MaxProperties == nil {
			found = append(found, path)
		}
		for _, name := range slices.Sorted(maps.Keys(schema.Properties)) {
			found = append(found, unbounded(path+"."+name, schema.Properties[name])...)
		}
	case "string":
		if schema.MaxLength == nil && len(schema.Enum) == 0 && schema.Format != "date-time" {
			found = append(found, path)
		}
	}
	return found
}

// TestStatusIsBounded walks every status: what has no bound can be filled until
// the API server refuses what the operator has to say.
func TestStatusIsBounded(t *testing.T) {
	for kind, schema := range schemas(t) {
		for _, path := range unbounded(kind+".status", schema.Properties["status"]) {
			t.Errorf("%s has no bound in its schema: give it one, and have fit (controllers/fit.go) cut it", path)
		}
	}
}

// refusals are what a schema has against the status of an object.
func refusals(t *testing.T, schema apiextensionsv1.JSONSchemaProps, object reported) field.ErrorList {
	t.Helper()
	var props apiextensions.JSONSchemaProps
	if err := apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(&schema, &props, nil); err != nil {
		t.Fatal(err)
	}
	validator, _, err := validation.NewSchemaValidator(&props)
	if err != nil {
		t.Fatal(err)
	}
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
	if err != nil {
		t.Fatal(err)
	}
	var inStatus field.ErrorList
	for _, refusal := range validation.ValidateCustomResource(nil, content, validator) {
		if strings.HasPrefix(refusal.Field, "status") {
			inStatus = append(inStatus, refusal)
		}
	}
	return inStatus
}

// stuff fills a value with far too much of everything.
func stuff(value reflect.Value, salt *int) {
	if value.Kind() == reflect.Pointer {
		value.Set(reflect.New(value.Type().Elem()))
		value = value.Elem()
	}
	if value.Kind() == reflect.Struct {
		for i := range value.NumField() {
			if value.Field(i).CanSet() && value.Type().Field(i).Name != "Time" {
				stuff(value.Field(i), salt)
			}
		}
	}
	if value.Kind() == reflect.Slice {
		value.Set(reflect.MakeSlice(value.Type(), 1500, 1500))
		for i := range value.Len() {
			if i < 3 || value.Index(i).Kind() == reflect.String {
				stuff(value.Index(i), salt)
			}
		}
	}
	if value.Kind() == reflect.String {
		*salt++
		length := 300
		if *salt%50 == 0 {
			length = 40_000
		}
		value.SetString(fmt.Sprintf("%d-", *salt) + strings.Repeat("ä", length))
	}
}

// Whatever a status was about to say, it is within the bounds of its schema and
// tells how much was left out.
func TestStatusFits(t *testing.T) {
	all := schemas(t)
	for kind, object := range map[string]reported{
		"MCPClientRegistration": &v1alpha1.MCPClientRegistration{}, "ScopeGrant": &v1alpha1.ScopeGrant{},
		"MCPServer": &v1alpha1.MCPServer{}, "AuthorizationServer": &v1alpha1.AuthorizationServer{},
	} {
		salt := 0
		stuff(reflect.ValueOf(object).Elem().FieldByName("Status"), &salt)
		before := object.DeepCopyObject()
		shared := reflect.New(reflect.TypeOf(object).Elem())
		shared.Elem().Set(reflect.ValueOf(object).Elem())
		fit(object)
		for _, refusal := range refusals(t, all[kind], object) {
			if refusal.Type == field.ErrorTypeTooLong || refusal.Type == field.ErrorTypeTooMany {
				t.Errorf("%s: %s: %s", kind, refusal.Field, refusal.Type)
			}
		}
		if !reflect.DeepEqual(before, shared.Interface()) {
			t.Errorf("%s: what was shared with the object was cut too", kind)
		}
	}
	reg := &v1alpha1.MCPClientRegistration{}
	reg.Status.Scopes = []v1alpha1.EffectiveScope{{Name: "a", Grants: make([]string, 257)}}
	reg.Status.PossibleOrphans = make([]string, 70)
	fit(reg)
	if got := reg.Status; got.Scopes[0].GrantsOmitted != 1 || len(got.Scopes[0].Grants) != 256 || got.PossibleOrphansOmitted != 6 || got.ScopesOmitted != 0 {
		t.Errorf("left out: %d grants, %d marks, %d scopes", got.Scopes[0].GrantsOmitted, got.PossibleOrphansOmitted, got.ScopesOmitted)
	}
}

// Many grants of one scope for one client: every status can be written, and a
// revocation is told.
func TestManyGrantsHaveAStatus(t *testing.T) {
	all := schemas(t)
	s := newStage(t, "many")
	s.crowd(300, "invoices:read")
	s.begin()
	for _, object := range s.objects() {
		told := object.(reported)
		if len(told.GetConditions()) == 0 {
			t.Errorf("%s has no status", object.GetName())
		}
		for _, refusal := range refusals(t, all[asFields(t, s, told).GetKind()], told) {
			t.Errorf("%s: %v", object.GetName(), refusal)
		}
	}
	s.mustCarry("invoices:read")
	if sources := len(s.reg.Status.Scopes[0].Grants); sources != policy.MaxGrants {
		t.Errorf("the scope comes from %d grants", sources)
	}
	edit(s, s.reg, suspend)
	s.mustCarry()
	if s.reg.Status.Revocation == nil {
		t.Error("the revocation is not told")
	}
}

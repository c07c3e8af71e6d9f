// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package api

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// generator makes JSON values from a schema: mostly ones that it admits, at its
// bounds where it has any, and at times ones that a decoder may read otherwise
// than a schema does.
type generator struct {
	*rand.Rand
}

// words are texts that rules know: without them hardly an object is admitted.
var words = map[string][]string{
	"issuer":              {"https://auth.example.com", "http://[::1]:8080/realms/mcp"},
	"adminURL":            {"https://hydra.example.com", "http://localhost:4445"},
	"baseURL":             {"https://clients.example.com"},
	"resource":            {"https://mcp.example.com/a?b=%20", "http://127.0.0.1/"},
	"audience":            {"api://default", "!#^~"},
	"clientIDClaims[]":    {"cid", "appid", "https://example.com/client"},
	"scopeClaims[]":       {"scp", "roles"},
	"redirectURIs[]":      {"https://app.example.com/a", "https://app.example.com/b?c=@", "http://localhost:1/c"},
	"serviceAccountName":  {"report-agent"},
	"jwksURI":             {"https://app.example.com/jwks.json"},
	"scopes[]":            {"invoices:read", "invoices:write", "!#[]^~", "x"},
	"scopes[].name":       {"invoices:read", "invoices:write", "!#[]^~", "x"},
	"secretName":          {"oauth", "a.b-c"},
	"operator":            {"In", "In", "NotIn", "Exists", "DoesNotExist"},
	"labels{}":            {"payments", "a_b.C", ""},
	"jwks":                {`{"keys":[]}`, "\u2028\x00", "💥"},
	"clientName":          {"Desktop assistant", "請求書", "a\"b\\c</script>"},
	"conditions[].type":   {"Ready", "Accepted", "Stalled"},
	"conditions[].reason": {"Ready", "Expired"},
}

// spoilers are JSON values that no field or nearly none should take.
var spoilers = []any{
	nil, true, "", "x", map[string]any{}, []any{}, []any{nil}, []any{"x"}, []any{int64(300)}, map[string]any{"unknown": int64(1)},
	json.Number("1.0"), json.Number("1.5"), json.Number("1e2"), json.Number("-0"), json.Number("1e30"),
	json.Number("9223372036854775807"), json.Number("9223372036854775808"), json.Number("2147483648"),
}

// instants are texts that a format date-time may or may not take.
var instants = []string{
	"2026-01-02T03:04:05Z", "2026-01-02T03:04:05.123456789Z", "2026-01-02T03:04:05+14:00", "2026-01-02t03:04:05z",
	"2026-01-02T03:04:05Zt", "2026-01-02T03:04:05,5Z", "2026-01-02T03:04:05x5Z", "2026-01-02T03:04:60Z",
	"2026-01-02T24:00:00Z", "2026-02-30T03:04:05Z", "2026-01-02T03:04:05+99:99", "2026-01-02 03:04:05Z",
	"2026-01-02T03:04:05", "0000-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "10000-01-01T00:00:00Z", "",
}

// base64s are values that a format byte may or may not take.
var base64s = []any{[]any{"x"}, []any{nil}, []any{int64(1)}, "", "AAAA", "AA==", "AA", "AA=A", "A-_A", "AA\nAA", "AA AA", "AAAA====", "äAAA", "AB=="}

func (g *generator) value(path string, schema apiextensionsv1.JSONSchemaProps) any {
	if g.IntN(100) == 0 {
		// A copy, as what is generated is changed.
		return runtime.DeepCopyJSONValue(spoilers[g.IntN(len(spoilers))])
	}
	switch schema.Type {
	case "object":
		return g.object(path, schema)
	case "array":
		return g.array(path, schema)
	case "integer":
		return g.integer(schema)
	case "boolean":
		return g.IntN(2) == 0
	default:
		return g.text(path, schema)
	}
}

func (g *generator) object(path string, schema apiextensionsv1.JSONSchemaProps) any {
	value := map[string]any{}
	for _, name := range slices.Sorted(maps.Keys(schema.Properties)) {
		if slices.Contains(schema.Required, name) || g.IntN(2) == 0 {
			value[name] = g.value(path+"."+name, schema.Properties[name])
		}
	}
	if schema.AdditionalProperties != nil {
		for range g.IntN(3) {
			value[fmt.Sprintf("example.com/key-%d", g.IntN(9))] = g.value(path+"{}", *schema.AdditionalProperties.Schema)
		}
	}
	return value
}

func (g *generator) array(path string, schema apiextensionsv1.JSONSchemaProps) any {
	value := []any{}
	for range g.IntN(4) {
		value = append(value, g.value(path+"[]", *schema.Items.Schema))
	}
	return value
}

func (g *generator) integer(schema apiextensionsv1.JSONSchemaProps) any {
	least, most := int64(-1<<31), int64(1<<31-1)
	if schema.Format == "int64" {
		least, most = -1<<63, 1<<63-1
	}
	if schema.Minimum != nil {
		least = int64(*schema.Minimum)
	}
	if schema.Maximum != nil {
		most = int64(*schema.Maximum)
	}
	choices := []any{
		least, most, least/2 + most/2, max(least, 0) + 1,
		json.Number(fmt.Sprintf("%d.0", max(least, 0)+1)), json.Number(fmt.Sprintf("%de2", max(least, 0)+1)),
		json.Number(fmt.Sprintf("%d.5", most)), json.Number("1e30"), json.Number("9223372036854775808"), json.Number("2147483648"),
	}
	// The first four are what people write.
	if g.IntN(8) > 0 {
		return choices[g.IntN(4)]
	}
	return choices[g.IntN(len(choices))]
}

func (g *generator) text(path string, schema apiextensionsv1.JSONSchemaProps) any {
	switch {
	case len(schema.Enum) > 0:
		var value any
		if err := json.Unmarshal(schema.Enum[g.IntN(len(schema.Enum))].Raw, &value); err != nil {
			return err.Error()
		}
		return value
	case schema.Format == "date-time":
		return g.mostlyFirst(6, instants)
	case schema.Format == "byte":
		return runtime.DeepCopyJSONValue(base64s[g.IntN(len(base64s))])
	}
	for end, texts := range words {
		if strings.HasSuffix(path, "."+end) {
			return texts[g.IntN(len(texts))]
		}
	}
	texts := []string{"example", "a", "A-b.c_9", " ", "ä\u0000\u2028", strings.Repeat("x", 63)}
	return g.mostlyFirst(2, texts)
}

// mostlyFirst is the first text, except once in so many times.
func (g *generator) mostlyFirst(times int, texts []string) string {
	if g.IntN(times) > 0 {
		return texts[0]
	}
	return texts[g.IntN(len(texts))]
}

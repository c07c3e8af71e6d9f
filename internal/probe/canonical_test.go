// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"testing"
)

func TestCanonical(t *testing.T) {
	for name, c := range map[string]struct{ in, want string }{
		"the example of RFC 8785 section 3.2.2": {
			`{"numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
			  "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/", "literals": [null, true, false]}`,
			`{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"string":"€$\u000f\nA'B\"\\\\\"/"}`,
		},
		"the order of RFC 8785 section 3.2.3": {
			`{"\u20ac":"Euro Sign","\r":"Carriage Return","\ufb33":"Hebrew Letter Dalet With Dagesh","1":"One","\ud83d\ude00":"Emoji: Grinning Face","\u0080":"Control","\u00f6":"Latin Small Letter O With Diaeresis"}`,
			"{\"\\r\":\"Carriage Return\",\"1\":\"One\",\"\u0080\":\"Control\",\"ö\":\"Latin Small Letter O With Diaeresis\",\"€\":\"Euro Sign\",\"😀\":\"Emoji: Grinning Face\",\"\ufb33\":\"Hebrew Letter Dalet With Dagesh\"}",
		},
		"white space":                     {" [ 1 , { \"b\" : 2 , \"a\" : [ ] } ] ", `[1,{"a":[],"b":2}]`},
		"numbers at the bounds":           {`[-0, 0.0, 1e21, 999999999999999900000, 9007199254740993, 5e-324, -1.5]`, `[0,0,1e+21,999999999999999900000,9007199254740992,5e-324,-1.5]`},
		"a number that no double is":      {`[1e400]`, `[1e400]`},
		"what other writers escape":       {`"<a>&\u2028\u007f\b\f\t"`, "\"<a>&\u2028\u007f\\b\\f\\t\""},
		"the last of two members counts":  {`{"a":1,"a":2}`, `{"a":2}`},
		"a string with half a character":  {`"\ud83d"`, "\"\ufffd\""},
		"a member that looks like a path": {`{"a/b":{"":null}}`, `{"a/b":{"":null}}`},
	} {
		got, err := canonical([]byte(c.in))
		if err != nil || string(got) != c.want {
			t.Errorf("%s: %v\n got %s\nwant %s", name, err, got, c.want)
		}
	}
	if _, err := canonical([]byte(`{"a":`)); err == nil {
		t.Error("half an object has a form")
	}
}

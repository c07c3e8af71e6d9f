// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package chart

import (
	"strings"
	"testing"
)

func TestWrongValuesAreRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		set  string
		want string
	}{
		{name: "a value that does not exist", set: "replicaCount=2", want: "additional properties 'replicaCount' not allowed"},
		{name: "a nested value that does not exist", set: "crds.install=true", want: "additional properties 'install' not allowed"},
		{name: "a number that is none", set: "replicas=two", want: "at '/replicas': got string, want integer"},
		{name: "a privileged port", set: "metrics.port=443", want: "at '/metrics/port': minimum: got 443, want 1,024"},
		{name: "a choice that does not exist", set: "admission.mutating=sometimes", want: "at '/admission/mutating': value must be one of 'auto', 'always', 'never'"},
		{name: "a log level that does not exist", set: "manager.logLevel=verbose", want: "at '/manager/logLevel': value must be one of 'debug', 'info', 'error'"},
		{name: "an argument that is not a flag", set: "manager.extraArgs[0]=debug", want: "at '/manager/extraArgs/0': 'debug' does not match pattern"},
		{name: "a digest that is none", set: "image.digest=latest", want: "at '/image/digest': 'latest' does not match pattern"},
		{name: "no name for an account that exists already", set: "serviceAccount.create=false", want: "serviceAccount.name is required when serviceAccount.create is false"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			output, ok := helmTemplate(t, "1.37.0", "--set="+c.set)
			if ok {
				t.Fatalf("%s was taken", c.set)
			}
			if !strings.Contains(output, c.want) {
				t.Errorf("%s was refused with %q, want %q", c.set, output, c.want)
			}
		})
	}
}

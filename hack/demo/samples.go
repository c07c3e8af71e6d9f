// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/util/yaml"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
)

const (
	// shortLived is the sample registration that expires while one looks on.
	shortLived = "auditor"
	// shortTerm is how long after it is applied.
	shortTerm = 70 * time.Second
	// term is how long the others live.
	term = 30 * 24 * time.Hour
	// schemaDelay is how long an API server may take to know new kinds in
	// admission policies; it refuses to create objects until then.
	schemaDelay = 30 * time.Second
)

// applySamples applies config/samples, adapted to this machine and to now.
func (w *world) applySamples(ctx context.Context) error {
	built, err := w.plane.RunKubectl(ctx, "kustomize", filepath.Join(w.root, "config", "samples"))
	if err != nil {
		return err
	}
	objects, err := parse(built + "\n---\n" + clerkObjects)
	if err != nil {
		return err
	}
	path := filepath.Join(w.dir, "samples.json")
	var refused error
	err = wait.PollUntilContextTimeout(ctx, time.Second, schemaDelay, true, func(ctx context.Context) (bool, error) {
		if err := errors.Join(w.manager.check(), w.guard.check()); err != nil {
			return false, err
		}
		if err := write(path, adapt(objects, w.as.Issuer(), w.guardURL, time.Now())); err != nil {
			return false, err
		}
		_, refused = w.plane.RunKubectl(ctx, "apply", "--server-side", "-f", path)
		return refused == nil, nil
	})
	if refused != nil && err != nil {
		return refused
	}
	return err
}

func parse(text string) ([]unstructured.Unstructured, error) {
	var objects []unstructured.Unstructured
	decoder := yaml.NewYAMLOrJSONDecoder(strings.NewReader(text), 4096)
	for {
		var object unstructured.Unstructured
		err := decoder.Decode(&object.Object)
		if errors.Is(err, io.EOF) {
			return objects, nil
		}
		if err != nil {
			return nil, fmt.Errorf("reading the samples: %w", err)
		}
		if object.Object != nil {
			objects = append(objects, object)
		}
	}
}

// adapt points the samples to an issuer and to a guard, and moves their ends: to
// a month from now, but for the registration that is to expire while one looks on.
func adapt(objects []unstructured.Unstructured, issuer, resource string, now time.Time) []unstructured.Unstructured {
	adapted := make([]unstructured.Unstructured, 0, len(objects))
	for i := range objects {
		object := *objects[i].DeepCopy()
		annotations := object.GetAnnotations()
		if annotations[v1alpha1.AnnotationExpiresAt] != "" {
			end := now.Add(term)
			if object.GetKind() == "MCPClientRegistration" && object.GetName() == shortLived {
				end = now.Add(shortTerm)
			}
			annotations[v1alpha1.AnnotationExpiresAt] = end.UTC().Format(time.RFC3339)
			object.SetAnnotations(annotations)
		}
		spec, _ := object.Object["spec"].(map[string]any)
		switch object.GetKind() {
		case "AuthorizationServer":
			spec["issuer"] = issuer
		case "MCPServer":
			guarded(spec, resource)
		}
		adapted = append(adapted, object)
	}
	return adapted
}

func write(path string, objects []unstructured.Unstructured) error {
	items := make([]any, 0, len(objects))
	for _, object := range objects {
		items = append(items, object.Object)
	}
	content, err := json.Marshal(map[string]any{"apiVersion": "v1", "kind": "List", "items": items})
	if err != nil {
		return err
	}
	return os.WriteFile(path, content, 0o600)
}

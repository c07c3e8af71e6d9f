// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
)

// accessInterval is how often the API server is asked whether a namespace that
// is not watched for want of rights may be watched by now.
const accessInterval = time.Minute

// accessible returns those of the namespaces in which the manager may list
// registrations. A namespace that was deleted takes its Role along; a cache that
// waited for it would keep the manager from looking after all others.
func accessible(ctx context.Context, config *rest.Config, namespaces []string) ([]string, error) {
	clients, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	var allowed []string
	for _, namespace := range namespaces {
		review := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{
			ResourceAttributes: &authorizationv1.ResourceAttributes{
				Namespace: namespace, Group: v1alpha1.GroupVersion.Group, Resource: "mcpclientregistrations", Verb: "list",
			},
		}}
		answer, err := clients.AuthorizationV1().SelfSubjectAccessReviews().Create(ctx, review, metav1.CreateOptions{})
		if err != nil {
			return nil, fmt.Errorf("asking for the rights in namespace %s: %w", namespace, err)
		}
		if answer.Status.Allowed {
			allowed = append(allowed, namespace)
		}
	}
	if len(namespaces) > 0 && len(allowed) == 0 {
		return nil, errors.New("--watch-namespaces: there is no right to list registrations in any of the namespaces")
	}
	return allowed, nil
}

// awaitMissing has the manager end when a namespace that is not watched may be
// watched, and says which are not.
func awaitMissing(mgr manager.Manager, config *rest.Config, wanted, watched []string) error {
	if len(wanted) == len(watched) {
		return nil
	}
	for _, namespace := range wanted {
		if !slices.Contains(watched, namespace) {
			ctrl.Log.Error(nil, "Namespace is not watched: it is gone, or there is no right to list registrations in it", "namespace", namespace)
		}
	}
	return mgr.Add(manager.RunnableFunc(func(ctx context.Context) error {
		return awaitAccess(ctx, config, wanted, watched)
	}))
}

// awaitAccess ends with an error, and with it the manager, when a namespace that
// is not watched for want of rights may be watched: a new manager watches it. That
// a right seems to be missing is no reason to end.
func awaitAccess(ctx context.Context, config *rest.Config, wanted, watched []string) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(accessInterval):
		}
		now, err := accessible(ctx, config, wanted)
		if err != nil {
			ctrl.Log.Error(err, "Asking which namespaces may be watched")
			continue
		}
		for _, namespace := range now {
			if !slices.Contains(watched, namespace) {
				return fmt.Errorf("namespace %s may be watched now: start again", namespace)
			}
		}
	}
}

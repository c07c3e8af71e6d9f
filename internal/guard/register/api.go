// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package register

import (
	"context"
	"fmt"
	"net"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/connrotation"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
)

// The resources that are watched.
const (
	servers              = "mcpservers"
	authorizationServers = "authorizationservers"
	registrations        = "mcpclientregistrations"
	grants               = "scopegrants"
	denials              = "accessdenials"
)

// The fields that they are selected by.
const (
	fieldName                = "metadata.name"
	fieldAuthorizationServer = "spec.authorizationServerRef.name"
	fieldServer              = "spec.serverRef.name"
)

// sourceKey says what is listed and watched: a resource in a namespace, or in
// all, with a value of a field, or with any.
type sourceKey struct{ resource, namespace, field, value string }

// denialsAt are all denials: there is no field that all of them have.
var denialsAt = sourceKey{resource: denials}

// String is for logs and errors.
func (k sourceKey) String() string {
	text := k.resource
	if k.field != "" {
		text += " with " + k.field + "=" + k.value
	}
	if k.namespace != "" {
		text += " in namespace " + k.namespace
	}
	return text
}

// api is the Kubernetes API as far as a register needs it. All requests share
// their connections, so that one that lost its peer is found by any of them.
type api struct {
	objects, leases rest.Interface
	lists           map[string]func() runtime.Object
	connections     *connrotation.Dialer
}

// dialTimeout and keepAlive are those of client-go.
const (
	dialTimeout = 30 * time.Second
	keepAlive   = 30 * time.Second
)

func newAPI(config *rest.Config) (*api, error) {
	scheme := runtime.NewScheme()
	metav1.AddToGroupVersion(scheme, schema.GroupVersion{Version: "v1"})
	metav1.AddToGroupVersion(scheme, v1alpha1.GroupVersion)
	a := &api{lists: map[string]func() runtime.Object{}}
	addKind[v1alpha1.MCPServer](a, scheme, servers, "MCPServer")
	addKind[v1alpha1.AuthorizationServer](a, scheme, authorizationServers, "AuthorizationServer")
	addKind[v1alpha1.MCPClientRegistration](a, scheme, registrations, "MCPClientRegistration")
	addKind[v1alpha1.ScopeGrant](a, scheme, grants, "ScopeGrant")
	addKind[v1alpha1.AccessDenial](a, scheme, denials, "AccessDenial")
	if err := coordinationv1.AddToScheme(scheme); err != nil {
		return nil, err
	}
	config = rest.CopyConfig(config)
	config.APIPath = "/apis"
	config.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
	// Nothing here is frequent but what must not wait.
	config.QPS, config.RateLimiter = -1, nil
	dial := config.Dial
	if dial == nil {
		dial = (&net.Dialer{Timeout: dialTimeout, KeepAlive: keepAlive}).DialContext
	}
	a.connections = connrotation.NewDialer(dial)
	config.Dial = a.connections.DialContext
	return a, a.connect(config)
}

// addKind has objects of a kind decoded to what is kept of them.
func addKind[O any](a *api, scheme *runtime.Scheme, resource, kind string) {
	scheme.AddKnownTypeWithName(v1alpha1.GroupVersion.WithKind(kind), &item[O]{})
	scheme.AddKnownTypeWithName(v1alpha1.GroupVersion.WithKind(kind+"List"), &list[O]{})
	a.lists[resource] = func() runtime.Object { return &list[O]{} }
}

func (a *api) connect(config *rest.Config) error {
	shared, err := rest.HTTPClientFor(config)
	if err != nil {
		return fmt.Errorf("connecting to the API server: %w", err)
	}
	for group, into := range map[schema.GroupVersion]*rest.Interface{
		v1alpha1.GroupVersion: &a.objects, coordinationv1.SchemeGroupVersion: &a.leases,
	} {
		config.GroupVersion = &group
		client, err := rest.RESTClientForConfigAndClient(config, shared)
		if err != nil {
			return fmt.Errorf("connecting to the API server: %w", err)
		}
		*into = client
	}
	return nil
}

// get asks for what a source is about.
func (a *api) get(k sourceKey, options metav1.ListOptions) *rest.Request {
	if k.field != "" {
		options.FieldSelector = fields.OneTermEqualSelector(k.field, k.value).String()
	}
	request := a.objects.Get().NamespaceIfScoped(k.namespace, k.namespace != "").Resource(k.resource).
		VersionedParams(&options, metav1.ParameterCodec)
	if options.TimeoutSeconds != nil {
		request.Timeout(time.Duration(*options.TimeoutSeconds) * time.Second)
	}
	return request
}

func (a *api) list(ctx context.Context, k sourceKey, options metav1.ListOptions) (runtime.Object, error) {
	found := a.lists[k.resource]()
	return found, a.get(k, options).Do(ctx).Into(found)
}

func (a *api) watch(ctx context.Context, k sourceKey, options metav1.ListOptions) (watch.Interface, error) {
	options.Watch = true
	return a.get(k, options).Watch(ctx)
}

// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package register

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/json"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

// item is an object of type O as it leaves the decoder: what policy makes of it,
// with no more metadata than a reflector needs. So the objects themselves never
// live longer than it takes to read one, not even while a list is read.
type item[O any] struct {
	metav1.TypeMeta
	metav1.ObjectMeta
	value any
	err   error
}

// entry is an item of any type.
type entry interface {
	metav1.Object
	// content is what the object says; an error where it cannot be read.
	content() (any, error)
}

func (i *item[O]) content() (any, error) { return i.value, i.err }

// DeepCopyObject implements runtime.Object. The content never changes.
func (i *item[O]) DeepCopyObject() runtime.Object {
	copied := *i
	i.ObjectMeta.DeepCopyInto(&copied.ObjectMeta)
	return &copied
}

// UnmarshalJSON implements json.Unmarshaler. An object that cannot be read says
// so itself, so that those beside it can be.
func (i *item[O]) UnmarshalJSON(data []byte) error {
	object := new(O)
	err := json.UnmarshalCaseSensitivePreserveInts(data, object)
	if err == nil {
		i.value, i.err = translate(object)
		i.keep(any(object).(metav1.Object))
		return nil
	}
	var head metav1.PartialObjectMetadata
	i.err = err
	if err := json.UnmarshalCaseSensitivePreserveInts(data, &head); err == nil {
		i.keep(&head)
	}
	return nil
}

// keep keeps of the metadata what says which object it is, in which version, and
// whether it marks the end of a list that comes as a stream.
func (i *item[O]) keep(object metav1.Object) {
	i.Namespace, i.Name, i.ResourceVersion = object.GetNamespace(), object.GetName(), object.GetResourceVersion()
	if end, marked := object.GetAnnotations()[metav1.InitialEventsAnnotationKey]; marked {
		i.Annotations = map[string]string{metav1.InitialEventsAnnotationKey: end}
	}
}

// translate has policy read an object.
func translate(object any) (value any, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			value, err = nil, fmt.Errorf("reading the object: %v", cause)
		}
	}()
	switch o := object.(type) {
	case *v1alpha1.MCPServer:
		return policy.ServerOf(o), nil
	case *v1alpha1.AuthorizationServer:
		return policy.IssuerOf(o), nil
	case *v1alpha1.MCPClientRegistration:
		return policy.ClientOf(o), nil
	case *v1alpha1.ScopeGrant:
		return policy.GrantOf(o), nil
	case *v1alpha1.AccessDenial:
		return policy.DenialOf(o), nil
	}
	return nil, fmt.Errorf("reading the object: unexpected type %T", object)
}

// list is a list of objects of type O.
type list[O any] struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata"`
	Items           []item[O] `json:"items"`
}

// DeepCopyObject implements runtime.Object.
func (l *list[O]) DeepCopyObject() runtime.Object {
	copied := *l
	l.ListMeta.DeepCopyInto(&copied.ListMeta)
	copied.Items = append([]item[O](nil), l.Items...)
	return &copied
}

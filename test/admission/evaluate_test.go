// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	plugincel "k8s.io/apiserver/pkg/admission/plugin/cel"
	"k8s.io/apiserver/pkg/admission/plugin/policy/validating"
	"k8s.io/apiserver/pkg/admission/plugin/webhook/matchconditions"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/cel/environment"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
)

// evaluator evaluates one policy as the API server does, in process.
type evaluator struct {
	policy    *admissionv1.ValidatingAdmissionPolicy
	validator validating.Validator
}

// question is one request to the API server.
type question struct {
	who         string
	subresource string
	object, old client.Object
	// deletes says that object is to be deleted, and namespace is where it is.
	deletes   bool
	namespace *corev1.Namespace
	params    client.Object
	// may are the verbs that the user has on everything.
	may []string
}

// loadPolicies reads the validating policies from their files.
func loadPolicies(t *testing.T) []*admissionv1.ValidatingAdmissionPolicy {
	t.Helper()
	files, err := policyFiles()
	if err != nil {
		t.Fatal(err)
	}
	var policies []*admissionv1.ValidatingAdmissionPolicy
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		policy := &admissionv1.ValidatingAdmissionPolicy{}
		if err := yaml.Unmarshal(content, policy); err != nil {
			t.Fatalf("%s: %v", filepath.Base(file), err)
		}
		if policy.Kind == "ValidatingAdmissionPolicy" {
			policies = append(policies, policy)
		}
	}
	if len(policies) == 0 {
		t.Fatal("no validating policies")
	}
	return policies
}

func evaluators(t *testing.T) []evaluator {
	t.Helper()
	var all []evaluator
	for _, policy := range loadPolicies(t) {
		validator, errs := compile(policy, environment.MustBaseEnvSet(environment.DefaultCompatibilityVersion()), environment.StoredExpressions)
		for _, err := range errs {
			t.Errorf("%s: %v", policy.Name, err)
		}
		all = append(all, evaluator{policy, validator})
	}
	return all
}

// compile does what the API server does with a new policy.
func compile(policy *admissionv1.ValidatingAdmissionPolicy, env *environment.EnvSet, mode environment.Type) (validating.Validator, []error) {
	spec := policy.Spec
	declared := plugincel.OptionalVariableDeclarations{HasParams: spec.ParamKind != nil, HasAuthorizer: true}
	compiler, err := plugincel.NewCompositedCompiler(env)
	if err != nil {
		return nil, []error{err}
	}
	var errs []error
	for _, v := range spec.Variables {
		if result := compiler.CompileAndStoreVariable(&validating.Variable{Name: v.Name, Expression: v.Expression}, declared, mode); result.Error != nil {
			errs = append(errs, result.Error)
		}
	}
	var conditions, validations, messages []plugincel.ExpressionAccessor
	for i := range spec.MatchConditions {
		conditions = append(conditions, (*matchconditions.MatchCondition)(&spec.MatchConditions[i]))
	}
	for _, v := range spec.Validations {
		validations = append(validations, &validating.ValidationCondition{Expression: v.Expression, Message: v.Message, Reason: v.Reason})
		var message plugincel.ExpressionAccessor
		if v.MessageExpression != "" {
			message = &validating.MessageExpressionCondition{MessageExpression: v.MessageExpression}
		}
		messages = append(messages, message)
	}
	withoutAuthorizer := plugincel.OptionalVariableDeclarations{HasParams: declared.HasParams}
	condition := compiler.CompileCondition(conditions, declared, mode)
	validation := compiler.CompileCondition(validations, declared, mode)
	message := compiler.CompileCondition(messages, withoutAuthorizer, mode)
	for _, compiled := range []plugincel.ConditionEvaluator{condition, validation, message} {
		errs = append(errs, compiled.CompilationErrors()...)
	}
	var matcher matchconditions.Matcher
	if len(conditions) > 0 {
		matcher = matchconditions.NewMatcher(condition, spec.FailurePolicy, "policy", "validate", policy.Name)
	}
	audit := compiler.CompileCondition(nil, declared, mode)
	return validating.NewValidator(validation, matcher, audit, message, spec.FailurePolicy, nil), errs
}

// ask returns the messages of every refusal, by the name of the policy.
func ask(t *testing.T, policies []evaluator, q question) map[string][]string {
	t.Helper()
	refusals := map[string][]string{}
	attributes, resource := q.attributes(t)
	versioned := &admission.VersionedAttributes{
		Attributes: attributes, VersionedKind: attributes.GetKind(),
		VersionedObject: admission.NewLazyObject(attributes.GetObject()), VersionedOldObject: admission.NewLazyObject(attributes.GetOldObject()),
	}
	for _, e := range policies {
		if !e.matches(attributes, resource) || (e.policy.Spec.ParamKind != nil && q.params == nil) {
			continue
		}
		var params runtime.Object
		if e.policy.Spec.ParamKind != nil {
			params = unstructuredOf(t, q.params)
		}
		result := e.validator.Validate(t.Context(), resource, versioned, params, q.namespace, celconfig.RuntimeCELCostBudget, verbs(q.may))
		for _, decision := range result.Decisions {
			if decision.Action == validating.ActionDeny {
				refusals[e.policy.Name] = append(refusals[e.policy.Name], decision.Message)
			}
		}
	}
	return refusals
}

func (e evaluator) matches(a admission.Attributes, resource schema.GroupVersionResource) bool {
	name := resource.Resource
	if a.GetSubresource() != "" {
		name += "/" + a.GetSubresource()
	}
	return slices.ContainsFunc(e.policy.Spec.MatchConstraints.ResourceRules, func(r admissionv1.NamedRuleWithOperations) bool {
		return slices.Contains(r.APIGroups, resource.Group) && slices.Contains(r.Resources, name) &&
			slices.Contains(r.Operations, admissionv1.OperationType(a.GetOperation()))
	})
}

func (q question) attributes(t *testing.T) (admission.Attributes, schema.GroupVersionResource) {
	t.Helper()
	object := unstructuredOf(t, q.object)
	kind := object.GroupVersionKind()
	resource := v1alpha1.GroupVersion.WithResource(strings.ToLower(kind.Kind) + "s")
	operation := admission.Create
	var old runtime.Object
	if q.old != nil {
		operation, old = admission.Update, unstructuredOf(t, q.old)
	}
	if q.deletes {
		return admission.NewAttributesRecord(nil, object, kind, object.GetNamespace(), object.GetName(), resource, q.subresource,
			admission.Delete, nil, false, &user.DefaultInfo{Name: q.who}), resource
	}
	return admission.NewAttributesRecord(object, old, kind, object.GetNamespace(), object.GetName(), resource, q.subresource,
		operation, nil, false, &user.DefaultInfo{Name: q.who}), resource
}

// unstructuredOf is an object as the API server holds it.
func unstructuredOf(t *testing.T, object client.Object) *unstructured.Unstructured {
	t.Helper()
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
	if err != nil {
		t.Fatal(err)
	}
	kind, err := kindOf(object)
	if err != nil {
		t.Fatal(err)
	}
	u := &unstructured.Unstructured{Object: content}
	u.SetGroupVersionKind(kind)
	return u
}

func kindOf(object client.Object) (schema.GroupVersionKind, error) {
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		return schema.GroupVersionKind{}, err
	}
	kinds, _, err := scheme.ObjectKinds(object)
	if err != nil {
		return schema.GroupVersionKind{}, err
	}
	return kinds[0], nil
}

// verbs is an authorizer that allows these verbs on everything.
type verbs []string

func (v verbs) Authorize(_ context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
	if slices.Contains(v, a.GetVerb()) {
		return authorizer.DecisionAllow, "", nil
	}
	return authorizer.DecisionNoOpinion, "", nil
}

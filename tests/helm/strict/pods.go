package main

import (
	"fmt"

	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
)

// newPodCheck returns a function that says what the Pod Security Standard "restricted" forbids of an object's pod.
func newPodCheck() (func(runtime.Object) error, error) {
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks())
	if err != nil {
		return nil, err
	}
	restricted := api.LevelVersion{Level: api.LevelRestricted, Version: api.LatestVersion()}
	return func(object runtime.Object) error {
		metadata, spec := podOf(object)
		if spec == nil {
			return nil
		}
		result := policy.AggregateCheckResults(evaluator.EvaluatePod(restricted, metadata, spec))
		if result.Allowed {
			return nil
		}
		return fmt.Errorf("not restricted: %s", result.ForbiddenDetail())
	}, nil
}

// podOf returns the pod that an object is or makes, and nil for what makes none.
func podOf(object runtime.Object) (*meta.ObjectMeta, *core.PodSpec) {
	switch object := object.(type) {
	case *core.Pod:
		return &object.ObjectMeta, &object.Spec
	case *apps.Deployment:
		return &object.Spec.Template.ObjectMeta, &object.Spec.Template.Spec
	case *apps.StatefulSet:
		return &object.Spec.Template.ObjectMeta, &object.Spec.Template.Spec
	default:
		return nil, nil
	}
}

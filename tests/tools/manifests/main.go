// SPDX-License-Identifier: Apache-2.0

// Command manifests looks at Kubernetes objects with other people's libraries.
//
//	manifests check                       stdin: YAML. Each object of a kind that Kubernetes has is decoded strictly by its own types
//	                                      (an unknown or doubled field is an error), and each pod in it judged by PodSecurity "restricted".
//	manifests helm CHART RELEASE NAMESPACE VALUES.yaml
//	                                      prints what Helm's engine makes of the chart, after its schema has checked the values
//	manifests lint CHART                  Helm's own linter
package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"sort"
	"strings"

	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	"helm.sh/helm/v3/pkg/lint"
	"helm.sh/helm/v3/pkg/lint/support"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer/json"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
)

func main() {
	if len(os.Args) < 2 {
		fail("check, helm or lint")
	}
	switch args := os.Args[2:]; os.Args[1] {
	case "check":
		check(os.Stdin)
	case "helm":
		render(args[0], args[1], args[2], args[3])
	case "lint":
		bad := false
		for _, m := range lint.AllWithKubeVersion(args[0], nil, "kruntimes-system", nil).Messages {
			fmt.Println(m)
			bad = bad || m.Severity >= support.WarningSev
		}
		if bad {
			os.Exit(1)
		}
	default:
		fail("check, helm or lint")
	}
}

func fail(format string, args ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", args...)
	os.Exit(1)
}

func podOf(o runtime.Object) *corev1.PodTemplateSpec {
	switch x := o.(type) {
	case *appsv1.Deployment:
		return &x.Spec.Template
	case *batchv1.Job:
		return &x.Spec.Template
	case *corev1.Pod:
		return &corev1.PodTemplateSpec{ObjectMeta: x.ObjectMeta, Spec: x.Spec}
	}
	return nil
}

func check(in io.Reader) {
	decoder := json.NewSerializerWithOptions(json.DefaultMetaFactory, scheme.Scheme, scheme.Scheme, json.SerializerOptions{Yaml: true, Strict: true})
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks())
	if err != nil {
		fail("%v", err)
	}
	reader, bad, known, pods := utilyaml.NewYAMLReader(bufio.NewReader(in)), 0, 0, 0
	for {
		text, err := reader.Read()
		if err == io.EOF {
			break
		}
		if err != nil {
			fail("%v", err)
		}
		o, kind, err := decoder.Decode(text, nil, nil)
		if kind != nil && runtime.IsNotRegisteredError(err) {
			continue // a kind of ours, or a definition of one
		}
		if err != nil {
			bad++
			fmt.Printf("%v: %v\n", kind, err)
			continue
		}
		known++
		pod := podOf(o)
		if pod == nil {
			continue
		}
		pods++
		level := api.LevelVersion{Level: api.LevelRestricted, Version: api.LatestVersion()}
		if r := policy.AggregateCheckResults(evaluator.EvaluatePod(level, &pod.ObjectMeta, &pod.Spec)); !r.Allowed {
			bad++
			fmt.Printf("%v: not restricted: %s\n", kind, r.ForbiddenDetail())
		}
	}
	fmt.Printf("%d objects, %d pods, %d bad\n", known, pods, bad)
	if bad > 0 {
		os.Exit(1)
	}
}

func render(folder, release, namespace, file string) {
	chart, err := loader.Load(folder)
	if err != nil {
		fail("%v", err)
	}
	values, err := chartutil.ReadValuesFile(file)
	if err != nil {
		fail("%v", err)
	}
	all, err := chartutil.ToRenderValues(chart, values, chartutil.ReleaseOptions{Name: release, Namespace: namespace, IsInstall: true, Revision: 1}, nil)
	if err != nil {
		fail("%v", err)
	}
	made, err := engine.Render(chart, all)
	if err != nil {
		fail("%v", err)
	}
	names := make([]string, 0, len(made))
	for name := range made {
		if !strings.HasSuffix(name, "NOTES.txt") && strings.TrimSpace(made[name]) != "" {
			names = append(names, name)
		}
	}
	sort.Strings(names)
	for _, name := range names {
		fmt.Printf("---\n%s\n", strings.TrimPrefix(strings.TrimSpace(made[name]), "---"))
	}
}

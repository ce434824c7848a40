// strict reads manifests as YAML on standard input and checks each as the API server does: against its Go type, where unknown and repeated fields
// and unknown kinds are errors, and its pods against the Pod Security Standard "restricted". What it writes is the manifests as one JSON array, for
// tests that look into them; with --yaml it checks nothing and writes any YAML documents so.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/kubernetes/scheme"
	gateway "sigs.k8s.io/gateway-api/apis/v1"
	sigsyaml "sigs.k8s.io/yaml"

	certmanager "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
)

func main() {
	check := func([]byte) error { return nil }
	if len(os.Args) == 1 {
		check = newCheck()
	} else if len(os.Args) != 2 || os.Args[1] != "--yaml" {
		fail(fmt.Errorf("usage: strict [--yaml] < manifests"))
	}
	documents, err := read(os.Stdin, check)
	if err != nil {
		fail(err)
	}
	if err := json.NewEncoder(os.Stdout).Encode(documents); err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "strict:", err)
	os.Exit(1)
}

// newCheck returns a function that decodes a manifest into its Go type and looks at its pod.
func newCheck() func([]byte) error {
	types := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		scheme.AddToScheme, gateway.Install, monitoring.AddToScheme, certmanager.AddToScheme,
	} {
		if err := add(types); err != nil {
			fail(err)
		}
	}
	checkPod, err := newPodCheck()
	if err != nil {
		fail(err)
	}
	decoder := serializer.NewCodecFactory(types, serializer.EnableStrict).UniversalDeserializer()
	return func(document []byte) error {
		object, _, err := decoder.Decode(document, nil, nil)
		if err != nil {
			return err
		}
		return checkPod(object)
	}
}

// read returns the documents as JSON, without empty ones; all that check finds is one error.
func read(input io.Reader, check func([]byte) error) ([]json.RawMessage, error) {
	documents := []json.RawMessage{}
	var wrong error
	for reader := yaml.NewYAMLReader(bufio.NewReader(input)); ; {
		document, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return documents, wrong
		}
		if err != nil {
			return nil, err
		}
		asJSON, err := sigsyaml.YAMLToJSONStrict(document)
		if err != nil {
			return nil, err
		}
		if string(asJSON) == "null" {
			continue
		}
		if err := check(document); err != nil {
			wrong = errors.Join(wrong, fmt.Errorf("%w in\n%s", err, document))
		}
		documents = append(documents, asJSON)
	}
}

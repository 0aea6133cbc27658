package main

import (
	"slices"
	"strings"
	"testing"
)

func TestFreePortsDiffer(t *testing.T) {
	// So many that two would be alike almost surely if nothing kept them apart.
	ports, err := freePorts(400, "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(ports)
	if distinct := slices.Compact(slices.Clone(ports)); len(distinct) != len(ports) {
		t.Fatalf("%d ports, but only %d different ones", len(ports), len(distinct))
	}
}

func TestCRDsThatThereAreNot(t *testing.T) {
	for list, want := range map[string]string{
		"istio/virtualservice": "there are only ",
		"istio/":               "virtualservices",
		"linkerd":              `"linkerd" is neither gateway, istio, knative nor a file`,
		"linkerd/routes":       `"linkerd/routes" is neither`,
	} {
		if found, err := crdManifests(t.Context(), list); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("--crds=%s: %d CRDs, error %v", list, len(found), err)
		}
	}
}

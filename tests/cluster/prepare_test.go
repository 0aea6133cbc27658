package main

import (
	"slices"
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

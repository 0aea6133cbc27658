package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// launcher is the built launcher: the tests run it as its users do.
var launcher string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "launcher")
		if err != nil {
			panic(err)
		}
		defer os.RemoveAll(dir)
		launcher = filepath.Join(dir, "cluster")
		for _, args := range [][]string{{"go", "build", "-o", launcher, "."}, {launcher, "build"}} {
			if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
				fmt.Fprintf(os.Stderr, "%v: %v\n%s", args, err, out)
				return 1
			}
		}
		return m.Run()
	}())
}

// testCluster is a cluster in a folder of its own.
type testCluster struct {
	*Cluster
	t    *testing.T
	base string
	// exports is what `up` printed.
	exports string
}

// up starts a cluster that ends with the test.
func up(t *testing.T, base, name string, flags ...string) *testCluster {
	t.Helper()
	exports := run(t, append([]string{launcher, "up", "--dir", base, "--name", name}, flags...)...)
	t.Cleanup(func() { run(t, launcher, "down", "--dir", base, "--name", name) })
	cluster, err := readCluster(filepath.Join(base, name))
	if err != nil {
		t.Fatal(err)
	}
	return &testCluster{Cluster: cluster, t: t, base: base, exports: exports}
}

// run runs a command that must succeed and returns its stdout.
func run(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.Command(args[0], args[1:]...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s%s", strings.Join(args, " "), err, out, stderr.String())
	}
	return strings.TrimSpace(string(out))
}

// command runs a command of the launcher on this cluster.
func (c *testCluster) command(name string, args ...string) string {
	c.t.Helper()
	return run(c.t, append([]string{launcher, name, "--dir", c.base, "--name", c.Name}, args...)...)
}

// ctl runs kubectl as admin.
func (c *testCluster) ctl(args ...string) string {
	c.t.Helper()
	return run(c.t, append([]string{filepath.Join(c.BinDir, "kubectl"), "--kubeconfig", c.Kubeconfig}, args...)...)
}

// deploy creates a Deployment whose pods carry the annotations.
func (c *testCluster) deploy(name string, replicas int, annotations map[string]string) {
	c.t.Helper()
	labels := map[string]string{"app": name}
	data, err := json.Marshal(map[string]any{
		"apiVersion": "apps/v1", "kind": "Deployment", "metadata": map[string]any{"name": name},
		"spec": map[string]any{
			"replicas": replicas, "selector": map[string]any{"matchLabels": labels},
			"template": map[string]any{
				"metadata": map[string]any{"labels": labels, "annotations": annotations},
				"spec":     map[string]any{"containers": []any{map[string]any{"name": "app", "image": "example/app:1"}}},
			},
		},
	})
	if err != nil {
		c.t.Fatal(err)
	}
	manifest := filepath.Join(c.t.TempDir(), "deployment.json")
	if err := os.WriteFile(manifest, data, 0o600); err != nil {
		c.t.Fatal(err)
	}
	c.ctl("apply", "--filename", manifest)
}

// wait waits for a condition of the objects that the arguments select.
func (c *testCluster) wait(condition string, args ...string) {
	c.t.Helper()
	c.ctl(append([]string{"wait", "--for=" + condition, "--timeout=20s"}, args...)...)
}

// pids lists the supervisor and the components as they are now.
func (c *testCluster) pids() []int {
	c.t.Helper()
	now, err := readCluster(c.Dir)
	if err != nil {
		c.t.Fatal(err)
	}
	pids := []int{now.SupervisorPID}
	for _, component := range now.Components {
		pids = append(pids, component.PID)
	}
	if len(pids) != 1+len(componentNames) {
		c.t.Fatalf("expected every component to have a process: %+v", now.Components)
	}
	return pids
}

// gone waits until the processes have ended.
func gone(t *testing.T, pids []int) {
	t.Helper()
	for _, pid := range pids {
		ended := make(chan error, 1)
		go func() { ended <- awaitExit(pid) }()
		select {
		case err := <-ended:
			if err != nil {
				t.Fatal(err)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("process %d is still there", pid)
		}
	}
}

// noFolder checks that the state folder is gone.
func noFolder(t *testing.T, dir string) {
	t.Helper()
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Fatalf("%s is still there (%v)", dir, err)
	}
}

// statusPatches counts how often kwok wrote a pod's status, by pod.
func (c *testCluster) statusPatches() map[string]int {
	c.t.Helper()
	file, err := os.Open(c.AuditLog)
	if err != nil {
		c.t.Fatal(err)
	}
	defer file.Close()
	counts := map[string]int{}
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var event struct {
			Verb string `json:"verb"`
			User struct {
				Username string `json:"username"`
			} `json:"user"`
			ObjectRef struct {
				Resource, Subresource, Name string
			} `json:"objectRef"`
		}
		if err := json.Unmarshal(lines.Bytes(), &event); err != nil {
			c.t.Fatal(err)
		}
		if event.User.Username == kwok && event.Verb == "patch" && event.ObjectRef.Resource == "pods" {
			counts[event.ObjectRef.Name]++
		}
	}
	return counts
}

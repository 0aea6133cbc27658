package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// module is a Go module at a version; sum is its checksum as in go.sum.
type module struct {
	path, version, sum string
}

// crdSource says which files of a module hold a project's CRDs.
type crdSource struct {
	module module
	files  string
}

// crdSources are the CRDs that --crds knows. They are read from module folders when asked for. The modules are not in
// go.mod, because what they require would change the versions that the binaries are built from.
var crdSources = map[string]crdSource{
	"gateway": {module{"sigs.k8s.io/gateway-api", "v1.6.1", "h1:mock6phZbI6rvZerwrVNk7hVNymQgHo+6sJ81Ia7ftY="}, "config/crd/standard/*.yaml"},
	"istio":   {module{"istio.io/api", "v1.31.1", "h1:5Yb5ihcz4YQsCkciusK7DnFpBMwRB6EFWeUKH1Atuyk="}, "kubernetes/customresourcedefinitions.gen.yaml"},
	"knative": {module{"knative.dev/serving", "v0.51.0", "h1:yN2Q7eYqJgoPfZkATjoBZyGbZ2P1Qhns9HIMU4mF+to="}, "config/core/300-resources/service.yaml"},
}

// crdManifests finds the files of a comma-separated list of names and paths.
func crdManifests(ctx context.Context, list string) ([]string, error) {
	var manifests []string
	for _, item := range strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' }) {
		source, known := crdSources[item]
		if !known {
			path, err := filepath.Abs(item)
			if err != nil {
				return nil, err
			}
			if _, err := os.Stat(path); err != nil {
				return nil, fmt.Errorf("--crds: %q is neither gateway, istio, knative nor a file", item)
			}
			manifests = append(manifests, path)
			continue
		}
		dir, err := moduleDir(ctx, source.module)
		if err != nil {
			return nil, err
		}
		found, err := filepath.Glob(filepath.Join(dir, source.files))
		if err != nil || len(found) == 0 {
			return nil, fmt.Errorf("module %s %s has no %s", source.module.path, source.module.version, source.files)
		}
		manifests = append(manifests, found...)
	}
	return manifests, nil
}

// downloadModules downloads the modules that `up` reads files of, so that it needs no network.
func downloadModules(ctx context.Context) error {
	modules := []module{pinnedModule("sigs.k8s.io/kwok")}
	for _, source := range crdSources {
		modules = append(modules, source.module)
	}
	for _, m := range modules {
		if _, err := moduleDir(ctx, m); err != nil {
			return err
		}
	}
	return nil
}

// pinnedModule is a module at the version that go.mod requires.
func pinnedModule(path string) module {
	m := module{path: path, version: version(path)}
	sums, _ := moduleFiles.ReadFile("go.sum")
	for line := range strings.Lines(string(sums)) {
		if rest, ok := strings.CutPrefix(line, path+" "+m.version+" "); ok {
			m.sum = strings.TrimSpace(rest)
		}
	}
	return m
}

// moduleDir returns the folder of a module in the Go module cache, and downloads it if it is not there.
func moduleDir(ctx context.Context, m module) (string, error) {
	cmd := exec.CommandContext(ctx, "go", "mod", "download", "-json", m.path+"@"+m.version)
	// Outside every module: the answer must not depend on, nor change, the go.sum of the folder we are called from.
	cmd.Dir = os.TempDir()
	cmd.Env = append(os.Environ(), "GOFLAGS=", "GOWORK=off", "GO111MODULE=on")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	var answer struct{ Dir, Sum, Error string }
	if decoded := json.Unmarshal(out, &answer); err == nil && decoded != nil {
		err = decoded
	}
	if err != nil || answer.Error != "" {
		return "", fmt.Errorf("cannot download module %s %s: %s%s", m.path, m.version, answer.Error, stderr.String())
	}
	if answer.Sum != m.sum {
		return "", fmt.Errorf("module %s %s has checksum %s, expected %s", m.path, m.version, answer.Sum, m.sum)
	}
	return answer.Dir, nil
}

// applyCRDs applies the manifests and waits until the API server serves their kinds.
func (c *Cluster) applyCRDs(ctx context.Context, manifests []string) error {
	if len(manifests) == 0 {
		return nil
	}
	args := []string{"apply", "--server-side", "--field-manager=cluster-launcher", "--output=name"}
	for _, manifest := range manifests {
		args = append(args, "--filename="+manifest)
	}
	say("applying the CRDs of %d files", len(manifests))
	applied, err := c.kubectl(ctx, args...)
	if err != nil {
		return err
	}
	token, err := c.adminToken()
	if err != nil {
		return err
	}
	api, err := newAPIClient(c.Server, c.CAFile, token)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	// Not by `kubectl wait`, which asks for one after the other and takes 0.1 s for each.
	for line := range strings.Lines(applied) {
		name, ok := strings.CutPrefix(strings.TrimSpace(line), "customresourcedefinition.apiextensions.k8s.io/")
		if !ok {
			continue
		}
		if err := api.await(ctx, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", name, established); err != nil {
			return err
		}
	}
	return nil
}

// established says whether a CRD's kind is served.
func established(crd object) bool {
	return crd.hasCondition("Established")
}

// kubectl runs the built kubectl as admin.
func (c *Cluster) kubectl(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, filepath.Join(c.BinDir, "kubectl"), append([]string{"--kubeconfig=" + c.Kubeconfig}, args...)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("kubectl %s: %w\n%s", strings.Join(args, " "), err, stderr.String())
	}
	return strings.TrimSpace(string(out)), nil
}

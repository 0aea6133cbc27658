package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

// module is a Go module at a version; sum is its checksum as in go.sum.
type module struct {
	path, version, sum string
}

// documentEnd stands between the documents of a YAML text.
const documentEnd = "\n---\n"

// crdSource says which files of a module hold a project's CRDs.
type crdSource struct {
	module module
	files  string
}

// crdSources are the CRDs that --crds knows by a name. They are read from module folders when asked for. The modules are not in
// go.mod, because what they require would change the versions that the binaries are built from.
var crdSources = map[string]crdSource{
	"gateway": {module{"sigs.k8s.io/gateway-api", "v1.6.1", "h1:mock6phZbI6rvZerwrVNk7hVNymQgHo+6sJ81Ia7ftY="}, "config/crd/standard/*.yaml"},
	"istio":   {module{"istio.io/api", "v1.31.1", "h1:5Yb5ihcz4YQsCkciusK7DnFpBMwRB6EFWeUKH1Atuyk="}, "kubernetes/customresourcedefinitions.gen.yaml"},
	"knative": {module{"knative.dev/serving", "v0.51.0", "h1:yN2Q7eYqJgoPfZkATjoBZyGbZ2P1Qhns9HIMU4mF+to="}, "config/core/300-resources/service.yaml"},
}

// crdManifests reads the CRDs of a comma-separated list: a name of crdSources; such a name, a slash and a plural for one
// CRD of it; or the path of a YAML file. Of each the text of one object.
func crdManifests(ctx context.Context, list string) ([]string, error) {
	var manifests []string
	for item := range strings.SplitSeq(list, ",") {
		if item = strings.TrimSpace(item); item == "" {
			continue
		}
		name, plural, one := strings.Cut(item, "/")
		source, known := crdSources[name]
		if !known {
			text, err := os.ReadFile(item)
			if errors.Is(err, fs.ErrNotExist) {
				return nil, fmt.Errorf("--crds: %q is neither gateway, istio, knative nor a file", item)
			}
			if err != nil {
				return nil, err
			}
			manifests = append(manifests, documents(text)...)
			continue
		}
		found, err := source.documents(ctx)
		if err != nil {
			return nil, err
		}
		if one {
			if found, err = ofPlural(found, plural); err != nil {
				return nil, fmt.Errorf("--crds: %q: %w", item, err)
			}
		}
		manifests = append(manifests, found...)
	}
	return manifests, nil
}

// documents reads all CRDs of a project.
func (s crdSource) documents(ctx context.Context) ([]string, error) {
	dir, err := moduleDir(ctx, s.module)
	if err != nil {
		return nil, err
	}
	files, err := filepath.Glob(filepath.Join(dir, s.files))
	if err != nil || len(files) == 0 {
		return nil, fmt.Errorf("module %s %s has no %s", s.module.path, s.module.version, s.files)
	}
	var all []string
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		all = append(all, documents(text)...)
	}
	return all, nil
}

// documents splits a YAML file.
func documents(text []byte) []string {
	return regexp.MustCompile(`(?m)^---.*$`).Split(string(text), -1)
}

// ofPlural keeps the CRDs whose kinds have this plural.
func ofPlural(crds []string, plural string) ([]string, error) {
	var found, plurals []string
	for _, text := range crds {
		var crd struct {
			Spec struct{ Names struct{ Plural string } }
		}
		if err := yaml.Unmarshal([]byte(text), &crd); err != nil {
			return nil, err
		}
		if crd.Spec.Names.Plural == "" { // nothing but a comment
			continue
		}
		if crd.Spec.Names.Plural == plural {
			found = append(found, text)
		}
		plurals = append(plurals, crd.Spec.Names.Plural)
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("there are only %s", strings.Join(slices.Compact(slices.Sorted(slices.Values(plurals))), ", "))
	}
	return found, nil
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

// addCRDs installs CRDs in a cluster that runs already.
func (c *Cluster) addCRDs(ctx context.Context, manifests []string) error {
	if len(manifests) == 0 {
		return nil
	}
	say("applying the CRDs")
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
	return c.applyCRDs(ctx, api, strings.Join(manifests, documentEnd))
}

// applyCRDs applies the manifests and waits until the API server serves their kinds.
func (c *Cluster) applyCRDs(ctx context.Context, api *apiClient, manifests string) error {
	applied, err := c.kubectlWith(ctx, strings.NewReader(manifests), "apply", "--server-side", "--field-manager=cluster-launcher", "--output=name", "--filename=-")
	if err != nil {
		return err
	}
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
	return c.kubectlWith(ctx, nil, args...)
}

// kubectlWith does so with an input.
func (c *Cluster) kubectlWith(ctx context.Context, input io.Reader, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, filepath.Join(c.BinDir, "kubectl"), append([]string{"--kubeconfig=" + c.Kubeconfig}, args...)...)
	var stderr bytes.Buffer
	cmd.Stdin, cmd.Stderr = input, &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("kubectl %s: %w\n%s", strings.Join(args, " "), err, stderr.String())
	}
	return strings.TrimSpace(string(out)), nil
}

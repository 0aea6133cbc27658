package main

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// moduleFiles pins every binary. Embedded, so that the launcher works from any folder.
//
//go:embed go.mod go.sum
var moduleFiles embed.FS

// binary is one program of the cluster and the Go package that it is built from.
type binary struct {
	name, pkg string
}

// binaries lists what is built; the big ones first, so that the others find most packages compiled.
var binaries = []binary{
	{"kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver"},
	{"kube-controller-manager", "k8s.io/kubernetes/cmd/kube-controller-manager"},
	{"kube-scheduler", "k8s.io/kubernetes/cmd/kube-scheduler"},
	{"kubectl", "k8s.io/kubernetes/cmd/kubectl"},
	{"etcd", "go.etcd.io/etcd/server/v3"},
	{"kwok", "sigs.k8s.io/kwok/cmd/kwok"},
	{"helm", "helm.sh/helm/v4/cmd/helm"},
}

func runBuild(ctx context.Context, c command, args []string) error {
	if _, err := parse(c.flags(), args, 0); err != nil {
		return err
	}
	dir, err := ensureBinaries(ctx)
	if err != nil {
		return err
	}
	say("the binaries are in %s", dir)
	return downloadModules(ctx)
}

// ensureBinaries builds what the cache lacks and returns the folder of the binaries.
func ensureBinaries(ctx context.Context) (string, error) {
	dir, err := binariesDir()
	if err != nil {
		return "", err
	}
	if len(missing(dir)) == 0 {
		return dir, nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	unlock, err := lockBuild(dir)
	if err != nil {
		return "", err
	}
	defer unlock()
	return dir, buildAll(ctx, dir, missing(dir))
}

// binariesDir is <cache>/iter8/cluster/<key>; the key covers all that decides what the binaries are.
func binariesDir() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("no cache folder for the binaries: %w", err)
	}
	sum := sha256.New()
	for _, name := range []string{"go.mod", "go.sum"} {
		data, err := moduleFiles.ReadFile(name)
		if err != nil {
			return "", err
		}
		sum.Write(data)
	}
	fmt.Fprintln(sum, runtime.GOOS, runtime.GOARCH, buildArgs(), binaries)
	return filepath.Join(cache, "iter8", "cluster", hex.EncodeToString(sum.Sum(nil))[:16]), nil
}

// version returns the version of a module in go.mod.
func version(module string) string {
	data, _ := fs.ReadFile(moduleFiles, "go.mod")
	found := regexp.MustCompile(`(?m)^\s*` + regexp.QuoteMeta(module) + ` (v\S+)`).FindSubmatch(data)
	if found == nil {
		panic("go.mod does not require " + module)
	}
	return string(found[1])
}

// buildArgs are the arguments of `go build` but for output and package. The release process sets the versions by
// -ldflags; without them every component would call itself v0.0.0, and charts would refuse the cluster as too old.
func buildArgs() []string {
	kubernetes := version("k8s.io/kubernetes")
	numbers := strings.Split(strings.TrimPrefix(kubernetes, "v"), ".")
	ldflags := []string{"-s", "-w", "-X", "helm.sh/helm/v4/internal/version.version=" + version("helm.sh/helm/v4")}
	for _, pkg := range []string{"k8s.io/component-base/version", "k8s.io/client-go/pkg/version"} {
		ldflags = append(ldflags,
			"-X", pkg+".gitVersion="+kubernetes,
			"-X", pkg+".gitMajor="+numbers[0],
			"-X", pkg+".gitMinor="+numbers[1])
	}
	return []string{
		"build", "-mod=readonly", "-trimpath", "-buildvcs=false",
		// No debugger will look at them: without what is for debuggers they are compiled sooner.
		"-gcflags=all=-dwarf=false",
		"-ldflags", strings.Join(ldflags, " "),
	}
}

// missing lists the binaries that the folder lacks.
func missing(dir string) []binary {
	var out []binary
	for _, b := range binaries {
		if _, err := os.Stat(filepath.Join(dir, b.name)); err != nil {
			out = append(out, b)
		}
	}
	return out
}

// lockBuild waits until no other process builds into the folder.
func lockBuild(dir string) (func(), error) {
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		say("another process is building the binaries: waiting for it")
		err = flock(lock)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("cannot lock %s: %w", lock.Name(), err), lock.Close())
	}
	return func() { _ = lock.Close() }, nil
}

// buildAll builds the binaries one by one; each gets its name only when it is whole, so that an interrupted build
// leaves nothing half, and the next one goes on where it ended.
func buildAll(ctx context.Context, dir string, list []binary) error {
	if len(list) == 0 {
		return nil
	}
	scratch := filepath.Join(dir, "scratch")
	if err := os.RemoveAll(scratch); err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	if err := os.MkdirAll(scratch, 0o755); err != nil {
		return err
	}
	for _, name := range []string{"go.mod", "go.sum"} {
		data, err := moduleFiles.ReadFile(name)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(scratch, name), data, 0o644); err != nil {
			return err
		}
	}
	say("building %d binaries into %s (5 to 10 minutes with an empty Go cache)", len(list), dir)
	begin := time.Now()
	for i, b := range list {
		say("[%d/%d] %s ...", i+1, len(list), b.name)
		start := time.Now()
		if err := buildOne(ctx, scratch, b); err != nil {
			return err
		}
		if err := os.Rename(filepath.Join(scratch, b.name), filepath.Join(dir, b.name)); err != nil {
			return err
		}
		say("[%d/%d] %s built in %.0f s (%.0f s in all)", i+1, len(list), b.name, time.Since(start).Seconds(), time.Since(begin).Seconds())
	}
	return nil
}

// buildOne builds one binary into the scratch folder, which is also the module to build in.
func buildOne(ctx context.Context, scratch string, b binary) error {
	cmd := exec.CommandContext(ctx, "go", append(buildArgs(), "-o", b.name, b.pkg)...)
	cmd.Dir = scratch
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GOWORK=off")
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return errors.New("interrupted; what is built is kept")
		}
		return fmt.Errorf("building %s from %s: %w", b.name, b.pkg, err)
	}
	return nil
}

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestSeveralSideBySide(t *testing.T) {
	base := t.TempDir()
	one := up(t, base, "one", "--crds", "istio/virtualservices")
	two := up(t, base, "two", "--cidr", "10.77.0.0/16", "--crds", "gateway,istio,knative")

	if crds := one.ctl("get", "crds", "--output=name"); crds != "customresourcedefinition.apiextensions.k8s.io/virtualservices.networking.istio.io" {
		t.Errorf("of one CRD that was asked for there are\n%s", crds)
	}
	if again := up(t, base, "one"); again.exports != one.exports || again.SupervisorPID != one.SupervisorPID {
		t.Errorf("a second `up` must find the cluster: %q, %q", one.exports, again.exports)
	}
	want := fmt.Sprintf("export KUBECONFIG=%s\nexport PATH=%s:\"$PATH\"", one.Kubeconfig, one.BinDir)
	if one.exports != want {
		t.Errorf("stdout of up is %q, want %q", one.exports, want)
	}
	if list := run(t, launcher, "list", "--dir", base); strings.Count(list, "Running") != 2 {
		t.Errorf("list shows\n%s", list)
	}
	two.deploy("app", 1, nil)
	two.wait("condition=Available", "deployment/app")
	if ip := two.ctl("get", "pods", "--output=jsonpath={.items[0].status.podIP}"); !strings.HasPrefix(ip, "10.77.") {
		t.Errorf("the pod's address %q is not of --cidr", ip)
	}
	if pods := one.ctl("get", "pods", "--output=name"); pods != "" {
		t.Errorf("the other cluster has pods: %s", pods)
	}
	for _, kind := range []string{"httproutes.gateway.networking.k8s.io", "virtualservices.networking.istio.io", "services.serving.knative.dev"} {
		two.ctl("get", kind)
	}

	pids := one.pids()
	one.command("down")
	gone(t, pids)
	noFolder(t, one.Dir)
	two.ctl("get", "nodes")
	run(t, launcher, "down", "--all", "--dir", base)
	noFolder(t, base)
}

func TestSupervisorKilled(t *testing.T) {
	base := t.TempDir()
	c := up(t, base, "killed")
	pids := c.pids()
	if err := syscall.Kill(c.SupervisorPID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	gone(t, pids)
	if list := run(t, launcher, "list", "--dir", base); !strings.Contains(list, "Dead") {
		t.Errorf("list shows\n%s", list)
	}
	next := up(t, base, "killed")
	if next.SupervisorPID == c.SupervisorPID {
		t.Error("the next `up` must start a new cluster")
	}
	next.ctl("get", "nodes")
}

// owner starts a process that ends when the returned function is called.
func owner(t *testing.T) (pid int, end func()) {
	t.Helper()
	cmd := exec.Command("cat")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd.Process.Pid, func() {
		_ = stdin.Close()
		_ = cmd.Wait()
	}
}

func TestOwners(t *testing.T) {
	base := t.TempDir()
	first, endFirst := owner(t)
	second, endSecond := owner(t)
	c := up(t, base, "owned", "--owner-pid", fmt.Sprint(first))
	up(t, base, "owned", "--owner-pid", fmt.Sprint(second))
	pids := c.pids()
	endFirst()
	c.ctl("get", "nodes")
	endSecond()
	gone(t, pids)
	noFolder(t, base)
}

func TestOwnerBeforeAnother(t *testing.T) {
	base := t.TempDir()
	pid, end := owner(t)
	c := up(t, base, "kept", "--owner-pid", fmt.Sprint(pid))
	up(t, base, "kept") // Somebody who wants it to stay.
	end()
	c.ctl("get", "nodes")
	if pids := c.pids(); pids[0] != c.SupervisorPID {
		t.Error("the cluster has been started anew")
	}
}

func TestComponentDies(t *testing.T) {
	base := t.TempDir()
	c := up(t, base, "hurt")
	pids := c.pids()
	if err := syscall.Kill(c.Components[scheduler].PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	gone(t, pids)
	noFolder(t, c.Dir)
	log, err := os.ReadFile(filepath.Join(failedDir(c.Dir), "supervisor.log"))
	if err != nil || !strings.Contains(string(log), "kube-scheduler ended by itself: signal: killed") {
		t.Errorf("the log of the supervisor (%v) is\n%s", err, log)
	}
	c.command("down")
	noFolder(t, base)
}

// TestStartFails asks for an address that this machine does not have.
func TestStartFails(t *testing.T) {
	base := t.TempDir()
	cmd := exec.Command(launcher, "up", "--dir", base, "--bind-address", "192.0.2.1")
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "no free ports on 192.0.2.1") {
		t.Errorf("up says (%v)\n%s", err, out)
	}
	noFolder(t, filepath.Join(base, defaultName))
}

func TestInterruptedUp(t *testing.T) {
	base := t.TempDir()
	cmd := exec.Command(launcher, "up", "--dir", base, "--name", "hasty")
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	// The first line comes when the components start.
	if _, err := stderr.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil {
		t.Error("an interrupted `up` must fail")
	}
	noFolder(t, filepath.Join(base, "hasty"))
}

func TestRestart(t *testing.T) {
	c := up(t, t.TempDir(), "restarts")
	c.deploy("before", 1, nil)
	c.wait("condition=Available", "deployment/before")
	c.command("stop", apiServer)
	if list := run(t, launcher, "list", "--dir", c.base); !strings.Contains(list, "Stopped[kube-apiserver]") {
		t.Errorf("list shows\n%s", list)
	}
	c.command("start", apiServer)
	c.wait("condition=Available", "deployment/before")
	for _, name := range componentNames {
		c.command("restart", name, "--signal", "KILL")
	}
	c.deploy("after", 1, nil)
	c.wait("condition=Available", "deployment/after")
	c.pids()
}

func TestKubeconfig(t *testing.T) {
	c := up(t, t.TempDir(), "users")
	file := filepath.Join(t.TempDir(), "kubeconfig")
	kubectl := filepath.Join(c.BinDir, "kubectl")
	whoami := []string{kubectl, "--kubeconfig", file, "auth", "whoami", "--output=jsonpath={.status.userInfo.username}"}

	c.command("kubeconfig", "--service-account", "default/default", "--output", file)
	if who := run(t, whoami...); who != "system:serviceaccount:default:default" {
		t.Errorf("the ServiceAccount is %q", who)
	}
	if err := exec.Command(kubectl, "--kubeconfig", file, "get", "pods").Run(); err == nil {
		t.Error("a ServiceAccount without a role may list pods")
	}
	c.command("kubeconfig", "--user", "jane", "--output", file)
	if who := run(t, whoami...); who != "jane" {
		t.Errorf("the user is %q", who)
	}
}

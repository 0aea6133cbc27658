package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// auditLevels are the levels of the API server's audit policy.
var auditLevels = []string{"None", "Metadata", "Request", "RequestResponse"}

func runUp(ctx context.Context, c command, args []string) error {
	set := c.flags()
	var o options
	var base, crds string
	set.StringVar(&o.Name, "name", defaultName, "`NAME` of the cluster; several run side by side")
	set.StringVar(&base, "dir", "", "`DIR` that holds the state folders (default ${TMPDIR:-/tmp}/iter8-UID)")
	set.IntVar(&o.OwnerPID, "owner-pid", 0, "end the cluster when the process `PID` has ended (default: it runs until `down`)")
	set.StringVar(&crds, "crds", "", "comma-separated `LIST` of CRDs to install: gateway, istio, knative, one of theirs as in istio/virtualservices, or paths of YAML files")
	set.StringVar(&o.PodCIDR, "cidr", "10.244.0.0/16", "`CIDR` of the pods' addresses")
	set.StringVar(&o.BindAddress, "bind-address", "127.0.0.1", "`IP` that the API server listens on")
	set.StringVar(&o.AdvertiseAddress, "advertise-address", "", "`IP` in the endpoints of the Service \"kubernetes\" (default: it has none)")
	set.StringVar(&o.AuditLevel, "audit-level", "Metadata", "`LEVEL` of the audit log: "+strings.Join(auditLevels, ", "))
	if _, err := parse(set, args, 0); err != nil {
		return err
	}
	if err := errors.Join(supported(), o.check()); err != nil {
		return err
	}
	var err error
	if o.Dir, err = stateDir(base, o.Name); err != nil {
		return err
	}
	manifests, err := crdManifests(ctx, crds)
	if err != nil {
		return err
	}
	unlock, err := lockDir(o.Dir)
	if err != nil {
		return err
	}
	defer unlock()
	cluster, keep, err := findOrStart(ctx, o, manifests)
	if err != nil {
		return err
	}
	if err := keep(); err != nil {
		return err
	}
	cluster.printExports()
	return nil
}

// check refuses what a component would only refuse in its log.
func (o options) check() error {
	var all []error
	if _, _, err := net.ParseCIDR(o.PodCIDR); err != nil {
		all = append(all, fmt.Errorf("--cidr: %w", err))
	}
	for flag, value := range map[string]string{"--bind-address": o.BindAddress, "--advertise-address": o.AdvertiseAddress} {
		if value != "" && net.ParseIP(value) == nil {
			all = append(all, fmt.Errorf("%s: %q is not an IP address", flag, value))
		}
	}
	if !slices.Contains(auditLevels, o.AuditLevel) {
		all = append(all, fmt.Errorf("--audit-level: %q is none of %s", o.AuditLevel, strings.Join(auditLevels, ", ")))
	}
	if o.OwnerPID < 0 {
		all = append(all, fmt.Errorf("--owner-pid: %d is not a process id", o.OwnerPID))
	}
	return errors.Join(all...)
}

// findOrStart returns the running cluster of that name, or a new one, with these CRDs. A new one ends with this process
// unless keep is called: a cluster that lacks what was asked for must not be found by the next `up`.
func findOrStart(ctx context.Context, o options, crds []string) (cluster *Cluster, keep func() error, err error) {
	if supervised(o.Dir) {
		err := ask(o.Dir, request{Verb: "owner", OwnerPID: o.OwnerPID})
		if err == nil {
			say("the cluster %q is running already", o.Name)
			cluster, err := readCluster(o.Dir)
			if err == nil {
				err = cluster.addCRDs(ctx, crds)
			}
			return cluster, func() error { return nil }, err
		}
		// It was about to end. What comes next starts from an empty folder.
		if err := awaitEnd(o.Dir); err != nil {
			return nil, nil, err
		}
		if err := os.MkdirAll(o.Dir, 0o700); err != nil {
			return nil, nil, err
		}
	}
	if err := emptyDir(o.Dir); err != nil {
		return nil, nil, err
	}
	if err := os.RemoveAll(failedDir(o.Dir)); err != nil {
		return nil, nil, err
	}
	if o.BinDir, err = ensureBinaries(ctx); err != nil {
		return nil, nil, err
	}
	if o.KwokModule, err = moduleDir(ctx, pinnedModule("sigs.k8s.io/kwok")); err != nil {
		return nil, nil, err
	}
	if err := writeFile(filepath.Join(o.Dir, crdFile), []byte(strings.Join(crds, documentEnd))); err != nil {
		return nil, nil, err
	}
	link, err := launchSupervisor(o)
	if err != nil {
		return nil, nil, err
	}
	if err := followBoot(ctx, link, o.Dir); err != nil {
		return nil, nil, errors.Join(err, link.Close())
	}
	cluster, err = readCluster(o.Dir)
	keep = func() error {
		_, err := link.Write([]byte("keep\n"))
		return err
	}
	return cluster, keep, err
}

// emptyDir removes what a supervisor that was killed left behind. (Its components died with it.)
func emptyDir(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if err := os.RemoveAll(filepath.Join(dir, entry.Name())); err != nil {
			return err
		}
	}
	return nil
}

// launchSupervisor starts this program once more, in a session of its own, and returns the socket to it.
func launchSupervisor(o options) (*os.File, error) {
	encoded, err := json.Marshal(o)
	if err != nil {
		return nil, err
	}
	ours, theirs, err := socketPair()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	if err := os.MkdirAll(filepath.Join(o.Dir, "logs"), 0o700); err != nil {
		return nil, err
	}
	out, err := os.Create(logFile(o.Dir, "supervisor"))
	if err != nil {
		return nil, err
	}
	defer out.Close()
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, superviseCommand, "--options", string(encoded))
	cmd.Stdout, cmd.Stderr = out, out
	cmd.ExtraFiles = []*os.File{theirs}
	cmd.SysProcAttr = ownSession()
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("cannot start the supervisor: %w", err)
	}
	return ours, cmd.Process.Release()
}

// followBoot prints the supervisor's progress until the cluster is ready.
func followBoot(ctx context.Context, link *os.File, dir string) error {
	stop := context.AfterFunc(ctx, func() { _ = link.Close() })
	defer stop()
	reports := json.NewDecoder(link)
	for {
		var r report
		err := reports.Decode(&r)
		switch {
		case ctx.Err() != nil:
			_ = awaitEnd(dir)
			return errors.New("interrupted; the cluster is removed")
		case err != nil:
			return fmt.Errorf("the supervisor has died; the end of its log:\n%s", logTail(logFile(dir, "supervisor"), 20))
		case r.Error != "":
			if r.Logs != "" {
				r.Error += "\nall logs are in " + r.Logs
			}
			return fmt.Errorf("the cluster did not start: %s", r.Error)
		case r.Ready:
			return nil
		}
		say("%s", r.Progress)
	}
}

// printExports prints what a shell evaluates to use the cluster.
func (c *Cluster) printExports() {
	fmt.Printf("export KUBECONFIG=%s\nexport PATH=%s:\"$PATH\"\n", shellQuote(c.Kubeconfig), shellQuote(c.BinDir))
}

// shellQuote quotes a path if a shell would read it otherwise.
func shellQuote(text string) string {
	plain := strings.IndexFunc(text, func(r rune) bool {
		return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-+@%", r)
	}) < 0
	if plain {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

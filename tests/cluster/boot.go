package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const (
	nodeName    = "node-0"
	nodeIP      = "192.0.2.10" // Documentation range: nothing answers there.
	serviceCIDR = "10.96.0.0/16"
	// startLimit is how long a component may take to get ready; on an idle machine it is a few seconds.
	startLimit = 90 * time.Second
	// stopLimit is how long a component may take to end after a signal, before it is killed.
	stopLimit = 20 * time.Second
)

// boot starts the components in order and returns when pods can be created and become Ready.
func (s *supervisor) boot(progress func(string, ...any)) error {
	begin := time.Now()
	if err := s.listen(); err != nil {
		return err
	}
	if err := s.prepare(); err != nil {
		return err
	}
	progress("starting etcd and kube-apiserver at %s", s.cluster.Server)
	if err := s.start(etcd); err != nil {
		return err
	}
	// An API server that starts before etcd listens tries again only a second later.
	if err := s.await(startLimit, s.awaitEtcd); err != nil {
		return s.startError(etcd, err)
	}
	if err := s.start(apiServer); err != nil {
		return err
	}
	if err := s.await(startLimit, s.api.awaitReadyz); err != nil {
		return s.startError(apiServer, err)
	}
	progress("kube-apiserver is ready after %.1f s", time.Since(begin).Seconds())
	if err := s.installCRDs(progress); err != nil {
		return err
	}
	progress("starting %s, %s and %s", controllerManager, scheduler, kwok)
	for _, name := range []string{controllerManager, scheduler, kwok} {
		if err := s.start(name); err != nil {
			return err
		}
	}
	if err := s.await(startLimit, s.createNode); err != nil {
		return s.startError(kwok, err)
	}
	if err := s.await(startLimit, s.awaitDefaultServiceAccount); err != nil {
		return s.startError(controllerManager, err)
	}
	progress("the cluster is ready after %.1f s", time.Since(begin).Seconds())
	s.cluster.Ready = true
	return s.cluster.write()
}

// installCRDs does so before kube-controller-manager starts: its garbage collector looks for kinds then, and every 30 s.
func (s *supervisor) installCRDs(progress func(string, ...any)) error {
	manifests, err := os.ReadFile(s.file(crdFile))
	if err != nil || len(manifests) == 0 {
		return err
	}
	progress("applying the CRDs")
	return s.await(startLimit, func(ctx context.Context) error {
		return s.cluster.applyCRDs(ctx, s.api, string(manifests))
	})
}

// startError adds to a time-out what the component in question says itself. (One that ended is reported by next.)
func (s *supervisor) startError(name string, err error) error {
	if s.end.Err() != nil || s.processes[name] == nil {
		return err
	}
	return fmt.Errorf("%w; the end of the log of %s:\n%s", err, name, logTail(logFile(s.options.Dir, name), 20))
}

// awaitEtcd waits until etcd listens.
func (s *supervisor) awaitEtcd(ctx context.Context) error {
	return poll(ctx, "etcd", func(ctx context.Context) error {
		connection, err := (&net.Dialer{}).DialContext(ctx, "tcp", strings.TrimPrefix(s.cluster.EtcdURL, "http://"))
		if err == nil {
			_ = connection.Close()
		}
		return err
	})
}

// createNode registers the one node and waits until pods can be scheduled to it.
func (s *supervisor) createNode(ctx context.Context) error {
	node := map[string]any{
		"apiVersion": "v1", "kind": "Node",
		"metadata": map[string]any{
			"name":        nodeName,
			"annotations": map[string]string{"kwok.x-k8s.io/node": "fake"},
			"labels": map[string]string{
				"kubernetes.io/hostname": nodeName, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64", "type": "kwok",
			},
		},
	}
	if err := s.api.create(ctx, "/api/v1/nodes", node); err != nil {
		return err
	}
	return s.api.await(ctx, "/api/v1/nodes", nodeName, func(node object) bool {
		return node.hasCondition("Ready") && len(node.Spec.Taints) == 0
	})
}

// awaitDefaultServiceAccount waits for what admission wants before it lets a pod in.
func (s *supervisor) awaitDefaultServiceAccount(ctx context.Context) error {
	return s.api.await(ctx, "/api/v1/namespaces/default/serviceaccounts", "default", func(object) bool { return true })
}

// start starts a component and notes it in the description.
func (s *supervisor) start(name string) error {
	p, err := startProcess(s.options.Dir, s.options.BinDir, name, s.componentArgs(name), s.exits)
	if err != nil {
		return err
	}
	log.Printf("started %s, process %d", name, p.cmd.Process.Pid)
	s.processes[name] = p
	s.cluster.Components[name] = Component{PID: p.cmd.Process.Pid, Log: logFile(s.options.Dir, name)}
	return nil
}

// killAll ends every component at once. Nobody needs their goodbyes: what they would save is removed next.
func (s *supervisor) killAll() {
	for _, p := range s.processes {
		p.wanted = true
		p.signal(syscall.SIGKILL)
	}
	for _, p := range s.processes {
		<-p.done
	}
}

// keepLogs saves the logs of a failed cluster next to its state folder, where the next `up` of that name removes them.
func (s *supervisor) keepLogs() (dir string) {
	kept := failedDir(s.options.Dir)
	_ = os.RemoveAll(kept)
	if err := os.CopyFS(kept, os.DirFS(s.file("logs"))); err != nil {
		log.Printf("cannot keep the logs: %v", err)
	}
	if data, err := json.MarshalIndent(s.cluster, "", "  "); err == nil {
		_ = os.WriteFile(filepath.Join(kept, clusterFile), data, 0o600)
	}
	return kept
}

// failedDir is where the logs of a failed cluster are kept.
func failedDir(dir string) string {
	return dir + ".failed"
}

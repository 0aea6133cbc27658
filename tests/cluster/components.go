package main

import (
	"embed"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
)

// stageFiles say what kwok does with pods (see README.md for the annotations).
//
//go:embed stages
var stageFiles embed.FS

// Names of the components, which are also the names of their binaries.
const (
	etcd              = "etcd"
	apiServer         = "kube-apiserver"
	controllerManager = "kube-controller-manager"
	scheduler         = "kube-scheduler"
	kwok              = "kwok"
)

// componentNames lists the components in the order of their start.
var componentNames = []string{etcd, apiServer, controllerManager, scheduler, kwok}

// auditPolicy logs every request once, when it is answered (a watch when it starts and when it ends).
const auditPolicy = `{"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived"], "rules": [{"level": %q}]}
`

// componentArgs returns the command line of a component.
func (s *supervisor) componentArgs(name string) []string {
	switch name {
	case etcd:
		return s.etcdArgs()
	case apiServer:
		return s.apiServerArgs()
	case controllerManager:
		return append(s.clientArgs(name),
			"--service-account-private-key-file="+s.file("service-account.key"),
			"--root-ca-file="+s.file("ca.crt"),
			"--use-service-account-credentials",
			"--allocate-node-cidrs=false",
			// Its default lies in /usr, and it would create it there.
			"--flex-volume-plugin-dir="+s.file("flexvolume"),
			// kwok's node has no heartbeat worth the name. A node that seems dead would turn every pod not Ready, in the
			// middle of a test that stops the API server for a while or on a machine that was suspended.
			"--node-monitor-grace-period=24h")
	case scheduler:
		return s.clientArgs(name)
	case kwok:
		return s.kwokArgs()
	}
	panic("no such component: " + name)
}

func (s *supervisor) etcdArgs() []string {
	return []string{
		"--data-dir=" + s.file("etcd"),
		"--listen-client-urls=" + s.cluster.EtcdURL,
		"--advertise-client-urls=" + s.cluster.EtcdURL,
		"--listen-peer-urls=" + s.peerURL,
		"--initial-advertise-peer-urls=" + s.peerURL,
		"--initial-cluster=default=" + s.peerURL,
		// A power failure may lose data: the cluster is thrown away anyway. The end of etcd's process loses none.
		"--unsafe-no-fsync",
		"--auto-compaction-mode=periodic", "--auto-compaction-retention=5m",
		"--quota-backend-bytes=8589934592",
		"--log-level=warn",
	}
}

func (s *supervisor) apiServerArgs() []string {
	args := []string{
		"--etcd-servers=" + s.cluster.EtcdURL,
		"--bind-address=" + s.options.BindAddress,
		"--secure-port=" + s.port,
		"--tls-cert-file=" + s.file("apiserver.crt"),
		"--tls-private-key-file=" + s.file("apiserver.key"),
		"--cert-dir=" + s.file("certs"),
		"--service-cluster-ip-range=" + s.cluster.ServiceCIDR,
		"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
		"--service-account-key-file=" + s.file("service-account.pub"),
		"--service-account-signing-key-file=" + s.file("service-account.key"),
		"--token-auth-file=" + s.file("tokens.csv"),
		"--authorization-mode=RBAC",
		"--audit-policy-file=" + s.file("audit-policy.json"),
		"--audit-log-path=" + s.cluster.AuditLog,
		// No rotation: a test that counts requests reads one file.
		"--audit-log-maxsize=0",
	}
	if s.options.AdvertiseAddress != "" {
		return append(args, "--advertise-address="+s.options.AdvertiseAddress)
	}
	// Loopback may not be an endpoint of the Service "kubernetes", and pods that do not run need none. An address is
	// named all the same: without one the server looks for an interface with a default route, and may find none.
	return append(args, "--advertise-address=127.0.0.1", "--endpoint-reconciler-type=none")
}

// clientArgs are what controller manager and scheduler have in common: no port of their own, and no election or client
// limit, for there is one of each and a test must not wait for its turn.
func (s *supervisor) clientArgs(name string) []string {
	return []string{
		"--kubeconfig=" + s.file(name+".kubeconfig"),
		"--leader-elect=false",
		"--secure-port=0",
		"--kube-api-qps=1000",
		"--kube-api-burst=2000",
	}
}

// kwokArgs manages all nodes, without leases: after a restart kwok goes on at once instead of waiting for the lease of
// its former self to run out.
func (s *supervisor) kwokArgs() []string {
	args := []string{
		"--kubeconfig=" + s.file(kwok+".kubeconfig"),
		"--manage-all-nodes",
		"--node-lease-duration-seconds=0",
		"--cidr=" + s.cluster.PodCIDR,
		"--node-ip=" + nodeIP,
	}
	for _, stage := range s.stages {
		args = append(args, "--config="+stage)
	}
	return args
}

// writeStages copies our stage files to the state folder and lists them with those of kwok's module that we use.
func (s *supervisor) writeStages(module string) ([]string, error) {
	stages := []string{
		filepath.Join(module, "kustomize/stage/node/fast/node-initialize.yaml"),
		filepath.Join(module, "kustomize/stage/node/heartbeat-with-lease/node-heartbeat-with-lease.yaml"),
		filepath.Join(module, "kustomize/stage/pod/fast/pod-complete.yaml"),
	}
	own, err := fs.Glob(stageFiles, "stages/*.yaml")
	if err != nil {
		return nil, err
	}
	for _, name := range own {
		data, err := stageFiles.ReadFile(name)
		if err != nil {
			return nil, err
		}
		path := s.file(name)
		if err := writeFile(path, data); err != nil {
			return nil, err
		}
		stages = append(stages, path)
	}
	return stages, nil
}

// isComponent says whether there is a component of that name.
func isComponent(name string) error {
	for _, known := range componentNames {
		if name == known {
			return nil
		}
	}
	return fmt.Errorf("no component is called %q; there are %s", name, strings.Join(componentNames, ", "))
}

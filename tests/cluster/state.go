package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"syscall"
	"time"
)

// Cluster describes a running cluster; the supervisor keeps it in the file cluster.json of the state folder.
type Cluster struct {
	Name              string               `json:"name"`
	Dir               string               `json:"dir"`
	Server            string               `json:"server"`
	CAFile            string               `json:"caFile"`
	Kubeconfig        string               `json:"kubeconfig"`
	BinDir            string               `json:"binDir"`
	AuditLog          string               `json:"auditLog"`
	Node              string               `json:"node"`
	PodCIDR           string               `json:"podCIDR"`
	ServiceCIDR       string               `json:"serviceCIDR"`
	EtcdURL           string               `json:"etcdURL"`
	KubernetesVersion string               `json:"kubernetesVersion"`
	Ready             bool                 `json:"ready"`
	Started           time.Time            `json:"started"`
	SupervisorPID     int                  `json:"supervisorPID"`
	OwnerPIDs         []int                `json:"ownerPIDs"`
	Components        map[string]Component `json:"components"`
}

// Component is one process of a cluster. PID is 0 while it is stopped.
type Component struct {
	PID int    `json:"pid"`
	Log string `json:"log"`
}

// Names of the files in a state folder.
const (
	clusterFile    = "cluster.json"
	supervisorLock = "supervisor.lock"
	controlSocket  = "control.sock"
	kubeconfigFile = "kubeconfig"
	auditFile      = "audit.log"
	crdFile        = "crds.yaml"
)

var clusterName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?$`)

// baseDir is the folder that holds the state folders of this user's clusters.
func baseDir(dir string) (string, error) {
	if dir == "" {
		dir = filepath.Join(os.TempDir(), fmt.Sprintf("iter8-%d", os.Getuid()))
	}
	return filepath.Abs(dir)
}

// stateDir is the state folder of one cluster.
func stateDir(dir, name string) (string, error) {
	if !clusterName.MatchString(name) {
		return "", fmt.Errorf("%q cannot be a cluster's name: use up to 40 lower-case letters, digits and '-'", name)
	}
	base, err := baseDir(dir)
	return filepath.Join(base, name), err
}

// makeBaseDir creates the base folder, closed to others. Its default place can be guessed and lies where everybody may
// write, so one that somebody else put there is refused: it will hold tokens.
func makeBaseDir(base string) error {
	if err := os.MkdirAll(base, 0o700); err != nil {
		return err
	}
	info, err := os.Lstat(base)
	if err != nil {
		return err
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); !ok || !info.IsDir() || int(stat.Uid) != os.Getuid() {
		return fmt.Errorf("%s is not a folder of this user: remove it, or choose another with --dir", base)
	}
	return nil
}

// lockDir creates the state folder if need be and locks it, so that only one `up` or `down` at a time acts on a name.
// The folder may be removed while we wait for its lock: then the lock is on a folder that no longer has the name.
func lockDir(dir string) (unlock func(), err error) {
	for {
		if err := makeBaseDir(filepath.Dir(dir)); err != nil {
			return nil, err
		}
		if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
			if errors.Is(err, os.ErrNotExist) {
				continue // The last cluster's end removed the base folder in between.
			}
			return nil, err
		}
		file, err := os.Open(dir)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if err := flock(file); err != nil {
			return nil, errors.Join(fmt.Errorf("cannot lock %s: %w", dir, err), file.Close())
		}
		if held, err := file.Stat(); err == nil {
			if now, err := os.Stat(dir); err == nil && os.SameFile(held, now) {
				return func() { _ = file.Close() }, nil
			}
		}
		_ = file.Close()
	}
}

// flock waits for the exclusive lock of a file. It is released when the file is closed, so also when the process dies.
func flock(file *os.File) error {
	for {
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX)
		if !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}

// supervised says whether a supervisor lives in the state folder: it holds a lock there for its whole life, which
// unlike a process id cannot be mistaken for somebody else's.
func supervised(dir string) bool {
	file, err := os.Open(filepath.Join(dir, supervisorLock))
	if err != nil {
		return false
	}
	defer file.Close()
	return errors.Is(syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB), syscall.EWOULDBLOCK)
}

// awaitEnd waits until the supervisor of the state folder has ended.
func awaitEnd(dir string) error {
	file, err := os.Open(filepath.Join(dir, supervisorLock))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer file.Close()
	return flock(file)
}

// readCluster reads the description of a cluster.
func readCluster(dir string) (*Cluster, error) {
	data, err := os.ReadFile(filepath.Join(dir, clusterFile))
	if err != nil {
		return nil, err
	}
	cluster := &Cluster{}
	return cluster, json.Unmarshal(data, cluster)
}

// runningCluster reads the description of a cluster that must be running.
func runningCluster(dir, name string) (*Cluster, string, error) {
	state, err := stateDir(dir, name)
	if err != nil {
		return nil, "", err
	}
	if !supervised(state) {
		return nil, "", fmt.Errorf("no cluster %q is running: start one with `up --name %s`", name, name)
	}
	cluster, err := readCluster(state)
	return cluster, state, err
}

// write stores the description; a reader sees the old or the new one, never a part.
func (c *Cluster) write() error {
	slices.Sort(c.OwnerPIDs)
	data, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return err
	}
	return writeFile(filepath.Join(c.Dir, clusterFile), append(data, '\n'))
}

// writeFile replaces a file in one step and keeps it from other users.
func writeFile(path string, data []byte) error {
	if err := os.WriteFile(path+".new", data, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

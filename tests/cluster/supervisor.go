package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"
	"time"
)

// superviseCommand is how `up` starts the supervisor: the launcher itself, in a session of its own.
const superviseCommand = "supervise"

// upLink is the file descriptor of the supervisor's socket to the `up` that started it.
const upLink = 3

// options are what `up` was asked for.
type options struct {
	Name, Dir, BinDir, KwokModule string
	BindAddress, AdvertiseAddress string
	PodCIDR, AuditLevel           string
	OwnerPID                      int
}

// report is a message of the supervisor to `up`: progress, or at the end that it is ready or why not.
type report struct {
	Progress string `json:"progress,omitempty"`
	Ready    bool   `json:"ready,omitempty"`
	Error    string `json:"error,omitempty"`
	// Logs is the folder of the logs of a cluster that failed.
	Logs string `json:"logs,omitempty"`
}

// supervisor owns the processes of one cluster. All its state belongs to one goroutine, which is locked to its thread
// because the children live as long as the thread that started them.
type supervisor struct {
	options       options
	cluster       *Cluster
	users         []user
	api           *apiClient
	port, peerURL string
	stages        []string

	processes map[string]*process
	// owned is false once somebody asked for the cluster without naming an owner: then it runs until `down`.
	owned bool

	exits     chan *process
	ownerGone chan int
	requests  chan request
	// end is cancelled with the reason why the cluster must end.
	end    context.Context
	cancel context.CancelCauseFunc
}

// errDown is the one reason to end that is no failure.
var errDown = errors.New("`down`, or the end of its owner")

func runSupervise(_ context.Context, c command, args []string) error {
	set := c.flags()
	encoded := set.String("options", "", "what to run, as JSON")
	if _, err := parse(set, args, 0); err != nil {
		return err
	}
	var o options
	if err := json.Unmarshal([]byte(*encoded), &o); err != nil {
		return fmt.Errorf("--options: %w", err)
	}
	runtime.LockOSThread()
	log.SetFlags(log.LstdFlags | log.Lmicroseconds)
	if err := os.Chdir(o.Dir); err != nil {
		return err
	}
	lock, err := os.OpenFile(supervisorLock, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return fmt.Errorf("another supervisor runs in %s: %w", o.Dir, err)
	}
	defer runtime.KeepAlive(lock)
	return newSupervisor(o).run(os.NewFile(upLink, "up"))
}

func newSupervisor(o options) *supervisor {
	end, cancel := context.WithCancelCause(context.Background())
	s := &supervisor{
		options:   o,
		processes: map[string]*process{},
		exits:     make(chan *process, len(componentNames)),
		ownerGone: make(chan int),
		requests:  make(chan request),
		end:       end,
		cancel:    cancel,
	}
	s.cluster = &Cluster{
		Name: o.Name, Dir: o.Dir, BinDir: o.BinDir, PodCIDR: o.PodCIDR, ServiceCIDR: serviceCIDR,
		Node: nodeName, KubernetesVersion: version("k8s.io/kubernetes"), Started: time.Now(), SupervisorPID: os.Getpid(),
		CAFile: s.file("ca.crt"), Kubeconfig: s.file(kubeconfigFile), AuditLog: s.file(auditFile),
		OwnerPIDs: []int{}, Components: map[string]Component{},
	}
	return s
}

// file is the path of a file in the state folder.
func (s *supervisor) file(name string) string {
	return filepath.Join(s.options.Dir, name)
}

// run starts the cluster, reports to `up`, serves until there is a reason to end, and removes everything.
func (s *supervisor) run(link *os.File) error {
	terminate := make(chan os.Signal, 1)
	signal.Notify(terminate, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	go func() {
		log.Printf("signal %v: ending", <-terminate)
		s.cancel(errDown)
	}()
	s.addOwner(s.options.OwnerPID)
	go s.followUp(link)

	err := s.boot(func(format string, args ...any) { send(link, report{Progress: fmt.Sprintf(format, args...)}) })
	if err == nil {
		send(link, report{Ready: true})
		err = s.serve()
	}
	last := report{Error: err.Error()}
	if errors.Is(err, errDown) {
		err = nil
	} else {
		log.Printf("ending: %v", err)
		last.Logs = s.keepLogs()
	}
	s.killAll()
	err = errors.Join(err, os.RemoveAll(s.options.Dir))
	_ = os.Remove(filepath.Dir(s.options.Dir)) // Fails, as it should, while another cluster is there.
	// Only now, so that an `up` that waits for it returns when nothing is left.
	send(link, last)
	return err
}

// send reports to `up`. If that is gone, followUp sees it: nothing to do here.
func send(link io.Writer, r report) {
	_ = json.NewEncoder(link).Encode(r)
}

// followUp ends the cluster if the `up` that started it goes away before it is content with the result.
func (s *supervisor) followUp(link *os.File) {
	if line, err := bufio.NewReader(link).ReadString('\n'); err != nil || line != "keep\n" {
		s.cancel(errors.New("the command that started the cluster was interrupted"))
	}
}

// serve acts on what comes until there is a reason to end, which it returns.
func (s *supervisor) serve() error {
	for {
		if err := s.cluster.write(); err != nil {
			return err
		}
		if err := s.next(nil, s.requests); err != nil {
			return err
		}
	}
}

// errDone is what next returns when the awaited channel was the one that had something.
var errDone = errors.New("done")

// next waits for the next event and acts on it. Requests may be nil: then they wait.
func (s *supervisor) next(done <-chan struct{}, requests <-chan request) error {
	select {
	case <-s.end.Done():
		return context.Cause(s.end)
	case <-done:
		return errDone
	case p := <-s.exits:
		if !p.wanted {
			return fmt.Errorf("%s ended by itself: %w; the end of its log:\n%s", p.name, p.err, logTail(logFile(s.options.Dir, p.name), 20))
		}
	case pid := <-s.ownerGone:
		s.removeOwner(pid)
	case r := <-requests:
		r.answer <- s.handle(r)
	}
	return nil
}

// await runs a function that waits for something, while exits and owners are seen to.
func (s *supervisor) await(limit time.Duration, wait func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeout(s.end, limit)
	defer cancel()
	done := make(chan struct{})
	var result error
	go func() {
		defer close(done)
		result = wait(ctx)
	}()
	for {
		switch err := s.next(done, nil); {
		case errors.Is(err, errDone):
			return result
		case err != nil:
			return err
		}
	}
}

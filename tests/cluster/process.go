package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// process is one run of a component.
type process struct {
	name string
	cmd  *exec.Cmd
	// done is closed when the process has ended; err then says how.
	done chan struct{}
	err  error
	// wanted is set before the supervisor ends the process itself, so that its end is no accident.
	wanted bool
}

// startProcess starts a component with its output appended to its log, and reports its end to exits. It must be called
// from the supervisor's own thread (see boundToParent).
func startProcess(dir, binDir, name string, args []string, exits chan<- *process) (*process, error) {
	log, err := os.OpenFile(logFile(dir, name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.Command(filepath.Join(binDir, name), args...)
	cmd.Dir = dir
	cmd.Stdout, cmd.Stderr = log, log
	// Nothing of the user's: etcd takes options from ETCD_*, kwok and kubectl from files under HOME.
	cmd.Env = []string{"HOME=" + dir, "PATH=" + os.Getenv("PATH")}
	// How much memory Go may take to collect garbage less often.
	if gogc, set := os.LookupEnv("GOGC"); set {
		cmd.Env = append(cmd.Env, "GOGC="+gogc)
	}
	// Its log then has a line for each time that it collects garbage: it answers slowly while it does.
	if name == apiServer {
		cmd.Env = append(cmd.Env, "GODEBUG=gctrace=1")
	}
	cmd.SysProcAttr = boundToParent()
	fmt.Fprintf(log, "+ %s\n", strings.Join(cmd.Args, " "))
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("cannot start %s: %w", name, err)
	}
	p := &process{name: name, cmd: cmd, done: make(chan struct{})}
	go func() {
		if p.err = cmd.Wait(); p.err == nil {
			p.err = fmt.Errorf("exit status 0")
		}
		close(p.done)
		exits <- p
	}()
	return p, nil
}

// signal sends a signal; a process that has ended already needs none.
func (p *process) signal(sig syscall.Signal) {
	_ = p.cmd.Process.Signal(sig)
}

// logFile is where a component's output goes.
func logFile(dir, name string) string {
	return filepath.Join(dir, "logs", name+".log")
}

// logTail returns the last lines of a log.
func logTail(path string, lines int) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.TrimRight(string(data), "\n"), "\n")
	return "  " + strings.Join(all[max(0, len(all)-lines):], "\n  ")
}

// signals are the signals that a command line may name.
var signals = map[string]syscall.Signal{
	"TERM": syscall.SIGTERM,
	"KILL": syscall.SIGKILL,
	"INT":  syscall.SIGINT,
	"QUIT": syscall.SIGQUIT,
	"HUP":  syscall.SIGHUP,
}

// signalNamed reads a signal's name, with or without SIG.
func signalNamed(name string) (syscall.Signal, error) {
	sig, ok := signals[strings.TrimPrefix(strings.ToUpper(name), "SIG")]
	if !ok {
		return 0, fmt.Errorf("unknown signal %q: use TERM, KILL, INT, QUIT or HUP", name)
	}
	return sig, nil
}

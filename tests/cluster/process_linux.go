package main

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"unsafe"
)

// pidfdOpen is the number of the system call pidfd_open, the same on every architecture; syscall lacks a name for it.
const pidfdOpen = 434

// pollIn is POLLIN: of a pidfd, that the process has ended.
const pollIn = 1

// pollFD is struct pollfd.
type pollFD struct {
	fd      int32
	events  int16
	revents int16
}

// boundToParent makes a child die with the thread that started it. The caller must be locked to a thread that lives as
// long as the process does, or the child dies too early.
func boundToParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}

// ownSession detaches a child from our terminal: Ctrl-C is for `up`, not for the cluster that it started.
func ownSession() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setsid: true}
}

// awaitExit blocks until a process that need not be our child has ended. Opening the pidfd settles which process is
// meant; from then on its number may be reused without harm.
func awaitExit(pid int) error {
	fd, _, errno := syscall.Syscall(pidfdOpen, uintptr(pid), 0, 0)
	if errno == syscall.ESRCH {
		return nil
	}
	if errno != 0 {
		return fmt.Errorf("cannot watch process %d: %w", pid, errno)
	}
	defer syscall.Close(int(fd))
	for {
		poll := pollFD{fd: int32(fd), events: pollIn}
		_, _, errno := syscall.Syscall6(syscall.SYS_PPOLL, uintptr(unsafe.Pointer(&poll)), 1, 0, 0, 0, 0)
		if errno == 0 {
			return nil
		}
		if errno != syscall.EINTR {
			return fmt.Errorf("cannot watch process %d: %w", pid, errno)
		}
	}
}

// socketPair returns two connected sockets: one for us, one for a child.
func socketPair() (ours, theirs *os.File, err error) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("socketpair: %w", err)
	}
	return os.NewFile(uintptr(fds[0]), "supervisor"), os.NewFile(uintptr(fds[1]), "up"), nil
}

// supported says that this system has what keeps a cluster from outliving its supervisor.
func supported() error {
	fd, _, errno := syscall.Syscall(pidfdOpen, uintptr(os.Getpid()), 0, 0)
	if errno != 0 {
		return errors.New("the local cluster needs Linux 5.3 or newer")
	}
	return syscall.Close(int(fd))
}

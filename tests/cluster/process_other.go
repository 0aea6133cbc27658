//go:build !linux

package main

import (
	"errors"
	"os"
	"syscall"
)

var errNotLinux = errors.New("the local cluster needs Linux; here, run the tests against an existing cluster (see README.md)")

func supported() error                               { return errNotLinux }
func boundToParent() *syscall.SysProcAttr            { return nil }
func ownSession() *syscall.SysProcAttr               { return nil }
func awaitExit(int) error                            { return errNotLinux }
func socketPair() (ours, theirs *os.File, err error) { return nil, nil, errNotLinux }

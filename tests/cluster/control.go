package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"syscall"
)

// request is a command to a supervisor, one JSON line on its control socket; the answer is another.
type request struct {
	Verb      string `json:"verb"`
	Component string `json:"component,omitempty"`
	Signal    string `json:"signal,omitempty"`
	OwnerPID  int    `json:"ownerPID,omitempty"`

	answer chan error
}

// reply says how a request went.
type reply struct {
	Error string `json:"error,omitempty"`
}

// listen accepts requests. The socket's path is relative, because the limit of 108 bytes is soon reached otherwise.
func (s *supervisor) listen() error {
	listener, err := net.Listen("unix", controlSocket)
	if err != nil {
		return err
	}
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			go s.answer(connection)
		}
	}()
	return nil
}

func (s *supervisor) answer(connection net.Conn) {
	defer connection.Close()
	r := request{answer: make(chan error, 1)}
	if err := json.NewDecoder(bufio.NewReader(connection)).Decode(&r); err != nil {
		return
	}
	// Ahead of whatever the supervisor is waiting for.
	if r.Verb == "down" {
		s.cancel(errDown)
	}
	select {
	case s.requests <- r:
	case <-s.end.Done():
		r.answer <- errEnding
	}
	var out reply
	if err := <-r.answer; err != nil {
		out.Error = err.Error()
	}
	_ = json.NewEncoder(connection).Encode(out)
}

// errEnding is the answer of a supervisor that is about to go.
var errEnding = errors.New("the cluster is ending")

// handle carries out a request. An error is the asker's; what concerns the whole cluster cancels s.end.
func (s *supervisor) handle(r request) error {
	switch r.Verb {
	case "owner":
		s.addOwner(r.OwnerPID)
		return s.cluster.write()
	case "stop":
		return s.stopComponent(r)
	case "start":
		return s.startComponent(r.Component)
	case "restart":
		if err := s.stopComponent(r); err != nil {
			return err
		}
		return s.startComponent(r.Component)
	}
	return fmt.Errorf("unknown request %q", r.Verb)
}

// stopComponent ends a component and returns when it is gone. One that is stopped already is fine.
func (s *supervisor) stopComponent(r request) error {
	if err := isComponent(r.Component); err != nil {
		return err
	}
	sig, err := signalNamed(r.Signal)
	if err != nil {
		return err
	}
	p := s.processes[r.Component]
	if p == nil {
		return nil
	}
	log.Printf("stopping %s by signal %v", r.Component, sig)
	p.wanted = true
	p.signal(sig)
	err = s.await(stopLimit, func(ctx context.Context) error {
		select {
		case <-p.done:
		case <-ctx.Done():
			log.Printf("%s has not ended after %v: killing it", r.Component, stopLimit)
			p.signal(syscall.SIGKILL)
			<-p.done
		}
		return nil
	})
	if err != nil {
		return s.fatal(err)
	}
	delete(s.processes, r.Component)
	s.cluster.Components[r.Component] = Component{Log: logFile(s.options.Dir, r.Component)}
	return s.cluster.write()
}

// startComponent starts a component and returns when it works.
func (s *supervisor) startComponent(name string) error {
	if err := isComponent(name); err != nil {
		return err
	}
	if s.processes[name] != nil {
		return fmt.Errorf("%s is running already", name)
	}
	if err := s.start(name); err != nil {
		return err
	}
	if err := s.cluster.write(); err != nil {
		return err
	}
	// The others have no address to ask. The API server answers for etcd; without the API server etcd has no user.
	if s.processes[apiServer] == nil || (name != apiServer && name != etcd) {
		return nil
	}
	if err := s.await(startLimit, s.api.awaitReadyz); err != nil {
		return s.fatal(s.startError(name, err))
	}
	return nil
}

// fatal ends the cluster for a reason met while a request was carried out.
func (s *supervisor) fatal(err error) error {
	s.cancel(err)
	return err
}

// ask sends a request to the supervisor of a state folder and waits for the answer. The socket is reached through the
// folder's descriptor: its own path may be too long for a socket.
func ask(dir string, r request) error {
	folder, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer folder.Close()
	connection, err := net.Dial("unix", fmt.Sprintf("/proc/self/fd/%d/%s", folder.Fd(), controlSocket))
	if err != nil {
		return fmt.Errorf("cannot reach the supervisor of %s: %w", dir, err)
	}
	defer connection.Close()
	if err := json.NewEncoder(connection).Encode(r); err != nil {
		return err
	}
	var answer reply
	err = json.NewDecoder(connection).Decode(&answer)
	if errors.Is(err, io.EOF) {
		return errEnding
	}
	if err == nil && answer.Error != "" {
		err = errors.New(answer.Error)
	}
	return err
}

package main

import (
	"log"
	"slices"
)

// addOwner ties the cluster to one more process; 0 unties it from all.
func (s *supervisor) addOwner(pid int) {
	if pid == 0 {
		s.owned = false
		s.cluster.OwnerPIDs = []int{}
		return
	}
	first := len(s.cluster.OwnerPIDs) == 0 && s.cluster.Ready
	if slices.Contains(s.cluster.OwnerPIDs, pid) || (first && !s.owned) {
		return // Already tied, or started by somebody who wants it to stay.
	}
	s.owned = true
	s.cluster.OwnerPIDs = append(s.cluster.OwnerPIDs, pid)
	go func() {
		if err := awaitExit(pid); err != nil {
			log.Printf("owner: %v", err)
		}
		select {
		case s.ownerGone <- pid:
		case <-s.end.Done():
		}
	}()
}

// removeOwner ends the cluster when the last of its owners has gone.
func (s *supervisor) removeOwner(pid int) {
	s.cluster.OwnerPIDs = slices.DeleteFunc(s.cluster.OwnerPIDs, func(p int) bool { return p == pid })
	if s.owned && len(s.cluster.OwnerPIDs) == 0 {
		log.Printf("owner %d is gone: ending", pid)
		s.cancel(errDown)
	}
}

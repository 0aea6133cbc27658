package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"text/tabwriter"
	"time"
)

// defaultName is the cluster that a command means when it names none.
const defaultName = "iter8"

func runDown(_ context.Context, c command, args []string) error {
	set := c.flags()
	name := set.String("name", defaultName, "`NAME` of the cluster")
	all := set.Bool("all", false, "end all clusters of this user")
	dir := set.String("dir", "", "`DIR` that holds the state folders")
	if _, err := parse(set, args, 0); err != nil {
		return err
	}
	names := []string{*name}
	if *all {
		var err error
		if names, err = clusterNames(*dir); err != nil {
			return err
		}
	}
	var failures []error
	for _, name := range names {
		failures = append(failures, down(*dir, name))
	}
	return errors.Join(failures...)
}

// down ends one cluster and returns when nothing of it is left. One that does not run is fine.
func down(base, name string) error {
	dir, err := stateDir(base, name)
	if err != nil {
		return err
	}
	_ = os.RemoveAll(failedDir(dir))
	if _, err := os.Stat(dir); errors.Is(err, os.ErrNotExist) {
		_ = os.Remove(filepath.Dir(dir))
		say("no cluster %q is running", name)
		return nil
	}
	// Not under the lock: an `up` that is still waiting for this cluster holds it.
	if supervised(dir) {
		if err := ask(dir, request{Verb: "down"}); err != nil && err.Error() != errEnding.Error() && supervised(dir) {
			return err
		}
		if err := awaitEnd(dir); err != nil {
			return err
		}
	}
	unlock, err := lockDir(dir)
	if err != nil {
		return err
	}
	defer unlock()
	if supervised(dir) {
		return fmt.Errorf("the cluster %q was started anew at the same time", name)
	}
	err = os.RemoveAll(dir)
	_ = os.Remove(filepath.Dir(dir)) // Fails, as it should, while another cluster is there.
	say("the cluster %q is gone", name)
	return err
}

// clusterNames lists the state folders.
func clusterNames(dir string) ([]string, error) {
	base, err := baseDir(dir)
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(base)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	var names []string
	for _, entry := range entries {
		if entry.IsDir() && clusterName.MatchString(entry.Name()) {
			names = append(names, entry.Name())
		}
	}
	return names, err
}

func runList(_ context.Context, c command, args []string) error {
	set := c.flags()
	dir := set.String("dir", "", "`DIR` that holds the state folders")
	if _, err := parse(set, args, 0); err != nil {
		return err
	}
	names, err := clusterNames(*dir)
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 3, ' ', 0)
	fmt.Fprintln(table, "NAME\tSTATUS\tSERVER\tOWNERS\tAGE\tFOLDER")
	for _, name := range names {
		state, err := stateDir(*dir, name)
		if err != nil {
			return err
		}
		cluster, err := readCluster(state)
		switch {
		case !supervised(state):
			fmt.Fprintf(table, "%s\tDead\t\t\t\t%s\n", name, state)
		case err != nil:
			fmt.Fprintf(table, "%s\tStarting\t\t\t\t%s\n", name, state)
		default:
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n", name, cluster.status(), cluster.Server, owners(cluster.OwnerPIDs),
				time.Since(cluster.Started).Round(time.Second), state)
		}
	}
	return table.Flush()
}

// status is Running, or names the components that are stopped.
func (c *Cluster) status() string {
	var stopped []string
	for name, component := range c.Components {
		if component.PID == 0 {
			stopped = append(stopped, name)
		}
	}
	if len(stopped) == 0 {
		return "Running"
	}
	sort.Strings(stopped)
	return fmt.Sprintf("Stopped%v", stopped)
}

func owners(pids []int) string {
	if len(pids) == 0 {
		return "-"
	}
	return fmt.Sprint(pids)
}

func runComponent(_ context.Context, c command, args []string) error {
	set := c.flags()
	name := set.String("name", defaultName, "`NAME` of the cluster")
	dir := set.String("dir", "", "`DIR` that holds the state folders")
	// SIGTERM would make the API server wait for its watches to end, which they do after minutes.
	sig := "KILL"
	if c.name != "start" {
		set.StringVar(&sig, "signal", sig, "`SIGNAL` to end it with: TERM, KILL, INT, QUIT or HUP")
	}
	operands, err := parse(set, args, 1)
	if err != nil {
		return err
	}
	// Checked here too, for a wrong name is not worth a connection.
	if err := isComponent(operands[0]); err != nil {
		return err
	}
	_, state, err := runningCluster(*dir, *name)
	if err != nil {
		return err
	}
	return ask(state, request{Verb: c.name, Component: operands[0], Signal: sig})
}

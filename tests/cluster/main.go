// Command cluster runs a Kubernetes control plane on this machine for the tests, the demo and the benchmark of iter8:
// etcd, kube-apiserver, kube-controller-manager and kube-scheduler as released, and kwok in place of the kubelet.
// No root, no containers, no images: the binaries are built once from their Go modules.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

// command is one subcommand of the launcher.
type command struct {
	name    string
	args    string
	summary string
	run     func(ctx context.Context, c command, args []string) error
}

// errUsage says that the arguments were wrong and that the reason has been printed already.
var errUsage = errors.New("wrong arguments")

// commands lists the subcommands in the order of the help text.
func commands() []command {
	return []command{
		{"build", "", "build the binaries, unless they are in the cache already", runBuild},
		{"up", "[flags]", "start a cluster, or find the running one of that name, and print its exports", runUp},
		{"down", "[--name NAME | --all]", "end a cluster and remove its state folder", runDown},
		{"list", "", "list the clusters of this user", runList},
		{"kubeconfig", "--output FILE (--user USER | --service-account NAMESPACE/NAME)", "write a kubeconfig for somebody who is not the admin", runKubeconfig},
		{"stop", "[--name NAME] [--signal SIGNAL] COMPONENT", "end one component, and leave it ended", runComponent},
		{"start", "[--name NAME] COMPONENT", "start a stopped component", runComponent},
		{"restart", "[--name NAME] [--signal SIGNAL] COMPONENT", "end one component and start it again", runComponent},
		{superviseCommand, "", "", runSupervise},
	}
}

func main() {
	if err := dispatch(os.Args[1:]); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return
		}
		if errors.Is(err, errUsage) {
			os.Exit(2)
		}
		fmt.Fprintln(os.Stderr, "cluster:", err)
		os.Exit(1)
	}
}

// dispatch runs the subcommand that the first argument names.
func dispatch(args []string) error {
	if len(args) == 0 || args[0] == "help" || args[0] == "-h" || args[0] == "--help" {
		usage()
		return nil
	}
	for _, c := range commands() {
		if c.name != args[0] {
			continue
		}
		// The supervisor handles signals itself: it has children to end.
		if c.name == superviseCommand {
			return c.run(context.Background(), c, args[1:])
		}
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		return c.run(ctx, c, args[1:])
	}
	usage()
	return fmt.Errorf("there is no command %q", args[0])
}

func usage() {
	fmt.Fprint(os.Stderr, "Runs a Kubernetes control plane on this machine, for tests.\n\nUsage: go run . COMMAND [flags]\n\n")
	for _, c := range commands() {
		if c.summary != "" {
			fmt.Fprintf(os.Stderr, "  %-11s %s\n", c.name, c.summary)
		}
	}
	fmt.Fprint(os.Stderr, "\ngo run . COMMAND --help lists a command's flags. To use a cluster in a shell:\n\n  eval \"$(go run . up)\"\n  kubectl get nodes\n")
}

// flags returns a flag set whose help names the command and what it does.
func (c command) flags() *flag.FlagSet {
	set := flag.NewFlagSet(c.name, flag.ContinueOnError)
	set.Usage = func() {
		fmt.Fprintf(os.Stderr, "Usage: go run . %s %s\n\n%s.\n\n", c.name, c.args, c.summary)
		set.PrintDefaults()
	}
	return set
}

// parse reads the flags, which may stand before and after the operands, and returns the operands: exactly as many as
// the command takes.
func parse(set *flag.FlagSet, args []string, operands int) ([]string, error) {
	var found []string
	for rest := args; ; rest = rest[1:] {
		if err := set.Parse(rest); err != nil {
			if errors.Is(err, flag.ErrHelp) {
				return nil, err
			}
			return nil, errUsage
		}
		if rest = set.Args(); len(rest) == 0 {
			break
		}
		found = append(found, rest[0])
	}
	if len(found) != operands {
		fmt.Fprintf(os.Stderr, "%s takes %d arguments besides its flags, got %q\n\n", set.Name(), operands, found)
		set.Usage()
		return nil, errUsage
	}
	return found, nil
}

// say prints progress. It goes to stderr: stdout is for what a script reads.
func say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", args...)
}

// Incidentgate-client starts the response action of an incident task through the gateway, says what came of it, and
// reads, lists, updates and watches tasks.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/spf13/cobra"
)

//go:generate buf generate

// exitUsage is EX_USAGE of sysexits.h: the command line or a file is wrong, and nothing was sent.
const exitUsage = 64

// exitUnknown is also for what is not foreseen: it may happen after the call was sent.
const exitUnknown = 4

func main() {
	// Whoever reads may have left: the exit code still tells.
	signal.Ignore(syscall.SIGPIPE)
	defer func() {
		if unforeseen := recover(); unforeseen != nil {
			fmt.Fprintf(os.Stderr, "incidentgate-client: %v\n%s", unforeseen, debug.Stack())
			os.Exit(exitUnknown)
		}
	}()
	exit := 0
	root := &cobra.Command{
		Use:               "incidentgate-client",
		Short:             "Starts response actions through the gateway, and follows them; `execute --help` lists the flags.",
		SilenceErrors:     true,
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
		RunE: func(*cobra.Command, []string) error {
			return errors.New("expected a command: execute, get, list, update, watch or health")
		},
	}
	root.AddCommand(
		executeCommand(&exit),
		getCommand(&exit),
		listCommand(&exit),
		updateCommand(&exit),
		watchCommand(&exit),
		healthCommand(&exit),
	)
	if err := root.Execute(); err != nil {
		fmt.Fprintln(os.Stderr, "incidentgate-client:", err)
		exit = exitUsage
	}
	os.Exit(exit)
}

func printJSON(answer answer) {
	output := json.NewEncoder(os.Stdout)
	output.SetEscapeHTML(false)
	output.Encode(answer) // Where nobody reads it, the exit code still tells.
}

// Incidentgate-client starts the response action of an incident task through the gateway, and says what came of it.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"
	health "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	incidentgate "example.com/incidentgate-client/gen/incidentgate/v1"
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
		Short:             "Starts response actions through the gateway; `execute --help` lists the flags.",
		SilenceErrors:     true,
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
		RunE: func(*cobra.Command, []string) error {
			return errors.New("expected a command: execute or health")
		},
	}
	root.AddCommand(executeCommand(&exit), healthCommand(&exit))
	if err := root.Execute(); err != nil {
		fmt.Fprintln(os.Stderr, "incidentgate-client:", err)
		exit = exitUsage
	}
	os.Exit(exit)
}

func executeCommand(exit *int) *cobra.Command {
	var gateway gateway
	calls := count(3)
	var clientRequestID, tokenFile string
	command := &cobra.Command{
		Use:   "execute ID",
		Short: "Start the action of the task with this id.",
		Args:  oneID,
		RunE: func(_ *cobra.Command, arguments []string) error {
			if !utf8.ValidString(clientRequestID) {
				return errors.New("--client-request-id: expected UTF-8")
			}
			request := &incidentgate.ExecuteResponseActionRequest{
				IncidentTaskId:  arguments[0],
				ClientRequestId: clientRequestID,
			}
			header, err := authorization(tokenFile)
			if err != nil {
				return err
			}
			var answer answer
			err = gateway.call("execute", func(ctx context.Context, connection *grpc.ClientConn) {
				client := incidentgate.NewIncidentTaskServiceClient(connection)
				answer = execute(metadata.NewOutgoingContext(ctx, header), client, request, int(calls))
				printJSON(answer)
			})
			if err != nil {
				return err
			}
			// After all that tracing may have to say.
			advice, code := answer.next()
			fmt.Fprintf(os.Stderr, "%s: %s\n", answer.Outcome, advice)
			*exit = code
			return nil
		},
	}
	gateway.addFlags(command)
	command.Flags().Var(&calls, "calls", "at most so many calls, where the gateway says that one may be sent again")
	command.Flags().StringVar(&clientRequestID, "client-request-id", "", "`GUID` that marks the call in Microsoft's logs")
	command.Flags().StringVar(&tokenFile, "token-file", "", "`file` with the token that is sent")
	return command
}

func oneID(_ *cobra.Command, arguments []string) error {
	if len(arguments) != 1 {
		return fmt.Errorf("expected one argument, the id of the task, not %d", len(arguments))
	}
	if !utf8.ValidString(arguments[0]) {
		return errors.New("the id of the task: expected UTF-8")
	}
	return nil
}

func healthCommand(exit *int) *cobra.Command {
	var gateway gateway
	command := &cobra.Command{
		Use:   "health",
		Short: "Ask whether the gateway serves.",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return gateway.call("health", func(ctx context.Context, connection *grpc.ClientConn) {
				service := incidentgate.IncidentTaskService_ServiceDesc.ServiceName
				answer, err := health.NewHealthClient(connection).Check(ctx, &health.HealthCheckRequest{Service: service})
				if err != nil {
					fmt.Println(codeName(status.Code(err)))
					fmt.Fprintln(os.Stderr, status.Convert(err).Message())
				} else {
					fmt.Println(answer.Status)
				}
				if answer.GetStatus() != health.HealthCheckResponse_SERVING {
					*exit = 1
				}
			})
		},
	}
	gateway.addFlags(command)
	return command
}

func printJSON(answer answer) {
	output := json.NewEncoder(os.Stdout)
	output.SetEscapeHTML(false)
	output.Encode(answer) // Where nobody reads it, the exit code still tells.
}

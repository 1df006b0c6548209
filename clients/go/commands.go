package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"
	health "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	incidentgate "example.com/incidentgate-client/gen/incidentgate/v1"
)

func executeCommand(exit *int) *cobra.Command {
	var caller caller
	command := &cobra.Command{
		Use:   "execute ID",
		Short: "Start the action of the task with this id.",
		Args:  oneID,
		RunE: func(_ *cobra.Command, arguments []string) error {
			request := &incidentgate.ExecuteResponseActionRequest{
				IncidentTaskId:  arguments[0],
				ClientRequestId: caller.clientRequestID,
			}
			return caller.call("execute", exit, func(ctx context.Context, client service) (string, int) {
				answer := send(ctx, client.ExecuteResponseAction, request, int(caller.calls), started)
				printJSON(answer)
				return answer.next()
			})
		},
	}
	caller.addFlags(command, usualTimeout)
	return command
}

func getCommand(exit *int) *cobra.Command {
	var caller caller
	command := &cobra.Command{
		Use:   "get ID",
		Short: "Read the task with this id.",
		Args:  oneID,
		RunE: func(_ *cobra.Command, arguments []string) error {
			request := &incidentgate.GetIncidentTaskRequest{
				IncidentTaskId:  arguments[0],
				ClientRequestId: caller.clientRequestID,
			}
			return caller.call("get", exit, func(ctx context.Context, client service) (string, int) {
				answer := send(ctx, client.GetIncidentTask, request, int(caller.calls), shown)
				printJSON(answer)
				return answer.end()
			})
		},
	}
	caller.addFlags(command, usualTimeout)
	return command
}

func listCommand(exit *int) *cobra.Command {
	var caller caller
	var incidentID string
	var wanted taskStatus
	var pageSize count
	command := &cobra.Command{
		Use:   "list",
		Short: "List the tasks, page by page.",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if !utf8.ValidString(incidentID) {
				return errors.New("--incident-id: expected UTF-8")
			}
			request := &incidentgate.ListIncidentTasksRequest{
				PageSize:        int32(pageSize),
				IncidentId:      incidentID,
				Status:          incidentgate.IncidentTaskStatus(wanted),
				ClientRequestId: caller.clientRequestID,
			}
			return caller.call("list", exit, func(ctx context.Context, client service) (string, int) {
				for {
					answer := send(ctx, client.ListIncidentTasks, request, int(caller.calls), listed)
					printJSON(answer)
					if answer.nextPage == "" {
						return answer.end()
					}
					request.PageToken = answer.nextPage
				}
			})
		},
	}
	caller.addFlags(command, usualTimeout)
	command.Flags().StringVar(&incidentID, "incident-id", "", "only tasks of the incident with this `ID`")
	command.Flags().Var(&wanted, "status", "only tasks with this status")
	command.Flags().Var(&pageSize, "page-size", "at most so many tasks on a page; the gateway's choice without it")
	return command
}

func updateCommand(exit *int) *cobra.Command {
	var caller caller
	var wanted taskStatus
	command := &cobra.Command{
		Use:   "update ID",
		Short: "Set the status of the task with this id.",
		Args:  oneID,
		RunE: func(_ *cobra.Command, arguments []string) error {
			request := &incidentgate.UpdateIncidentTaskRequest{
				IncidentTask: &incidentgate.IncidentTask{
					Id:     arguments[0],
					Status: incidentgate.IncidentTaskStatus(wanted),
				},
				UpdateMask:      &fieldmaskpb.FieldMask{Paths: []string{"status"}},
				ClientRequestId: caller.clientRequestID,
			}
			return caller.call("update", exit, func(ctx context.Context, client service) (string, int) {
				answer := send(ctx, client.UpdateIncidentTask, request, int(caller.calls), shown)
				printJSON(answer)
				return answer.end()
			})
		},
	}
	caller.addFlags(command, usualTimeout)
	command.Flags().Var(&wanted, "status", "the new status: OPEN, IN_PROGRESS, COMPLETED, FAILED or NOT_RELEVANT")
	command.MarkFlagRequired("status")
	return command
}

func watchCommand(exit *int) *cobra.Command {
	var caller caller
	command := &cobra.Command{
		Use:   "watch ID",
		Short: "Follow the task with this id until its action is at its end, without a deadline unless there is --timeout.",
		Args:  oneID,
		RunE: func(_ *cobra.Command, arguments []string) error {
			request := &incidentgate.WatchIncidentTaskRequest{
				IncidentTaskId:  arguments[0],
				ClientRequestId: caller.clientRequestID,
			}
			return caller.call("watch", exit, func(ctx context.Context, client service) (string, int) {
				return watch(ctx, client, request, int(caller.calls), printJSON).end()
			})
		},
	}
	caller.addFlags(command, 0)
	return command
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
	gateway.addFlags(command, usualTimeout)
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

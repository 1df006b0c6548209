package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	incidentgate "example.com/incidentgate-client/gen/incidentgate/v1"
)

type service = incidentgate.IncidentTaskServiceClient

// caller is as whom and how the tasks' service is called.
type caller struct {
	gateway                    gateway
	calls                      count
	clientRequestID, tokenFile string
}

func (c *caller) addFlags(command *cobra.Command, timeout time.Duration) {
	c.gateway.addFlags(command, timeout)
	c.calls = 3
	flags := command.Flags()
	flags.Var(&c.calls, "calls", "at most so many calls, where the gateway says that one may be sent again")
	flags.StringVar(&c.clientRequestID, "client-request-id", "", "`GUID` that marks the call in Microsoft's logs")
	flags.StringVar(&c.tokenFile, "token-file", "", "`file` with the token that is sent")
}

// call does the work, which returns what people are told, and the exit code. An error says that nothing was sent.
func (c *caller) call(
	name string,
	exit *int,
	work func(context.Context, service) (advice string, exit int),
) error {
	if !utf8.ValidString(c.clientRequestID) {
		return errors.New("--client-request-id: expected UTF-8")
	}
	header, err := authorization(c.tokenFile)
	if err != nil {
		return err
	}
	var advice string
	err = c.gateway.call(name, func(ctx context.Context, connection *grpc.ClientConn) {
		client := incidentgate.NewIncidentTaskServiceClient(connection)
		advice, *exit = work(metadata.NewOutgoingContext(ctx, header), client)
	})
	// After all that tracing may have to say.
	if advice != "" {
		fmt.Fprintln(os.Stderr, advice)
	}
	return err
}

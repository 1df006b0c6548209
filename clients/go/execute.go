package main

import (
	"context"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	incidentgate "example.com/incidentgate-client/gen/incidentgate/v1"
)

// enough is the time that a call must have left to be sent again: a certain "no" must not become an "unknown".
const enough = time.Second

// execute sends the call, and sends it again only where the gateway says that nothing was started and when to try
// again, and where that is well before the deadline.
func execute(
	ctx context.Context,
	client incidentgate.IncidentTaskServiceClient,
	request *incidentgate.ExecuteResponseActionRequest,
	calls int,
) answer {
	deadline, _ := ctx.Deadline()
	for call := 1; ; call++ {
		var trailer metadata.MD
		response, err := client.ExecuteResponseAction(ctx, request, grpc.Trailer(&trailer))
		answer := read(response, err, trailer)
		answer.Calls = call
		if !answer.maySendAgain() || call == calls || *answer.RetryAfterMs > (time.Until(deadline)-enough).Milliseconds() {
			return answer
		}
		time.Sleep(time.Duration(*answer.RetryAfterMs) * time.Millisecond)
	}
}

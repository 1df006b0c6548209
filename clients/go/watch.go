package main

import (
	"context"
	"io"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	incidentgate "example.com/incidentgate-client/gen/incidentgate/v1"
)

// watch tells each change of the task until its action is at its end, and returns that, or the error. It watches again
// where the gateway says that it may, as often as it takes: only streams that bring nothing are counted, as calls are.
func watch(
	ctx context.Context,
	client incidentgate.IncidentTaskServiceClient,
	request *incidentgate.WatchIncidentTaskRequest,
	calls int,
	tell func(answer),
) answer {
	var told answer
	// How many streams in a row have brought nothing.
	barren := 0
	for stream := 1; ; stream++ {
		barren++
		// A gateway that is being replaced may be away for longer than it has said.
		patience := grpc.WaitForReady(stream > 1)
		end := follow(ctx, client, request, patience, func(seen answer) {
			// A stream begins with the state as it is, and may end so, too.
			if !seen.repeats(told) {
				tell(seen)
				told = seen
			}
			barren = 0
		})
		if end.Final != nil {
			return end
		}
		end.Calls = stream
		if barren == calls || !end.wait(ctx) {
			tell(end)
			return end
		}
	}
}

// follow tells each message of one stream, and returns the final one, or the error before it.
func follow(
	ctx context.Context,
	client incidentgate.IncidentTaskServiceClient,
	request *incidentgate.WatchIncidentTaskRequest,
	option grpc.CallOption,
	tell func(answer),
) answer {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := client.WatchIncidentTask(ctx, request, option)
	if err != nil {
		return refused(err, nil)
	}
	for {
		message, err := stream.Recv()
		if err == io.EOF {
			err = status.Error(codes.Unknown, "the stream ended before the task was at its end")
		}
		if err != nil {
			return refused(err, stream.Trailer())
		}
		seen := watched(message)
		tell(seen)
		if message.IsFinal {
			// The stream's own end, and its span's, follow at once. Nobody waits long for a server that forgets it.
			time.AfterFunc(time.Second, cancel)
			stream.Recv()
			return seen
		}
	}
}

// repeats tells whether it shows the same state as the one before, if there is one.
func (a answer) repeats(before answer) bool {
	return before.Task != nil &&
		a.Task.ActionStatus == before.Task.ActionStatus &&
		a.Task.UnknownActionStatus == before.Task.UnknownActionStatus &&
		a.Task.Status == before.Task.Status &&
		a.Task.UnknownStatus == before.Task.UnknownStatus &&
		*a.Final == *before.Final
}

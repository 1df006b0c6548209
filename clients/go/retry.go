package main

import (
	"context"
	"math"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
)

// enough is the time that a call must have left to be sent again: a certain "no" must not become an "unknown".
const enough = time.Second

// send sends the call, and sends it again only where the gateway says that nothing was started and when to try again,
// and where that is well before the deadline.
func send[Request, Response any](
	ctx context.Context,
	method func(context.Context, Request, ...grpc.CallOption) (Response, error),
	request Request,
	calls int,
	read func(Response) answer,
) answer {
	for call := 1; ; call++ {
		var answer answer
		var trailer metadata.MD
		response, err := method(ctx, request, grpc.Trailer(&trailer))
		if err != nil {
			answer = refused(err, trailer)
		} else {
			answer = read(response)
		}
		answer.Calls = call
		if call == calls || !answer.wait(ctx) {
			return answer
		}
	}
}

// wait waits as long as the gateway says, and tells whether the same call may be sent again then.
func (a answer) wait(ctx context.Context) bool {
	if !a.maySendAgain() {
		return false
	}
	// The longest delay of a RetryInfo is more than a time.Duration can hold.
	delay := time.Duration(min(*a.RetryAfterMs, math.MaxInt64/int64(time.Millisecond))) * time.Millisecond
	if deadline, limited := ctx.Deadline(); limited && delay > time.Until(deadline)-enough {
		return false
	}
	time.Sleep(delay)
	return true
}

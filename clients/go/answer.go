package main

import (
	"cmp"
	"fmt"
	"strconv"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	incidentgate "example.com/incidentgate-client/gen/incidentgate/v1"
)

// The outcomes: whether the action was started.
const (
	outcomeStarted        = "STARTED"
	outcomeNotStarted     = "NOT_STARTED"
	outcomeAlreadyStarted = "ALREADY_STARTED"
	outcomeUnknown        = "UNKNOWN"
)

// answer is all that the gateway said. What it did not say is left out.
type answer struct {
	Outcome          string            `json:"outcome,omitempty"`
	Code             string            `json:"code"`
	Confirmation     string            `json:"confirmation,omitempty"`
	ActionStatus     string            `json:"actionStatus,omitempty"`
	Message          string            `json:"message,omitempty"`
	Reason           string            `json:"reason,omitempty"`
	Domain           string            `json:"domain,omitempty"`
	Metadata         map[string]string `json:"metadata,omitempty"`
	RequestID        string            `json:"requestId,omitempty"`
	ClientRequestID  string            `json:"clientRequestId,omitempty"`
	Attempts         int32             `json:"attempts,omitempty"`
	ProviderWarnings []warning         `json:"providerWarnings,omitempty"`
	Task             *task             `json:"task,omitempty"`
	Tasks            []task            `json:"tasks,omitzero"`
	Final            *bool             `json:"final,omitempty"`
	RetryAfterMs     *int64            `json:"retryAfterMs,omitempty"`
	PushbackMs       *int64            `json:"pushbackMs,omitempty"`
	Claims           string            `json:"claims,omitempty"`
	FieldViolations  []string          `json:"fieldViolations,omitempty"`
	Details          []string          `json:"details,omitempty"`
	Calls            int               `json:"calls,omitempty"`
	nextPage         string
}

type warning struct {
	Vendor     string `json:"vendor,omitempty"`
	Provider   string `json:"provider,omitempty"`
	StatusCode int32  `json:"statusCode,omitempty"`
	LatencyMs  *int64 `json:"latencyMs,omitempty"`
}

// started reads an OK of execute.
func started(response *incidentgate.ExecuteResponseActionResponse) answer {
	a := answer{
		Outcome:         outcomeStarted,
		Code:            codeName(codes.OK),
		Confirmation:    shortName(response.GetConfirmation(), "EXECUTION_CONFIRMATION_"),
		ActionStatus:    shortName(response.GetActionStatus(), "ACTION_STATUS_"),
		RequestID:       response.GetGraphRequestId(),
		ClientRequestID: response.GetClientRequestId(),
		Attempts:        response.GetAttempts(),
	}
	for _, reported := range response.GetProviderWarnings() {
		a.ProviderWarnings = append(a.ProviderWarnings, warning{
			Vendor:     reported.Vendor,
			Provider:   reported.Provider,
			StatusCode: reported.StatusCode,
			LatencyMs:  millis(reported.Latency),
		})
	}
	return a
}

// shown reads an OK of get and of update.
func shown[Response interface {
	GetIncidentTask() *incidentgate.IncidentTask
	GetGraphRequestId() string
	GetClientRequestId() string
}](response Response) answer {
	return answer{
		Code:            codeName(codes.OK),
		RequestID:       response.GetGraphRequestId(),
		ClientRequestID: response.GetClientRequestId(),
		Task:            new(readTask(response.GetIncidentTask())),
	}
}

// listed reads a page.
func listed(response *incidentgate.ListIncidentTasksResponse) answer {
	a := answer{
		Code:            codeName(codes.OK),
		RequestID:       response.GetGraphRequestId(),
		ClientRequestID: response.GetClientRequestId(),
		Tasks:           []task{},
		nextPage:        response.GetNextPageToken(),
	}
	for _, listed := range response.GetIncidentTasks() {
		a.Tasks = append(a.Tasks, readTask(listed))
	}
	return a
}

// watched reads a message of a watch.
func watched(message *incidentgate.WatchIncidentTaskResponse) answer {
	return answer{
		Code:      codeName(codes.OK),
		RequestID: message.GetGraphRequestId(),
		Task:      new(readTask(message.GetIncidentTask())),
		Final:     new(message.GetIsFinal()),
	}
}

// refused reads an error. One without ErrorInfo is not the gateway's, so it says nothing about the action. gRPC gives
// details only where they were sent once, can be read, and are for this code.
func refused(err error, trailer metadata.MD) answer {
	st := status.Convert(err)
	a := answer{Outcome: outcomeUnknown, Code: codeName(st.Code()), Message: st.Message()}
	if info := new(errdetails.ErrorInfo); only(st, info) {
		a.Reason, a.Domain, a.Metadata = info.Reason, info.Domain, info.Metadata
		switch outcome := info.Metadata["actionOutcome"]; outcome {
		case outcomeNotStarted, outcomeAlreadyStarted:
			a.Outcome = outcome
		}
	}
	if request := new(errdetails.RequestInfo); only(st, request) {
		a.RequestID = request.RequestId
	}
	if retry := new(errdetails.RetryInfo); only(st, retry) {
		a.RetryAfterMs = millis(retry.RetryDelay)
	}
	if bad := new(errdetails.BadRequest); only(st, bad) {
		for _, violation := range bad.FieldViolations {
			a.FieldViolations = append(a.FieldViolations, violation.Field)
		}
	}
	a.Details = detailNames(st)
	if pushback, err := strconv.ParseInt(last(trailer.Get("grpc-retry-pushback-ms")), 10, 64); err == nil {
		a.PushbackMs = &pushback
	}
	a.Claims = last(trailer.Get("claims"))
	return a
}

// maySendAgain tells whether the gateway says that the same call may be sent again, after RetryAfterMs.
func (a answer) maySendAgain() bool {
	return a.Outcome == outcomeNotStarted && a.RetryAfterMs != nil
}

// next is what people are told after execute, and the exit code.
func (a answer) next() (advice string, exit int) {
	switch a.Outcome {
	case outcomeStarted:
		advice = "follow the task's actionStatus"
	case outcomeAlreadyStarted:
		advice, exit = "there is nothing to send again; look at the task's actionStatus", 3
	case outcomeNotStarted:
		advice, exit = a.whetherAgain(), 1
	default:
		advice, exit = "do not send the call again before you have looked at the task's actionStatus", exitUnknown
	}
	return fmt.Sprintf("%s: %s", a.Outcome, advice), exit
}

// end is the same after a command that starts no action. An OK speaks for itself, but for the end of a watch.
func (a answer) end() (advice string, exit int) {
	switch {
	case a.Final != nil:
		if a.Task.ActionStatus != "COMPLETED" {
			exit = 5
		}
		return "the action is at its end: " + cmp.Or(a.Task.ActionStatus, "UNSPECIFIED"), exit
	case a.Outcome == "":
		return "", 0
	case a.Outcome == outcomeNotStarted:
		return fmt.Sprintf("%s: %s", a.Code, a.whetherAgain()), 1
	default:
		return fmt.Sprintf("%s: nobody who knows has answered", a.Code), exitUnknown
	}
}

func (a answer) whetherAgain() string {
	if a.maySendAgain() {
		return fmt.Sprintf("send the same call again in %d s", (*a.RetryAfterMs+999)/1000)
	}
	return "mend the cause; the same call fails again"
}

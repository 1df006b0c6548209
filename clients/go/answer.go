package main

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/code"
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
	Outcome          string            `json:"outcome"`
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
	RetryAfterMs     *int64            `json:"retryAfterMs,omitempty"`
	PushbackMs       *int64            `json:"pushbackMs,omitempty"`
	Claims           string            `json:"claims,omitempty"`
	FieldViolations  []string          `json:"fieldViolations,omitempty"`
	Details          []string          `json:"details,omitempty"`
	Calls            int               `json:"calls"`
}

type warning struct {
	Vendor     string `json:"vendor,omitempty"`
	Provider   string `json:"provider,omitempty"`
	StatusCode int32  `json:"statusCode,omitempty"`
	LatencyMs  *int64 `json:"latencyMs,omitempty"`
}

func read(response *incidentgate.ExecuteResponseActionResponse, err error, trailer metadata.MD) answer {
	if err != nil {
		return refused(err, trailer)
	}
	return started(response)
}

// started reads an OK.
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
		w := warning{Vendor: reported.Vendor, Provider: reported.Provider, StatusCode: reported.StatusCode}
		if reported.Latency != nil {
			w.LatencyMs = new(reported.Latency.AsDuration().Milliseconds())
		}
		a.ProviderWarnings = append(a.ProviderWarnings, w)
	}
	return a
}

// refused reads an error. One without ErrorInfo is not the gateway's, so it says nothing about the action.
func refused(err error, trailer metadata.MD) answer {
	st := status.Convert(err)
	a := answer{Outcome: outcomeUnknown, Code: codeName(st.Code()), Message: st.Message()}
	for _, detail := range st.Details() {
		switch detail := detail.(type) {
		case *errdetails.ErrorInfo:
			a.Reason, a.Domain, a.Metadata = detail.Reason, detail.Domain, detail.Metadata
			switch outcome := detail.Metadata["actionOutcome"]; outcome {
			case outcomeNotStarted, outcomeAlreadyStarted:
				a.Outcome = outcome
			}
		case *errdetails.RequestInfo:
			a.RequestID = detail.RequestId
		case *errdetails.RetryInfo:
			// Rounded up: a call that comes too early is refused again.
			a.RetryAfterMs = new((detail.GetRetryDelay().AsDuration() + time.Millisecond - 1).Milliseconds())
		case *errdetails.BadRequest:
			for _, violation := range detail.FieldViolations {
				a.FieldViolations = append(a.FieldViolations, violation.Field)
			}
		}
	}
	for _, packed := range st.Proto().GetDetails() {
		a.Details = append(a.Details, string(packed.MessageName().Name()))
	}
	slices.Sort(a.Details)
	if pushback, err := strconv.ParseInt(last(trailer.Get("grpc-retry-pushback-ms")), 10, 64); err == nil {
		a.PushbackMs = &pushback
	}
	a.Claims = last(trailer.Get("claims"))
	return a
}

// retryDelay says whether the same call may be sent again, and when.
func (a answer) retryDelay() (delay time.Duration, again bool) {
	if a.Outcome != outcomeNotStarted || a.RetryAfterMs == nil {
		return 0, false
	}
	return time.Duration(*a.RetryAfterMs) * time.Millisecond, true
}

// next is what to do now, and the exit code.
func (a answer) next() (advice string, exit int) {
	switch a.Outcome {
	case outcomeStarted:
		return "follow the task's actionStatus", 0
	case outcomeAlreadyStarted:
		return "there is nothing to send again; look at the task", 3
	case outcomeNotStarted:
		if delay, again := a.retryDelay(); again {
			return fmt.Sprintf("send the call again in %.0f s", math.Ceil(delay.Seconds())), 1
		}
		return "mend the cause; the same call fails again", 1
	default:
		return "do not send the call again before you have looked at the task's actionStatus", 4
	}
}

func codeName(of codes.Code) string { return code.Code(of).String() }

// shortName is an enum's value without the prefix, empty where it is unspecified.
func shortName(value fmt.Stringer, prefix string) string {
	if name := strings.TrimPrefix(value.String(), prefix); name != "UNSPECIFIED" {
		return name
	}
	return ""
}

func last(values []string) string {
	if len(values) == 0 {
		return ""
	}
	return values[len(values)-1]
}

package main

import (
	"errors"
	"strconv"
	"time"

	incidentgate "example.com/incidentgate-client/gen/incidentgate/v1"
)

// seconds is a flag's duration as a number.
type seconds time.Duration

func (s *seconds) Set(text string) error {
	number, err := strconv.ParseFloat(text, 64)
	if err != nil || !(number > 0 && number <= 3600) {
		return errors.New("expected seconds, above 0 and at most 3600, such as 2.5")
	}
	*s = seconds(number * float64(time.Second))
	return nil
}

func (s *seconds) String() string {
	return strconv.FormatFloat(time.Duration(*s).Seconds(), 'g', -1, 64)
}

func (s *seconds) Type() string { return "seconds" }

// count is a flag's whole number from 1: pflag's own would take 0x3, +3 and 1_000, too.
type count int

func (c *count) Set(text string) error {
	number, err := strconv.ParseUint(text, 10, 31)
	if err != nil || number == 0 {
		return errors.New("expected a whole number of at least 1, such as 3")
	}
	*c = count(number)
	return nil
}

func (c *count) String() string { return strconv.Itoa(int(*c)) }

func (c *count) Type() string { return "N" }

// taskStatus is a flag's status that a task can be given.
type taskStatus incidentgate.IncidentTaskStatus

const statusPrefix = "INCIDENT_TASK_STATUS_"

func (s *taskStatus) Set(text string) error {
	number := incidentgate.IncidentTaskStatus_value[statusPrefix+text]
	switch known := incidentgate.IncidentTaskStatus(number); known {
	case incidentgate.IncidentTaskStatus_INCIDENT_TASK_STATUS_UNSPECIFIED,
		incidentgate.IncidentTaskStatus_INCIDENT_TASK_STATUS_UNKNOWN_FUTURE_VALUE:
		return errors.New("expected OPEN, IN_PROGRESS, COMPLETED, FAILED or NOT_RELEVANT")
	default:
		*s = taskStatus(known)
		return nil
	}
}

func (s *taskStatus) String() string {
	return shortName(incidentgate.IncidentTaskStatus(*s), statusPrefix)
}

func (s *taskStatus) Type() string { return "STATUS" }

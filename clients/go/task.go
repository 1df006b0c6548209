package main

import (
	"encoding/json"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/timestamppb"

	incidentgate "example.com/incidentgate-client/gen/incidentgate/v1"
)

// task is an incident task. What has no value is left out.
type task struct {
	ID                  string          `json:"id,omitempty"`
	IncidentID          string          `json:"incidentId,omitempty"`
	Status              string          `json:"status,omitempty"`
	UnknownStatus       string          `json:"unknownStatus,omitempty"`
	ActionStatus        string          `json:"actionStatus,omitempty"`
	UnknownActionStatus string          `json:"unknownActionStatus,omitempty"`
	ActionType          string          `json:"actionType,omitempty"`
	UnknownActionType   string          `json:"unknownActionType,omitempty"`
	Source              string          `json:"source,omitempty"`
	UnknownSource       string          `json:"unknownSource,omitempty"`
	DisplayName         string          `json:"displayName,omitempty"`
	Description         string          `json:"description,omitempty"`
	CreateTime          json.RawMessage `json:"createTime,omitempty"`
	CreatedBy           string          `json:"createdBy,omitempty"`
	UpdateTime          json.RawMessage `json:"updateTime,omitempty"`
	UpdatedBy           string          `json:"updatedBy,omitempty"`
	ResponseAction      *responseAction `json:"responseAction,omitempty"`
}

type responseAction struct {
	ODataType            string `json:"odataType,omitempty"`
	IdentifierValue      string `json:"identifierValue,omitempty"`
	IsolationType        string `json:"isolationType,omitempty"`
	UnknownIsolationType string `json:"unknownIsolationType,omitempty"`
}

func readTask(shown *incidentgate.IncidentTask) task {
	t := task{
		ID:                  shown.GetId(),
		IncidentID:          shown.GetIncidentId(),
		Status:              shortName(shown.GetStatus(), statusPrefix),
		UnknownStatus:       shown.GetUnknownStatus(),
		ActionStatus:        shortName(shown.GetActionStatus(), "ACTION_STATUS_"),
		UnknownActionStatus: shown.GetUnknownActionStatus(),
		ActionType:          shortName(shown.GetActionType(), "ACTION_TYPE_"),
		UnknownActionType:   shown.GetUnknownActionType(),
		Source:              shortName(shown.GetSource(), "INCIDENT_TASK_SOURCE_"),
		UnknownSource:       shown.GetUnknownSource(),
		DisplayName:         shown.GetDisplayName(),
		Description:         shown.GetDescription(),
		CreateTime:          instant(shown.GetCreateTime()),
		CreatedBy:           shown.GetCreatedBy(),
		UpdateTime:          instant(shown.GetUpdateTime()),
		UpdatedBy:           shown.GetUpdatedBy(),
	}
	if action := shown.GetResponseAction(); action != nil {
		t.ResponseAction = &responseAction{
			ODataType:            action.OdataType,
			IdentifierValue:      action.IdentifierValue,
			IsolationType:        shortName(action.IsolationType, "ISOLATION_TYPE_"),
			UnknownIsolationType: action.UnknownIsolationType,
		}
	}
	return t
}

// instant is proto3's JSON of it. A time that protobuf does not allow is left out.
func instant(at *timestamppb.Timestamp) json.RawMessage {
	if !at.IsValid() {
		return nil
	}
	text, _ := protojson.Marshal(at)
	return text
}

package dev.incidentgate.client;

import static dev.incidentgate.client.Fields.shortName;
import static dev.incidentgate.client.Fields.text;
import static dev.incidentgate.client.Fields.time;

import dev.incidentgate.v1.IncidentTask;
import dev.incidentgate.v1.ResponseAction;

/** An incident task as the JSON has it. What Graph did not show is null, and not in it. */
record Task(
    String id,
    String incidentId,
    String status,
    String unknownStatus,
    String actionStatus,
    String unknownActionStatus,
    String actionType,
    String unknownActionType,
    String source,
    String unknownSource,
    String displayName,
    String description,
    String createTime,
    String createdBy,
    String updateTime,
    String updatedBy,
    Action responseAction) {

  /** What the action is to be done to. */
  record Action(String odataType, String identifierValue, String isolationType, String unknownIsolationType) {
    static Action of(ResponseAction action) {
      return new Action(
          text(action.getOdataType()),
          text(action.getIdentifierValue()),
          shortName(action.getIsolationType(), "ISOLATION_TYPE_"),
          text(action.getUnknownIsolationType()));
    }
  }

  static Task of(IncidentTask task) {
    return new Task(
        text(task.getId()),
        text(task.getIncidentId()),
        shortName(task.getStatus(), TaskStatus.PREFIX),
        text(task.getUnknownStatus()),
        shortName(task.getActionStatus(), "ACTION_STATUS_"),
        text(task.getUnknownActionStatus()),
        shortName(task.getActionType(), "ACTION_TYPE_"),
        text(task.getUnknownActionType()),
        shortName(task.getSource(), "INCIDENT_TASK_SOURCE_"),
        text(task.getUnknownSource()),
        text(task.getDisplayName()),
        text(task.getDescription()),
        task.hasCreateTime() ? time(task.getCreateTime()) : null,
        text(task.getCreatedBy()),
        task.hasUpdateTime() ? time(task.getUpdateTime()) : null,
        text(task.getUpdatedBy()),
        task.hasResponseAction() ? Action.of(task.getResponseAction()) : null);
  }
}

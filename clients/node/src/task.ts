/** A task, as it is printed. */
import { present, word } from "./fields.js";
import {
  ActionStatus,
  ActionType,
  IncidentTask,
  IncidentTaskSource,
  IncidentTaskStatus,
  IsolationType,
  type ResponseAction,
} from "./generated/incidentgate/v1/incident_task_service.js";
import { rfc3339 } from "./time.js";

export function printable(task = IncidentTask.create()): Record<string, unknown> {
  return present({
    id: task.id,
    incidentId: task.incidentId,
    status: word(IncidentTaskStatus, task.status),
    unknownStatus: task.unknownStatus,
    actionStatus: word(ActionStatus, task.actionStatus),
    unknownActionStatus: task.unknownActionStatus,
    actionType: word(ActionType, task.actionType),
    unknownActionType: task.unknownActionType,
    source: word(IncidentTaskSource, task.source),
    unknownSource: task.unknownSource,
    displayName: task.displayName,
    description: task.description,
    createTime: task.createTime && rfc3339(task.createTime),
    createdBy: task.createdBy,
    updateTime: task.updateTime && rfc3339(task.updateTime),
    updatedBy: task.updatedBy,
    responseAction: task.responseAction && printableAction(task.responseAction),
  });
}

function printableAction(action: ResponseAction): Record<string, unknown> {
  return present({
    odataType: action.odataType,
    identifierValue: action.identifierValue,
    isolationType: word(IsolationType, action.isolationType),
    unknownIsolationType: action.unknownIsolationType,
  });
}

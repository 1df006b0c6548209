"""One incident task, or a page of them: the calls that show or change it, and what their answers say."""

from incidentgate.v1 import incident_task_service_pb2 as pb
from incidentgate_client.call import send
from incidentgate_client.fields import enum_name, moment, present


def get(stub, request, metadata, deadline, calls):
    said, _ = send(stub.GetIncidentTask, request, metadata, deadline, calls, shown)
    return said


def update(stub, request, metadata, deadline, calls):
    said, _ = send(stub.UpdateIncidentTask, request, metadata, deadline, calls, shown)
    return said


def pages(stub, request, metadata, deadline, calls):
    """What each page says, up to the last one or an error. `calls` counts anew for each."""
    while True:
        said, answer = send(stub.ListIncidentTasks, request, metadata, deadline, calls, page)
        yield said
        # An empty page may have others behind it.
        if answer is None or not answer.next_page_token:
            return
        request.page_token = answer.next_page_token


def shown(answer):
    return {**ids(answer), "task": described(answer.incident_task)}


def page(answer):
    return {**ids(answer), "tasks": [described(task) for task in answer.incident_tasks]}


def ids(answer):
    return present(code="OK", requestId=answer.graph_request_id, clientRequestId=answer.client_request_id)


def described(task):
    action = task.response_action
    return present(
        id=task.id,
        incidentId=task.incident_id,
        status=enum_name(pb.IncidentTaskStatus, task.status, "INCIDENT_TASK_STATUS_"),
        unknownStatus=task.unknown_status,
        actionStatus=enum_name(pb.ActionStatus, task.action_status, "ACTION_STATUS_"),
        unknownActionStatus=task.unknown_action_status,
        actionType=enum_name(pb.ActionType, task.action_type, "ACTION_TYPE_"),
        unknownActionType=task.unknown_action_type,
        source=enum_name(pb.IncidentTaskSource, task.source, "INCIDENT_TASK_SOURCE_"),
        unknownSource=task.unknown_source,
        displayName=task.display_name,
        description=task.description,
        createTime=moment(task, "create_time"),
        createdBy=task.created_by,
        updateTime=moment(task, "update_time"),
        updatedBy=task.updated_by,
        responseAction=present(
            odataType=action.odata_type,
            identifierValue=action.identifier_value,
            isolationType=enum_name(pb.IsolationType, action.isolation_type, "ISOLATION_TYPE_"),
            unknownIsolationType=action.unknown_isolation_type,
        ),
    )

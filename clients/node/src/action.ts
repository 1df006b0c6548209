/** One action: what the answer to its start says. */
import { call, type Terms } from "./call.js";
import type { Failure } from "./failure.js";
import { present, word } from "./fields.js";
import {
  ActionStatus,
  type ExecuteResponseActionRequest,
  type ExecuteResponseActionResponse,
  ExecutionConfirmation,
  type IncidentTaskServiceClient,
} from "./generated/incidentgate/v1/incident_task_service.js";
import { milliseconds } from "./time.js";

export interface Started extends Record<string, unknown> {
  outcome: "STARTED";
}

/** Starts it, and returns what the last answer says. */
export async function execute(
  client: IncidentTaskServiceClient,
  request: ExecuteResponseActionRequest,
  terms: Terms,
): Promise<Started | Failure> {
  const answer = await call(client.executeResponseAction.bind(client), request, terms);
  return { ...("response" in answer ? started(answer.response) : answer.failure), calls: answer.calls };
}

function started(response: ExecuteResponseActionResponse): Started {
  return present({
    outcome: "STARTED",
    code: "OK",
    confirmation: word(ExecutionConfirmation, response.confirmation),
    actionStatus: word(ActionStatus, response.actionStatus),
    requestId: response.graphRequestId,
    clientRequestId: response.clientRequestId,
    attempts: response.attempts || undefined,
    providerWarnings: response.providerWarnings.map(({ vendor, provider, statusCode, latency }) =>
      present({
        vendor,
        provider,
        statusCode: statusCode || undefined,
        latencyMs: latency && milliseconds(latency),
      }),
    ),
  });
}

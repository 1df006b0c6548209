/** One action: the call, what its answer says, and when the same call may be sent again. */
import { setTimeout } from "node:timers/promises";
import { type Metadata, type ServiceError, status } from "@grpc/grpc-js";
import type { Any } from "./generated/google/protobuf/any.js";
import type { Duration } from "./generated/google/protobuf/duration.js";
import { BadRequest, ErrorInfo, RequestInfo, RetryInfo } from "./generated/google/rpc/error_details.js";
import { Status } from "./generated/google/rpc/status.js";
import {
  ActionStatus,
  type ExecuteResponseActionRequest,
  type ExecuteResponseActionResponse,
  ExecutionConfirmation,
  type IncidentTaskServiceClient,
} from "./generated/incidentgate/v1/incident_task_service.js";

export type Outcome = "STARTED" | "NOT_STARTED" | "ALREADY_STARTED" | "UNKNOWN";

/** What an answer says. */
export interface Said extends Record<string, unknown> {
  outcome: Outcome;
  retryAfterMs?: number;
}

/** Calls until the answer is final, `calls` times at most; returns what the last answer says. */
export async function execute(
  client: IncidentTaskServiceClient,
  request: ExecuteResponseActionRequest,
  metadata: Metadata,
  deadline: number,
  calls: number,
): Promise<Said> {
  for (let call = 1; ; call++) {
    const [said, wait] = await executeOnce(client, request, metadata, deadline);
    if (wait === undefined || call === calls || Date.now() + wait >= deadline) {
      return { ...said, calls: call };
    }
    await setTimeout(wait);
  }
}

/** What the answer says, and after how many milliseconds the same call may be sent again, if it may. */
function executeOnce(
  client: IncidentTaskServiceClient,
  request: ExecuteResponseActionRequest,
  metadata: Metadata,
  deadline: number,
): Promise<[Said, number?]> {
  return new Promise((resolve) =>
    client.executeResponseAction(request, metadata, { deadline }, (error, response) => {
      if (!error) {
        resolve([started(response)]);
        return;
      }
      const details = detailsOf(error);
      const said = failed(error, details);
      const delay = unpack(details, "RetryInfo", RetryInfo)?.retryDelay;
      // RetryInfo alone does not suffice: nothing but an action that was not started may be sent again.
      resolve(said.outcome === "NOT_STARTED" && delay ? [said, milliseconds(delay)] : [said]);
    }),
  );
}

function started(response: ExecuteResponseActionResponse): Said {
  return present({
    outcome: "STARTED",
    code: "OK",
    confirmation: response.confirmation ? ExecutionConfirmation[response.confirmation] : undefined,
    actionStatus: response.actionStatus ? ActionStatus[response.actionStatus] : undefined,
    requestId: response.graphRequestId,
    clientRequestId: response.clientRequestId,
    attempts: response.attempts,
    providerWarnings: response.providerWarnings.map(({ vendor, provider, statusCode, latency }) =>
      present({ vendor, provider, statusCode, latencyMs: latency && milliseconds(latency) }),
    ),
  });
}

function failed(error: ServiceError, details: Any[]): Said {
  const info = unpack(details, "ErrorInfo", ErrorInfo);
  const outcome = info?.metadata.actionOutcome;
  const delay = unpack(details, "RetryInfo", RetryInfo)?.retryDelay;
  const pushback = trailer(error, "grpc-retry-pushback-ms");
  return present({
    // Without the gateway's word nobody knows, whatever the code: a proxy or gRPC itself may have answered.
    outcome: outcome === "NOT_STARTED" || outcome === "ALREADY_STARTED" ? outcome : "UNKNOWN",
    code: status[error.code] ?? "UNKNOWN",
    message: error.details,
    reason: info?.reason,
    domain: info?.domain,
    metadata: info && sorted(info.metadata),
    requestId: unpack(details, "RequestInfo", RequestInfo)?.requestId,
    retryAfterMs: delay && milliseconds(delay),
    pushbackMs: pushback && /^-?\d+$/.test(pushback) ? Number(pushback) : undefined,
    claims: trailer(error, "claims"),
    fieldViolations: unpack(details, "BadRequest", BadRequest)?.fieldViolations.map(({ field }) => field),
    details: details.flatMap(({ typeUrl }) => /\/google\.rpc\.(\w+)$/.exec(typeUrl)?.[1] ?? []).sort(),
  });
}

function trailer(error: ServiceError, name: string): string | undefined {
  return error.metadata.get(name)[0]?.toString();
}

/** The details in `grpc-status-details-bin`; none if there are none that can be read. */
function detailsOf(error: ServiceError): Any[] {
  const [bytes] = error.metadata.get("grpc-status-details-bin");
  try {
    return bytes instanceof Buffer ? Status.decode(bytes).details : [];
  } catch {
    return [];
  }
}

/** The detail of that type, if there is one that can be read. */
function unpack<T>(details: Any[], name: string, type: { decode(bytes: Uint8Array): T }): T | undefined {
  const packed = details.find(({ typeUrl }) => typeUrl.endsWith(`/google.rpc.${name}`));
  try {
    return packed && type.decode(packed.value);
  } catch {
    return undefined;
  }
}

/** Rounded up: a call that comes too early is refused again. */
function milliseconds({ seconds, nanos }: Duration): number {
  return seconds * 1000 + Math.ceil(nanos / 1e6);
}

function sorted(metadata: Record<string, string>): Record<string, string | undefined> {
  return Object.fromEntries(Object.keys(metadata).sort().map((key) => [key, metadata[key]]));
}

/** The fields that have a value. */
function present<T extends Record<string, unknown>>(fields: T): T {
  const isEmpty = (value: unknown) =>
    value === undefined || value === "" || (typeof value === "object" && Object.keys(value ?? {}).length === 0);
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => !isEmpty(value))) as T;
}

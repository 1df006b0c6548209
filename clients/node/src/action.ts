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

/** With less time left, a call would often end before its answer: a certain "no" would become an "unknown". */
const LEAST_MS = 1000;

/** Calls until the answer is final, `calls` times at most; returns what the last answer says. */
export async function execute(
  client: IncidentTaskServiceClient,
  request: ExecuteResponseActionRequest,
  metadata: Metadata,
  deadline: number,
  calls: number,
): Promise<Said> {
  for (let call = 1; ; call++) {
    const said = await executeOnce(client, request, metadata, deadline);
    if (call === calls || !mayBeSentAgain(said, deadline - Date.now())) {
      return { ...said, calls: call };
    }
    await setTimeout(said.retryAfterMs);
  }
}

/** What the answer says. */
function executeOnce(
  client: IncidentTaskServiceClient,
  request: ExecuteResponseActionRequest,
  metadata: Metadata,
  deadline: number,
): Promise<Said> {
  return new Promise((resolve) =>
    client.executeResponseAction(request, metadata, { deadline }, (error, response) =>
      resolve(error ? failed(error, detailsOf(error)) : started(response)),
    ),
  );
}

/** RetryInfo alone does not suffice: nothing but an action that was not started may be sent again. */
function mayBeSentAgain({ outcome, retryAfterMs }: Said, millisecondsLeft: number): boolean {
  return outcome === "NOT_STARTED" && retryAfterMs !== undefined && retryAfterMs + LEAST_MS <= millisecondsLeft;
}

function started(response: ExecuteResponseActionResponse): Said {
  return present({
    outcome: "STARTED",
    code: "OK",
    confirmation: response.confirmation ? ExecutionConfirmation[response.confirmation] : undefined,
    actionStatus: response.actionStatus ? ActionStatus[response.actionStatus] : undefined,
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

function failed(error: ServiceError, details: Any[]): Said {
  const info = unpack(details, "ErrorInfo", ErrorInfo);
  const outcome = info?.metadata.get("actionOutcome");
  const delay = unpack(details, "RetryInfo", RetryInfo)?.retryDelay;
  const pushback = trailer(error, "grpc-retry-pushback-ms");
  return present({
    // Without the gateway's word nobody knows, whatever the code: a proxy or gRPC itself may have answered.
    outcome: outcome === "NOT_STARTED" || outcome === "ALREADY_STARTED" ? outcome : "UNKNOWN",
    code: codeName(error),
    message: error.details,
    reason: info?.reason,
    domain: info?.domain,
    metadata: info && sorted(info.metadata),
    requestId: unpack(details, "RequestInfo", RequestInfo)?.requestId,
    retryAfterMs: delay && Math.max(0, milliseconds(delay)),
    pushbackMs: pushback && /^-?\d{1,10}$/.test(pushback) ? Number(pushback) : undefined,
    claims: trailer(error, "claims"),
    fieldViolations: unpack(details, "BadRequest", BadRequest)?.fieldViolations.map(({ field }) => field),
    details: details.flatMap(({ typeUrl }) => /\/google\.rpc\.(\w+)$/.exec(typeUrl)?.[1] ?? []).sort(),
  });
}

export function codeName({ code }: ServiceError): string {
  return status[code] ?? "UNKNOWN";
}

function trailer(error: ServiceError, name: string): string | undefined {
  return error.metadata.get(name)[0]?.toString();
}

/** The details in the one `grpc-status-details-bin`; none if it cannot be read or belongs to another status. */
function detailsOf(error: ServiceError): Any[] {
  const [bytes] = error.metadata.get("grpc-status-details-bin");
  try {
    if (bytes instanceof Buffer) {
      const answer = Status.decode(bytes);
      // grpc-js makes one of several, which is longer than what can be read from it.
      const isOne = bytes.equals(Status.encode(answer).finish());
      return isOne && answer.code === error.code ? answer.details : [];
    }
  } catch {
    // Nothing that can be believed.
  }
  return [];
}

/** The one detail of that type, if it can be read. */
function unpack<T>(details: Any[], name: string, type: { decode(bytes: Uint8Array): T }): T | undefined {
  const [packed, ...others] = details.filter(({ typeUrl }) => typeUrl.endsWith(`/google.rpc.${name}`));
  try {
    return packed && others.length === 0 ? type.decode(packed.value) : undefined;
  } catch {
    return undefined;
  }
}

/** Rounded up: a call that comes too early is refused again. */
function milliseconds({ seconds, nanos }: Duration): number {
  return Number(seconds) * 1000 + Math.ceil(nanos / 1e6);
}

function sorted(metadata: Map<string, string>): Record<string, string | undefined> {
  return Object.fromEntries([...metadata.keys()].sort().map((key) => [key, metadata.get(key)]));
}

/** The fields that have a value. */
function present<T extends Record<string, unknown>>(fields: T): T {
  const isEmpty = (value: unknown) =>
    value === undefined || value === "" || (typeof value === "object" && Object.keys(value ?? {}).length === 0);
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => !isEmpty(value))) as T;
}

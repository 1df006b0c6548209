/** What an error says. */
import { type ServiceError, status } from "@grpc/grpc-js";
import { present } from "./fields.js";
import type { Any } from "./generated/google/protobuf/any.js";
import { BadRequest, ErrorInfo, RequestInfo, RetryInfo } from "./generated/google/rpc/error_details.js";
import { Status } from "./generated/google/rpc/status.js";
import { milliseconds } from "./time.js";

export interface Failure extends Record<string, unknown> {
  outcome: "NOT_STARTED" | "ALREADY_STARTED" | "UNKNOWN";
  code: string;
  retryAfterMs?: number | undefined;
}

export function failed(error: ServiceError): Failure {
  const details = detailsOf(error);
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

function sorted(metadata: Map<string, string>): Record<string, string | undefined> {
  return Object.fromEntries([...metadata.keys()].sort().map((key) => [key, metadata.get(key)]));
}

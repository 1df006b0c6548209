/** One call, which is sent again where its answer allows that. */
import { setTimeout } from "node:timers/promises";
import type { CallOptions, ClientUnaryCall, Metadata, ServiceError } from "@grpc/grpc-js";
import { type Failure, failed } from "./failure.js";

/** With less time left, a call would often end before its answer: a certain "no" would become an "unknown". */
const LEAST_MS = 1000;

/** What every call goes out with. */
export interface Terms {
  metadata: Metadata;
  /** Infinity if there is none. */
  deadline: number;
  /** How often it is sent at most. */
  calls: number;
}

/** The last answer. */
export type Answer<Response> = Success<Response> | Refusal;

export interface Success<Response> {
  response: Response;
  calls: number;
}

export interface Refusal {
  failure: Failure;
  calls: number;
}

/** A unary method of a generated client. */
type Method<Request, Response> = (
  request: Request,
  metadata: Metadata,
  options: Partial<CallOptions>,
  callback: (error: ServiceError | null, response: Response) => void,
) => ClientUnaryCall;

/** Calls until the answer is final, `calls` times at most. */
export async function call<Request, Response>(
  method: Method<Request, Response>,
  request: Request,
  terms: Terms,
): Promise<Answer<Response>> {
  for (let calls = 1; ; calls++) {
    const answer = await callOnce(method, request, terms);
    if ("response" in answer) {
      return { ...answer, calls };
    }
    if (calls === terms.calls || !mayBeSentAgain(answer.failure, terms.deadline - Date.now())) {
      return { ...answer, calls };
    }
    await setTimeout(answer.failure.retryAfterMs);
  }
}

function callOnce<Request, Response>(
  method: Method<Request, Response>,
  request: Request,
  { metadata, deadline }: Terms,
): Promise<{ response: Response } | { failure: Failure }> {
  return new Promise((resolve) =>
    method(request, metadata, { deadline }, (error, response) =>
      resolve(error ? { failure: failed(error) } : { response }),
    ),
  );
}

/** RetryInfo alone does not suffice: nothing but an action that was not started may be sent again. */
export function mayBeSentAgain(
  failure: Failure,
  millisecondsLeft: number,
): failure is Failure & { retryAfterMs: number } {
  const { outcome, retryAfterMs } = failure;
  return outcome === "NOT_STARTED" && retryAfterMs !== undefined && retryAfterMs + LEAST_MS <= millisecondsLeft;
}

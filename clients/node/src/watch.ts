/** One watch: streams, one after another, until the task's action is at its end. */
import { setTimeout } from "node:timers/promises";
import type { ClientReadableStream, ServiceError } from "@grpc/grpc-js";
import { type Answer, mayBeSentAgain, type Terms } from "./call.js";
import { type Failure, failed } from "./failure.js";
import type {
  IncidentTaskServiceClient,
  WatchIncidentTaskRequest,
  WatchIncidentTaskResponse,
} from "./generated/incidentgate/v1/incident_task_service.js";

/** Node.js's timers would not wait at all for longer. */
const LONGEST_MS = 2 ** 31 - 1;

/** The stream's own end, and its span's, follow the final state at once. Nobody waits long for what never comes. */
const END_MS = 1000;

const ENDED_EARLY: Failure = {
  outcome: "UNKNOWN",
  code: "UNKNOWN",
  message: "the stream ended before the task was at its end",
};

/**
 * Tells `onChange` each new state, and returns the final one, or what the last error says; `calls` is how many
 * streams there were. A watch may be long, so only streams without a message count against `terms.calls`.
 */
export async function watch(
  client: IncidentTaskServiceClient,
  request: WatchIncidentTaskRequest,
  { metadata, deadline, calls }: Terms,
  onChange: (state: WatchIncidentTaskResponse) => void,
): Promise<Answer<WatchIncidentTaskResponse>> {
  let last: WatchIncidentTaskResponse | undefined;
  let silentStreams = 0;
  // A gateway that ends its streams may be away for longer than it says.
  const patient = metadata.clone();
  patient.setOptions({ waitForReady: true });
  for (let streams = 1; ; streams++) {
    let isSilent = true;
    const stream = client.watchIncidentTask(request, streams === 1 ? metadata : patient, { deadline });
    const end = await follow(stream, (state) => {
      // A stream begins with the state as it is, and may end so, too.
      if (last === undefined || differ(last, state)) {
        onChange(state);
        last = state;
      }
      isSilent = false;
    });
    if ("response" in end) {
      return { ...end, calls: streams };
    }
    silentStreams = isSilent ? silentStreams + 1 : 0;
    if (silentStreams === calls || !mayBeSentAgain(end.failure, deadline - Date.now())) {
      return { ...end, calls: streams };
    }
    await setTimeout(Math.min(end.failure.retryAfterMs, LONGEST_MS));
  }
}

/** Reads one stream to its end, and believes nothing that comes after the final state. */
async function follow(
  stream: ClientReadableStream<WatchIncidentTaskResponse>,
  onState: (state: WatchIncidentTaskResponse) => void,
): Promise<{ response: WatchIncidentTaskResponse } | { failure: Failure }> {
  let final: WatchIncidentTaskResponse | undefined;
  let failure = ENDED_EARLY;
  try {
    for await (const state of stream as AsyncIterable<WatchIncidentTaskResponse>) {
      if (final !== undefined) {
        break;
      }
      onState(state);
      if (state.isFinal) {
        final = state;
        void setTimeout(END_MS, undefined, { ref: false }).then(() => stream.cancel());
      }
    }
  } catch (error) {
    failure = failed(error as ServiceError);
  }
  return final === undefined ? { failure } : { response: final };
}

function differ(one: WatchIncidentTaskResponse, other: WatchIncidentTaskResponse): boolean {
  const [a, b] = [one.incidentTask, other.incidentTask];
  return (
    one.isFinal !== other.isFinal ||
    a?.actionStatus !== b?.actionStatus ||
    a?.unknownActionStatus !== b?.unknownActionStatus ||
    a?.status !== b?.status ||
    a?.unknownStatus !== b?.unknownStatus
  );
}

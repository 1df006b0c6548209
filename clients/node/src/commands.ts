/** The commands. Each returns the exit code. */
import { Metadata } from "@grpc/grpc-js";
import { execute as executeAction, type Started } from "./action.js";
import { type Answer, call, type Refusal, type Terms } from "./call.js";
import { bearer, connect } from "./channel.js";
import type { Call, Command, Execute, Get, Health, List, Update, Watch } from "./command-line.js";
import { codeName, type Failure } from "./failure.js";
import { present } from "./fields.js";
import {
  HealthCheckResponse_ServingStatus as ServingStatus,
  HealthClient,
} from "./generated/grpc/health/v1/health.js";
import {
  ActionStatus,
  type IncidentTask,
  IncidentTaskServiceClient,
  IncidentTaskStatus,
  ListIncidentTasksRequest,
  UpdateIncidentTaskRequest,
} from "./generated/incidentgate/v1/incident_task_service.js";
import { printable } from "./task.js";
import { watch as watchTask } from "./watch.js";

const SERVICE = "incidentgate.v1.IncidentTaskService";

const EXIT_CODES = { STARTED: 0, NOT_STARTED: 1, ALREADY_STARTED: 3, UNKNOWN: 4 };
const NOT_COMPLETED = 5;

export function run(options: Command, deadline: number): Promise<number> {
  switch (options.command) {
    case "execute":
      return execute(options, deadline);
    case "get":
      return get(options, deadline);
    case "list":
      return list(options, deadline);
    case "update":
      return update(options, deadline);
    case "watch":
      return watch(options, deadline);
    case "health":
      return health(options, deadline);
  }
}

function execute(options: Execute, deadline: number): Promise<number> {
  const request = { incidentTaskId: options.id, clientRequestId: options.clientRequestId };
  return atGateway(options, deadline, async (client, terms) => {
    const said = await executeAction(client, request, terms);
    print(said);
    console.error(`${said.outcome}: ${nextStep(said)}`);
    return EXIT_CODES[said.outcome];
  });
}

function get(options: Get, deadline: number): Promise<number> {
  const request = { incidentTaskId: options.id, clientRequestId: options.clientRequestId };
  return atGateway(options, deadline, async (client, terms) =>
    tellTask(await call(client.getIncidentTask.bind(client), request, terms)),
  );
}

function update(options: Update, deadline: number): Promise<number> {
  const request = UpdateIncidentTaskRequest.fromPartial({
    incidentTask: { id: options.id, status: IncidentTaskStatus[options.status] },
    updateMask: ["status"],
    clientRequestId: options.clientRequestId,
  });
  return atGateway(options, deadline, async (client, terms) =>
    tellTask(await call(client.updateIncidentTask.bind(client), request, terms)),
  );
}

function list(options: List, deadline: number): Promise<number> {
  const request = ListIncidentTasksRequest.fromPartial({
    pageSize: options.pageSize,
    incidentId: options.incidentId,
    status: options.status && IncidentTaskStatus[options.status],
    clientRequestId: options.clientRequestId,
  });
  return atGateway(options, deadline, async (client, terms) => {
    do {
      const answer = await call(client.listIncidentTasks.bind(client), request, terms);
      if ("failure" in answer) {
        return tellFailure(answer);
      }
      const { incidentTasks, nextPageToken, graphRequestId: requestId, clientRequestId } = answer.response;
      const tasks = incidentTasks.map((task) => printable(task));
      print({ ...present({ code: "OK", requestId, clientRequestId }), tasks, calls: answer.calls });
      request.pageToken = nextPageToken;
    } while (request.pageToken !== "");
    return 0;
  });
}

function watch(options: Watch, deadline: number): Promise<number> {
  const request = { incidentTaskId: options.id, clientRequestId: options.clientRequestId };
  return atGateway(options, deadline, async (client, terms) => {
    const end = await watchTask(client, request, terms, ({ incidentTask, isFinal, graphRequestId: requestId }) =>
      print({ ...present({ code: "OK", requestId }), task: printable(incidentTask), final: isFinal }),
    );
    if ("failure" in end) {
      return tellFailure(end);
    }
    const actionStatus = end.response.incidentTask?.actionStatus ?? ActionStatus.UNSPECIFIED;
    console.error(`the action is at its end: ${ActionStatus[actionStatus] ?? actionStatus}`);
    return actionStatus === ActionStatus.COMPLETED ? 0 : NOT_COMPLETED;
  });
}

function health(options: Health, deadline: number): Promise<number> {
  const client = connect(HealthClient, options);
  return new Promise((resolve) =>
    client.check({ service: SERVICE }, new Metadata(), { deadline }, (error, response) => {
      client.close();
      console.log(error ? codeName(error) : (ServingStatus[response.status] ?? response.status));
      resolve(!error && response.status === ServingStatus.SERVING ? 0 : 1);
    }),
  );
}

async function atGateway(
  options: Call,
  deadline: number,
  work: (client: IncidentTaskServiceClient, terms: Terms) => Promise<number>,
): Promise<number> {
  const metadata = bearer(options.tokenFile);
  const client = connect(IncidentTaskServiceClient, options);
  const code = await work(client, { metadata, deadline, calls: options.calls });
  client.close();
  return code;
}

function tellTask(
  answer: Answer<{ incidentTask?: IncidentTask | undefined; graphRequestId: string; clientRequestId: string }>,
): number {
  if ("failure" in answer) {
    return tellFailure(answer);
  }
  const { incidentTask, graphRequestId: requestId, clientRequestId } = answer.response;
  const task = printable(incidentTask);
  print({ ...present({ code: "OK", requestId, clientRequestId }), task, calls: answer.calls });
  return 0;
}

function tellFailure({ failure, calls }: Refusal): number {
  print({ ...failure, calls });
  console.error(
    `${failure.code}: ${failure.outcome === "UNKNOWN" ? "nobody who knows has answered" : remedy(failure)}`,
  );
  return failure.outcome === "NOT_STARTED" ? EXIT_CODES.NOT_STARTED : EXIT_CODES.UNKNOWN;
}

function print(line: Record<string, unknown>): void {
  console.log(JSON.stringify(line));
}

function nextStep(said: Started | Failure): string {
  switch (said.outcome) {
    case "STARTED":
      return "follow the task's actionStatus";
    case "ALREADY_STARTED":
      return "there is nothing to send again; look at the task's actionStatus";
    case "NOT_STARTED":
      return remedy(said);
    case "UNKNOWN":
      return "do not send the call again before you have looked at the task's actionStatus";
  }
}

function remedy({ outcome, retryAfterMs }: Failure): string {
  return outcome === "NOT_STARTED" && retryAfterMs !== undefined
    ? `send the same call again in ${Math.ceil(retryAfterMs / 1000)} s`
    : "mend the cause; the same call fails again";
}

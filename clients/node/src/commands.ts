/** The commands. Each returns the exit code. */
import { Metadata } from "@grpc/grpc-js";
import { codeName, execute as executeAction, type Outcome, type Said } from "./action.js";
import { bearer, connect } from "./channel.js";
import type { Execute, Health } from "./command-line.js";
import {
  HealthCheckResponse_ServingStatus as ServingStatus,
  HealthClient,
} from "./generated/grpc/health/v1/health.js";
import { IncidentTaskServiceClient } from "./generated/incidentgate/v1/incident_task_service.js";

const SERVICE = "incidentgate.v1.IncidentTaskService";

const EXIT_CODES: Record<Outcome, number> = { STARTED: 0, NOT_STARTED: 1, ALREADY_STARTED: 3, UNKNOWN: 4 };

export async function execute(options: Execute, deadline: number): Promise<number> {
  const metadata = bearer(options.tokenFile);
  const client = connect(IncidentTaskServiceClient, options);
  const request = { incidentTaskId: options.id, clientRequestId: options.clientRequestId };
  const said = await executeAction(client, request, metadata, deadline, options.calls);
  client.close();
  console.log(JSON.stringify(said));
  console.error(`${said.outcome}: ${nextStep(said)}`);
  return EXIT_CODES[said.outcome];
}

function nextStep({ outcome, retryAfterMs }: Said): string {
  switch (outcome) {
    case "STARTED":
      return "follow the task's actionStatus";
    case "ALREADY_STARTED":
      return "there is nothing to send again; look at the task's actionStatus";
    case "NOT_STARTED":
      return retryAfterMs === undefined
        ? "mend the cause; the same call fails again"
        : `send the same call again in ${Math.ceil(retryAfterMs / 1000)} s`;
    case "UNKNOWN":
      return "do not send the call again before you have looked at the task's actionStatus";
  }
}

export function health(options: Health, deadline: number): Promise<number> {
  const client = connect(HealthClient, options);
  return new Promise((resolve) =>
    client.check({ service: SERVICE }, new Metadata(), { deadline }, (error, response) => {
      client.close();
      console.log(error ? codeName(error) : (ServingStatus[response.status] ?? response.status));
      resolve(!error && response.status === ServingStatus.SERVING ? 0 : 1);
    }),
  );
}

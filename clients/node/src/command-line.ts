/** What was asked for on the command line. */
import { parseArgs } from "node:util";
import { ConfigurationError } from "./configuration-error.js";

const common = {
  endpoint: { type: "string", default: "127.0.0.1:50051" },
  timeout: { type: "string", default: "10" },
  "ca-file": { type: "string" },
  "service-config": { type: "string", default: "../service_config.json" },
} as const;

const execute = {
  ...common,
  calls: { type: "string", default: "3" },
  "client-request-id": { type: "string", default: "" },
  "token-file": { type: "string" },
} as const;

const USAGE = `usage: incidentgate-client execute ID [--endpoint HOST:PORT] [--timeout SECONDS] [--calls N]
           [--client-request-id GUID] [--token-file FILE] [--ca-file FILE] [--service-config FILE]
       incidentgate-client health [--endpoint HOST:PORT] [--timeout SECONDS] [--ca-file FILE] [--service-config FILE]`;

/** What both commands need to reach the gateway. */
export interface Connection {
  endpoint: string;
  /** Milliseconds for everything that the command does. */
  timeout: number;
  caFile: string | undefined;
  serviceConfig: string;
}

export interface Execute extends Connection {
  command: "execute";
  id: string;
  calls: number;
  clientRequestId: string;
  tokenFile: string | undefined;
}

export interface Health extends Connection {
  command: "health";
}

export function parse([command, ...args]: string[]): Execute | Health {
  try {
    switch (command) {
      case "execute":
        return parseExecute(args);
      case "health":
        return { command, ...connection(parseArgs({ args, options: common }).values) };
    }
  } catch (error) {
    throw new ConfigurationError(`${(error as Error).message}\n${USAGE}`);
  }
  throw new ConfigurationError(`expected the command execute or health\n${USAGE}`);
}

function parseExecute(args: string[]): Execute {
  const { values, positionals } = parseArgs({ args, options: execute, allowPositionals: true });
  const [id, ...others] = positionals;
  if (id === undefined || others.length > 0) {
    throw new Error("execute: expected one ID");
  }
  return {
    command: "execute",
    id,
    calls: number(values, "calls", (calls) => Number.isSafeInteger(calls) && calls >= 1, "a whole number from 1"),
    clientRequestId: values["client-request-id"],
    tokenFile: values["token-file"],
    ...connection(values),
  };
}

function connection(values: {
  endpoint: string;
  timeout: string;
  "ca-file"?: string | undefined;
  "service-config": string;
}): Connection {
  if (!/^[^\s/]+:[0-9]{1,5}$/.test(values.endpoint)) {
    throw new Error(`--endpoint: expected HOST:PORT, not '${values.endpoint}'`);
  }
  const isTime = (seconds: number) => seconds > 0 && seconds <= 3600;
  return {
    endpoint: values.endpoint,
    timeout: 1000 * number(values, "timeout", isTime, "a number of seconds above 0, up to 3600"),
    caFile: values["ca-file"],
    serviceConfig: values["service-config"],
  };
}

function number<Name extends string>(
  values: Record<Name, string>,
  name: Name,
  isValid: (value: number) => boolean,
  expected: string,
): number {
  const value = Number(values[name]);
  if (!isValid(value)) {
    throw new Error(`--${name}: expected ${expected}, not '${values[name]}'`);
  }
  return value;
}

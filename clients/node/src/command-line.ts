/** What was asked for on the command line. */
import { parseArgs } from "node:util";
import { ConfigurationError } from "./configuration-error.js";

const common = {
  endpoint: { type: "string", default: "127.0.0.1:50051" },
  timeout: { type: "string", default: "10" },
  "ca-file": { type: "string" },
  "certificate-file": { type: "string" },
  "key-file": { type: "string" },
  "service-config": { type: "string", default: "../service_config.json" },
  help: { type: "boolean", default: false },
} as const;

const execute = {
  ...common,
  calls: { type: "string", default: "3" },
  "client-request-id": { type: "string", default: "" },
  "token-file": { type: "string" },
} as const;

export const USAGE = `usage: incidentgate-client execute ID [--calls N] [--client-request-id GUID] [--token-file FILE]
           [OPTIONS]
       incidentgate-client health [OPTIONS]

OPTIONS:
  --endpoint HOST:PORT     the gateway (${common.endpoint.default})
  --timeout SECONDS        for everything (${common.timeout.default})
  --ca-file FILE           PEM; the gateway is called by TLS and must be of these
  --certificate-file FILE  PEM; the client certificate that is shown
  --key-file FILE          PEM; its private key
  --service-config FILE    (${common["service-config"].default})`;

/** What both commands need to reach the gateway. */
export interface Connection {
  endpoint: string;
  /** Milliseconds for everything that the command does. */
  timeout: number;
  caFile: string | undefined;
  certificateFile: string | undefined;
  keyFile: string | undefined;
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

/** Nothing if only help was asked for. */
export function parse([command, ...args]: string[]): Execute | Health | undefined {
  try {
    switch (command) {
      case "--help":
        return undefined;
      case "execute":
        return parseExecute(args);
      case "health":
        return parseHealth(args);
    }
  } catch (error) {
    throw new ConfigurationError(`${(error as Error).message}\n${USAGE}`);
  }
  throw new ConfigurationError(`expected the command execute or health\n${USAGE}`);
}

function parseHealth(args: string[]): Health | undefined {
  const { values } = parseArgs({ args, options: common });
  return values.help ? undefined : { command: "health", ...connection(values) };
}

function parseExecute(args: string[]): Execute | undefined {
  const { values, positionals } = parseArgs({ args, options: execute, allowPositionals: true });
  if (values.help) {
    return undefined;
  }
  const [id, ...others] = positionals;
  if (id === undefined || others.length > 0) {
    throw new Error("execute: expected one ID");
  }
  return {
    command: "execute",
    id: utf8("ID", id),
    calls: count(values.calls),
    clientRequestId: utf8("--client-request-id", values["client-request-id"]),
    tokenFile: values["token-file"],
    ...connection(values),
  };
}

function connection(values: {
  endpoint: string;
  timeout: string;
  "ca-file"?: string | undefined;
  "certificate-file"?: string | undefined;
  "key-file"?: string | undefined;
  "service-config": string;
}): Connection {
  const { endpoint, "ca-file": caFile, "certificate-file": certificateFile, "key-file": keyFile } = values;
  const port = Number(/^(?:[^\s/:]+|\[[0-9A-Fa-f:.]+\]):([0-9]{1,5})$/.exec(endpoint)?.[1]);
  if (!(port >= 1 && port <= 65535)) {
    throw new Error(`--endpoint: expected HOST:PORT or [IPV6]:PORT, not '${endpoint}'`);
  }
  if ((certificateFile === undefined) !== (keyFile === undefined)) {
    throw new Error("--certificate-file and --key-file: expected both or neither");
  }
  if (certificateFile !== undefined && caFile === undefined) {
    throw new Error("--certificate-file: expected only together with --ca-file");
  }
  const timeout = Number(values.timeout);
  if (!(timeout > 0 && timeout <= 3600)) {
    throw new Error(`--timeout: expected a number of seconds above 0, up to 3600, not '${values.timeout}'`);
  }
  return {
    endpoint,
    timeout: 1000 * timeout,
    caFile,
    certificateFile,
    keyFile,
    serviceConfig: values["service-config"],
  };
}

function count(value: string): number {
  if (!/^0*[1-9][0-9]{0,8}$/.test(value)) {
    throw new Error(`--calls: expected a whole number from 1 to 999999999, not '${value}'`);
  }
  return Number(value);
}

/** Node.js replaces what is not UTF-8. */
function utf8(name: string, value: string): string {
  if (value.includes("\uFFFD")) {
    throw new Error(`${name}: expected text in UTF-8, without U+FFFD`);
  }
  return value;
}

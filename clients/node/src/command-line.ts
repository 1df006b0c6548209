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

const call = {
  ...common,
  calls: { type: "string", default: "3" },
  "client-request-id": { type: "string", default: "" },
  "token-file": { type: "string" },
} as const;

const list = {
  ...call,
  "incident-id": { type: "string", default: "" },
  status: { type: "string" },
  "page-size": { type: "string" },
} as const;

const update = { ...call, status: { type: "string" } } as const;

// As long as it takes: only a time that is asked for ends a watch.
const watch = { ...call, timeout: { type: "string" } } as const;

/** The proto's words, repeated here: what uses gRPC must not be loaded yet. */
const STATUSES = ["OPEN", "IN_PROGRESS", "COMPLETED", "FAILED", "NOT_RELEVANT"] as const;
type Status = (typeof STATUSES)[number];

export const USAGE = `usage: incidentgate-client execute ID [CALL] [OPTIONS]
       incidentgate-client get ID [CALL] [OPTIONS]
       incidentgate-client list [--incident-id ID] [--status STATUS] [--page-size N] [CALL] [OPTIONS]
       incidentgate-client update ID --status STATUS [CALL] [OPTIONS]
       incidentgate-client watch ID [CALL] [OPTIONS]
       incidentgate-client health [OPTIONS]

STATUS: ${STATUSES.join(", ")}

CALL: [--calls N] [--client-request-id GUID] [--token-file FILE]

OPTIONS:
  --endpoint HOST:PORT     the gateway (${common.endpoint.default})
  --timeout SECONDS        for everything (${common.timeout.default}; none for watch)
  --ca-file FILE           PEM; the gateway is called by TLS and must be of these
  --certificate-file FILE  PEM; the client certificate that is shown
  --key-file FILE          PEM; its private key
  --service-config FILE    (${common["service-config"].default})`;

/** What every command needs to reach the gateway. */
export interface Connection {
  endpoint: string;
  /** Milliseconds for everything that the command does; Infinity if there is no end to it. */
  timeout: number;
  caFile: string | undefined;
  certificateFile: string | undefined;
  keyFile: string | undefined;
  serviceConfig: string;
}

/** What every command but health needs to call it. */
export interface Call extends Connection {
  calls: number;
  clientRequestId: string;
  tokenFile: string | undefined;
}

export interface Execute extends Call {
  command: "execute";
  id: string;
}

export interface Get extends Call {
  command: "get";
  id: string;
}

export interface List extends Call {
  command: "list";
  /** Empty for any. */
  incidentId: string;
  status: Status | undefined;
  /** 0 leaves it to the gateway. */
  pageSize: number;
}

export interface Update extends Call {
  command: "update";
  id: string;
  status: Status;
}

export interface Watch extends Call {
  command: "watch";
  id: string;
}

export interface Health extends Connection {
  command: "health";
}

export type Command = Execute | Get | List | Update | Watch | Health;

/** Nothing if only help was asked for. */
export function parse([command, ...args]: string[]): Command | undefined {
  try {
    switch (command) {
      case "--help":
        return undefined;
      case "execute":
      case "get":
        return parseTask(command, args);
      case "list":
        return parseList(args);
      case "update":
        return parseUpdate(args);
      case "watch":
        return parseWatch(args);
      case "health":
        return parseHealth(args);
    }
  } catch (error) {
    throw new ConfigurationError(`${(error as Error).message}\n${USAGE}`);
  }
  throw new ConfigurationError(`expected the command execute, get, list, update, watch or health\n${USAGE}`);
}

function parseHealth(args: string[]): Health | undefined {
  const { values } = parseArgs({ args, options: common });
  return values.help ? undefined : { command: "health", ...connection(values) };
}

function parseTask(command: "execute" | "get", args: string[]): Execute | Get | undefined {
  const { values, positionals } = parseArgs({ args, options: call, allowPositionals: true });
  return values.help ? undefined : { command, id: theId(command, positionals), ...calling(values) };
}

function parseList(args: string[]): List | undefined {
  const { values } = parseArgs({ args, options: list });
  if (values.help) {
    return undefined;
  }
  const { status, "page-size": pageSize } = values;
  return {
    command: "list",
    incidentId: utf8("--incident-id", values["incident-id"]),
    status: status === undefined ? undefined : theStatus(status),
    pageSize: pageSize === undefined ? 0 : count("--page-size", pageSize),
    ...calling(values),
  };
}

function parseUpdate(args: string[]): Update | undefined {
  const { values, positionals } = parseArgs({ args, options: update, allowPositionals: true });
  if (values.help) {
    return undefined;
  }
  const id = theId("update", positionals);
  return { command: "update", id, status: theStatus(values.status), ...calling(values) };
}

function parseWatch(args: string[]): Watch | undefined {
  const { values, positionals } = parseArgs({ args, options: watch, allowPositionals: true });
  return values.help ? undefined : { command: "watch", id: theId("watch", positionals), ...calling(values) };
}

function theId(command: string, [id, ...others]: string[]): string {
  if (id === undefined || others.length > 0) {
    throw new Error(`${command}: expected one ID`);
  }
  return utf8("ID", id);
}

function theStatus(value: string | undefined): Status {
  const status = STATUSES.find((status) => status === value);
  if (status === undefined) {
    throw new Error(`--status: expected one of ${STATUSES.join(", ")}${value === undefined ? "" : `, not '${value}'`}`);
  }
  return status;
}

function calling(
  values: Parameters<typeof connection>[0] & { calls: string; "client-request-id": string; "token-file"?: string },
): Call {
  return {
    calls: count("--calls", values.calls),
    clientRequestId: utf8("--client-request-id", values["client-request-id"]),
    tokenFile: values["token-file"],
    ...connection(values),
  };
}

function connection(values: {
  endpoint: string;
  timeout?: string | undefined;
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
  return {
    endpoint,
    timeout: values.timeout === undefined ? Infinity : milliseconds(values.timeout),
    caFile,
    certificateFile,
    keyFile,
    serviceConfig: values["service-config"],
  };
}

function milliseconds(value: string): number {
  const seconds = Number(value);
  if (!(seconds > 0 && seconds <= 3600)) {
    throw new Error(`--timeout: expected a number of seconds above 0, up to 3600, not '${value}'`);
  }
  return 1000 * seconds;
}

function count(name: string, value: string): number {
  if (!/^0*[1-9][0-9]{0,8}$/.test(value)) {
    throw new Error(`${name}: expected a whole number from 1 to 999999999, not '${value}'`);
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

#!/usr/bin/env node
/** Starts the response action of an incident task, says whether it was started: yes, no, or unknown; follows it. */
import { parse, USAGE } from "./command-line.js";
import { ConfigurationError } from "./configuration-error.js";
import { inRootSpan } from "./telemetry.js";

const WRONG_USAGE = 64;
const UNKNOWN = 4;

async function main(): Promise<number> {
  const options = parse(process.argv.slice(2));
  if (options === undefined) {
    console.log(USAGE);
    return 0;
  }
  const deadline = Date.now() + options.timeout;
  return inRootSpan(options.command, async () => {
    // Loaded here, because gRPC is instrumented only from now on.
    const { run } = await import("./commands.js");
    return run(options, deadline);
  });
}

function fail(error: unknown): never {
  const isUsage = error instanceof ConfigurationError;
  console.error(isUsage ? `incidentgate-client: ${error.message}` : error);
  // Not 1, which would say that nothing was started.
  process.exit(isUsage ? WRONG_USAGE : UNKNOWN);
}

process.on("uncaughtException", fail);
for (const stream of [process.stdout, process.stderr]) {
  // Where nobody reads, the exit code still tells the outcome.
  stream.on("error", () => {});
}
process.exit(await main());

#!/usr/bin/env node
/** Starts the response action of an incident task, and says whether it was started: yes, no, or unknown. */
import { parse } from "./command-line.js";
import { ConfigurationError } from "./configuration-error.js";
import { inRootSpan } from "./telemetry.js";

const USAGE = 64;
const INTERNAL = 70;

async function main(): Promise<number> {
  const options = parse(process.argv.slice(2));
  const deadline = Date.now() + options.timeout;
  return inRootSpan(options.command, async () => {
    // Loaded here, because gRPC is instrumented only from now on.
    const { execute, health } = await import("./commands.js");
    return options.command === "execute" ? execute(options, deadline) : health(options, deadline);
  });
}

try {
  process.exit(await main());
} catch (error) {
  const isUsage = error instanceof ConfigurationError;
  console.error(isUsage ? `incidentgate-client: ${error.message}` : error);
  // Not 1, which would say that nothing was started.
  process.exit(isUsage ? USAGE : INTERNAL);
}

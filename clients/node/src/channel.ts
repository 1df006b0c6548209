/** What the channel to the gateway is made of, read and checked before anything is sent. */
import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { type ChannelCredentials, type ChannelOptions, credentials, experimental, Metadata } from "@grpc/grpc-js";
import type { Connection } from "./command-line.js";
import { ConfigurationError } from "./configuration-error.js";

/** Makes a client by its generated constructor. */
export function connect<Client>(
  constructor: new (address: string, credentials: ChannelCredentials, options: ChannelOptions) => Client,
  connection: Connection,
): Client {
  const { endpoint, serviceConfig } = connection;
  const transport = transportCredentials(connection);
  return checked("--service-config", serviceConfig, "a gRPC service config", (content) => {
    const text = content.toString();
    checkServiceConfig(JSON.parse(text));
    return new constructor(endpoint, transport, {
      "grpc.service_config": text,
      // No one else's, by DNS: it could have the call sent again.
      "grpc.service_config_disable_resolution": 1,
      // While a watch is silent, nothing else would tell that the gateway is gone.
      "grpc.keepalive_time_ms": 20_000,
      "grpc.keepalive_timeout_ms": 10_000,
    });
  });
}

/** What the constructor of a client does not check: grpc-js would ignore it in silence, or fail in the call. */
function checkServiceConfig(config: unknown): void {
  if (typeof config !== "object" || config === null || Array.isArray(config)) {
    throw new Error("not an object");
  }
  const { methodConfig = [], loadBalancingConfig } = config as Record<string, unknown>;
  if (!Array.isArray(methodConfig)) {
    throw new Error("methodConfig: not an array");
  }
  if (Array.isArray(loadBalancingConfig) && !experimental.selectLbConfigFromList(loadBalancingConfig)) {
    throw new Error("loadBalancingConfig: no policy that grpc-js knows");
  }
}

function transportCredentials({ caFile, certificateFile, keyFile }: Connection): ChannelCredentials {
  if (caFile === undefined) {
    return credentials.createInsecure();
  }
  const authorities = checked("--ca-file", caFile, "certificates in PEM", (content) => {
    // grpc-js would take any file, and then fail to connect.
    new X509Certificate(content);
    return content;
  });
  if (certificateFile === undefined || keyFile === undefined) {
    return credentials.createSsl(authorities);
  }
  const key = checked("--key-file", keyFile, "a private key in PEM", (content) => content);
  return checked("--certificate-file", certificateFile, `a certificate in PEM for the key in ${keyFile}`, (chain) =>
    credentials.createSsl(authorities, key, chain),
  );
}

/** The metadata that carries the token, if there is one. */
export function bearer(tokenFile: string | undefined): Metadata {
  const metadata = new Metadata();
  if (tokenFile !== undefined) {
    checked("--token-file", tokenFile, "one token of ASCII characters without spaces", (content) => {
      const token = content.toString().trim();
      if (!/^[!-~]+$/.test(token)) {
        throw new Error("it holds something else");
      }
      metadata.set("authorization", `Bearer ${token}`);
    });
  }
  return metadata;
}

/** Uses a file; what is wrong with it becomes a mistake of the flag that named it. */
function checked<T>(flag: string, path: string, expected: string, use: (content: Buffer) => T): T {
  try {
    return use(readFileSync(path));
  } catch (error) {
    throw new ConfigurationError(`${flag} ${path}: expected ${expected}: ${(error as Error).message}`);
  }
}

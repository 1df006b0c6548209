package dev.incidentgate.client;

import io.grpc.ChannelCredentials;
import io.grpc.TlsChannelCredentials;
import java.io.IOException;
import java.nio.file.Path;
import picocli.CommandLine.ArgGroup;
import picocli.CommandLine.Option;

/** Whom to trust, and whom to show oneself as. */
final class Tls {
  @Option(
      names = "--ca-file",
      required = true,
      paramLabel = "FILE",
      description = "The authorities to trust, in PEM; without it there is no TLS.")
  private Path caFile;

  @ArgGroup(exclusive = false)
  private ClientCertificate client;

  /** Both or neither. */
  private static final class ClientCertificate {
    @Option(
        names = "--certificate-file",
        required = true,
        paramLabel = "FILE",
        description = "The client certificate that is shown, in PEM.")
    private Path certificateFile;

    @Option(
        names = "--key-file",
        required = true,
        paramLabel = "FILE",
        description = "Its key, in PEM (PKCS#8).")
    private Path keyFile;
  }

  ChannelCredentials credentials() throws IOException {
    var credentials = TlsChannelCredentials.newBuilder().trustManager(caFile.toFile());
    if (client != null) {
      credentials.keyManager(client.certificateFile.toFile(), client.keyFile.toFile());
    }
    return credentials.build();
  }

  /** What was given, and what is right. */
  @Override
  public String toString() {
    return client == null
        ? "--ca-file %s: expected certificates in PEM".formatted(caFile)
        : "--ca-file %s, --certificate-file %s, --key-file %s: expected certificates, and a key (PKCS#8), in PEM"
            .formatted(caFile, client.certificateFile, client.keyFile);
  }
}

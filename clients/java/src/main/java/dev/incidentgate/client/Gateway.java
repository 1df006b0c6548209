package dev.incidentgate.client;

import static java.util.concurrent.TimeUnit.NANOSECONDS;
import static java.util.concurrent.TimeUnit.SECONDS;

import com.google.gson.JsonParseException;
import io.grpc.Channel;
import io.grpc.ClientInterceptor;
import io.grpc.Deadline;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import io.grpc.ManagedChannelBuilder;
import io.grpc.Metadata;
import io.opentelemetry.api.trace.Span;
import io.opentelemetry.context.Scope;
import io.opentelemetry.instrumentation.grpc.v1_6.GrpcTelemetry;
import io.opentelemetry.sdk.OpenTelemetrySdk;
import java.io.IOException;
import java.net.URI;
import java.net.URISyntaxException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Map;
import picocli.CommandLine.ArgGroup;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** Where the gateway is, and how it is called. */
final class Gateway {
  private static final Duration TIMEOUT = Duration.ofSeconds(10);

  @Spec(Spec.Target.MIXEE)
  private CommandSpec command;

  @Option(
      names = "--endpoint",
      defaultValue = "127.0.0.1:50051",
      paramLabel = "HOST:PORT",
      description = "The gateway (default: ${DEFAULT-VALUE}).")
  private String endpoint;

  @Option(
      names = "--timeout",
      paramLabel = "SECONDS",
      converter = Seconds.class,
      description = "The deadline of everything that the command does, waits included (default: 10; watch: none).")
  private Duration timeout;

  @ArgGroup(exclusive = false)
  private Tls tls;

  @Option(
      names = "--service-config",
      defaultValue = "../service_config.json",
      paramLabel = "FILE",
      description = "The gRPC service config (default: ${DEFAULT-VALUE}).")
  private Path serviceConfig;

  interface Work<T> {
    T run(Channel channel, Deadline deadline) throws InterruptedException;
  }

  /** Does the work under one deadline and one span. */
  <T> T call(String name, Work<T> work) {
    return run(name, timeout == null ? TIMEOUT : timeout, work);
  }

  /** The same for work that takes as long as it takes: only the command line sets a deadline, which may be null. */
  <T> T watch(String name, Work<T> work) {
    return run(name, timeout, work);
  }

  /** The metadata that shows the token, if there is a file with one. */
  Metadata authorization(Path tokenFile) {
    var metadata = new Metadata();
    if (tokenFile != null) {
      String token = read("--token-file", tokenFile).strip();
      if (!token.matches("[!-~]+")) {
        throw refused("--token-file " + tokenFile + ": expected one token, in ASCII without spaces");
      }
      metadata.put(Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER), "Bearer " + token);
    }
    return metadata;
  }

  /** A mistake in the command line or in a file that it names. */
  ParameterException refused(String what) {
    return new ParameterException(command.commandLine(), what);
  }

  private <T> T run(String name, Duration longest, Work<T> work) {
    Deadline deadline = longest == null ? null : Deadline.after(longest.toNanos(), NANOSECONDS);
    OpenTelemetrySdk telemetry = Tracing.start();
    ManagedChannel channel = connect(GrpcTelemetry.create(telemetry).createClientInterceptor());
    Span span = telemetry.getTracer("incidentgate-client").spanBuilder(name).startSpan();
    try (Scope ignored = span.makeCurrent()) {
      return work.run(channel, deadline);
    } catch (InterruptedException error) {
      throw new IllegalStateException(error);
    } finally {
      span.end();
      channel.shutdownNow();
      telemetry.shutdown().join(2, SECONDS);
    }
  }

  private ManagedChannel connect(ClientInterceptor tracing) {
    Map<String, ?> config;
    try {
      config = ServiceConfig.parse(read("--service-config", serviceConfig));
    } catch (JsonParseException error) {
      throw refused("--service-config " + serviceConfig + ": expected a JSON object: " + firstLine(error));
    }
    ManagedChannelBuilder<?> builder =
        builder()
            .defaultServiceConfig(config)
            // No one else's, by DNS: it could have the call sent again.
            .disableServiceConfigLookUp()
            // While a watch is silent, nothing else would tell that the gateway is gone.
            .keepAliveTime(20, SECONDS)
            .keepAliveTimeout(10, SECONDS)
            .intercept(tracing);
    try {
      return builder.build();
    } catch (IllegalStateException error) {
      throw refused("--service-config " + serviceConfig + ": " + firstLine(error));
    }
  }

  private ManagedChannelBuilder<?> builder() {
    String target = target();
    if (tls == null) {
      return Grpc.newChannelBuilder(target, InsecureChannelCredentials.create());
    }
    try {
      return Grpc.newChannelBuilder(target, tls.credentials());
    } catch (IOException | RuntimeException error) { // gRPC has no type for a PEM that it cannot read.
      throw refused(tls + ": " + firstLine(error));
    }
  }

  /** With the scheme, so that a host with the name `unix` is one. */
  private String target() {
    try {
      URI address = new URI("//" + endpoint).parseServerAuthority();
      int port = address.getPort();
      if (endpoint.equals(address.getAuthority()) && address.getUserInfo() == null && port > 0 && port < 1 << 16) {
        return new URI("dns", "", "/" + endpoint, null).toString();
      }
    } catch (URISyntaxException error) {
      // The same is wrong.
    }
    throw refused("--endpoint " + endpoint + ": expected HOST:PORT, such as 127.0.0.1:50051");
  }

  /** gRPC and Gson add stack traces and links. */
  private static String firstLine(Exception error) {
    return String.valueOf(error.getMessage()).lines().findFirst().orElse("");
  }

  private String read(String option, Path file) {
    try {
      return Files.readString(file);
    } catch (IOException error) {
      throw refused(option + " " + file + ": cannot be read: " + error);
    }
  }
}

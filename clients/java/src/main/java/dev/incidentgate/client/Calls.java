package dev.incidentgate.client;

import dev.incidentgate.v1.IncidentTaskServiceGrpc;
import dev.incidentgate.v1.IncidentTaskServiceGrpc.IncidentTaskServiceBlockingStub;
import io.grpc.Deadline;
import io.grpc.stub.MetadataUtils;
import java.nio.file.Path;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** The calls of one command: where they go, as whom, under which id, and how many they may be. */
final class Calls {
  @Mixin private Gateway gateway;

  @Option(
      names = "--calls",
      defaultValue = "3",
      paramLabel = "N",
      converter = Count.class,
      description = "At most so many calls, where the gateway says that one may be sent again (default: 3).")
  int most;

  @Option(
      names = "--client-request-id",
      defaultValue = "",
      paramLabel = "GUID",
      converter = Text.class,
      description = "Marks the call in Microsoft's logs.")
  String clientRequestId;

  @Option(names = "--token-file", paramLabel = "FILE", description = "The token that is sent.")
  private Path tokenFile;

  interface Work {
    Answer run(IncidentTaskServiceBlockingStub stub, Deadline deadline) throws InterruptedException;
  }

  /** Does the work with a stub that has the token and the deadline. */
  Answer make(String name, Work work) {
    return gateway.call(name, of(work));
  }

  /** The same without a deadline, unless the command line has one: see `Gateway`. */
  Answer follow(String name, Work work) {
    return gateway.watch(name, of(work));
  }

  private Gateway.Work<Answer> of(Work work) {
    var token = MetadataUtils.newAttachHeadersInterceptor(gateway.authorization(tokenFile));
    return (channel, deadline) -> {
      var stub = IncidentTaskServiceGrpc.newBlockingStub(channel).withInterceptors(token).withDeadline(deadline);
      return work.run(stub, deadline);
    };
  }
}

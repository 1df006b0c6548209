package dev.incidentgate.client;

import com.google.protobuf.Any;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.protobuf.Message;
import io.grpc.Metadata;
import io.grpc.StatusRuntimeException;
import io.grpc.protobuf.StatusProto;
import java.util.List;
import java.util.stream.Stream;
import java.util.stream.StreamSupport;

/** The messages in an error's `google.rpc.Status`. */
final class Details {
  private static final Metadata.Key<byte[]> STATUS =
      Metadata.Key.of("grpc-status-details-bin", Metadata.BINARY_BYTE_MARSHALLER);

  private final List<Any> messages;

  Details(StatusRuntimeException error) {
    messages = read(error);
  }

  /** The one message of this type. Of several, or of what cannot be read, nothing is believed: null. */
  <T extends Message> T only(Class<T> type) {
    List<Any> packed = messages.stream().filter(message -> message.is(type)).toList();
    try {
      return packed.size() == 1 ? packed.get(0).unpack(type) : null;
    } catch (InvalidProtocolBufferException unreadable) {
      return null;
    }
  }

  /** The simple names of the google.rpc messages, sorted. */
  Stream<String> names() {
    return messages.stream()
        .map(Any::getTypeUrl)
        .filter(type -> type.matches(".*/google\\.rpc\\.\\w+"))
        .map(type -> type.substring(type.lastIndexOf('.') + 1))
        .sorted();
  }

  private static List<Any> read(StatusRuntimeException error) {
    try {
      return isOne(error.getTrailers()) ? StatusProto.fromThrowable(error).getDetailsList() : List.of();
    } catch (IllegalArgumentException unreadable) {
      return List.of(); // Not the gateway's: garbled, or for another code.
    }
  }

  private static boolean isOne(Metadata trailers) {
    Iterable<byte[]> sent = trailers == null ? null : trailers.getAll(STATUS);
    return sent != null && StreamSupport.stream(sent.spliterator(), false).count() == 1;
  }
}

package dev.incidentgate.client;

import com.google.protobuf.Any;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.protobuf.Message;
import io.grpc.StatusRuntimeException;
import io.grpc.protobuf.StatusProto;
import java.util.List;
import java.util.stream.Stream;

/** The messages in an error's `google.rpc.Status`. */
final class Details {
  private final List<Any> messages;

  Details(StatusRuntimeException error) {
    messages = read(error);
  }

  /** The message of this type, or null. */
  <T extends Message> T get(Class<T> type) {
    for (Any message : messages) {
      if (message.is(type)) {
        try {
          return message.unpack(type);
        } catch (InvalidProtocolBufferException unreadable) {
          return null;
        }
      }
    }
    return null;
  }

  /** The simple names of the types, sorted. */
  Stream<String> names() {
    return messages.stream()
        .map(Any::getTypeUrl)
        .map(type -> type.substring(type.lastIndexOf('.') + 1))
        .sorted();
  }

  private static List<Any> read(StatusRuntimeException error) {
    try {
      return StatusProto.fromThrowable(error).getDetailsList();
    } catch (IllegalArgumentException unreadable) {
      return List.of(); // Not the gateway's: garbled, or for another code.
    }
  }
}

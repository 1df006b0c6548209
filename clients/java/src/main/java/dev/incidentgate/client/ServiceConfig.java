package dev.incidentgate.client;

import com.google.gson.Gson;
import com.google.gson.GsonBuilder;
import com.google.gson.JsonObject;
import com.google.gson.JsonParseException;
import com.google.gson.Strictness;
import com.google.gson.reflect.TypeToken;
import java.util.Map;

/** A gRPC service config as the map that gRPC wants. */
final class ServiceConfig {
  private static final Gson JSON = new GsonBuilder().setStrictness(Strictness.STRICT).create();

  private ServiceConfig() {}

  static Map<String, ?> parse(String text) {
    // By way of an object, since Gson takes an array for a map, too.
    JsonObject config = JSON.fromJson(text, JsonObject.class);
    if (config == null) {
      throw new JsonParseException("there is nothing in it");
    }
    return JSON.fromJson(config, new TypeToken<Map<String, Object>>() {});
  }
}

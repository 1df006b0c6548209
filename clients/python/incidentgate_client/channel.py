"""The channel to the gateway. What it is made of is read and checked here, before anything is sent."""

import pathlib
import re
import ssl

import grpc
from opentelemetry.instrumentation.grpc import client_interceptor, grpcext


class ConfigurationError(Exception):
    """A file cannot be used as it stands. Nothing was sent."""


def open_channel(endpoint, ca_file, service_config):
    """A channel that sends the trace context along."""
    options = [("grpc.service_config", read("--service-config", service_config))]
    check(options, service_config)
    if ca_file is None:
        channel = grpc.insecure_channel(endpoint, options)
    else:
        channel = grpc.secure_channel(endpoint, trust(ca_file), options)
    return grpcext.intercept_channel(channel, client_interceptor())


def check(options, service_config):
    """gRPC tells what it holds against a service config in a call only: here one on a channel that leads nowhere."""
    with grpc.insecure_channel("unix:/dev/null", options) as nowhere:
        try:
            nowhere.unary_unary("/")(b"", timeout=1)
        except grpc.RpcError as error:
            if error.code() is grpc.StatusCode.INVALID_ARGUMENT:
                message = f"--service-config {service_config}: expected a gRPC service config: {error.details()}"
                raise ConfigurationError(message) from error


def trust(ca_file):
    """Credentials that trust the certificates in the file and no others."""
    try:
        # gRPC takes any file, and then fails to connect.
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(ca_file)
    except OSError as error:
        raise ConfigurationError(f"--ca-file {ca_file}: expected certificates in PEM: {error}") from error
    return grpc.ssl_channel_credentials(pathlib.Path(ca_file).read_bytes())


def bearer(token_file):
    """The metadata that carries the token."""
    token = read("--token-file", token_file).strip()
    if not re.fullmatch("[!-~]+", token):
        raise ConfigurationError(f"--token-file {token_file}: expected one token of ASCII characters without spaces")
    return [("authorization", f"Bearer {token}")]


def read(flag, path):
    try:
        return pathlib.Path(path).read_text()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "expected text in UTF-8"
        raise ConfigurationError(f"{flag} {path}: {reason}") from error

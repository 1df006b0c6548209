"""The channel to the gateway. What it is made of is read and checked here, before anything is sent."""

import pathlib
import re
import ssl

import grpc


# While a watch is silent, nothing else would tell that the gateway is gone.
KEEPALIVE = [
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.ping_timeout_ms", 10_000),
    # Without it gRPC stops asking while the client has nothing to send.
    ("grpc.http2.max_pings_without_data", 0),
]


class ConfigurationError(Exception):
    """A file cannot be used as it stands. Nothing was sent."""


def open_channel(arguments):
    options = [("grpc.service_config", read("--service-config", arguments.service_config))]
    check(options, arguments.service_config)
    options += KEEPALIVE
    if arguments.ca_file is None:
        return grpc.insecure_channel(arguments.endpoint, options)
    return grpc.secure_channel(arguments.endpoint, credentials(arguments), options)


def check(options, service_config):
    """gRPC tells what it holds against a service config in a call only: here one on a channel that leads nowhere."""
    with grpc.insecure_channel("unix:/dev/null", options) as nowhere:
        try:
            nowhere.unary_unary("/")(b"", timeout=1)
        except grpc.RpcError as error:
            if error.code() is grpc.StatusCode.INVALID_ARGUMENT:
                message = f"--service-config {service_config}: expected a gRPC service config: {error.details()}"
                raise ConfigurationError(message) from error


def credentials(arguments):
    """Trust in the certificates of the CA file and in no others, and the client certificate, if there is one."""
    # Python's own TLS reads the files first: gRPC takes any, and then fails to connect.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    ca_file, certificate_file, key_file = arguments.ca_file, arguments.certificate_file, arguments.key_file
    try:
        context.load_verify_locations(ca_file)
    except OSError as error:
        raise ConfigurationError(f"--ca-file {ca_file}: expected certificates in PEM: {error}") from error
    authorities = pathlib.Path(ca_file).read_bytes()
    if certificate_file is None:
        return grpc.ssl_channel_credentials(authorities)
    try:
        # With a password nobody is asked for one.
        context.load_cert_chain(certificate_file, key_file, password="")
    except OSError as error:
        pair = f"--certificate-file {certificate_file}, --key-file {key_file}"
        raise ConfigurationError(f"{pair}: expected a certificate and its key in PEM: {error}") from error
    key, chain = pathlib.Path(key_file).read_bytes(), pathlib.Path(certificate_file).read_bytes()
    return grpc.ssl_channel_credentials(authorities, key, chain)


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

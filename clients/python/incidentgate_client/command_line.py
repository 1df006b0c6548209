"""What was asked for on the command line; a mistake in it ends the program."""

import argparse
import contextlib
import re

USAGE = 64


class Parser(argparse.ArgumentParser):
    def error(self, message):
        self.exit(USAGE, f"{self.prog}: {message}\n{self.format_usage()}")


def parse():
    flags = "execute --help and health --help show the flags"
    parser = Parser(prog="incidentgate-client", allow_abbrev=False, epilog=flags)
    commands = parser.add_subparsers(dest="command", required=True)
    execute = commands.add_parser("execute", allow_abbrev=False, help="start the response action of a task")
    execute.add_argument("id", metavar="ID", type=utf8, help="the id of the incident task")
    execute.add_argument("--calls", metavar="N", type=count, default=3, help="calls at most (3)")
    execute.add_argument("--client-request-id", metavar="GUID", type=utf8, default="", help="marks the call in logs")
    execute.add_argument("--token-file", metavar="FILE", help="a bearer token for the gateway")
    health = commands.add_parser("health", allow_abbrev=False, help="ask whether the gateway can serve")
    for command in (execute, health):
        command.add_argument("--endpoint", metavar="HOST:PORT", type=endpoint, default="127.0.0.1:50051")
        command.add_argument("--timeout", metavar="SECONDS", type=seconds, default=10.0, help="for everything (10)")
        command.add_argument("--ca-file", metavar="FILE", help="PEM; the gateway is called by TLS and must be of these")
        command.add_argument("--certificate-file", metavar="FILE", help="PEM; the client certificate that is shown")
        command.add_argument("--key-file", metavar="FILE", help="PEM; its private key")
        command.add_argument("--service-config", metavar="FILE", default="../service_config.json")
    arguments = parser.parse_args()
    if (arguments.certificate_file is None) != (arguments.key_file is None):
        parser.error("--certificate-file and --key-file: expected both or neither")
    if arguments.certificate_file and arguments.ca_file is None:
        parser.error("--certificate-file: expected only together with --ca-file")
    return arguments


def utf8(value):
    with contextlib.suppress(UnicodeEncodeError):
        value.encode()
        return value
    raise argparse.ArgumentTypeError("expected text in UTF-8")


def count(value):
    if re.fullmatch("0*[1-9][0-9]{0,8}", value):
        return int(value)
    raise argparse.ArgumentTypeError(f"expected a whole number from 1 to 999999999, not {value!r}")


def seconds(value):
    with contextlib.suppress(ValueError):
        if 0 < float(value) <= 3600:
            return float(value)
    raise argparse.ArgumentTypeError(f"expected a number of seconds above 0, up to 3600, not {value!r}")


def endpoint(value):
    match = re.fullmatch(r"(?:[^\s/:]+|\[[0-9A-Fa-f:.]+\]):([0-9]{1,5})", value)
    if match and 1 <= int(match[1]) <= 65535:
        return value
    raise argparse.ArgumentTypeError(f"expected HOST:PORT or [IPV6]:PORT, not {value!r}")

"""What was asked for on the command line; a mistake in it ends the program."""

import argparse
import contextlib
import functools
import math
import re

USAGE = 64
STATUSES = ("OPEN", "IN_PROGRESS", "COMPLETED", "FAILED", "NOT_RELEVANT")


class Parser(argparse.ArgumentParser):
    def error(self, message):
        self.exit(USAGE, f"{self.prog}: {message}\n{self.format_usage()}")


def parse():
    flags = "COMMAND --help shows the flags of a command"
    parser = Parser(prog="incidentgate-client", allow_abbrev=False, epilog=flags)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    add = functools.partial(commands.add_parser, allow_abbrev=False)
    execute = add("execute", help="start the response action of a task")
    get = add("get", help="show a task")
    update = add("update", help="set the status of a task")
    listing = add("list", help="show tasks, page by page")
    watch = add("watch", help="follow a task until its action is at its end")
    health = add("health", help="ask whether the gateway can serve")
    for command in (execute, get, update, watch):
        command.add_argument("id", metavar="ID", type=utf8, help="the id of the incident task")
    update.add_argument("--status", choices=STATUSES, required=True, help="the new one")
    listing.add_argument("--incident-id", metavar="ID", type=utf8, default="", help="only tasks of this incident")
    listing.add_argument("--status", choices=STATUSES, default="UNSPECIFIED", help="only tasks that have it")
    listing.add_argument("--page-size", metavar="N", type=count, default=0, help="tasks of a page at most")
    calls = "calls at most (3); of watch: streams in a row that bring nothing"
    for command in (execute, get, update, listing, watch):
        command.add_argument("--calls", metavar="N", type=count, default=3, help=calls)
        command.add_argument("--client-request-id", metavar="GUID", type=utf8, default="", help="marks calls in logs")
        command.add_argument("--token-file", metavar="FILE", help="a bearer token for the gateway")
    timeout = "for everything (10; of watch: no limit)"
    for command in (execute, get, update, listing, watch, health):
        command.add_argument("--endpoint", metavar="HOST:PORT", type=endpoint, default="127.0.0.1:50051")
        command.add_argument("--timeout", metavar="SECONDS", type=seconds, default=10.0, help=timeout)
        command.add_argument("--ca-file", metavar="FILE", help="PEM; the gateway is called by TLS and must be of these")
        command.add_argument("--certificate-file", metavar="FILE", help="PEM; the client certificate that is shown")
        command.add_argument("--key-file", metavar="FILE", help="PEM; its private key")
        command.add_argument("--service-config", metavar="FILE", default="../service_config.json")
    # An action may run for long.
    watch.set_defaults(timeout=math.inf)
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

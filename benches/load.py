"""Load by h2load, and what it says about it."""

import base64
import json
import pathlib
import re
import subprocess
import tempfile
import time
from dataclasses import dataclass

import grpc

from rig import OTHERS, PATH, cpu, pinned, rss

# A task whose action starts, and one whose action Graph refuses; and what the answer is.
STARTS, REFUSED = (b"213213", grpc.StatusCode.OK), (b"213215", grpc.StatusCode.ALREADY_EXISTS)


def token():
    """With the claims of an access token of Entra's, as long as one of those, and no secret."""
    identifier = "8d3a1f5e-2b7c-4c0e-9f61-5a7be2d04c13"
    claims = {
        "aud": "https://graph.microsoft.com",
        "iss": f"https://sts.windows.net/{identifier}/",
        "iat": 1700000000,
        "nbf": 1700000000,
        "exp": 1700003900,
        "aio": 72 * "E",
        "app_displayname": "incident response",
        "appid": identifier,
        "appidacr": "2",
        "idp": f"https://sts.windows.net/{identifier}/",
        "idtyp": "app",
        "oid": identifier,
        "rh": 60 * "0",
        "roles": ["SecurityIncident.ReadWrite.All"],
        "sub": identifier,
        "tid": identifier,
        "uti": 22 * "u",
        "ver": "1.0",
        "wids": [identifier],
    }
    header = {"typ": "JWT", "nonce": 43 * "n", "alg": "RS256", "x5t": 27 * "t", "kid": 27 * "t"}
    parts = [json.dumps(part, separators=(",", ":")).encode() for part in (header, claims)]
    # RS256 makes 256 bytes.
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in [*parts, bytes(256)])


@dataclass(frozen=True)
class Measured:
    """What some calls have come to."""

    # Processor time for one call, in microseconds.
    cpu: float
    # Calls in a second.
    rate: float
    # Latencies in milliseconds.
    p50: float
    p99: float
    # The most resident memory that was seen, in MiB.
    rss: float


class Load:
    """Calls about one task, with a caller's token, which have an answer of this code."""

    def __init__(self, folder, task, code, token):
        message = bytes([0x0A, len(task), *task])
        self.message, self.code, self.token = message, code, token
        self.frame = folder / f"{task.decode()}.frame"
        self.frame.write_bytes(bytes([0, *len(message).to_bytes(4)]) + message)
        self.headers = ["content-type: application/grpc", "te: trailers", f"authorization: Bearer {token}"]

    def command(self, server, calls, clients, streams, *more, headers=()):
        """What makes so many calls."""
        options = ["-n", calls, "-c", clients, "-m", streams, "-t", 1, "-d", self.frame, *more]
        for header in [*self.headers, *headers]:
            options += ["-H", header]
        command = pinned(OTHERS, "h2load", *options, f"http://127.0.0.1:{server.port}{PATH}")
        return [str(word) for word in command]

    def check(self, server):
        """That the answer is what it should be: h2load takes any, an error too, for a success."""
        with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
            call = channel.unary_unary(PATH)
            try:
                call(self.message, metadata=[("authorization", f"Bearer {self.token}")], timeout=10)
                code = grpc.StatusCode.OK
            except grpc.RpcError as error:
                code = error.code()
        assert code is self.code, f"{server.log.name}: {code}"

    def run(self, server, calls, clients=4, streams=16, rate=None, afterwards=lambda: None):
        """So many calls; `rate` in a second if it is given. What the server does until `afterwards` ends counts, too."""
        with tempfile.NamedTemporaryFile(suffix=".log") as log:
            more = ["--log-file", log.name, *(["--rps", rate / clients] if rate else [])]
            command = self.command(server, calls, clients, streams, *more)
            before = cpu(server.pid)
            most = 0
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
                while running.poll() is None:
                    most = max(most, rss(server.pid))
                    time.sleep(0.02)
                said = running.stdout.read()
            afterwards()
            used = cpu(server.pid) - before
            latencies = sorted(int(line.split("\t")[2]) for line in pathlib.Path(log.name).read_text().splitlines())
        assert f"{calls} succeeded" in said and len(latencies) == calls, said
        per_second = float(re.search(r"([\d.]+) req/s", said)[1])
        return Measured(
            cpu=1e6 * used / calls,
            rate=per_second,
            p50=latencies[calls // 2] / 1e3,
            p99=latencies[calls * 99 // 100] / 1e3,
            rss=most / 2**20,
        )

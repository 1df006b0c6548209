"""`clients/service_config.json` as each client's own gRPC library reads it: health is asked again, the action never is.

    python tests/python/service_config.py

The clients must be built. They call a server that is no gateway and refuses the first calls. Prints one line per client.
"""

import concurrent.futures
import json
import pathlib
import subprocess
import sys
import tempfile
from collections import Counter

import grpc
from clients_built import CLIENTS, ROOT
from processes import PATIENCE

HEALTH, ACTION = "grpc.health.v1.Health", "incidentgate.v1.IncidentTaskService"
SERVING = b"\x08\x01"  # HealthCheckResponse { status: SERVING }
CONFIG = (ROOT / "clients/service_config.json").read_text()


class Refusing(grpc.GenericRpcHandler):
    """A server that answers UNAVAILABLE to every action, and to all but each third question for its health."""

    def __init__(self):
        self.calls = Counter()

    def service(self, details):
        service, method = details.method.strip("/").split("/")
        self.calls[service, method] += 1
        if service == HEALTH and self.calls[service, method] % 3 == 0:
            return grpc.unary_unary_rpc_method_handler(lambda _, __: SERVING)
        return grpc.unary_unary_rpc_method_handler(refuse)


def refuse(_, context):
    context.abort(grpc.StatusCode.UNAVAILABLE, "not now")


def retried():
    """The same, and the action has the retry policy of the reads: what nobody should write."""
    config = json.loads(CONFIG)
    action, reads = config["methodConfig"]
    action["retryPolicy"] = reads["retryPolicy"]
    return json.dumps(config)


def rows():
    """What a client is told to do with which configuration; its exit code, and the calls that it makes."""
    health, execute = (HEALTH, "Check"), (ACTION, "ExecuteResponseAction")
    yield "ours", CONFIG, ["health"], 0, {health: 3}
    yield "ours", CONFIG, ["execute", "213213"], 4, {execute: 1}
    # It is the policy that counts.
    yield "one that retries the action", retried(), ["execute", "213213"], 4, {execute: 3}
    for name, broken in {
        "cut short": CONFIG[:-3],
        "a word as a number": CONFIG.replace('"maxAttempts": 3', '"maxAttempts": "many"'),
        "a duration without unit": CONFIG.replace('"120s"', "120"),
        "an unknown code": CONFIG.replace('"UNAVAILABLE"', '"NOT_A_CODE"'),
    }.items():
        assert broken != CONFIG
        yield name, broken, ["execute", "213213"], 64, {}
        yield name, broken, ["health"], 64, {}


def main():
    server = Refusing()
    running = grpc.server(concurrent.futures.ThreadPoolExecutor(4), handlers=[server])
    port = running.add_insecure_port("127.0.0.1:0")
    running.start()
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        config = pathlib.Path(folder) / "service_config.json"
        for client, command in CLIENTS.items():
            count = 0
            for name, text, words, exit_code, calls in rows():
                config.write_text(text)
                server.calls.clear()
                options = ["--endpoint", f"127.0.0.1:{port}", "--service-config", config]
                whole = [str(word) for word in [*command, *words, *options]]
                done = subprocess.run(whole, capture_output=True, text=True, timeout=PATIENCE, cwd=ROOT)
                count += 1
                seen = (done.returncode, dict(server.calls))
                if seen != (exit_code, calls):
                    wrong += 1
                    print(f"WRONG {client} {words[0]}, {name}: {seen} instead of {(exit_code, calls)}")
                    print(done.stdout + done.stderr)
            print(f"service config, {client}: {count} runs", flush=True)
    running.stop(None)
    print(f"service config: {len(CLIENTS)} parsers, wrong: {wrong}", flush=True)
    if wrong:
        sys.exit(1)


if __name__ == "__main__":
    main()

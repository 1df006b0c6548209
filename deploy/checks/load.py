"""A load that touches everything that the gateways measure: what goes well, and each way to go wrong."""

import os
import socket
import subprocess

from certificates import Authority, Certificate
from processes import Gateway, Sandbox, until

UNSEEN = 3 * [{"on": "read", "do": "reset"}]
# What Graph does to a call, and the exit code of `incidentgate execute`.
CALLS = {
    "accepted": ([], 0),
    "seen to have started": ([{"commit": True, "do": "reset"}], 0),
    "sent again, as nothing had started": ([{"do": "reset"}], 0),
    "sent again, as Graph was busy": ([{"do": {"error": {"status": 429}}}], 0),
    "not found": ([{"do": {"error": {"status": 404, "code": "itemNotFound"}}}], 1),
    "the API is gone": (
        [{"do": {"error": {"status": 400, "message": "Resource not found for the segment 'incidentTasks'."}}}],
        1,
    ),
    "lost": ([{"commit": True, "do": "reset"}, *UNSEEN], 4),
    "failed": ([{"do": {"error": {"status": 502}}}, *UNSEEN], 4),
    "not JSON": ([{"do": {"reply": {"headers": [["Content-Type", "text/html"]], "body": "<html>"}}}, *UNSEEN], 4),
    "not in time": ([{"do": "hang"}, *UNSEEN], 4),
}
THROTTLED = {"do": {"error": {"status": 429, "headers": [["Retry-After", "3600"]]}}}


class Load:
    def __init__(self, running, folder, prometheus):
        self.running, self.folder, self.prometheus = running, folder, prometheus
        self.sandbox = Sandbox(running, folder)
        self.application = self.sandbox.application()
        self.authority = Authority(folder / "load")
        self.server = self.authority.issue("server", Certificate(), addresses=("127.0.0.1",))

    def gateway(self, name, graph_url=None, **settings):
        telemetry = {
            "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": f"{self.prometheus.url}/api/v1/otlp/v1/metrics",
            "OTEL_METRIC_EXPORT_INTERVAL": "200",
            "OTEL_RESOURCE_ATTRIBUTES": f"service.instance.id={name}",
        }
        settings = {f"INCIDENTGATE_{key}": value for key, value in settings.items()}
        environment = {**self.application, **telemetry, **settings}
        return Gateway(self.running, self.folder / f"{name}.log", graph_url or self.sandbox.graph_url, **environment)

    def execute(self, gateway, task, *options):
        return self.command("execute", gateway, task, *options)

    def command(self, name, gateway, task, *options):
        command = ["incidentgate", name, task, "--endpoint", f"http://{gateway.address}", *options]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def call(self, gateway, name, faults, code, *options):
        self.sandbox.put(name, faults)
        call = self.execute(gateway, name, *options)
        said, _ = call.communicate()
        assert call.returncode == code, f"{name}: {call.returncode}: {said.decode()}"

    def run(self):
        small = {"SERVER__MAX_IN_FLIGHT": "1", "SERVER__MAX_WAITING": "1", "SERVER__MAX_WAIT": "50ms"}
        gateway = self.gateway("busy", GRAPH__ATTEMPT_TIMEOUT="300ms", AUDIT__FSYNC="interval", **small)
        for number, (name, (faults, code)) in enumerate(CALLS.items()):
            self.call(gateway, f"{number}", faults, code)
        self.departure(gateway)
        self.call(gateway, "throttled", [THROTTLED], 1)
        self.call(gateway, "held-back", [], 1)
        self.call(self.gateway("unrecorded", AUDIT__SINK="file", AUDIT__FILE="/dev/full"), "unrecorded", [], 1)
        self.call(self.gateway("refused", CREDENTIALS__CLIENT_SECRET="another"), "refused", [], 1)
        self.unreachable()
        self.certificates()
        self.follower()

    def departure(self, gateway):
        """A caller leaves while Graph has its call, and another one has waited in vain for the place."""
        self.sandbox.put("held", [{"commit": True, "hold": True}])
        held = self.execute(gateway, "held")
        until("the POST", lambda: self.sandbox.posts("held"))
        self.call(gateway, "no-place", [], 1)
        held.kill()
        held.communicate()
        until("the departure", lambda: self.prometheus.has("incidentgate_calls_detached"))
        self.sandbox.release("held")
        until("the end", lambda: all(post["finished"] for post in self.sandbox.posts("held")))

    def follower(self):
        """Somebody follows a task for as long as the metrics are looked at."""
        self.sandbox.put("followed", [])
        watch = self.command("watch", self.gateway("followed"), "followed")
        self.running.callback(watch.communicate)
        self.running.callback(watch.kill)
        until("the follower", lambda: self.prometheus.has("incidentgate_watch_tasks"))

    def unreachable(self):
        with socket.socket() as silent:
            silent.bind(("127.0.0.1", 0))  # and never listens
            nowhere = f"http://127.0.0.1:{silent.getsockname()[1]}/beta"
            gateway = self.gateway("unreachable", nowhere, CREDENTIALS__SCOPE="https://graph.microsoft.com/.default")
            self.call(gateway, "unreachable", [], 1)

    def certificates(self):
        """A connection that is none, and a certificate that is of no use, then of use again."""
        file, key = self.server
        files = {"TLS__CERTIFICATE_FILE": str(file), "TLS__KEY_FILE": str(key), "TLS__RELOAD_INTERVAL": "20ms"}
        gateway = self.gateway("tls", **files)
        with socket.create_connection(("127.0.0.1", gateway.port)) as connection:
            connection.sendall(b"no TLS at all\r\n\r\n")
            connection.recv(100)
        good = file.read_bytes()
        for content, said in (b"nothing", "of no use"), (good, "are in use"):
            os.replace(self.written(content), file)
            gateway.says(said)

    def written(self, content):
        file = self.folder / "renewed"
        file.write_bytes(content)
        return file

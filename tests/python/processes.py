"""The processes of a test: gateways, their sandbox, and Envoy, on ports that the operating system chooses."""

import importlib.resources
import json
import os
import pathlib
import re
import string
import subprocess
import time
import urllib.parse
import urllib.request

PATIENCE = 30.0  # seconds, for whatever is waited for


def until(what, look):
    """What `look` returns, once that is true."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if seen := look():
            return seen
        time.sleep(0.01)
    raise TimeoutError(what)


def http(method, url, body=None):
    """The answer's text."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, method=method)
    with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
        return answer.read().decode()


class Process:
    """A program that runs until the end of `running` at the latest, and whose last words are shown if that fails."""

    def __init__(self, running, log, *command, **environment):
        # The developer's own settings have no say.
        inherited = {key: value for key, value in os.environ.items() if not re.match("(INCIDENTGATE|OTEL)_", key)}
        self.log = log
        with log.open("wb") as output:
            self.child = subprocess.Popen(
                [str(word) for word in command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**inherited, **environment},
            )
        running.push(self.end)

    def end(self, failure, *_):
        self.kill()
        if failure is not None:
            print(f"--- {self.log.name}", *self.log.read_text().splitlines()[-80:], sep="\n")

    def kill(self):
        """SIGKILL, and returns once it is dead."""
        self.child.kill()
        self.child.wait()

    def says(self, pattern):
        """The match in what it has printed, once there is one."""

        def look():
            assert self.child.poll() is None, f"{self.log.name}: ended with {self.child.returncode}"
            return re.search(pattern, self.log.read_text())

        return until(f"{self.log.name}: {pattern}", look)


class Sandbox(Process):
    """A stand-alone `incidentgate sandbox`."""

    def __init__(self, running, folder):
        super().__init__(running, folder / "sandbox.log", "incidentgate", "sandbox", "--listen", "127.0.0.1:0")
        self.graph_url = self.says(r"at (http://\S+)\n")[1]
        self.control = f"{self.graph_url.removesuffix('/beta')}/sandbox"

    def put(self, task, faults):
        """A task whose action is not started, and what happens to the requests about it."""
        http("PUT", f"{self.control}/tasks/{task}", {})
        http("POST", f"{self.control}/tasks/{task}/faults", faults)

    def release(self, task):
        http("POST", f"{self.control}/tasks/{task}/release")

    def posts(self, task):
        """The POSTs that were received for the task."""
        journal = json.loads(http("GET", f"{self.control}/journal"))
        return [entry for entry in journal if entry["task"] == task and entry["method"] == "POST"]


class Gateway(Process):
    """`incidentgate serve` in front of a Graph."""

    def __init__(self, running, log, graph_url, **environment):
        command = ["incidentgate", "serve", "--listen", "127.0.0.1:0", "--graph-url", graph_url]
        super().__init__(running, log, *command, **environment)
        self.port = int(self.says(r'"listen":"127\.0\.0\.1:(\d+)"')[1])


class Envoy(Process):
    """Envoy by `envoy.yaml`, in front of `clusters`: the ports of the gateways in each."""

    def __init__(self, running, folder, clusters):
        inbound, admin, config = folder / "inbound.sock", folder / "admin", folder / "envoy.yaml"
        endpoints = {name: [socket_address(port) for port in ports] for name, ports in clusters.items()}
        endpoints["sidecar"] = [{"pipe": {"path": str(inbound)}}]
        template = string.Template(pathlib.Path(__file__).with_name("envoy.yaml").read_text())
        all_clusters = json.dumps([cluster(name, addresses) for name, addresses in endpoints.items()])
        config.write_text(template.substitute(inbound=inbound, clusters=all_clusters))
        # It writes what a call has come to with a delay, 10 s unless told otherwise.
        options = ["--file-flush-interval-msec", "50", "--admin-address-path", admin]
        options += ["--concurrency", "1", "--disable-hot-restart"]
        binary = importlib.resources.files("envoy") / "_bin" / "envoy"
        super().__init__(running, folder / "envoy.log", binary, "-c", config, *options)
        self.says("starting main dispatch loop")
        self.admin = f"http://{admin.read_text()}"
        assert http("GET", f"{self.admin}/ready") == "LIVE\n"
        listeners = json.loads(http("GET", f"{self.admin}/listeners?format=json"))["listener_statuses"]
        [outbound] = [listener for listener in listeners if listener["name"] == "outbound"]
        self.port = outbound["local_address"]["socket_address"]["port_value"]

    def replays(self):
        """How many requests it has sent again so far."""
        return self.count(".*", "upstream_rq_retry")

    def count(self, clusters, counter):
        """A counter of all clusters of that name together."""
        query = urllib.parse.quote(rf"^cluster\.{clusters}\.{counter}$")
        stats = json.loads(http("GET", f"{self.admin}/stats?format=json&filter={query}"))["stats"]
        return sum(stat["value"] for stat in stats)

    def busy(self, name):
        """The port of the one host in the cluster that has a request in flight."""
        statuses = json.loads(http("GET", f"{self.admin}/clusters?format=json"))["cluster_statuses"]
        [hosts] = [status["host_statuses"] for status in statuses if status["name"] == name]
        active = {"name": "rq_active", "value": "1", "type": "GAUGE"}
        [busy] = [host for host in hosts if active in host["stats"]]
        return busy["address"]["socket_address"]["port_value"]


def socket_address(port):
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def cluster(name, addresses):
    """An HTTP/2 cluster without a limit of retries in flight, as Istio has it."""
    options = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
    http2 = {
        "@type": f"type.googleapis.com/{options}",
        "explicit_http_config": {"http2_protocol_options": {}},
    }
    endpoints = [{"endpoint": {"address": address}} for address in addresses]
    return {
        "name": name,
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": endpoints}]},
        "typed_extension_protocol_options": {options: http2},
        "circuit_breakers": {"thresholds": [{"max_retries": 2**32 - 1}]},
    }

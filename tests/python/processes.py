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


def inherited():
    """The environment, without the developer's own settings: they have no say."""
    return {key: value for key, value in os.environ.items() if not re.match("(INCIDENTGATE|OTEL)_", key)}


class Process:
    """A program that runs until the end of `running` at the latest, and whose last words are shown if that fails."""

    def __init__(self, running, log, *command, **environment):
        self.log = log
        with log.open("wb") as output:
            self.child = subprocess.Popen(
                [str(word) for word in command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**inherited(), **environment},
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

    def __init__(self, running, folder, *options):
        command = ["incidentgate", "sandbox", "--listen", "127.0.0.1:0", *options]
        super().__init__(running, folder / "sandbox.log", *command)
        self.graph_url = self.says(r"at (http://\S+)\n")[1]
        self.control = f"{self.graph_url.removesuffix('/beta')}/sandbox"

    def put(self, task, faults):
        """A task whose action is not started, and what happens to the requests about it."""
        http("PUT", f"{self.control}/tasks/{task}", {})
        http("POST", f"{self.control}/tasks/{task}/faults", faults)

    def release(self, task):
        http("POST", f"{self.control}/tasks/{task}/release")

    def journal(self):
        """The requests that were received."""
        return json.loads(http("GET", f"{self.control}/journal"))

    def all_posts(self):
        """The POSTs that were received."""
        return [entry for entry in self.journal() if entry["method"] == "POST"]

    def posts(self, task):
        """The POSTs that were received for the task."""
        return [entry for entry in self.all_posts() if entry["task"] == task]

    def application(self):
        """Settings of a gateway that calls Graph as the application which the simulated Entra knows."""
        said = self.says(r"Entra: authority (\S+), tenant (\S+), client id (\S+), client secret (\S+)\n")
        names = ["AUTHORITY", "TENANT", "CLIENT_ID", "CLIENT_SECRET"]
        settings = {f"INCIDENTGATE_CREDENTIALS__{name}": value for name, value in zip(names, said.groups())}
        return {"INCIDENTGATE_CREDENTIALS__MODE": "application", **settings}


class Gateway(Process):
    """`incidentgate serve` in front of a Graph."""

    def __init__(self, running, log, graph_url, listen="127.0.0.1:0", **environment):
        command = ["incidentgate", "serve", "--listen", listen, "--graph-url", graph_url]
        super().__init__(running, log, *command, **environment)
        self.address = self.says(r'"listen":"([^"]+)"')[1]

    @property
    def port(self):
        return int(self.address.rpartition(":")[2])


class Envoy(Process):
    """Envoy by a template, in front of `clusters`, the addresses in each, and `more`, whole ones. `before` is what starts it."""

    def __init__(self, running, folder, template, clusters, more=(), before=(), **filled):
        admin, config = folder / "admin", folder / pathlib.Path(template).name
        text = string.Template((pathlib.Path(__file__).parent / template).read_text())
        all_clusters = json.dumps([*(cluster(name, addresses) for name, addresses in clusters.items()), *more])
        config.write_text(text.substitute(filled, clusters=all_clusters))
        # It writes what a call has come to with a delay, 10 s unless told otherwise.
        options = ["--file-flush-interval-msec", "50", "--admin-address-path", admin]
        options += ["--concurrency", "1", "--disable-hot-restart"]
        binary = importlib.resources.files("envoy") / "_bin" / "envoy"
        super().__init__(running, folder / "envoy.log", *before, binary, "-c", config, *options)
        self.says("starting main dispatch loop")
        # After the first health checks, where there are any.
        self.says("starting workers")
        self.admin = f"http://{admin.read_text()}"
        assert http("GET", f"{self.admin}/ready") == "LIVE\n"
        listeners = json.loads(http("GET", f"{self.admin}/listeners?format=json"))["listener_statuses"]
        addresses = {listener["name"]: listener["local_address"] for listener in listeners}
        # The port of each listener that has one.
        self.ports = {
            name: address["socket_address"]["port_value"]
            for name, address in addresses.items()
            if "socket_address" in address
        }

    def replays(self):
        """How many requests it has sent again so far."""
        return self.count(".*", "upstream_rq_retry")

    def count(self, clusters, counter):
        """A counter of all clusters of that name together."""
        return self.sum(rf"cluster\.{clusters}\.{counter}")

    def sum(self, counters):
        """The sum of all counters whose name matches as a whole."""
        query = urllib.parse.quote(f"^{counters}$")
        stats = json.loads(http("GET", f"{self.admin}/stats?format=json&filter={query}"))["stats"]
        return sum(stat["value"] for stat in stats)

    def busy(self, name):
        """The port of the one host in the cluster that has a request in flight."""
        statuses = json.loads(http("GET", f"{self.admin}/clusters?format=json"))["cluster_statuses"]
        [hosts] = [status["host_statuses"] for status in statuses if status["name"] == name]
        active = {"name": "rq_active", "value": "1", "type": "GAUGE"}
        [busy] = [host for host in hosts if active in host["stats"]]
        return busy["address"]["socket_address"]["port_value"]


def socket_address(port, address="127.0.0.1"):
    return {"socket_address": {"address": address, "port_value": port}}


def pipe(path):
    return {"pipe": {"path": str(path)}}


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

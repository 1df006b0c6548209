"""Every metric, label and value in the dashboard and the alerts, against what gateways export to a real Prometheus."""

import contextlib
import itertools
import json
import re
import urllib.error
import urllib.parse

import yaml
from processes import Process, http, until

from checks.load import Load

# What Grafana puts in.
FILLED = {"$__rate_interval": "1m", "$__range": "5m", "$job": "incidentgate", "$instance": ".+"}


class Prometheus(Process):
    """Takes OTLP as it does by default."""

    def __init__(self, running, folder):
        config = folder / "prometheus.yaml"
        config.write_text("{}")
        options = [f"--config.file={config}", f"--storage.tsdb.path={folder / 'tsdb'}", "--web.enable-otlp-receiver"]
        super().__init__(running, folder / "prometheus.log", "prometheus", *options, "--web.listen-address=127.0.0.1:0")
        address = self.says(r'"Listening on" component=web address=(\S+)')[1]
        self.url = f"http://{address}"
        self.says("Server is ready")

    def ask(self, what, **words):
        try:
            return json.loads(http("GET", f"{self.url}/api/v1/{what}?{urllib.parse.urlencode(words)}"))["data"]
        except urllib.error.HTTPError as refused:
            raise AssertionError(f"{words}: {json.load(refused)['error']}") from refused

    def has(self, selector):
        """The labels of the series that are selected, all together."""
        return {name for series in self.ask("series", **{"match[]": selector}) for name in series}


def parts(node):
    """The node of an expression, and all below it."""
    if isinstance(node, dict):
        if "type" in node:
            yield node
        for inner in node.values():
            yield from parts(inner)
    elif isinstance(node, list):
        for inner in node:
            yield from parts(inner)


class Expression:
    def __init__(self, prometheus, where, text, labels):
        """`labels` are those that its legend or its annotations name."""
        for name, value in FILLED.items():
            text = text.replace(name, value)
        self.prometheus, self.where, self.text, self.labels = prometheus, where, text, labels
        nodes = list(parts(prometheus.ask("parse_query", query=text)))
        selectors = [node for node in nodes if node["type"] in ("vectorSelector", "matrixSelector")]
        self.grouping = {label for node in nodes for label in node.get("grouping") or ()}
        self.selectors = {one for node in selectors for one in self.plain(node)}
        self.metrics = {node["name"] for node in selectors}

    def plain(self, node):
        """A selector for each combination of the values that `=~` lists: every one must exist."""
        choices = []
        for matcher in node["matchers"]:
            values = matcher["value"].split("|") if matcher["type"] == "=~" else [matcher["value"]]
            choices.append([f"{matcher['name']}{matcher['type']}{json.dumps(value)}" for value in values])
        return ["{" + ",".join(chosen) + "}" for chosen in itertools.product(*choices)]

    def wrong(self, with_data):
        """What does not exist, as yet."""
        seen = set()
        for selector in sorted(self.selectors):
            labels = self.prometheus.has(selector)
            if not labels:
                yield f"{self.where}: no series {selector}"
            seen |= labels
        for label in sorted(self.grouping - seen):
            yield f"{self.where}: no label {label}"
        kept = self.grouping or seen
        for label in sorted(self.labels - kept):
            yield f"{self.where}: {label} is not in the result"
        if with_data and not self.prometheus.ask("query", query=self.text)["result"]:
            yield f"{self.where}: no data: {self.text}"


def panels(dashboard):
    for panel in dashboard["panels"]:
        for target in panel.get("targets", ()):
            yield f"panel {panel['title']}", target["expr"], set(re.findall(r"{{(\w+)}}", target["legendFormat"]))
    for variable in dashboard["templating"]["list"]:
        if values := re.fullmatch(r"label_values\((.*), (\w+)\)", variable.get("definition", "")):
            yield f"variable {variable['name']}", f"count by ({values[2]}) ({values[1]})", {values[2]}


def rules(groups):
    for rule in groups["groups"][0]["rules"]:
        told = json.dumps(rule.get("annotations", {}))
        yield f"alert {rule['alert']}", rule["expr"], set(re.findall(r"\$labels\.(\w+)", told))


def check(folder, deploy):
    dashboard = json.loads((deploy / "grafana" / "incidentgate.json").read_text())
    groups = yaml.safe_load((deploy / "prometheus" / "alerts.yaml").read_text())
    with contextlib.ExitStack() as running:
        prometheus = Prometheus(running, folder)
        shown = [Expression(prometheus, *panel) for panel in panels(dashboard)]
        alerting = [Expression(prometheus, *rule) for rule in rules(groups)]
        Load(running, folder, prometheus).run()
        wrong = []

        def all_exist():
            """What is exported last arrives last, and a rate needs two exports."""
            wrong[:] = [line for one in shown for line in one.wrong(with_data=True)]
            wrong.extend(line for one in alerting for line in one.wrong(with_data=False))
            return not wrong

        try:
            until("all that is shown", all_exist)
        except TimeoutError:
            raise AssertionError("\n  ".join(["", *wrong])) from None
        metrics = {metric for one in shown + alerting for metric in one.metrics}
        selectors = {selector for one in shown + alerting for selector in one.selectors}
    return (
        f"{len(shown)} expressions of the dashboard, {len(alerting)} of the alerts: "
        f"{len(metrics)} series names and {len(selectors)} selectors exist"
    )

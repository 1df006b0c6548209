"""What the spans of a trace say, in words: the way to the gateway, and the gateway's requests to Graph."""

METHOD = "incidentgate.v1.IncidentTaskService/ExecuteResponseAction"
TEMPLATES = {
    "POST": "/security/incidentTasks/{incidentTaskId}/executeResponseAction",
    "GET": "/security/incidentTasks/{incidentTaskId}",
}
# Headers that are for the way to the gateway only.
PRIVATE = ["baggage", "b3", "x-b3-traceid", "x-b3-spanid", "x-b3-sampled", "x-b3-flags"]


class Trace:
    """The trace that Graph's requests of one call name, as far as the collector has it.

    `caller` is the trace and the span that the call itself has named.
    """

    def __init__(self, collector, requests, caller):
        self.headers = [dict(request["headers"]) for request in requests]
        self.methods = [request["method"] for request in requests]
        contexts = [headers.get("traceparent", "00---").split("-") for headers in self.headers]
        [(self.id, self.flags)] = {(trace, flags) for _, trace, _, flags in contexts}
        self.caller = caller
        self.spans = collector.trace(self.id)
        # Each request's span, and those above it.
        self.ways = [self.way(span) for _, _, span, _ in contexts]

    def way(self, span):
        """The spans from this one to the root, and the parent of that which is not among the spans."""
        way = []
        while found := [each for each in self.spans if each.id == span and each not in way]:
            # Where both sides of a call have the same id, the server's is the lower one.
            way.append(max(found, key=lambda each: each.kind == "SERVER"))
            span = way[-1].parent
        return way, span

    def is_sampled(self):
        return self.flags == "01"

    def size(self):
        """How many spans there are on these ways."""
        return len({(span.id, span.kind) for way, _ in self.ways for span in way})

    def is_complete(self):
        """Whether the collector has everything between Graph and the caller, or the root."""
        whole = all(way and missing in ("", self.caller[1]) for way, missing in self.ways)
        return whole or not self.is_sampled()

    def __str__(self):
        is_callers = self.id == self.caller[0]
        if not self.is_sampled():
            words = ["caller"] * is_callers + ["unsampled"] + ["spans"] * bool(self.spans)
            return " > ".join([*words, ", ".join(self.methods)]) + self.leaks()
        (way, missing), *others = {(tuple(way[1:]), missing) for way, missing in self.ways}
        if others:
            return "several ways"
        above = [shown(span) for span in reversed(way)]
        begin = {"": [], self.caller[1]: ["caller"] if is_callers else ["another trace"]}.get(missing, ["nobody"])
        requests = [shown_request(way[0]) if way else "none" for way, _ in self.ways]
        return " > ".join([*begin, *above, ", ".join(requests)]) + self.leaks()

    def leaks(self):
        """Headers that Graph must not see, and one that it may."""
        private = {name for headers in self.headers for name in headers if name in PRIVATE}
        states = {headers["tracestate"] for headers in self.headers if "tracestate" in headers}
        words = [*(f"LEAKED {name}" for name in sorted(private)), *(f"tracestate {state}" for state in states)]
        return "".join(f" {word}" for word in words)

    def breaches(self, code, outcome, names, graph_url):
        """What the gateway's spans lack of that which the semantic conventions ask for."""
        wanted = []
        for method, (way, _) in zip(self.methods, self.ways):
            request, server = way[:2]
            wanted.append((server, "SERVER", METHOD, server_attributes(code, outcome, names)))
            name = f"{method} {TEMPLATES[method]}"
            wanted.append((request, "CLIENT", name, client_attributes(method, graph_url)))
        for span, kind, name, attributes in wanted:
            if (span.kind, span.name) != (kind, name):
                yield f"{span.kind} {span.name}"
            for key, value in attributes.items():
                if span.attributes.get(key) != value:
                    yield f"{span.name}: {key}={span.attributes.get(key)} and not {value}"


def shown(span):
    # Only within a process does the name tell the spans of a service apart.
    return f"{span.service} {span.name if span.kind == 'INTERNAL' else span.kind}{' error' * span.is_error}"


def shown_request(span):
    attributes = span.attributes
    status = attributes.get("http.response.status_code", attributes.get("error.type"))
    resent = attributes.get("http.request.resend_count")
    words = [attributes.get("http.request.method"), status, "error" * span.is_error, resent and f"resent {resent}"]
    return " ".join(str(word) for word in words if word)


def server_attributes(code, outcome, names):
    """Of the span of a call that came over a unix socket."""
    return {
        "rpc.system.name": "grpc",
        "rpc.method": METHOD,
        "rpc.status_code": code,
        "incidentgate.action.outcome": outcome,
        "incidentgate.caller.names": names,
        "network.transport": "unix",
        "error.type": code if code == "UNKNOWN" else None,
    }


def client_attributes(method, graph_url):
    address, _, port = graph_url.removeprefix("http://").partition("/")[0].partition(":")
    return {
        "http.request.method": method,
        "url.template": TEMPLATES[method],
        "url.full": graph_url + TEMPLATES[method],
        "server.address": address,
        "server.port": int(port),
    }

"""The gateway and Envoy's `grpc_json_reverse_transcoder` at the same work, in turn, on one machine, in one run.

    bash benches/run

installs what is needed and runs this. Prints the ratios gateway / Envoy with their spread over the rounds, and the goals;
exits with 1 if a goal is missed. Everything else about it stands in benches/README.md.
"""

import argparse
import contextlib
import json
import pathlib
import statistics
import sys
import tempfile
import time

import plot
import scale
from load import REFUSED, STARTS, Load, token
from rig import (
    FLUSH_MS,
    MEASURED,
    ONE_PERCENT,
    TRACED,
    UNTRACED,
    UPSTREAMS,
    Collector,
    EnvoyGateway,
    Gateway,
    Graph,
    Peer,
)

MODES = [UNTRACED, ONE_PERCENT, TRACED]
TOKEN = token()
ENVOY, GATEWAY, REFUSALS = "Envoy", "gateway", "gateway, 400"
ECHO, BARE, BARE_REFUSALS = "tonic echo, no upstream", "tonic + reqwest, nothing else", "tonic + reqwest, 400 with details"
FLOORS = {ECHO: ["echo"], BARE: ["forward", "--http2-prior-knowledge"]}
# So many cold starts.
COLD_STARTS = 5


class Spread:
    """A figure of each round: the median, and where the middle half lies."""

    def __init__(self, values):
        values = list(values)
        self.median = statistics.median(values)
        self.low, _, self.high = statistics.quantiles(values, n=4, method="inclusive")

    def __str__(self):
        return f"{self.median:.2f} ({self.low:.2f}-{self.high:.2f})"


def in_turn(pair, number):
    """Both, in a round of this number: whoever comes first in one comes last in the next."""
    return list(pair.items())[:: 1 if number % 2 == 0 else -1]


class Comparison:
    """All that was measured: for each upstream and mode, and who did it, one figure a round."""

    def __init__(self, running, folder, rounds, calls):
        self.rounds, self.calls = rounds, calls
        self.graph, self.collector = Graph(running, folder), Collector(running, folder)
        self.load, self.refused = (Load(folder, *task, TOKEN) for task in (STARTS, REFUSED))
        self.measured, self.spans = {}, {}
        self.pairs = {
            (upstream, mode): {
                ENVOY: EnvoyGateway(running, folder, self.graph, upstream, mode, self.collector),
                GATEWAY: Gateway(running, folder, self.graph, upstream, mode, self.collector),
            }
            for upstream in UPSTREAMS
            for mode in MODES
        }
        self.floors = {}
        for name, (program, *options) in FLOORS.items():
            more = ["--graph-url", self.graph.url("HTTP/2"), *options] if options else []
            self.floors[name] = Peer(running, folder, MEASURED, program, *more)

    def run(self):
        """All rounds."""
        for _, pair in self.each():
            for peer in pair.values():
                self.load.check(peer)
            self.refused.check(pair[GATEWAY])
        self.load.check(self.floors[BARE])
        self.refused.check(self.floors[BARE])
        for number in range(self.rounds):
            print(f"round {number + 1} of {self.rounds}", file=sys.stderr, flush=True)
            for key, pair in self.each():
                for who, peer in in_turn(pair, number):
                    self.measure((*key, who), peer, self.load)
                if key == ("HTTP/2", UNTRACED):
                    self.measure((*key, REFUSALS), pair[GATEWAY], self.refused)
            for name, floor in self.floors.items():
                self.measure((name,), floor, self.load)
            self.measure((BARE_REFUSALS,), self.floors[BARE], self.refused)

    def each(self):
        return self.pairs.items()

    def measure(self, key, peer, load):
        # Connections, caches and the allocator's memory are to be as in use; meanwhile others were measured.
        load.run(peer, self.calls // 5)
        if TRACED not in key:
            self.measured.setdefault(key, []).append(load.run(peer, self.calls))
            return
        before = self.settle()
        # The export of its last spans belongs to the calls.
        self.measured.setdefault(key, []).append(load.run(peer, self.calls, afterwards=self.settle))
        self.spans.setdefault(key, []).append((self.collector.spans() - before) / self.calls)

    def settle(self):
        """How many spans the collector has, once no more come."""
        spans, earlier = self.collector.spans(), -1
        while spans != earlier:
            time.sleep(2 * FLUSH_MS / 1e3)
            spans, earlier = self.collector.spans(), spans
        return spans

    def figures(self, key, figure):
        return [getattr(measured, figure) for measured in self.measured[key]]

    def ratio(self, figure, mine, other):
        return Spread(a / b for a, b in zip(self.figures(mine, figure), self.figures(other, figure)))

    def at_half_load(self):
        """The latencies of both where half as many calls come as Envoy can take, or the gateway if that is less."""
        pair = self.pairs["HTTP/2", UNTRACED]
        keys = {who: ("HTTP/2", UNTRACED, who) for who in pair}
        rate = min(statistics.median(self.figures(key, "rate")) for key in keys.values()) / 2
        latencies = {who: [] for who in pair}
        for number in range(self.rounds):
            for who, peer in in_turn(pair, number):
                calls = int(3 * rate)
                latencies[who].append(self.load.run(peer, calls, clients=64, streams=4, rate=rate))
        return rate, latencies

    def cold_start(self, running, folder):
        """Milliseconds from the start of the process to its first answer."""
        (folder / "cold").mkdir()
        taken = []
        for number in range(COLD_STARTS):
            began = time.monotonic()
            gateway = Gateway(running, folder / "cold", self.graph, "HTTP/2", UNTRACED, self.collector, name=str(number))
            self.load.run(gateway, 1, clients=1, streams=1)
            # Starting h2load is part of it.
            taken.append(1e3 * (time.monotonic() - began))
            gateway.kill()
        return taken


def goals(comparison, half, cold):
    """Each goal: what it is about, the figure, the limit."""
    h2 = "HTTP/2"
    mine = {mode: (h2, mode, GATEWAY) for mode in MODES}
    envoys = {mode: (h2, mode, ENVOY) for mode in MODES}
    _, latencies = half
    p99 = Spread(a.p99 / b.p99 for a, b in zip(latencies[GATEWAY], latencies[ENVOY]))
    ratio = comparison.ratio
    lost = Spread(2 - spans for spans in comparison.spans[mine[TRACED]])
    # What tonic and reqwest need by themselves for details of that length.
    bare = ratio("cpu", (BARE_REFUSALS,), (BARE,)).median
    return [
        ("CPU per call, 100 % traced / Envoy 100 % traced", ratio("cpu", mine[TRACED], envoys[TRACED]), 0.5),
        ("CPU per call, 1 % sampled / Envoy untraced", ratio("cpu", mine[ONE_PERCENT], envoys[UNTRACED]), 0.7),
        ("p99 at half the saturating rate / Envoy", p99, 1.0),
        ("RSS under load, untraced / Envoy", ratio("rss", mine[UNTRACED], envoys[UNTRACED]), 0.35),
        ("RSS under load, 100 % traced / Envoy", ratio("rss", mine[TRACED], envoys[TRACED]), 0.35),
        ("CPU per call, 400 with details / 204", ratio("cpu", (h2, UNTRACED, REFUSALS), mine[UNTRACED]), max(1.3, bare)),
        ("spans that are lost, of the two of a traced call", lost, 0.01),
        ("cold start to the first answer, in 100 ms", Spread(taken / 100 for taken in cold), 1.0),
    ]


def table(comparison):
    """Every pair, as Markdown."""
    yield "| upstream | tracing | CPU | throughput | p50 | p99 | RSS | us per call: gateway, Envoy |"
    yield "|---|---|---|---|---|---|---|---|"
    for (upstream, mode), _ in comparison.each():
        mine, other = (upstream, mode, GATEWAY), (upstream, mode, ENVOY)
        ratios = [str(comparison.ratio(figure, mine, other)) for figure in ("cpu", "rate", "p50", "p99", "rss")]
        absolute = [f"{statistics.median(comparison.figures(key, 'cpu')):.0f}" for key in (mine, other)]
        yield f"| {upstream} | {mode.name} | {' | '.join(ratios)} | {', '.join(absolute)} |"


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--rounds", type=int, default=11, help="two at least")
    arguments.add_argument("--calls", type=int, default=10_000, help="in each measurement")
    arguments.add_argument("--plot", type=pathlib.Path, help="an SVG file to write")
    arguments.add_argument("--json", type=pathlib.Path, help="a file for all figures")
    arguments.add_argument("--only", choices=["compare", "scale"])
    arguments.add_argument("--goals", action=argparse.BooleanOptionalAction, default=True, help="whether they decide")
    arguments = arguments.parse_args()
    met = True
    with contextlib.ExitStack() as running:
        folder = pathlib.Path(running.enter_context(tempfile.TemporaryDirectory()))
        if arguments.only != "scale":
            met &= compare(running, folder, arguments)
        if arguments.only != "compare":
            met &= scale.run(running, folder, TOKEN)
    return 0 if met or not arguments.goals else 1


def compare(running, folder, arguments):
    comparison = Comparison(running, folder, arguments.rounds, arguments.calls)
    comparison.run()
    half = comparison.at_half_load()
    cold = comparison.cold_start(running, folder)
    print(f"Ratios gateway / Envoy: the median of {arguments.rounds} rounds, and where the middle half lies.\n")
    print(*table(comparison), sep="\n")
    print("\n| floor | CPU / Envoy's, untraced | us per call |\n|---|---|---|")
    for name in (ECHO, BARE, BARE_REFUSALS):
        ratio = comparison.ratio("cpu", (name,), ("HTTP/2", UNTRACED, ENVOY))
        print(f"| {name} | {ratio} | {statistics.median(comparison.figures((name,), 'cpu')):.0f} |")
    for key, spans in comparison.spans.items():
        print(f"spans a call, {', '.join(map(str, [key[0], key[2]]))}: {statistics.median(spans):.2f}")
    rate, latencies = half
    for who, measured in latencies.items():
        p50, p99 = (statistics.median(getattr(each, figure) for each in measured) for figure in ("p50", "p99"))
        print(f"{rate:.0f} calls a second, {who}: p50 {p50:.2f} ms, p99 {p99:.2f} ms")
    print("\n| goal | measured | at most | |\n|---|---|---|---|")
    rows = goals(comparison, half, cold)
    for name, spread, limit in rows:
        print(f"| {name} | {spread} | {limit:.2f} | {'met' if spread.median <= limit else 'MISSED'} |")
    if arguments.plot:
        arguments.plot.write_text(plot.draw(comparison, UPSTREAMS, MODES, (ENVOY, GATEWAY)))
    if arguments.json:
        figures = {" / ".join(getattr(part, "name", part) for part in key): [vars(one) for one in values]
                   for key, values in comparison.measured.items()}
        arguments.json.write_text(json.dumps(figures, indent=1))
    return all(spread.median <= limit for _, spread, limit in rows)


if __name__ == "__main__":
    sys.exit(main())

"""Whether a call costs the same however many there are."""

import statistics
import subprocess

from load import STARTS, Load
from processes import until
from rig import (
    MEASURED,
    TRACED,
    UNTRACED,
    Collector,
    EnvoyGateway,
    Gateway,
    Graph,
    Peer,
    SlowGraph,
    rss,
)

IN_FLIGHT = [1, 16, 100, 1000]
CONNECTIONS = [1, 10, 100, 1000]
CALLS, ROUNDS = 4_000, 7
HANGING = 10_000
# A call among very few is never part of a batch, and pays for its system calls alone; so does each where all have
# connections of their own, which the bare server shows. Beyond that a call may not become dearer the more there are.
MOST_GROWTH = 1.3
# A call that hangs is to take no more than this; what HTTP/2 and both libraries need is more already, so that the gateway
# is held to what it adds: deadline, place, audit record, the work that outlives its caller, and two spans.
MOST_KIB, MOST_OWN_KIB = 16.0, 9.0
DELAY, STREAMS = 50, 100


def run(running, folder, token):
    """Prints the tables; whether all goals are met."""
    folder = folder / "scale"
    folder.mkdir()
    graph, collector = Graph(running, folder), Collector(running, folder)
    load = Load(folder, *STARTS, token)
    results = [
        sweep(running, folder, graph, collector, load),
        connections(running, folder, collector, load),
        hanging(running, folder, collector, load),
    ]
    return all(results)


def sweep(running, folder, graph, collector, load):
    """What a call costs among few and among many, beside Envoy and the least that a gateway in Rust could be."""
    options = ["--graph-url", graph.url("HTTP/2"), "--http2-prior-knowledge"]
    peers = {
        "gateway": Gateway(running, folder, graph, "HTTP/2", UNTRACED, collector),
        "Envoy": EnvoyGateway(running, folder, graph, "HTTP/2", UNTRACED, collector),
        "tonic + reqwest": Peer(running, folder, MEASURED, "forward", *options),
    }
    for peer in peers.values():
        load.run(peer, CALLS // 4)
    met = True
    for what, steps in (("in flight", IN_FLIGHT), ("connections", CONNECTIONS)):
        print(f"\n| {what} | us per call: {', '.join(peers)} |\n|---|---|")
        # What a machine does meanwhile, it does to few and to many: a round has all of them.
        costs = {name: [] for name in peers}
        for _ in range(ROUNDS):
            for rounds in costs.values():
                rounds.append([])
            for count in steps:
                for name, peer in peers.items():
                    costs[name][-1].append(per_call(load, peer, *shape(what, count)))
        for step, count in enumerate(steps):
            medians = (statistics.median(each[step] for each in rounds) for rounds in costs.values())
            print(f"| {count} | {', '.join(f'{median:.0f}' for median in medians)} |", flush=True)
        growth = {name: statistics.median(growths(rounds)) for name, rounds in costs.items()}
        limit = max(MOST_GROWTH, growth["tonic + reqwest"])
        met &= growth["gateway"] <= limit
        print(f"{what}: the last / the cheapest, by rounds:", ", ".join(f"{name} {each:.2f}" for name, each in growth.items()), end="; ")
        print(f"at most {limit:.2f}: {'met' if growth['gateway'] <= limit else 'MISSED'}")
    return met


def per_call(load, peer, clients, streams):
    """Microseconds of a call. What it costs to connect is to count little."""
    return load.run(peer, max(CALLS, 20 * clients), clients=clients, streams=streams).cpu


def growths(rounds):
    """How much dearer a call was among most than where it is cheapest, by rounds."""
    steps = range(len(rounds[0]))
    cheapest = min(steps, key=lambda step: statistics.median(each[step] for each in rounds))
    return [each[-1] / each[cheapest] for each in rounds]


def shape(what, count):
    """Connections, and streams on each. Many are in flight on as few connections as take them."""
    if what == "connections":
        return count, 1
    clients = -(-count // 100)
    return clients, count // clients


def connections(running, folder, collector, load):
    """Graph admits so many streams on a connection, and ten times as many calls come at once."""
    graph = SlowGraph(running, folder, "--delay", DELAY, "--max-concurrent-streams", STREAMS)
    gateway = Gateway(running, folder, graph, "HTTP/2", UNTRACED, collector, name="admitted")
    load.run(gateway, CALLS // 4, clients=10, streams=100)
    measured = load.run(gateway, CALLS, clients=10, streams=100)
    # Behind one connection a call would wait for nine others.
    queued = 10 * DELAY
    met = measured.p99 < queued / 2
    print(f"\n1000 in flight, {STREAMS} streams a connection, {DELAY} ms each: p50 {measured.p50:.0f} ms,", end=" ")
    print(f"p99 {measured.p99:.0f} ms; behind one connection {queued} ms {'met' if met else 'MISSED'}")
    return met


def hanging(running, folder, collector, load):
    """What a call costs that waits for Graph, in KiB, beside the least that a gateway in Rust could be."""
    graph = SlowGraph(running, folder)
    more = {"INCIDENTGATE_SERVER__MAX_IN_FLIGHT": str(HANGING)}
    options = ["--graph-url", graph.url("HTTP/2"), "--http2-prior-knowledge"]
    costs = {
        mode.name: hang(Gateway(running, folder, graph, "HTTP/2", mode, collector, name="hanging", **more), graph, load)
        for mode in (UNTRACED, TRACED)
    }
    floor = hang(Peer(running, folder, MEASURED, "forward", *options), graph, load)
    limit = max(MOST_KIB, floor + MOST_OWN_KIB)
    met = all(cost <= limit for cost in costs.values())
    print(f"\n{HANGING} calls that hang:", ", ".join(f"{name} {cost:.1f} KiB each" for name, cost in costs.items()), end="; ")
    print(f"tonic + reqwest {floor:.1f} KiB. At most {MOST_KIB:.0f}, or {MOST_OWN_KIB:.0f} more than those:", end=" ")
    print(f"{limit:.1f}: {'met' if met else 'MISSED'}")
    return met


def hang(gateway, graph, load):
    """The memory that one call takes."""
    before, received = rss(gateway.pid), graph.received()
    command = load.command(gateway, HANGING, 100, 100, headers=["grpc-timeout: 2M"])
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as callers:
        until("the calls at Graph", lambda: graph.received() - received >= HANGING)
        cost = (rss(gateway.pid) - before) / HANGING / 1024
        callers.kill()
    gateway.kill()
    return cost

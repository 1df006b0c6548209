#!/usr/bin/env python3
"""Runs one conformance suite of another project against the gateway's stack: connect, interop or h2spec.

    cargo build -p incidentgate-conformance
    python3 conformance/run.py SUITE

The suite's program is looked for on the PATH. Ends with one line of counts; exit code 0 only if nothing has failed but
what is known to, and all of that has.
"""

import contextlib
import pathlib
import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree

HERE = pathlib.Path(__file__).parent
SERVER = HERE.parent / "target/debug/incidentgate-conformance"
# h2spec's races: one that has lost each of so many is a failure.
RUNS = 20
# What the client of grpc-go knows and the gateway has: neither credentials of a cloud nor load reports (ORCA).
INTEROP_CASES = """
    empty_unary large_unary client_streaming server_streaming ping_pong empty_stream timeout_on_sleeping_server
    cancel_after_begin cancel_after_first_response status_code_and_message special_status_message custom_metadata
    unimplemented_method unimplemented_service pick_first_unary rpc_soak channel_soak
""".split()


def lines(name):
    """The lines of a list that are no comments."""
    return [line for line in (HERE / name).read_text().splitlines() if line and not line.startswith("#")]


@contextlib.contextmanager
def server(*options):
    """The port of a gateway with the interop services."""
    process = subprocess.Popen([SERVER, "interop", *options], stdout=subprocess.PIPE, text=True)
    with process:
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()
    assert process.returncode == 0, f"the server ended with {process.returncode}"


def key_pair(folder):
    """A certificate for this machine, and its key."""
    certificate, key = folder / "server.pem", folder / "server.key"
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"]
    files = ["-keyout", key, "-out", certificate]
    request = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *names, *files]
    subprocess.run([*request, "-addext", "basicConstraints=critical,CA:FALSE"], check=True, capture_output=True)
    return certificate, key


def connect(folder):
    """connectrpc/conformance: plain, TLS, and TLS with client certificates."""
    known = f"@{HERE / 'connect-known-failing.txt'}"
    options = ["--mode", "server", "--conf", HERE / "connect.yaml", "--known-failing", known]
    command = ["connectconformance", *options, "--", SERVER, "connect", folder]
    run = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    print(run.stdout)
    [total] = re.findall(r"Total cases: (\d+)", run.stdout)
    [passed] = re.findall(r"(\d+) passed, \d+ failed", run.stdout)
    expected = re.findall(r"Another (\d+) failed as expected", run.stdout) or ["0"]
    print(f"connect conformance: {total} cases, {passed} passed, {expected[0]} known failures")
    return run.returncode == 0 and int(total) == int(passed) + int(expected[0])


def interop(folder):
    """gRPC's interoperability tests, by grpc-go: plain and TLS."""
    certificate, key = key_pair(folder)
    ways = {
        "plain": ([], []),
        "TLS": (
            ["--certificate-file", certificate, "--key-file", key],
            ["-use_tls", "-use_test_ca", "-ca_file", certificate],
        ),
    }
    failed = []
    for way, (server_options, client_options) in ways.items():
        with server(*server_options) as port:
            client = ["client", "-server_host", "127.0.0.1", "-server_port", port, *client_options]
            for case in INTEROP_CASES:
                run = subprocess.run([*client, "-test_case", case], stderr=subprocess.PIPE, text=True, timeout=60)
                if run.returncode != 0:
                    failed.append(f"{case} ({way})")
                    print(f"FAILED: {failed[-1]}:", run.stderr, sep="\n")
    total = len(ways) * len(INTEROP_CASES)
    print(f"gRPC interop: {total} cases, {total - len(failed)} passed, 0 known failures")
    return not failed


def h2spec_failures(folder, port, options):
    """How many cases there are, and those that fail."""
    report = folder / "h2spec.xml"
    # It ends with 1 when a case fails; the report says which.
    subprocess.run(["h2spec", "-p", port, "-S", "-j", report, *options], stdout=subprocess.PIPE, timeout=600)
    cases = list(xml.etree.ElementTree.parse(report).getroot().iter("testcase"))
    report.unlink()
    return len(cases), {f"{case.get('package')} {case.get('classname')}" for case in cases if len(case)}


def h2spec(folder):
    """h2spec, strict: generic, http2 and hpack; plain and TLS."""
    certificate, key = key_pair(folder)
    known = dict(reversed(line.split(" ", 1)) for line in lines("h2spec-known.txt"))
    races = {case for case, kind in known.items() if kind == "races"}
    total, known_failures, wrong = 0, 0, []
    for way, server_options, client_options in [
        ("plain", [], []),
        ("TLS", ["--certificate-file", certificate, "--key-file", key], ["-t", "-k"]),
    ]:
        expected = {case for case, kind in known.items() if kind == way}
        with server(*server_options) as port:
            lost = races
            for _ in range(RUNS):
                count, failed = h2spec_failures(folder, port, client_options)
                lost = lost & failed
                wrong += [f"{way}: {case}" for case in (failed - races) ^ expected]
                if wrong or not lost:
                    break
        # Of a run that was given up, the races say nothing.
        wrong = wrong or [f"{way}: {case}" for case in lost]
        total += count
        known_failures += len(expected)
    for case in wrong:
        print(f"not as expected: {case}")
    passed = total - known_failures - len(wrong)
    print(f"h2spec: {total} cases, {passed} passed, {known_failures} known failures")
    return not wrong


def main():
    suite = {"connect": connect, "interop": interop, "h2spec": h2spec}[sys.argv[1]]
    with tempfile.TemporaryDirectory() as folder:
        return 0 if suite(pathlib.Path(folder)) else 1


if __name__ == "__main__":
    sys.exit(main())

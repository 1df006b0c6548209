"""Checks of everything in this folder, as far as it goes without a cluster; one line each.

    python deploy/check.py

`incidentgate`, `kustomize`, `promtool`, `prometheus`, `go` and `openssl` 3 must be on the PATH, and what the
requirements.txt here and in tests/python name installed.
"""

import pathlib
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "tests" / "python"))

from checks import alerts, configuration, manifests, telemetry  # noqa: E402


def dockerfile():
    """hadolint knows what a Dockerfile should not have."""
    hadolint = pathlib.Path(sys.executable).with_name("hadolint")
    subprocess.run([hadolint, HERE / "Dockerfile"], check=True)
    return "nothing to say"


def main():
    failed = False
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        overlays = {}
        for title, check in [
            ("dockerfile", dockerfile),
            ("kustomize", lambda: manifests.check(HERE / "kubernetes", overlays)),
            ("configuration", lambda: configuration.check(folder, overlays)),
            ("alerts", lambda: alerts.check(HERE / "prometheus")),
            ("telemetry", lambda: telemetry.check(folder, HERE)),
        ]:
            try:
                print(f"{title}: {check()}", flush=True)
            except (AssertionError, subprocess.CalledProcessError, TimeoutError) as wrong:
                failed = True
                print(f"{title}: FAILED: {wrong}", flush=True)
    sys.exit(failed)


if __name__ == "__main__":
    main()

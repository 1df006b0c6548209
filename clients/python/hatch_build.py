"""Generates the stubs from `proto/` straight into the wheel, so that none is left among the sources."""

import pathlib
import subprocess
import sys
import tempfile

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class StubsBuildHook(BuildHookInterface):
    def initialize(self, version, build_data):
        self.folder = tempfile.TemporaryDirectory()
        proto = pathlib.Path(self.root).parents[1] / "proto"
        out = self.folder.name
        command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{proto}"]
        command += [f"--python_out={out}", f"--grpc_python_out={out}"]
        # Not grpc/health: a package `grpc` of ours would hide grpcio's. grpcio-health-checking has these stubs.
        subprocess.run([*command, "incidentgate/v1/incident_task_service.proto"], check=True)
        build_data["force_include"][f"{out}/incidentgate"] = "incidentgate"

    def finalize(self, version, build_data, artifact_path):
        self.folder.cleanup()

"""The gateway's API in this process: the stubs, made from `proto/` alone, and an error with all that it says."""

import pathlib
import sys

import grpc
import grpc_tools
from google.rpc import error_details_pb2 as details
from grpc_status import rpc_status
from grpc_tools import protoc

PROTO = pathlib.Path(__file__).parents[2] / "proto"
WELL_KNOWN = pathlib.Path(grpc_tools.__file__).parent / "_proto"


def stubs(folder):
    """Compiles the protos and makes them importable."""
    files = [str(path.relative_to(PROTO)) for path in PROTO.rglob("*.proto")]
    options = [f"-I{PROTO}", f"-I{WELL_KNOWN}", f"--python_out={folder}", f"--grpc_python_out={folder}"]
    if protoc.main(["protoc", *options, *files]) != 0:
        raise SystemExit("the protos do not compile")
    # The package `grpc.health.v1` would hide grpcio's own `grpc`; its files are found by this name.
    grpc.__path__.append(f"{folder}/grpc")
    sys.path.insert(0, folder)
    from grpc.health.v1 import health_pb2, health_pb2_grpc
    from incidentgate.v1 import incident_task_service_pb2, incident_task_service_pb2_grpc

    return incident_task_service_pb2, incident_task_service_pb2_grpc, health_pb2, health_pb2_grpc


class Refused:
    """An error with its details, by type."""

    def __init__(self, error):
        self.code = error.code()
        self.pushback = dict(error.trailing_metadata()).get("grpc-retry-pushback-ms")
        status = rpc_status.from_call(error)
        assert status is not None, f"no details: {error}"
        assert (status.code, status.message) == (self.code.value[0], error.details())
        self.details = {}
        for packed in status.details:
            name = packed.type_url.removeprefix("type.googleapis.com/google.rpc.")
            message = getattr(details, name)()
            assert packed.Unpack(message) and name not in self.details, name
            self.details[name] = message
        self.info = self.details["ErrorInfo"]
        self.outcome = self.info.metadata["actionOutcome"]

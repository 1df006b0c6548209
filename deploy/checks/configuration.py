"""The configuration of each overlay, exactly as rendered: checked, then served in front of a sandbox and called."""

import base64
import contextlib
import json
import os
import subprocess

import grpc
from certificates import Authority, Certificate, digest
from processes import Process, Sandbox, http

METHOD = "/incidentgate.v1.IncidentTaskService/ExecuteResponseAction"
REQUEST = b"\x0a\x06213213"  # incident_task_id = "213213"
ISSUER, SUBJECT = "https://cluster.example/", "system:serviceaccount:soc:incidentgate"
CLIENT = "8d1f4b7e-0000-4000-8000-00000000000c"
TLS = "/etc/incidentgate-tls"
SOCKET = "/run/incidentgate/gateway.sock"


def container(objects, folder):
    """The arguments that the overlay gives to the gateway, with the ConfigMap's files in `folder`, and its probe."""
    kinds = {item["kind"]: item for item in objects}
    spec = kinds["Deployment"]["spec"]["template"]["spec"]
    [only] = spec["containers"]
    [volume] = [volume for volume in spec["volumes"] if "configMap" in volume]
    [path] = [mount["mountPath"] for mount in only["volumeMounts"] if mount["name"] == volume["name"]]
    config = kinds["ConfigMap"]
    assert volume["configMap"]["name"] == config["metadata"]["name"], "the pods mount another ConfigMap"
    for name, text in config["data"].items():
        (folder / name).write_text(text)
    arguments = [word.replace(path, str(folder)) for word in only["args"]]
    assert arguments[0] == "serve" and str(folder / "incidentgate.toml") in arguments, arguments
    return arguments[1:], only["readinessProbe"].get("exec", {}).get("command")


def token(**claims):
    """As a service account's; the sandbox does not look at the signature."""
    parts = [json.dumps(part).encode() for part in ({"alg": "RS256", "typ": "JWT"}, claims)]
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in [*parts, b"signature"])


class Surroundings:
    """What a cluster gives to the pod, and a way to Graph."""

    def __init__(self, running, folder):
        self.running, self.folder = running, folder
        self.sandbox = Sandbox(running, folder, "--tokens", "issued")
        federated = {"federated": [{"issuer": ISSUER, "subject": SUBJECT}]}
        http("PUT", f"{self.sandbox.control}/entra/clients/{CLIENT}", federated)
        known = self.sandbox.application()
        self.entra = known["INCIDENTGATE_CREDENTIALS__AUTHORITY"]
        self.tenant = known["INCIDENTGATE_CREDENTIALS__TENANT"]
        self.audience = known["INCIDENTGATE_CREDENTIALS__CLIENT_ID"]
        self.authority = Authority(folder / "certificates")
        self.server = self.authority.issue("server", Certificate(dns=("incidentgate",)))
        self.client = self.authority.issue("client", Certificate(dns=("responder.soc.svc",)))
        identity = folder / "azure-identity-token"
        identity.write_text(token(iss=ISSUER, sub=SUBJECT, aud="api://AzureADTokenExchange", exp=2**33))
        # What the webhook of Azure Workload Identity sets.
        self.webhook = {
            "AZURE_TENANT_ID": self.tenant,
            "AZURE_CLIENT_ID": CLIENT,
            "AZURE_FEDERATED_TOKEN_FILE": str(identity),
            "AZURE_AUTHORITY_HOST": "https://login.microsoftonline.com/",
        }

    def environment(self, text):
        """The pod's variables; files that a cluster would mount are elsewhere here."""
        if TLS not in text:
            return self.webhook
        names = ("CERTIFICATE_FILE", "KEY_FILE", "CLIENT_CA_FILE")
        files = (*self.server, self.authority.file)
        return {**self.webhook, **{f"INCIDENTGATE_TLS__{name}": str(file) for name, file in zip(names, files)}}

    def serve(self, arguments, environment, text):
        """A gateway by that configuration with the sandbox for Microsoft, and where it listens."""
        environment = {**environment, "AZURE_AUTHORITY_HOST": self.entra}
        if "jwt_issuer" in text:
            environment["INCIDENTGATE_CALLERS__JWT_ISSUER"] = f"{self.entra}/{self.tenant}/v2.0"
            environment["INCIDENTGATE_CALLERS__JWT_AUDIENCE"] = self.audience
        listen = f"unix:{self.folder}/gateway.sock" if SOCKET in text else "127.0.0.1:0"
        command = ["incidentgate", "serve", *arguments, "--listen", listen, "--graph-url", self.sandbox.graph_url]
        gateway = Process(self.running, self.folder / "gateway.log", *command, **environment)
        return gateway.says(r'"listen":"([^"]+)"')[1]

    def call(self, target, text, proven):
        """Calls with the proof that this configuration asks for, or with none: the code."""
        options, metadata = [("grpc.default_authority", "incidentgate")], []
        if proven and "jwt_issuer" in text:
            minted = run("incidentgate", "mint", "--sandbox", self.entra, "--role", "Incident.Execute").stdout.strip()
            metadata = [("authorization", f"Bearer {minted}")]
        elif proven and SOCKET in text:
            name = "URI=spiffe://cluster.local/ns/soc/sa/responder"
            metadata = [("x-forwarded-client-cert", f"Hash={digest(self.client[0])};{name}")]
        if TLS in text:
            options.append(("grpc.ssl_target_name_override", "incidentgate"))
            credentials = self.authority.credentials(*(self.client if proven else ()))
            channel = grpc.secure_channel(target, credentials, options)
        else:
            channel = grpc.insecure_channel(target, options)
        with channel:
            try:
                channel.unary_unary(METHOD)(REQUEST, timeout=20, metadata=metadata, wait_for_ready=True)
            except grpc.RpcError as refused:
                return refused.code().name
        return "OK"


def run(*command, **environment):
    return subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True)


def check(folder, overlays):
    for name, objects in overlays.items():
        place = folder / name
        place.mkdir()
        arguments, probe = container(objects, place)
        text = (place / "incidentgate.toml").read_text()
        with contextlib.ExitStack() as running:
            around = Surroundings(running, place)
            environment = around.environment(text)
            checked = run("incidentgate", "check", *arguments, **environment)
            assert checked.returncode == 0, f"{name}: {checked.stderr}"
            target = around.serve(arguments, environment, text)
            if probe:
                found = {"127.0.0.1:50051": target, f"unix:{SOCKET}": target, f"{TLS}/ca.crt": around.authority.file}
                for where, here in found.items():
                    probe = [word.replace(where, str(here)) for word in probe]
            else:
                probe = ["incidentgate", "health", "--endpoint", f"http://{target}"]
            probed = run("incidentgate", *probe[1:])
            assert probed.stdout == "SERVING\n", f"{name}: {probed.stdout}{probed.stderr}"
            codes = around.call(target, text, proven=False), around.call(target, text, proven=True)
            assert codes == ("UNAUTHENTICATED", "OK"), f"{name}: {codes}"
    return f"{len(overlays)} checked as rendered, probed, and called without and with a proof"

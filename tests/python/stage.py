"""The gateways of the clients' test, by the name that `clients/expectations.json` gives each; started when first needed."""

import contextlib
import json
import socket
import subprocess
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property

from certificates import Authority, Certificate
from clients_built import CLIENTS
from processes import PATIENCE, Gateway, Sandbox, http, until
from turnstile import Turnstile

ONE_ATTEMPT = {"INCIDENTGATE_RETRY__MAX_ATTEMPTS": "1", "INCIDENTGATE_RECONCILIATION__MODE": "off"}
IN_A_SECOND = {"INCIDENTGATE_DEADLINE__DEFAULT": "1s", "INCIDENTGATE_DEADLINE__MAX": "1s"}


def seen(events):
    """Waits for each of them."""
    for event in events:
        if not event.wait(PATIENCE):
            raise TimeoutError("a request at the turnstile, or its GOAWAY")


class Stage:
    """The sandbox, and the gateways in front of it."""

    def __init__(self, running, folder):
        self.running, self.folder = running, folder
        self.sandbox = Sandbox(running, folder)
        self.gateways = {}

    def call(self, name):
        """How a client gets to that gateway: a context with the arguments."""
        match name:
            case "nobody":
                return contextlib.nullcontext(lambda _: ["--endpoint", self.refusing.removeprefix("http://")])
            case "full house":
                return self.full_house()
            case "leaving":
                return self.leaving()
            case _:
                arguments = ["--endpoint", f"127.0.0.1:{self.gateway(name).port}"]
                if "TLS" in name:
                    arguments += ["--ca-file", self.authority.file]
                if name == "mutual TLS":
                    responder = Certificate(dns=("responder.soc.svc",), common_name="responder")
                    certificate, key = self.authority.issue("client", responder)
                    arguments += ["--certificate-file", certificate, "--key-file", key]
                return contextlib.nullcontext(lambda _: arguments)

    def gateway(self, name):
        if name not in self.gateways:
            url, settings = self.settings(name)
            log = self.folder / f"{name}.log"
            self.gateways[name] = Gateway(self.running, log, url, **settings)
        return self.gateways[name]

    def settings(self, name):
        """Graph's URL and the environment."""
        graph_url = self.sandbox.graph_url
        match name:
            case "usual":
                return graph_url, {}
            case "single attempts":
                return graph_url, ONE_ATTEMPT
            case "hasty":
                return graph_url, ONE_ATTEMPT | IN_A_SECOND
            case "no Graph":
                return f"{self.refusing}/beta", ONE_ATTEMPT
            case "own token":
                return graph_url, ONE_ATTEMPT | self.application
            case "no Entra":
                return graph_url, ONE_ATTEMPT | self.application | {"INCIDENTGATE_CREDENTIALS__AUTHORITY": self.refusing}
            case "silent Entra":
                return graph_url, ONE_ATTEMPT | IN_A_SECOND | self.application | {"INCIDENTGATE_CREDENTIALS__AUTHORITY": self.silent}
            case "callers":
                return graph_url, ONE_ATTEMPT | self.application | self.callers(self.issuer)
            case "no issuer":
                return graph_url, ONE_ATTEMPT | self.application | self.callers(self.refusing)
            case "on behalf of":
                mode = {"INCIDENTGATE_CREDENTIALS__MODE": "on_behalf_of"}
                policy = {"INCIDENTGATE_POLICY__EXECUTE_RESPONSE_ACTION": "*"}
                return graph_url, ONE_ATTEMPT | self.application | self.callers(self.issuer) | mode | policy
            case "full disk":
                return graph_url, {"INCIDENTGATE_AUDIT__SINK": "file", "INCIDENTGATE_AUDIT__FILE": "/dev/full"}
            case "full house":
                return graph_url, {"INCIDENTGATE_SERVER__MAX_IN_FLIGHT": "1", "INCIDENTGATE_SERVER__MAX_WAITING": "0"}
            case "leaving":
                return graph_url, {"INCIDENTGATE_DRAIN__DELAY": "0s"}
            case "TLS":
                return graph_url, self.tls
            case "mutual TLS":
                policy = {"INCIDENTGATE_POLICY__EXECUTE_RESPONSE_ACTION": "dns:responder.soc.svc"}
                client_ca = {"INCIDENTGATE_TLS__CLIENT_CA_FILE": str(self.authority.file)}
                return graph_url, self.tls | client_ca | policy
            case _:
                raise SystemExit(f"clients/expectations.json: no gateway has the name {name!r}")

    @contextlib.contextmanager
    def full_house(self):
        """A call is in the only place for as long as this lasts."""
        gateway = self.gateway("full house")
        self.sandbox.put("held", [{"hold": True}])
        token = self.folder / "held.token"
        token.write_text("held")
        options = ["--endpoint", f"http://127.0.0.1:{gateway.port}", "--token-file", token, "--timeout", "60s"]
        with subprocess.Popen(["incidentgate", "execute", "held", *options], stdout=subprocess.DEVNULL) as held:
            until("the call in flight", lambda: self.sandbox.posts("held"))
            yield lambda _: ["--endpoint", f"127.0.0.1:{gateway.port}"]
            self.sandbox.release("held")
            assert held.wait() == 0

    @contextlib.contextmanager
    def leaving(self):
        """The clients' requests are on their way when the gateway begins to drain."""
        gateway = self.gateway("leaving")
        turnstiles = {client: Turnstile(self.running, gateway.port) for client in CLIENTS}

        def drain():
            seen(turnstile.waiting for turnstile in turnstiles.values())
            gateway.child.terminate()
            seen(turnstile.leaving for turnstile in turnstiles.values())
            for turnstile in turnstiles.values():
                turnstile.may_pass.set()

        with ThreadPoolExecutor(1) as pool:
            draining = pool.submit(drain)
            yield lambda client: ["--endpoint", f"127.0.0.1:{turnstiles[client].port}"]
            draining.result()
        assert gateway.child.wait(PATIENCE) == 0

    def token(self, what):
        """A token for the gateway, of the simulated Entra."""
        return json.loads(http("POST", f"{self.sandbox.control}/entra/tokens", what))["access_token"]

    def script_entra(self, faults):
        http("POST", f"{self.sandbox.control}/entra/faults", faults)

    @cached_property
    def application(self):
        return self.sandbox.application()

    def callers(self, issuer):
        return {
            "INCIDENTGATE_CALLERS__JWT_ISSUER": issuer,
            "INCIDENTGATE_CALLERS__JWT_AUDIENCE": self.application["INCIDENTGATE_CREDENTIALS__CLIENT_ID"],
            "INCIDENTGATE_POLICY__EXECUTE_RESPONSE_ACTION": "role:Incident.Execute",
        }

    @property
    def issuer(self):
        authority, tenant = (self.application[f"INCIDENTGATE_CREDENTIALS__{name}"] for name in ("AUTHORITY", "TENANT"))
        return f"{authority}/{tenant}/v2.0"

    @cached_property
    def refusing(self):
        """Where nobody listens."""
        bound = self.running.enter_context(socket.socket())
        bound.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{bound.getsockname()[1]}"

    @cached_property
    def silent(self):
        """Where nobody answers."""
        listener = self.running.enter_context(socket.create_server(("127.0.0.1", 0)))
        return f"http://127.0.0.1:{listener.getsockname()[1]}"

    @cached_property
    def authority(self):
        return Authority(self.folder / "certificates")

    @cached_property
    def tls(self):
        certificate, key = self.authority.issue("server", Certificate(common_name="gateway"), addresses=["127.0.0.1"])
        files = {"INCIDENTGATE_TLS__CERTIFICATE_FILE": certificate, "INCIDENTGATE_TLS__KEY_FILE": key}
        return {key: str(file) for key, file in files.items()}

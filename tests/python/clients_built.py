"""How the built clients of `clients/` are started, from the repository's root."""

import pathlib

ROOT = pathlib.Path(__file__).parents[2]

CLIENTS = {
    "python": ["target/clients/python/bin/incidentgate-client"],
    "go": ["target/clients/go/incidentgate-client"],
    "java": ["java", "-jar", "clients/java/target/incidentgate-client.jar"],
    "node": ["node", "clients/node/dist/main.js"],
}

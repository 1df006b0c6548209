"""A client of incidentgate. To copy: `call` and `watch`, which ask again where they may, and `error`, which tells."""

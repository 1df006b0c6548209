"""A client of incidentgate. `action` is what to copy: one call, and what its answer says."""

"""`verifier serve`: runs on a schedule, with health, metrics and the latest report over HTTP (GET only)."""

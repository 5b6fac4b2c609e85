"""`verifier serve`: the checks on a schedule, with health, metrics and the latest report over HTTP. It answers GET alone."""

"""Wires the embedded stack (`fixtures.plugin`) and the report of the suites (`reports.plugin`), nothing else."""

pytest_plugins = ["fixtures.plugin", "reports.plugin"]

"""Wires the embedded stack (`fixtures.plugin`), the report of the suites (`reports.plugin`) and the server whose contract
is checked (`suites.contract.openim.plugin`), nothing else."""

pytest_plugins = ["fixtures.plugin", "reports.plugin", "suites.contract.openim.plugin"]

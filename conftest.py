"""Load the plugins: the embedded stack (`fixtures.plugin`), the report (`reports.plugin`) and the server of the contract suite
(`suites.contract.openim.plugin`)."""

pytest_plugins = ["fixtures.plugin", "reports.plugin", "suites.contract.openim.plugin"]

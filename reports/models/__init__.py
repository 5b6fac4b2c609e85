"""The JSON files that suites write and the report reads, each declared once. Those of load tests are in `load.results`."""

"""A profile in P2 with a canary and one waiver, for the tests of the gate."""

TEXT = """
stack = "s"
phase = "cutover"
scope.kind = "all"
since = { cutover = 2026-11-01T00:00:00Z }
[roles]
[canary]
journal = "canary"
[[waivers]]
check = "USR-01"
owner = "ann"
reason = "import runs"
expires = 2027-06-01
"""

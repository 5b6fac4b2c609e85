"""`absence`: has nothing been written to an object since the baseline?

`watched` describes the object, `proof` is what a check declares, `observe` takes snapshots, `witnesses` classifies what was
written, `judge` decides, and `memory` compares a snapshot with the one of the last run. The package knows no store by name:
each store offers an `Observer` (`verifier.stores.protocols`).
"""

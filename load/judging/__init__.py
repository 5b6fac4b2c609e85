"""Judges of whole runs over arrays: the rules of `verifier.judges`, for tens of millions of events."""

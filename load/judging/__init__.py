"""Judging whole runs in columns: the rules of `verifier.judges`, for tens of millions of events."""

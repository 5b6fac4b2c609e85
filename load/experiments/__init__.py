"""Runs that are written down, repeated and compared: plans, capacity searches, baselines."""

"""Experiments: load plans, capacity searches, and comparisons with a baseline."""

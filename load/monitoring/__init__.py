"""Monitoring during a run: statistics for locust, abort limits, progress, clocks and generator health."""

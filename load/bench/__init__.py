"""Benchmarks of the generator and of the judges: `python -m load.bench`."""

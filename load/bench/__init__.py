"""What the generator and the judges can do on this machine: `python -m load.bench`."""

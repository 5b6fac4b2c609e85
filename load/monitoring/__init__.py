"""What is watched while a run is on: figures into locust's statistics, limits, the generator itself."""

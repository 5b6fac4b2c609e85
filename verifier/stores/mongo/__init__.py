"""MongoDB: connections, sources, observers."""

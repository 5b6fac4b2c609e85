"""Redis and Valkey: connections, sources, observers."""

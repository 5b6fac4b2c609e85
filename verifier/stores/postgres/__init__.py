"""PostgreSQL: connections, sources, observers."""

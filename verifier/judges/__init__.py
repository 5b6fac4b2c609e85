"""The operations journal, and the pure functions that judge it."""

"""The operations journal, and pure functions that judge it."""

"""Proves, read-only, that a chat platform which moved its messaging to OpenIM has one home for each fact."""

__version__ = "0.1.0"

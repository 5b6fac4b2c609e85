"""Verdicts, findings, events and queries, and helpers for text. Imports nothing else of the project."""

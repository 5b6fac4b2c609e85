"""How a store fails: every error is a sentence that names the store, the cause and the next step."""

from __future__ import annotations


class StoreError(Exception):
    """A store could not answer: the sentence names the store, the cause and the next step."""


class Unreachable(StoreError):
    """No connection, or it broke, or it was too slow."""


class RouteClosed(StoreError):
    """A server, or what stands before it, does not serve this route to us."""


class Denied(StoreError):
    """The credential lacks a privilege."""


class Missing(StoreError):
    """A table, collection or column that the profile names is not there."""


class Forbidden(StoreError):
    """The allow-list refused a statement: a fault of the profile or of the verifier, never a query to retry."""


class ContinuityLost(StoreError):
    """What was remembered no longer connects to what is there: a token too old, a counter restarted. Re-arm."""

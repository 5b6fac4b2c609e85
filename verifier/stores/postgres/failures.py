"""PostgreSQL's errors as sentences with a cause and a next step."""

from __future__ import annotations

import psycopg

from verifier.stores.budget import TooSlow
from verifier.stores.errors import Denied, Missing, StoreError, Unreachable


class Overtaken(StoreError):
    """A standby cancelled the statement, because it had to replay a change that the statement's snapshot must not see."""


class Misfit(StoreError):
    """A value does not fit the type that it is compared with."""


def translate(error: psycopg.Error, label: str, limit_s: float) -> StoreError:
    """An error of the driver or the server as a StoreError whose message names the next step."""
    text = first_line(error)
    match error:
        case psycopg.errors.InsufficientPrivilege() if "row-level security" in text:
            return Denied(
                f"{label}: {_table(text)} has row-level security, which may hide rows from the verifier's role. "
                "A policy does not help; let it read every row: ALTER ROLE … BYPASSRLS (for a view, its owner)."
            )
        case psycopg.errors.SerializationFailure() | psycopg.errors.DeadlockDetected() if "recovery" in text:
            return Overtaken(
                f"{label} is a standby and cancelled a statement twice, to replay changes of its primary ({text}). "
                "Set hot_standby_feedback = on or raise max_standby_streaming_delay there, or let the URL lead to the primary."
            )
        case psycopg.errors.InsufficientPrivilege():
            return Denied(f"{label}: {text}. Grant SELECT on it to the verifier's role.")
        case psycopg.errors.UndefinedTable() | psycopg.errors.UndefinedColumn() | psycopg.errors.InvalidSchemaName():
            return Missing(f"{label}: {text}. Correct the relation in the profile, or remove it if the stack has none.")
        case psycopg.errors.LockNotAvailable():
            return Unreachable(
                f"{label}: a table is locked by another session ({text}). Try again when the lock is released."
            )
        case psycopg.errors.QueryCanceled():
            return TooSlow(f"{label} cancelled a statement after {limit_s:g} s ({text}). Is there an index for it?")
        case psycopg.errors.DataError():
            return Misfit(
                f"{label} refused a query: {text}. Check select, where and column expressions in the profile."
            )
        case psycopg.errors.SyntaxError() | psycopg.errors.UndefinedFunction():
            return StoreError(
                f"{label} refused a query: {text}. Check select, where and column expressions in the profile."
            )
        case psycopg.OperationalError():
            return Unreachable(f"{label}: the connection broke ({text}). Is the server up?")
        case _:
            return StoreError(f"{label}: {text}.")


def _table(text: str) -> str:
    name = text.partition('"')[2].partition('"')[0]
    return f"table {name}" if name else "a table"


def first_line(error: BaseException) -> str:
    """The first line of an error's message, without a full stop."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")


def connection_error(label: str, role: str, error: psycopg.OperationalError) -> StoreError:
    """A failure to connect, in a sentence with the next step."""
    text = first_line(error)
    if "password authentication failed" in text or "no password supplied" in text:
        return Denied(
            f"{label} refused the password of roles.{role}.url. Correct it, or the secret that it comes from."
        )
    if "certificate" in text or "SSL" in text:
        reason = text.rpartition("failed: ")[2] or text
        return Denied(
            f"{label}: the TLS connection was refused ({reason}). Check sslmode in roles.{role}.url, and ssl_root_cert, "
            "ssl_cert and ssl_key."
        )
    if "does not exist" in text and "FATAL" in text:
        return Missing(f"{label}: {text.rpartition('FATAL:')[2].strip()}. Correct roles.{role}.url.")
    reason = text.rpartition("failed: ")[2] or text
    return Unreachable(f"{label} cannot be reached: {reason}. Is it up, and is roles.{role}.url right?")

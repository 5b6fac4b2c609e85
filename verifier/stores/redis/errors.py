"""The errors of Redis servers as sentences with a cause and a next step."""

from __future__ import annotations

from redis import exceptions

from verifier.stores.errors import Denied, StoreError, Unreachable


class Moved(StoreError):
    """Keys are served by another node of the cluster than the one that was asked. Read the layout again."""


def translate(error: exceptions.RedisError, label: str, role: str) -> StoreError:
    """An error of the driver or the server. `label` names the server, `role` the role of the profile."""
    text = (str(error) or type(error).__name__).rstrip(".")
    match error:
        case _ if text.startswith(("NOAUTH", "Authentication required")):
            return Denied(f"{label} requires a password. Add it to roles.{role}.url.")
        case exceptions.AuthenticationError() | exceptions.AuthenticationWrongNumberOfArgsError():
            return Denied(
                f"{label} refused the user or password of roles.{role}.url. Correct it, or the secret that it comes from."
            )
        case exceptions.NoPermissionError():
            return Denied(f"{label}: {text}. Grant it to the verifier's ACL user.")
        case exceptions.BusyLoadingError():
            return Unreachable(f"{label} still loads its data into memory. Run again when it has finished.")
        case exceptions.MovedError() | exceptions.AskError() | exceptions.TryAgainError():
            return Moved(
                f"{label} is a node of a cluster, and another node has this key. Set roles.{role}.mode = 'cluster'; if it is set, "
                "slots are being moved: run again when that is over."
            )
        case exceptions.MasterDownError():
            return Unreachable(
                f"{label} is a replica that has lost its master and serves no stale data. Repair the replication, or name the master."
            )
        case exceptions.ClusterDownError():
            return Unreachable(
                f"{label}: the cluster is down ({text}). Some of its slots have no server. Repair the cluster, then run again."
            )
        case exceptions.ReadOnlyError():
            return StoreError(f"{label} is a read-only replica: {text}. Name the master in roles.{role}.url.")
        case exceptions.ConnectionError() | exceptions.TimeoutError():
            return Unreachable(f"{label} cannot be reached: {text}. Is it up, and is roles.{role}.url right?")
        case _ if text.startswith("DENIED"):
            return Denied(
                f"{label} runs in protected mode and answers local clients only. Give it a password or an ACL user."
            )
        case _ if "unknown command" in text.lower():
            return StoreError(
                f"{label} does not have a command that is needed, or it is renamed ({text.partition(',')[0]})."
            )
        case _:
            return StoreError(f"{label}: {text}.")

"""Opens connections to PostgreSQL. Each address of the URL is tried by itself, with its own time limit.

libpq gives several hosts one after the other, and a host that does not answer would use up the time of the others. A pooler
refuses start-up options (https://www.pgbouncer.org/config.html, ignore_startup_parameters); the settings of a URL's `options`
are then set in each transaction instead.
"""

from __future__ import annotations

import asyncio
import logging
import re
import socket
from collections.abc import Mapping, Sequence
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import dict_row

from verifier.profile.roles import PostgresRole
from verifier.stores.budget import NoAnswer
from verifier.stores.errors import Denied, Missing, StoreError, Unreachable
from verifier.stores.postgres.values import register_loaders

Connection = psycopg.AsyncConnection[dict[str, Any]]

logging.getLogger("psycopg").addHandler(logging.NullHandler())  # without a handler, warnings go to standard error

_OPTION = re.compile(r"(?:-c\s*|--)([A-Za-z_][A-Za-z0-9_.\-]*)=((?:\\.|\S)*)")
_LISTS = ("host", "hostaddr", "port")


class Connector:
    """Makes the connections of one role.

    `settings`: what the URL's `options` set, to be repeated in each transaction behind a pooler; empty where the server took
    them at the start of the session.
    """

    def __init__(self, role: str, label: str, config: PostgresRole) -> None:
        self._role = role
        self._label = label
        self._config = config
        self._first = 0
        self._pooled = config.pgbouncer
        self.settings: Mapping[str, str] = {}

    async def open(self) -> Connection:
        """A connection in autocommit mode to the first address that accepts one. Raises StoreError."""
        places = self._places()
        failures: list[StoreError] = []
        for number in [*range(self._first, len(places)), *range(self._first)]:
            try:
                for address in await self._addresses(places[number]):
                    try:
                        connection = await self._attempt({**places[number], **address})
                    except StoreError as error:
                        failures.append(error)
                    else:
                        self._first = number
                        return connection
            except StoreError as error:
                failures.append(error)
        telling = [error for error in failures if not isinstance(error, Unreachable)]
        refused = [error for error in failures if not isinstance(error, NoAnswer)]
        raise (telling or refused or failures)[0]

    def _places(self) -> list[dict[str, Any]]:
        """The parameters for each host of the URL, in its order."""
        try:
            parameters = conninfo_to_dict(self._config.url.get_secret_value())
        except psycopg.Error as error:
            raise StoreError(
                f"{self._label}: the URL cannot be used ({first_line(error)}). Check roles.{self._role}.url."
            ) from None
        for name, value in (("sslrootcert", "ssl_root_cert"), ("sslcert", "ssl_cert"), ("sslkey", "ssl_key")):
            if (path := getattr(self._config, value)) is not None:
                parameters[name] = path
        parameters |= {"application_name": "openim-verifier", "client_encoding": "utf8"}
        lists = {name: str(parameters.pop(name)).split(",") for name in _LISTS if parameters.get(name)}
        count = max((len(items) for items in lists.values()), default=1)
        for name, items in lists.items():
            if len(items) not in (1, count):
                raise StoreError(f"{self._label}: the URL has {count} hosts but {len(items)} values of {name}.")
        return [
            {**parameters, **{name: items[0 if len(items) == 1 else at] for name, items in lists.items()}}
            for at in range(count)
        ]

    async def _addresses(self, place: Mapping[str, Any]) -> Sequence[dict[str, str]]:
        """The addresses of a host, so that one that does not answer leaves time for the next."""
        host = place.get("host")
        if not host or host.startswith(("/", "@")) or place.get("hostaddr"):
            return ({},)
        try:
            async with asyncio.timeout(self._config.connect_timeout_s):
                found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
        except TimeoutError:
            raise NoAnswer(f"{self._label} cannot be reached: the name {host} was not resolved in time.") from None
        except OSError as error:
            raise Unreachable(
                f"{self._label} cannot be reached: the name {host} cannot be resolved ({error.strerror}). "
                f"Is roles.{self._role}.url right?"
            ) from None
        return [{"hostaddr": address} for address in dict.fromkeys(str(item[4][0]) for item in found)]

    async def _attempt(self, parameters: dict[str, Any]) -> Connection:
        options = str(parameters.get("options") or "")
        if self._pooled:
            parameters.pop("options", None)
        try:
            async with asyncio.timeout(self._config.connect_timeout_s):
                connection = await Connection.connect(
                    make_conninfo("", **parameters), autocommit=True, row_factory=dict_row, prepare_threshold=None
                )
        except TimeoutError:
            raise NoAnswer(
                f"{self._label} did not accept a connection within {self._config.connect_timeout_s:g} s."
            ) from None
        except psycopg.OperationalError as error:
            if "unsupported startup parameter" in str(error) and not self._pooled:
                self._pooled = True
                return await self._attempt(parameters)
            raise connection_error(self._label, self._role, error) from None
        except psycopg.Error as error:
            raise StoreError(
                f"{self._label}: the URL cannot be used ({first_line(error)}). Check roles.{self._role}.url."
            ) from None
        if options:
            self.settings = self._parsed(options)
        register_loaders(connection)
        return connection

    def _parsed(self, options: str) -> dict[str, str]:
        """The settings in a URL's `options`: `-c search_path=app` or `--search_path=app`, blanks escaped by a backslash."""
        rest = _OPTION.sub("", options).strip()
        if rest and self._pooled:
            raise StoreError(
                f"{self._label}: of the URL's options only -c NAME=VALUE can be used through a pooler. "
                f"Remove the others from roles.{self._role}.url."
            )
        return {name.replace("-", "_"): re.sub(r"\\(.)", r"\1", value) for name, value in _OPTION.findall(options)}


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

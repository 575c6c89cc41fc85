"""How is something published over PostgreSQL? (NOTIFY, https://www.postgresql.org/docs/current/sql-notify.html)

The database is the adapter's own, named by its credentials, and nothing but `pg_notify` is run on it: no table is
touched, no transaction of the engine is near. Why it stands here: docs/decisions/0008.
In doubt: PostgreSQL keeps nothing of a notification, so there is nobody to ask; listeners may drop an `id` they have
seen.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import psycopg

from dripdrop.contracts import Config, Delivery
from dripdrop.errors import Invalid
from dripdrop.rules.outcome import Accepted, Neither, Outcome, Rejected
from dripdrop.rules.publication import publication
from dripdrop.store import publishing

_SCHEMES = ("postgresql://", "postgres://")
_LONGEST_TOPIC = 63
_LONGEST_PAYLOAD = 7999
_SECONDS = 5
_IDLE_SECONDS = 1.0


class PostgresProvider:
    """Notifies the channel that the message's topic names.

    Credentials: `url` (postgresql://user:password@host/database). Config: `prefix` (before each topic), `timeout`
    (seconds to connect, 5), `connections`. A topic has 63 bytes at most, the whole message 7,999.
    """

    channel = "pubsub"
    name = "postgres"
    on_doubt = Neither()

    def validate_credentials(self, credentials: Mapping[str, Any]) -> list[tuple[str, str]]:
        url = str(credentials.get("url") or "").strip()
        if not url:
            return [("url", "is required")]
        return [] if url.startswith(_SCHEMES) else [("url", "must begin with postgresql://")]

    async def open_session(self, config: Config) -> Session:
        connection = await psycopg.AsyncConnection.connect(
            str(config["url"]),
            autocommit=True,
            connect_timeout=int(config.get("timeout") or _SECONDS),
            prepare_threshold=None,
            application_name="dripdrop pubsub",
        )
        return Session(connection)

    async def deliver(self, delivery: Delivery, config: Config, session: Session) -> Outcome:
        try:
            said = publication(delivery)
        except Invalid as error:
            return Rejected("permanent", "message", None, {"reason": error.code})
        topic, body = f"{config.get('prefix') or ''}{said.topic}", said.body().decode()
        for part, text, most in (("topic", topic, _LONGEST_TOPIC), ("payload", body, _LONGEST_PAYLOAD)):
            if len(text.encode()) > most or "\0" in text:
                return Rejected("permanent", "message", None, {"reason": "unsupported", "unsupported": part})
        if not await session.alive():
            return Rejected("temporary", "adapter", None, {"reason": "connection_lost"})
        query = publishing.notify(topic, body)
        try:
            await session.connection.execute(query.text.encode(), query.params)
        except psycopg.Error as error:
            # With a code the server answered, so the statement did not happen; without one nobody knows.
            if error.sqlstate is None or session.connection.closed:
                raise
            return Rejected("temporary", "adapter", None, {"reason": type(error).__name__, "code": error.sqlstate})
        session.used()
        return Accepted(said.id, {})

    async def close_session(self, session: Session) -> None:
        await session.connection.close()

    async def check(self, config: Config) -> str | None:
        """Connect and log in; the text says what did not work."""
        try:
            session = await self.open_session(config)
        except psycopg.Error as error:
            return f"PostgreSQL cannot be reached: {type(error).__name__}."
        await self.close_session(session)
        return None


class Session:
    """A connection; after a while of silence it is asked whether it still is one, before anything is published."""

    def __init__(self, connection: psycopg.AsyncConnection[Any]) -> None:
        self.connection = connection
        self.used()

    @property
    def usable(self) -> bool:
        return not self.connection.closed

    def used(self) -> None:
        self._at = asyncio.get_running_loop().time()

    async def alive(self) -> bool:
        if self.usable and asyncio.get_running_loop().time() - self._at >= _IDLE_SECONDS:
            try:
                await self.connection.execute(b"")
            except psycopg.Error:
                await self.connection.close()
        return self.usable

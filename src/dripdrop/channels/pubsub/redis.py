"""How is something published over Redis? (PUBLISH, https://redis.io/docs/latest/commands/publish/)

In doubt: Redis keeps nothing of what it published, so there is nobody to ask; a listener may drop an `id` it has seen.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from dripdrop.channels import given
from dripdrop.channels.answers import unfit
from dripdrop.contracts import Config, Delivery
from dripdrop.errors import Invalid, MissingExtra
from dripdrop.rules.outcome import Accepted, Neither, Outcome, Rejected
from dripdrop.rules.publication import publication

_SCHEMES = ("redis://", "rediss://", "unix://")
_SECONDS = 5.0
_IDLE_SECONDS = 1.0


class RedisProvider:
    """Publishes to the channel that the message's topic names; the extra `redis` is needed.

    Credentials: `url` (redis://user:password@host:6379/0, rediss:// with TLS). Config: `prefix` (before each topic),
    `timeout` (seconds, 5), `connections`. That nobody listens is no error to Redis: `meta` says how many did.
    """

    channel = "pubsub"
    name = "redis"
    on_doubt = Neither()

    def validate_credentials(self, credentials: Mapping[str, Any]) -> list[tuple[str, str]]:
        problems = given.missing(credentials, "url")
        if not problems and not given.secret(credentials, "url").startswith(_SCHEMES):
            problems.append(("url", "must begin with redis://, rediss:// or unix://"))
        return problems

    async def open_session(self, config: Config) -> _Session:
        try:
            from redis.asyncio import Redis
            from redis.asyncio.retry import Retry
            from redis.backoff import NoBackoff
        except ImportError as error:
            raise MissingExtra("Publishing over Redis", "redis") from error
        seconds = float(config.get("timeout") or _SECONDS)
        client = Redis.from_url(
            given.secret(config, "url"),
            socket_timeout=seconds,
            socket_connect_timeout=seconds,
            # What may have been published must not be published again by the client itself.
            retry=Retry(NoBackoff(), 0),
            single_connection_client=True,
            protocol=2,  # what every server speaks
        )
        try:
            await client.ping()
        except BaseException:
            await client.aclose()
            raise
        return _Session(client)

    async def deliver(self, delivery: Delivery, config: Config, session: _Session) -> Outcome:
        from redis.exceptions import ResponseError

        try:
            said = publication(delivery)
        except Invalid as error:
            return unfit(error)
        if not await session.alive():
            return Rejected("temporary", "adapter", None, {"reason": "connection_lost"})
        try:
            heard = await session.client.publish(f"{config.get('prefix') or ''}{said.topic}", said.body())
        except ResponseError as error:  # the server's own answer: NOPERM, READONLY, OOM
            return Rejected("temporary", "adapter", None, {"reason": type(error).__name__})
        except BaseException:
            session.usable = False
            raise
        session.used()
        return Accepted(said.id, {"listeners": int(heard)})

    async def close_session(self, session: _Session) -> None:
        await session.client.aclose()

    async def check(self, config: Config) -> str | None:
        """Connect, log in, PING; the text says what did not work."""
        from redis.exceptions import RedisError

        try:
            session = await self.open_session(config)
        except (RedisError, OSError) as error:
            return f"Redis cannot be reached: {type(error).__name__}."
        await self.close_session(session)
        return None


class _Session:
    """A connection; after a while of silence it is asked whether it still is one, before anything is published."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.usable = True
        self.used()

    def used(self) -> None:
        self._at = asyncio.get_running_loop().time()

    async def alive(self) -> bool:
        if asyncio.get_running_loop().time() - self._at < _IDLE_SECONDS:
            return True
        try:
            await self.client.ping()
        except Exception:
            self.usable = False
        return self.usable

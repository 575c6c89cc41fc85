"""Which access token goes with this call?  Fetched once for all who ask, renewed before it ends."""

from __future__ import annotations

import asyncio
import hashlib
import inspect
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeAlias
from uuid import UUID

from dripdrop.channels.http import Sender
from dripdrop.contracts import AccessToken, AdapterRef, MaybeSent, NotSent, TokenError
from dripdrop.errors import DripDropError

Key: TypeAlias = tuple[UUID, str, bytes]

_UNSAID_SECONDS = 300.0
_LONGEST_SECONDS = 3600.0
_MARGIN_SECONDS = 60.0
_SHARE = 0.8
# Made anew for each call, so they say nothing about which token fits.
_PER_CALL = frozenset(("now", "url", "method", "token", "documents", "remote"))


@dataclass(slots=True)
class _Held:
    """A token and two moments: when it is to be renewed, and when it ends."""

    value: str
    renew_at: float
    ends_at: float


class Tokens:
    """The tokens of one worker's adapters. `find(name)` gives the source; `clock` is real time in Unix seconds.

    A token is renewed after four fifths of its life or a minute before its end, whichever comes first; it is kept for
    an hour at most, and for five minutes where its end is not said. One that cannot be renewed is used until it ends.
    """

    def __init__(self, sender: Sender, find: Callable[[str], Any], *, clock: Callable[[], float] = time.time) -> None:
        self._sender = sender
        self._find = find
        self._clock = clock
        self._held: dict[Key, _Held] = {}
        self._flights: dict[tuple[int, Key], asyncio.Task[str]] = {}

    async def token(self, adapter: AdapterRef, config: Mapping[str, Any], *, timeout: float) -> str:
        """The token for this adapter; those who ask at the same time share one call. Raises `TokenError` only."""
        key = _key(adapter, config)
        held, now = self._held.get(key), self._clock()
        if held is not None and now < held.renew_at:
            return held.value
        try:
            return await asyncio.shield(self._flight(key, adapter, config, timeout))
        except TokenError as error:
            if held is not None and self._clock() < held.ends_at and error.kind == "temporary":
                return held.value
            raise

    def evict(self, adapter_id: UUID, token: str) -> None:
        """Forget a token that the provider refused; one that was fetched meanwhile stays."""
        for key in [key for key, held in self._held.items() if key[0] == adapter_id and held.value == token]:
            del self._held[key]

    def _flight(self, key: Key, adapter: AdapterRef, config: Mapping[str, Any], timeout: float) -> asyncio.Task[str]:
        loop = asyncio.get_running_loop()
        flight = self._flights.get((id(loop), key))
        if flight is None:
            flight = loop.create_task(self._renewed(key, adapter, config, timeout))
            self._flights[id(loop), key] = flight
            flight.add_done_callback(lambda done: self._landed((id(loop), key), done))
        return flight

    def _landed(self, place: tuple[int, Key], flight: asyncio.Task[str]) -> None:
        self._flights.pop(place, None)
        if not flight.cancelled():
            flight.exception()  # whoever waited was told; nobody else needs to be

    async def _renewed(self, key: Key, adapter: AdapterRef, config: Mapping[str, Any], timeout: float) -> str:
        try:
            async with asyncio.timeout(timeout):
                token = _read(await self._fetched(adapter, config, timeout))
        except TokenError:
            raise
        except (NotSent, MaybeSent) as error:
            raise TokenError("temporary", error.reason) from error
        except TimeoutError:
            raise TokenError("temporary", "timeout") from None
        except DripDropError as error:
            raise TokenError("permanent", error.code) from error
        except Exception as error:
            raise TokenError("temporary", f"source_raised:{type(error).__name__}") from error
        self._keep(key, token)
        return token.value

    async def _fetched(self, adapter: AdapterRef, config: Mapping[str, Any], timeout: float) -> Any:
        source = self._find(str(config["token_source"]))
        if hasattr(source, "request") and hasattr(source, "granted"):
            # An authorisation server knows real time only, whatever business time is.
            real = datetime.fromtimestamp(self._clock(), UTC)
            request = source.request(adapter, {**config, "now": real})
            return source.granted(await self._sender.send(request, timeout=timeout))
        call = getattr(source, "token", source)
        given = (adapter,) if _takes_one(call) else ()
        if inspect.iscoroutinefunction(call):
            return await call(*given)
        answer = await asyncio.to_thread(call, *given)
        return await answer if inspect.isawaitable(answer) else answer

    def _keep(self, key: Key, token: AccessToken) -> None:
        now = self._clock()
        for old in [known for known, held in self._held.items() if held.ends_at <= now or known[:2] == key[:2]]:
            del self._held[old]
        life = min(_life(token, now), _LONGEST_SECONDS)
        if life > 0:
            self._held[key] = _Held(token.value, now + max(min(life * _SHARE, life - _MARGIN_SECONDS), 0.0), now + life)


def _key(adapter: AdapterRef, config: Mapping[str, Any]) -> Key:
    """Other credentials are another token, so an adapter that was edited never uses the old one."""
    said = repr(sorted((name, repr(value)) for name, value in config.items() if name not in _PER_CALL))
    return adapter.id, str(config["token_source"]), hashlib.sha256(said.encode("utf-8", "replace")).digest()


def _takes_one(call: Any) -> bool:
    try:
        inspect.signature(call).bind(None)
    except TypeError:
        return False
    return True


def _read(answer: Any) -> AccessToken:
    """The token of whatever a source returned; raises `TokenError` where there is none."""
    if isinstance(answer, str):
        answer = AccessToken(answer)
    elif isinstance(answer, Mapping):
        value = answer.get("access_token") or answer.get("token")
        answer = AccessToken(str(value or ""), answer.get("expires_at"), answer.get("expires_in"))
    if not isinstance(answer, AccessToken) or not isinstance(answer.value, str) or not answer.value.strip():
        raise TokenError("permanent", "missing_access_token")
    if not answer.value.isascii() or not answer.value.isprintable():
        raise TokenError("permanent", "malformed_access_token")
    return answer


def _life(token: AccessToken, now: float) -> float:
    """Seconds it is still good; five minutes where nothing readable is said."""
    ends: Any = token.expires_at
    if isinstance(ends, str):
        try:
            ends = datetime.fromisoformat(ends)
        except ValueError:
            ends = None
    if isinstance(ends, datetime):
        return (ends.replace(tzinfo=UTC) if ends.tzinfo is None else ends).timestamp() - now
    try:
        seconds = math.nan if token.expires_in is None else float(token.expires_in)
    except (TypeError, ValueError):
        seconds = math.nan
    return seconds if math.isfinite(seconds) else _UNSAID_SECONDS

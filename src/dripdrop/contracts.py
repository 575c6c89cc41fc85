"""Where may a stranger plug in? One Protocol for each place."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, runtime_checkable
from uuid import UUID

from dripdrop.rules.message import Delivery
from dripdrop.rules.outcome import (
    Accepted,
    Askable,
    CannotTell,
    Found,
    Idempotent,
    Neither,
    NotFound,
    OnDoubt,
    Outcome,
    Rejected,
    Unknown,
)

if TYPE_CHECKING:
    from collections.abc import Generator

Config: TypeAlias = Mapping[str, Any]
"""Made at each call: the adapter's config, then its opened credentials, then settings; with `now` (aware datetime)."""


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A call that the one guarded sender will make for a provider. `timeout` in seconds."""

    method: str
    url: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    timeout: float | None = None


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """What came back; header names are lower-case."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@runtime_checkable
class Provider(Protocol):
    """Speaks to one provider on one channel. `deliver` may be async or blocking (then it runs in a thread)."""

    channel: str
    name: str

    def deliver(self, delivery: Delivery, config: Config) -> Awaitable[Outcome] | Outcome:
        """Send one rendered delivery; whatever it raises becomes `Unknown`."""
        ...

    def validate_credentials(self, credentials: Mapping[str, Any]) -> list[tuple[str, str]]:
        """The problems as (field, text); empty is good."""
        ...


@runtime_checkable
class HttpProvider(Protocol):
    """A provider made of two pure functions; the engine owns the sender."""

    channel: str
    name: str

    def request(self, delivery: Delivery, config: Config) -> HttpRequest: ...

    def outcome(self, response: HttpResponse) -> Outcome: ...

    def validate_credentials(self, credentials: Mapping[str, Any]) -> list[tuple[str, str]]: ...


@runtime_checkable
class SessionProvider(Protocol):
    """A provider that holds connections: SMTP, pub/sub. A session serves one delivery at a time and is reused."""

    channel: str
    name: str

    async def open_session(self, config: Config) -> Any:
        """Connect; raise to say that nothing can have been sent (the attempt is then a temporary rejection)."""
        ...

    async def deliver(self, delivery: Delivery, config: Config, session: Any) -> Outcome: ...

    async def close_session(self, session: Any) -> None: ...

    def validate_credentials(self, credentials: Mapping[str, Any]) -> list[tuple[str, str]]: ...


# Optional parts of every provider, looked up by name:
#   on_doubt: OnDoubt                                     default Neither()
#   check(config) -> None | str                           asks the provider; text says what is wrong
#   find(delivery, config) -> Accepted | NotFound | CannotTell


class Scheduler(Protocol):
    """Wakes the dispatcher: only a hint, the claim is the guarantee. Both run in the caller's transaction."""

    name: str

    def schedule(self, due: Sequence[tuple[UUID, datetime]]) -> Generator[Any, Any, list[str]]:
        """A job for each (execution, time); one job id each."""
        ...

    def cancel(self, job_ids: Sequence[str]) -> Generator[Any, Any, None]: ...


class HookModule(Protocol):
    """A host's own facts."""

    def handle_hook(self, name: str, enrollment: Mapping[str, Any], context: Mapping[str, Any]) -> Any: ...


TelemetryListener: TypeAlias = Callable[[Any], None]

__all__ = [
    "Accepted",
    "Askable",
    "CannotTell",
    "Config",
    "Delivery",
    "Found",
    "HookModule",
    "HttpProvider",
    "HttpRequest",
    "HttpResponse",
    "Idempotent",
    "Neither",
    "NotFound",
    "OnDoubt",
    "Outcome",
    "Provider",
    "Rejected",
    "Scheduler",
    "SessionProvider",
    "TelemetryListener",
    "Unknown",
]

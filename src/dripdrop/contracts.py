"""Where may a stranger plug in? One Protocol for each place."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias, runtime_checkable
from uuid import UUID

from dripdrop.rules.feedback import Feedback, InboundMessage
from dripdrop.rules.message import AdapterRef, Delivery
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
"""Made at each call: the adapter's config, then its opened credentials, then settings.

With `now` (aware datetime); `token` (fetched from the adapter's `token_source`, a text); for a delivery `webhook_url`
(where this adapter's webhooks come in, absent where the public address is not known); in a webhook also `url` and
`method` as the provider sees them, `remote` (the caller's address or None), `documents` (URL -> bytes, what `needs`
asked for) and `webhook_replay_skew_seconds`.
"""

DELIVERY_KEY = "dripdrop_delivery_id"
"""The name under which a provider carries `delivery.id` as its metadata, and by which feedback finds its way back."""

QUERY = ":query"
"""Among the headers that `parse_events` is given: of the URL that was called, the part of its query named DELIVERY_KEY.

So an address that we gave away with a delivery in it tells whose it is; the rest of a query may be a secret.
"""


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


@dataclass(frozen=True, slots=True)
class WebhookRequest:
    """A call that a provider makes to us: `url` whole and as the provider sees it, header names in lower case."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    remote: str | None = None


@dataclass(frozen=True, slots=True)
class Verified:
    """The signature holds; each key of `once` (a token that signs one call) may be seen by this adapter only once.

    A second call with a key that was seen is answered like the first and not taken in.
    """

    once: tuple[str, ...] = ()


class NotSent(Exception):
    """Nothing can have left: the name, the connection or the TLS handshake failed. `reason` is a word."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class MaybeSent(Exception):
    """The request, or a part of it, may have left before this went wrong. `reason` is a word."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Sends(Protocol):
    """The one guarded sender, as whoever makes calls sees it."""

    async def send(self, request: HttpRequest, *, timeout: float, max_bytes: int = ...) -> HttpResponse:
        """The answer, whatever its status, within `timeout` seconds and cut at `max_bytes`.

        Raises `NotSent`, `MaybeSent`, or `Invalid` (`url_blocked`, `request_invalid`) before anything left.
        """


@runtime_checkable
class Provider(Protocol):
    """Speaks to one provider on one channel. `deliver` may be async or blocking (then it runs in a thread)."""

    channel: str
    name: str

    def deliver(self, delivery: Delivery, config: Config) -> Awaitable[Outcome] | Outcome:
        """Send one rendered delivery; whatever it raises becomes `Unknown`."""

    def validate_credentials(self, credentials: Mapping[str, Any]) -> list[tuple[str, str]]:
        """The problems as (field, text); empty is good."""


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

    async def deliver(self, delivery: Delivery, config: Config, session: Any) -> Outcome: ...

    async def close_session(self, session: Any) -> None: ...

    def validate_credentials(self, credentials: Mapping[str, Any]) -> list[tuple[str, str]]: ...


# Optional parts of every provider, looked up by name:
#   on_doubt: OnDoubt                                     default Neither()
#   check(config) -> None | str                           asks the provider; text says what is wrong
#   find(delivery, config) -> Accepted | NotFound | CannotTell
#   seen_as(delivery, accepted, config) -> str | None     the Message-ID of an e-mail as its readers see it
# or, for a provider of pure functions, the pairs check_request(config) and checked(response),
# find_request(delivery, config) and found(response).


@runtime_checkable
class FeedbackProvider(Protocol):
    """What a provider tells us later. All of it is pure; all of it or none.

    Header names are in lower case, a repeated header is joined by `, `. A call is verified, stored, answered, and only
    then parsed; so what cannot be parsed is never lost.
    """

    def webhook_routes(self, adapter: Any) -> Sequence[tuple[str, str]]:
        """(method, suffix after `/{provider}/{adapter_id}`, mostly empty) of every call that may come."""

    def verify_webhook(self, raw_body: bytes, headers: Mapping[str, str], config: Config) -> Verified | None:
        """Raise `Unauthorized` unless these very bytes come from the provider, within the replay window."""

    def parse_events(self, raw_body: bytes, headers: Mapping[str, str]) -> Sequence[Mapping[str, Any]]:
        """Every event of the body, one JSON-safe payload for each event and recipient; raise `Invalid` for no body."""

    def provider_event_id(self, payload: Mapping[str, Any]) -> str | None:
        """The same text for the same event however often it is sent, and another for every other event."""

    def resolve_delivery(self, payload: Mapping[str, Any]) -> Mapping[str, str] | None:
        """`delivery_id` (ours, from DELIVERY_KEY), `provider_message_id`, or both: what finds the delivery."""

    def normalize_feedback(self, payload: Mapping[str, Any]) -> Feedback | None:
        """The event in our words; None for what is no feedback (an inbound message) or is not known."""


# Optional parts of feedback, looked up by name:
#   needs(raw_body, headers) -> [url]                     documents fetched first, given as config["documents"]
#   handshake(request, config) -> HttpResponse | HttpRequest | None
#       Called for GET without, for POST after verification (for GET it checks the caller itself and raises
#       Unauthorized). A response is the whole answer; a request is sent for the provider (a subscription to confirm),
#       and its good answer makes ours 200; None: an ordinary call.
#   acknowledge(request) -> HttpResponse                  the answer where an empty 200 would not do
#   parse_inbound(payload) -> [InboundMessage]            of a payload that is one


class Scheduler(Protocol):
    """Wakes the dispatcher: only a hint, the claim is the guarantee. Both run in the caller's transaction."""

    name: str

    def schedule(self, due: Sequence[tuple[UUID, datetime]]) -> Generator[Any, Any, list[str]]:
        """A job for each (execution, time); one job id each."""

    def cancel(self, job_ids: Sequence[str]) -> Generator[Any, Any, None]: ...


class HookUnavailable(Exception):
    """Raised by a host's hook that cannot answer now: the message waits, and the hook is asked again.

    `reason` is a word for the journal; `retry_after` in seconds, where the host knows.
    """

    def __init__(self, reason: str = "unavailable", *, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class AccessToken:
    """A token of an authorisation server; it ends at `expires_at` (aware) or after `expires_in` seconds."""

    value: str = field(repr=False)
    expires_at: datetime | None = None
    expires_in: float | None = None


class TokenError(Exception):
    """There is no token. `kind`: `temporary` (ask again) or `permanent` (a person must act). `reason` is a word."""

    def __init__(self, kind: Literal["temporary", "permanent"], reason: str) -> None:
        super().__init__(f"{kind}: {reason}")
        self.kind = kind
        self.reason = reason


@runtime_checkable
class TokenSource(Protocol):
    """Gets access tokens; named by an adapter's `token_source`. Kept and renewed by the core.

    Besides this shape a source may be a function of the adapter (or of nothing), blocking or not, or the pure pair
    `request(adapter, config) -> HttpRequest` and `granted(response) -> AccessToken`, for which the core makes the call.
    What is returned may also be a mapping as OAuth writes it, or the bare token.
    """

    def token(self, adapter: AdapterRef) -> Awaitable[AccessToken] | AccessToken:
        """A token that is good now; raises `TokenError`."""


class HookModule(Protocol):
    """A host's own facts.

    `handle_hook` may be async or blocking (then it runs in a thread); it has five seconds. Its value is what JSON can
    hold. `HookUnavailable`, `OSError` (so `ConnectionError` and `TimeoutError`) and what database drivers and HTTP
    clients raise for an outage delay the message; any other exception stands until somebody mends it.
    """

    def handle_hook(self, name: str, enrollment: Mapping[str, Any], context: Mapping[str, Any]) -> Any:
        """The value of the hook `name` for an enrollment.

        `enrollment` holds id, subscriber_type, subscriber_id, tenant_key, sequence_key, visit and data; `context`
        step_execution_id, sequence, step, vars, tenant and now, and gives None for what it lacks.
        """


@dataclass(frozen=True, slots=True)
class LinkRequest:
    """One link of a message. `original_url` is what the author wrote, `destination_url` where the short link leads.

    `idempotency_key` is the same whenever this link of this execution is asked for again. `collisions` counts how often
    what was made of it turned out to be taken. `utm` has source, medium, campaign and content, whether or not they were
    merged into the destination. `domain`, `key`, `prefix` and `metadata` are the author's.
    """

    original_url: str
    destination_url: str
    idempotency_key: str
    tenant_key: str
    channel: str
    sequence_key: str
    step_key: str
    domain: str | None = None
    key: str | None = None
    prefix: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    utm: Mapping[str, str] = field(default_factory=dict)
    collisions: int = 0


@dataclass(frozen=True, slots=True)
class ShortLink:
    """What a shortener made. `skipped`: it wants none here, and the message keeps its link.

    `response` is kept with the link; no secrets in it.
    """

    short_url: str | None
    provider_id: str | None = None
    response: Mapping[str, Any] = field(default_factory=dict)
    skipped: bool = False


class ShortLinkFailed(Exception):
    """No short link was made: `temporary` is tried again, `permanent` is not. `reason` is a word without secrets."""

    def __init__(self, kind: Literal["temporary", "permanent"], reason: str) -> None:
        super().__init__(f"{kind}: {reason}")
        self.kind = kind
        self.reason = reason


class ShortLinkAdapter(Protocol):
    """Makes short links. `create_link` may be async or blocking (then it runs in a thread).

    `options` is the merged `short_links` of settings, sequence and step; beside them `now` (aware datetime),
    `public_url`, and `send`, the guarded sender: `await options["send"](HttpRequest(...)) -> HttpResponse`.
    """

    name: str

    def create_link(self, request: LinkRequest, options: Mapping[str, Any]) -> Awaitable[ShortLink] | ShortLink:
        """The short link for a request; the same for the same `idempotency_key`. Raises `ShortLinkFailed`."""


# Optional: preview_link(request, options) -> ShortLink    what a link will look like, without making it


class TemplateSource(Protocol):
    """Templates that are kept elsewhere (`template: external:NAME/WHICH`): asked when a definition is applied."""

    name: str

    def fetch(self, name: str, locale: str | None) -> Mapping[str, Any] | Awaitable[Mapping[str, Any] | None] | None:
        """The message's fields (subject, html, ...) in a language, or its own words; None: nothing in that language."""


TelemetryListener: TypeAlias = Callable[[Any], None]

__all__ = [
    "Accepted",
    "AccessToken",
    "AdapterRef",
    "Askable",
    "CannotTell",
    "Config",
    "DELIVERY_KEY",
    "Delivery",
    "Feedback",
    "FeedbackProvider",
    "Found",
    "HookModule",
    "HookUnavailable",
    "HttpProvider",
    "HttpRequest",
    "HttpResponse",
    "Idempotent",
    "InboundMessage",
    "Neither",
    "NotFound",
    "OnDoubt",
    "Outcome",
    "Provider",
    "QUERY",
    "Rejected",
    "Scheduler",
    "Sends",
    "SessionProvider",
    "ShortLink",
    "ShortLinkAdapter",
    "ShortLinkFailed",
    "TelemetryListener",
    "TemplateSource",
    "TokenError",
    "TokenSource",
    "Unknown",
    "Verified",
    "WebhookRequest",
]

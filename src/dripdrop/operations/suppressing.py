"""Who must not be written to any more, from when, why, and until when?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from dripdrop.errors import DripDropError, Invalid, NotFound
from dripdrop.rules.recipients import is_email, normalize
from dripdrop.store import suppressions
from dripdrop.store.flow import Flow
from dripdrop.store.scope import Scope
from dripdrop.store.suppressions import REASONS, Asked, Change, Fresh, Suppression

PAGE = 5_000
_KEYS = ("channel", "recipient", "reason", "source", "topic", "expires_at", "metadata")


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of one row of an import: the suppression that stands now, or an error.

    Neither: a wish to hear no more that its owner has since taken back.
    """

    row: int
    suppression: Suppression | None = None
    error: DripDropError | None = None

    @property
    def ok(self) -> bool:
        return self.error is None


def suppress(
    now: datetime,
    scope: Scope,
    channel: str,
    recipient: str,
    reason: str,
    *,
    source: str | None = None,
    topic: str | None = None,
    expires_at: datetime | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> Flow[Suppression]:
    """Write no more to this recipient: on every topic, or on one; for good, or until `expires_at`.

    By e-mail `@example.org` is everybody in that domain (not in the domains below it).

    A second call never weakens the first: the stronger reason stays (complaint, bounce, unsubscribe, provider_block,
    manual), and the later end. To weaken it, lift it first. Raises `Invalid`.
    """
    fresh = _fresh(now, scope, channel, recipient, reason, source, topic, expires_at, metadata)
    rows = yield from suppressions.add_many(now, [fresh])
    return rows[0]


def import_(now: datetime, scope: Scope, rows: Sequence[Mapping[str, Any]]) -> Flow[list[Imported]]:
    """Suppress many, each a mapping of `suppress`'s arguments; `reason` is `manual` where it is left out.

    One result per row, in order: bad rows are reported, the others taken, in one statement however many there are.
    """
    results: list[Imported] = []
    fresh: dict[int, Fresh] = {}
    for number, row in enumerate(rows):
        try:
            fresh[number] = _imported(now, scope, row)
            results.append(Imported(number))
        except Invalid as problem:
            results.append(Imported(number, error=problem))
    written = yield from suppressions.add_many(now, list(fresh.values()))
    standing = {(each.channel, each.recipient_normalized, each.topic): each for each in written}
    for number, each in fresh.items():
        results[number] = Imported(number, standing.get((each.channel, each.normalized, each.topic)))
    return results


def check(
    now: datetime, scope: Scope, channel: str, recipient: str, topic: str | None = None
) -> Flow[Suppression | None]:
    """What keeps this recipient from being written to: the strongest of the scope's own and the global ones; or None.

    Without a topic only what concerns every topic counts.
    """
    asked = Asked(scope.tenant, channel, _address(channel, recipient), topic or "")
    return (yield from suppressions.lookup(now, [asked])).get(0)


def list_(
    now: datetime,
    scope: Scope,
    *,
    channel: str | None = None,
    recipient: str | None = None,
    reason: str | None = None,
    expired: bool = False,
    limit: int = 50,
    after: UUID | None = None,
) -> Flow[list[Suppression]]:
    """The scope's own and the global ones, newest first; `after` is the id that ended the page before."""
    if reason is not None:
        _reason(reason)
    if recipient is not None and channel is None:
        raise Invalid("A recipient is looked for in a channel.", cure="Name the channel too.", code="channel_required")
    normalized = _address(channel, recipient) if channel and recipient is not None else None
    return (
        yield from suppressions.listed(
            now,
            scope,
            channel=channel,
            normalized=normalized,
            reason=reason,
            expired=expired,
            limit=limit,
            after=after,
        )
    )


def export(
    now: datetime, scope: Scope, *, limit: int = PAGE, after: Suppression | None = None
) -> Flow[list[Suppression]]:
    """A page of the scope's own that hold; `after` is the last of the page before."""
    key = (after.channel, after.recipient_normalized, after.topic) if after is not None else None
    return (yield from suppressions.page(now, scope, after=key, limit=limit))


def row(suppression: Suppression) -> dict[str, Any]:
    """A suppression as a row that `import_` takes."""
    return {key: getattr(suppression, key) for key in _KEYS}


def lift(
    now: datetime, scope: Scope, channel: str, recipient: str, topic: str | None = None, *, source: str | None = None
) -> Flow[Suppression]:
    """Take away the scope's own suppression of this recipient (of this topic); raises `NotFound`.

    `source` is kept in the history: who lifted it, or why.
    """
    lifted = yield from suppressions.lift(now, scope, channel, _address(channel, recipient), topic or "", source)
    if lifted is None:
        raise NotFound(
            "There is no such suppression of your own.", cure="List them; a global one is lifted from the global scope."
        )
    return lifted


def history(
    now: datetime, scope: Scope, channel: str, recipient: str, *, limit: int = 50, after: UUID | None = None
) -> Flow[list[Change]]:
    """How this recipient's suppressions came and went, newest first: the scope's own and the global ones."""
    return (yield from suppressions.history(scope, channel, _address(channel, recipient), limit=limit, after=after))


def _imported(now: datetime, scope: Scope, row: Mapping[str, Any]) -> Fresh:
    if not isinstance(row, Mapping):
        raise Invalid("A row is a mapping.", cure="Give {channel, recipient}.", code="bad_row")
    if unknown := sorted(set(map(str, row)) - set(_KEYS)):
        raise Invalid(f"Nobody knows {', '.join(unknown)}.", cure=f"Known are: {', '.join(_KEYS)}.", code="unknown_key")
    values = {"reason": "manual", **dict.fromkeys(_KEYS[3:]), **row}
    return _fresh(now, scope, values.pop("channel", None), values.pop("recipient", None), **values)


def _fresh(
    now: datetime,
    scope: Scope,
    channel: Any,
    recipient: Any,
    reason: Any,
    source: str | None,
    topic: str | None,
    expires_at: datetime | None,
    metadata: Mapping[str, Any] | None,
) -> Fresh:
    if expires_at is not None and (not isinstance(expires_at, datetime) or expires_at.tzinfo is None):
        raise Invalid("The end must be a time with its zone.", cure="Pass an aware datetime.", code="expires_at")
    if expires_at is not None and expires_at <= now:
        raise Invalid("The end lies in the past.", cure="Leave it out, or pass a later one.", code="expires_at")
    normalized = _address(channel, recipient)
    return Fresh(
        scope.tenant, channel, recipient.strip(), normalized, _reason(reason), source, topic or "", expires_at,
        metadata or {},
    )  # fmt: skip


def _reason(reason: Any) -> str:
    if reason not in REASONS:
        raise Invalid(f"{reason!r} is no reason.", cure=f"It must be one of: {', '.join(REASONS)}.", code="reason")
    return str(reason)


def _address(channel: Any, recipient: Any) -> str:
    """The recipient normalized; refused where it could never match anything."""
    if not isinstance(channel, str) or not channel.strip():
        raise Invalid("A suppression needs a channel.", cure="Such as email or sms.", code="channel_required")
    normalized = normalize(channel, recipient)
    if not normalized:
        raise Invalid("A suppression needs a recipient.", cure="Pass an address.", code="recipient_required")
    if channel == "email" and not is_email(normalized) and not is_email(f"anybody{normalized}"):
        raise Invalid(
            "This is neither one e-mail address nor a whole domain.",
            cure="Pass it bare, such as ann@example.org or @example.org.",
            code="recipient_not_email",
        )
    return normalized

"""Who must not be written to any more, from when, why, and until when?"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from dripdrop.errors import Finding, IllegalMove, Invalid, NotFound
from dripdrop.operations import enrolling
from dripdrop.rules import links
from dripdrop.rules.recipients import is_email, normalize
from dripdrop.store import suppressions
from dripdrop.store.flow import Flow
from dripdrop.store.scope import Scope
from dripdrop.store.suppressions import REASONS, Asked, Change, Fresh, Suppression

ONE_CLICK = "one_click"
_KEYS = ("channel", "recipient", "reason", "source", "topic", "expires_at", "metadata")


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


def import_(now: datetime, scope: Scope, rows: Sequence[Mapping[str, Any]]) -> Flow[list[Suppression]]:
    """Suppress many, each a mapping of `suppress`'s arguments; `reason` is `manual` where it is left out.

    All or nothing: `Invalid` holds a finding for every row that cannot be taken, at `rows.<index>`.
    """
    fresh, findings = [], []
    for index, row in enumerate(rows):
        try:
            fresh.append(_imported(now, scope, row))
        except Invalid as problem:
            findings.append(Finding(problem.code, f"rows.{index}", problem.message, problem.cure))
    if findings:
        raise Invalid(
            f"{len(findings)} of {len(rows)} suppressions cannot be taken.", cure="Mend them.", findings=findings
        )
    return (yield from suppressions.add_many(now, fresh))


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


def export(now: datetime, scope: Scope) -> Flow[list[dict[str, Any]]]:
    """The scope's own, expired ones left out, as rows that `import_` takes."""
    rows = yield from suppressions.listed(
        now, scope, channel=None, normalized=None, reason=None, expired=False, limit=None, after=None
    )
    return [{key: getattr(row, key) for key in _KEYS} for row in rows if row.tenant_key == scope.tenant]


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


def unsubscribe(now: datetime, token: links.Unsubscribe) -> Flow[Suppression]:
    """What a valid unsubscribe link causes: the suppression, a message event, and the end of a marketing enrollment.

    The scope is the token's own; doing it again changes nothing.
    """
    scope = Scope(token.tenant_key)
    done = yield from suppress(now, scope, token.channel, token.recipient, "unsubscribe", source=ONE_CLICK)
    execution_id = _uuid(token.execution)
    if execution_id is not None:
        yield from _leave(now, scope, token.channel, execution_id)
    return done


def _leave(now: datetime, scope: Scope, channel: str, execution_id: UUID) -> Flow[None]:
    row = yield from suppressions.execution(scope, execution_id)
    if row is None:
        return
    yield from suppressions.note_unsubscribe(now, scope, execution_id, row.adapter_id, channel, {"source": ONE_CLICK})
    # Who asks for no more news still gets the receipt that was asked for, as far as the suppression lets it through.
    if row.enrollment_state in ("active", "paused") and not row.transactional:
        with contextlib.suppress(IllegalMove):  # it ended by itself meanwhile
            yield from enrolling.unenroll(now, scope, row.enrollment_id, reason="unsubscribed")


def _imported(now: datetime, scope: Scope, row: Mapping[str, Any]) -> Fresh:
    if unknown := sorted(set(row) - set(_KEYS)):
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


def _uuid(text: str | None) -> UUID | None:
    try:
        return UUID(text) if text else None
    except ValueError:
        return None

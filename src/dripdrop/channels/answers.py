"""What does a provider's HTTP answer mean?"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from dripdrop.contracts import HttpResponse
from dripdrop.rules.outcome import Accepted, Outcome, Rejected

_TEMPORARY = frozenset((408, 409, 425))


def by_status(response: HttpResponse, detail: Mapping[str, Any] | None = None) -> Outcome:
    """The outcome by status alone; `detail` (a provider's error code, say) is kept beside the status.

    2xx accepted; 429 throttled; 401 and 403 the adapter's trouble, not the person's; 408, 409, 425 and 5xx temporary;
    a redirect is not followed and is the adapter's to mend; every other status refuses this message for good.
    """
    status = response.status
    found = {"status": status, **(detail or {})}
    if 200 <= status < 300:
        return Accepted(meta=found)
    if status == 429:
        return Rejected("temporary", "throttled", retry_after(response), found)
    if status in (401, 403):
        return Rejected("temporary", "adapter", retry_after(response), found)
    if status in _TEMPORARY or status >= 500:
        return Rejected("temporary", "message", retry_after(response), found)
    if 300 <= status < 400:
        return Rejected("permanent", "adapter", None, {**found, "reason": "redirect"})
    return Rejected("permanent", "message", None, found)


def retry_after(response: HttpResponse) -> float | None:
    """Seconds to wait (RFC 9110). A date is measured against the answer's own Date, so no clock is needed."""
    value = response.headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit() and len(value) < 10:
        return float(value)
    until, said = _moment(value), _moment(response.headers.get("date", ""))
    return max((until - said).total_seconds(), 0.0) if until is not None and said is not None else None


def _moment(text: str) -> datetime | None:
    try:
        at = parsedate_to_datetime(text)
    except (TypeError, ValueError, IndexError):
        return None
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)
